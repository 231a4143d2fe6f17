/* forward.h: the transformer, one step: rows of any number of sequences through all layers. */
#ifndef MN_FORWARD_H
#define MN_FORWARD_H

#include "base/team.h"
#include "cache/policy_ops.h"
#include "mneme/status.h"
#include "model/model.h"

typedef enum mn__want { MN__WANT_NOTHING, MN__WANT_LAST, MN__WANT_ALL } mn__want;

/* New tokens of one sequence. Its cache has room reserved for n tokens; the caller commits
 * afterwards. */
typedef struct mn__forward_seq {
    mn__cache *cache;
    const mn__scorer *scorer; /* NULL: full cache, nobody looks */
    const int32_t *token;     /* [n], each below n_vocab */
    size_t n;
    bool decode;   /* one row, product by dots; decode sequences come first in a step */
    mn__want want; /* which rows reach the head */
} mn__forward_seq;

typedef struct mn__forward_limits {
    size_t max_prefill_row, max_decode_row, max_slots, max_logit_row;
    mn__kv_type kv_type;
    int n_thread;
} mn__forward_limits;

typedef struct mn__forward mn__forward; /* workspace, SCRATCH; one step at a time */
mn_status mn__forward_new(mn__forward **out, const mn_model *m, const mn__forward_limits *lim,
                          mn_diag *diag);
size_t mn__forward_bytes(const mn_model *m, const mn__forward_limits *lim);
void mn__forward_free(mn__forward *f);

/* Run the step. Never allocates. Afterwards the wanted rows wait for the head, in order of
 * sequences and rows. */
void mn__forward_run(mn__forward *f, mn__team *team, const mn__forward_seq *seq, size_t n_seq);
/* Logits [n][V] of waiting rows [i, i+n), n <= max_logit_row. dots: quantised product (generation),
 * else the prefill product (likelihoods of many rows). Borrowed until the next call. */
float *mn__forward_logits(mn__forward *f, mn__team *team, size_t i, size_t n, bool dots);

#endif
