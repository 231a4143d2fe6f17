/* train_sample.h: samples of a run: its prompt as tokens, what follows as text. */
#ifndef MN_TRAIN_TRAIN_SAMPLE_H
#define MN_TRAIN_TRAIN_SAMPLE_H

#include "train/continuation.h"
#include "train/tokenizer.h"

typedef struct mn__train_sample {
    mn__continuation at;
    const mn__tokenizer *tokenizer; /* borrowed */
    char *text;                     /* [room] */
    size_t room;
} mn__train_sample;

/* report.prompt and report.sample_* of the trainer's config; sample_tokens 0: none, of zeros.
 * MN_EINPUT: a prompt that is no text of the tokenizer; MN_ENOMEM. */
mn_status mn__train_sample_init(mn__train_sample *out, const mn__trainer *t,
                                const mn__tokenizer *tokenizer, mn_diag *diag);
/* What the model writes now: UTF-8, borrowed until the next call. */
const char *mn__train_sample_write(mn__train_sample *s, mn__trainer *t);
void mn__train_sample_fini(mn__train_sample *s); /* one of zeros is fine */

#endif
