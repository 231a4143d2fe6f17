/* bank.h: prompts that were read once under the full cache, kept for as many candidates as come:
 * keys, values, what policies gathered while the model read, and the logits at the end. */
#ifndef MN_EVOLVE_BANK_H
#define MN_EVOLVE_BANK_H

#include "eval/trial.h"

typedef struct mn__bank_params {
    const mn_model *model;
    mn_session_params session; /* policy, budget and `also` are not looked at */
    const char *const *also;   /* [n_also] policies that candidates go on under; borrowed */
    size_t n_also;
    size_t max_bytes;   /* of what is kept beside the readings in use: the one that was not used for
                           longest goes first */
    const char *folder; /* where it goes, a file each, made if need be; borrowed. NULL, or no room
                           there: it is read again when it is wanted */
    size_t rank;        /* whose files they are, where several banks share a folder */
    size_t n_rank; /* that do; the first clears what others than these have left. 0: not known */
} mn__bank_params;

typedef struct mn__bank mn__bank;

mn_status mn__bank_new(mn__bank **out, const mn__bank_params *params, mn_diag *diag);
void mn__bank_free(mn__bank *b); /* nothing may be in use; NULL is fine */

/* The reading of n tokens, the caller's alone until it is given back. From any thread.
 * stop: polled while reading, MN_ECANCEL. */
mn_status mn__bank_take(mn__bank *b, const int32_t *token, size_t n, bool (*stop)(void *ctx),
                        void *ctx, mn__based *out, mn_diag *diag);
void mn__bank_give(mn__bank *b, const mn_session *session);

typedef struct mn__bank_info {
    size_t bytes, n_kept;     /* in memory; there and in files */
    uint64_t n_read, n_found; /* readings made; readings that were there */
    uint64_t n_loaded;        /* of those, from files */
} mn__bank_info;
mn__bank_info mn__bank_get_info(mn__bank *b);

#endif
