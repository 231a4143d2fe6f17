/* memory_plus.h: Memory+: product-key memory whose sum is gated by the token and projected.
 * Ref: arXiv 2412.09764. Two codes are published: Meta's (biases, raw queries, optional gate) and
 * the one in UltraMemV2's repository (no biases, RMS of queries): options say which. */
#ifndef MN_LAYER_MEMORY_PLUS_H
#define MN_LAYER_MEMORY_PLUS_H

#include "layer/pkm.h"

typedef struct mn__memory_plus {
    mn__pkm memory; /* its sizes and options, set before this is declared */
    bool swilu;     /* the sum times silu(W_s x), then projected */
    bool project;   /* the sum is projected, without swilu too */
    bool gate;      /* the output times sigmoid(w_g.x + b_g) */
    bool bias;      /* of W_s and W_o */
    mn__dense values_proj, swilu_proj, gating;
} mn__memory_plus;

typedef struct mn__memory_plus_saved {
    mn__pkm_saved memory;
    const mn__real *x; /* borrowed */
    mn__real *sum;     /* [n][value_width]: of the memory */
    mn__real *swilu;   /* [n][value_width]: W_s x */
    mn__real *hidden;  /* [n][value_width]: what is projected */
    mn__real *out;     /* [n][width]: before the gate */
    mn__real *gate;    /* [n]: sigmoid */
} mn__memory_plus_saved;

mn_status mn__memory_plus_check(const mn__memory_plus *l, mn_diag *diag);
void mn__memory_plus_declare(mn__memory_plus *l, mn__params *list, const char *prefix);
/* x, y [n][width]. */
void mn__memory_plus_forward(const mn__memory_plus *l, const mn__env *env, size_t n,
                             const mn__real *x, mn__real *y, mn__memory_plus_saved *saved);
void mn__memory_plus_backward(const mn__memory_plus *l, const mn__env *env, size_t n,
                              const mn__memory_plus_saved *saved, const mn__real *dy, mn__real *dx);

#endif
