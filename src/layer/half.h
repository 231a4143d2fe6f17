/* half.h: products in bf16 with sums in float, for those of ops.h that are worth it: the operands
 * are rounded on their way into tiles, nothing of them is kept. Bits do not depend on the number of
 * threads. Not in double. */
#ifndef MN_LAYER_HALF_H
#define MN_LAYER_HALF_H

#include "layer/ops.h"

/* Whether env computes in bf16 and a product of such sizes is large enough. */
bool mn__half_takes(const mn__env *env, const mn__mm *p);
/* c (+)= a b; a is [k][m] where a_turned, b is [n][k] where b_turned. Scratch is the tape's: a dry
 * run must come by here too. */
void mn__half_mm(const mn__env *env, const mn__mm *p, bool a_turned, bool b_turned);

#endif
