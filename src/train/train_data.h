/* train_data.h: what a training reads, from an option to rows of tokens: its tokenizer, taken or
 * learnt, and token shards, which are written once and found again by what they were made of. */
#ifndef MN_TRAIN_TRAIN_DATA_H
#define MN_TRAIN_TRAIN_DATA_H

#include <stdbool.h>
#include "train/batch.h"
#include "lm/config.h"
#include "train/loop.h"
#include "train/tokenizer.h"

/* How making them meets the rest of the program; any may be NULL. */
typedef struct mn__data_watch {
    void (*tick)(void *ctx, const char *what, uint64_t done, uint64_t total); /* bytes of files */
    bool (*stop)(void *ctx);
    void *ctx;
} mn__data_watch;

/* Shards of one side, and rows drawn from them. */
typedef struct mn__data_side {
    mn__row_source source; /* first */
    mn__shard *shard;      /* [n] */
    size_t n;
    double begin, end;            /* share of their windows that is its own; end 0: to the last */
    uint64_t n_token, n_document; /* of all; of a share of one document: 0 documents */
    mn__batches rows;
} mn__data_side;

typedef struct mn__train_data {
    mn__tokenizer tokenizer;
    mn__data_side train, valid; /* valid.n 0: nothing is held out */
} mn__train_data;

/* Shards and tokenizer as [data] says; what is not there yet is made in data.shards, or in `dir`.
 * Checks model.vocab against the tokenizer. MN_EUSAGE, MN_EINPUT, MN_ERANGE, MN_EIO, MN_ENOMEM,
 * each with a sentence; MN_ECANCEL: watch->stop said so. */
mn_status mn__train_data_open(mn__train_data *out, const mn__config *c, const char *dir,
                              const mn__data_watch *watch, mn_diag *diag);
/* Rows for a checked config, whose report_valid_rows goes down to what there is: both sources are
 * ready then. MN_EINPUT: a shard shorter than train.length. */
mn_status mn__train_data_begin(mn__train_data *d, mn__config *c, mn_diag *diag);
void mn__train_data_close(mn__train_data *d); /* one of zeros is fine */

#endif
