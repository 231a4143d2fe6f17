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

/* All threads' rooms for tiles within mn__each, of the tape, valid until it is cut; NULL where env
 * computes in float. */
const struct mn__half_room *mn__half_rooms(const mn__env *env);
/* One thread's, for mn__mm.room; NULL of NULL. */
const struct mn__half_room *mn__half_room_of(const struct mn__half_room *rooms, int thread);
/* The same product on the calling thread, in p->room; false: not done, there is no room or it is
 * too small. */
bool mn__half_tile(const mn__mm *p, bool a_turned, bool b_turned);

#endif
