/* causal_half.h: the passes of causal_softmax.h in bf16: operands are rounded, sums, softmax and
 * results are floats. Not in double. */
#ifndef MN_LAYER_CAUSAL_HALF_H
#define MN_LAYER_CAUSAL_HALF_H

#include "layer/causal_softmax.h"

/* Whether env computes in bf16 and heads are wide enough for it: multiples of 32. */
bool mn__causal_half_takes(const mn__env *env, const mn__heads *heads);
/* lse [n_seq][n_head][len] or NULL. */
void mn__causal_half_forward(const mn__heads *heads, const mn__env *env, mn__shape s,
                             const mn__qkv *in, mn__real *y, mn__real *lse);
void mn__causal_half_backward(const mn__heads *heads, const mn__env *env, mn__shape s,
                              const mn__causal_softmax_saved *saved, const mn__real *dy,
                              const mn__qkv_grad *out);

#endif
