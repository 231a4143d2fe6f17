/* attend.h: any attention over packed rows [q heads | k heads | v heads], rotated or not, as a
 * subject of differ(). */
#ifndef ATTEND_H
#define ATTEND_H

#include "differ.h"
#include "layer/heads.h"

typedef struct attend {
    void *core, *saved; /* of the kind under test */
    void (*forward)(const void *core, const mn__env *env, mn__shape s, const mn__qkv *in,
                    mn__real *y, void *saved);
    void (*backward)(const void *core, const mn__env *env, mn__shape s, const void *saved,
                     const mn__real *dy, const mn__qkv_grad *out);
    mn__heads heads;
    mn__shape s;
    mn__rotary rotary;
    mn__real *table, *packed; /* of the pass in flight */
} attend;

/* Gradients by differences. The list's parameters belong to the core. */
void attend_differ(attend *a, const mn__params *list, double x_scale, uint64_t seed);
/* Output of rows [n_seq * len][n_head + 2 n_kv][dim], alone and without keeping anything. */
void attend_run(attend *a, const mn__real *x, mn__real *y);
/* Fails unless changing position `at` of every sequence leaves all outputs before it alone, bit by
 * bit, and changes one behind. */
void attend_causal(attend *a, size_t at, uint64_t seed);

#endif
