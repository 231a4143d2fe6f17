/* continuation.h: what a model in training writes: a prompt gone on with, token by token, every
 * one from a pass over all before it. */
#ifndef MN_TRAIN_CONTINUATION_H
#define MN_TRAIN_CONTINUATION_H

#include "train/loop.h"

typedef struct mn__continuation {
    size_t n_prompt, n; /* tokens of the prompt, and with what is written: at most train.length */
    int32_t *token;     /* [n] */
    mn__real *logits;   /* [n][vocab] */
    double temperature; /* 0: the most likely token */
    mn__tape tape;
} mn__continuation;

typedef struct mn__continuation_params {
    const int32_t *prompt; /* [n_prompt], n_prompt > 0; its end counts where it is too long */
    size_t n_prompt, n_new;
    double temperature;
} mn__continuation_params;

/* MN_ENOMEM. */
mn_status mn__continuation_init(mn__continuation *out, const mn__trainer *t,
                                const mn__continuation_params *p, mn_diag *diag);
/* Write token[n_prompt..n) by the weights as they are. The draws follow from train.seed and the
 * step; training goes on as if nobody had asked. */
void mn__continuation_write(mn__continuation *k, mn__trainer *t);
void mn__continuation_fini(mn__continuation *k); /* one of zeros is fine */

#endif
