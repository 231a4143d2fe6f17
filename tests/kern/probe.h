/* probe.h: what a proof of one kernel works with: random inputs in guarded memory, and checks
 * against the plain kernel. */
#ifndef MN_TEST_KERN_PROBE_H
#define MN_TEST_KERN_PROBE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kern/kern.h"

struct probe {
    const struct mn__kern *ref, *kern;
    const char *kernel, *level;
    uint64_t seed, drawn; /* the random stream and how far it is read */
    bool spoil;           /* falsify one value before each check, which must then fail */
    int n_bad, n_check;
    char shape[160]; /* of the case at hand, for the report */
    sigjmp_buf crash;
};

/* Inputs: most values near 1, some large, tiny or denormal, so that an order of sums or a lost bit
 * shows. */
double probe_uniform(struct probe *p);
size_t probe_below(struct probe *p, size_t n);
size_t probe_pick(struct probe *p, const size_t *list, size_t n);
float probe_value(struct probe *p);
float probe_plain(struct probe *p); /* normal, without outliers */

/* Memory that ends at a page nobody may touch; what lies in front is poisoned and checked by
 * guard_release. A start is aligned to what bytes is a multiple of, and to nothing more. */
void *guard_take(size_t bytes);
void guard_release(struct probe *p);
float *guard_f32(struct probe *p, size_t n);    /* filled with probe_value */
mn_bf16 *guard_bf16(struct probe *p, size_t n); /* the same, rounded */
void *guard_copy(const void *x, size_t bytes);

/* Say that a value is wrong; prints the first few of a kernel. */
void probe_fail(struct probe *p, const char *what, size_t i, double wanted, double found);
/* wanted and found agree within tol[i] (or equal bits, when tol is NULL); NaN agrees with NaN. */
void check_f32(struct probe *p, const char *what, const float *wanted, float *found,
               const float *tol, size_t n);
/* the same bytes */
void check_same(struct probe *p, const char *what, const void *wanted, void *found, size_t bytes);
void probe_shape(struct probe *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* One function per kernel, named after it: draws a shape, calls both, checks. */
#define MN_KERN(name, args, tol) void prove_##name(struct probe *p);
#include "kern/kern.def"
#undef MN_KERN

#endif
