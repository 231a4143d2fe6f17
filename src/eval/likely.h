/* likely.h: how likely a token is under one cache, and how far a cache's forecast lies from that of
 * the full one. All in nats. */
#ifndef MN_EVAL_LIKELY_H
#define MN_EVAL_LIKELY_H

#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"
#include "mneme/status.h"

typedef struct mn__likely {
    const struct mn__kern *kern;
    size_t n_vocab;
    const float *full; /* [n_vocab] the reference's logits; borrowed */
    float *share;      /* [n_vocab] its probabilities times `sum` */
    float *work;       /* [n_vocab] */
    double sum, lse;
} mn__likely;

mn_status mn__likely_init(mn__likely *l, const struct mn__kern *kern, size_t n_vocab,
                          mn_diag *diag);
void mn__likely_fini(mn__likely *l); /* one of zeros is fine */

/* logits [n_vocab] of the full cache, which stay there until the next reference. */
void mn__likely_set_full(mn__likely *l, const float *logits);
/* *nll = -log p(token), *kl = KL(full || these). NAN where logits are not finite. */
void mn__likely_compare(mn__likely *l, const float *logits, int32_t token, double *nll, double *kl);

/* The likeliest token, the first of equals; NaN never. */
int32_t mn__likely_best(const float *logits, size_t n_vocab);

#endif
