/* half_fixture.h: what tests of products in bf16 share: how far they may be from float. */
#ifndef MN_TEST_HALF_FIXTURE_H
#define MN_TEST_HALF_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "layer/layer.h"

/* Products of rounded numbers, each of an error below 2^-9 of its own, independent of the others:
 * sums of them keep it, relative to their length, and three follow each other. */
#define HALF_ERROR (3.0 / 256)

static inline float *hf_draw(size_t n, uint32_t stream)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)mn__rng_normal(5, stream, i, 0);
    return x;
}

/* Length of the difference over that of the first. */
static inline double hf_distance(const float *a, const float *b, size_t n)
{
    double gap = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        gap += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)a[i] * a[i];
    }
    return sqrt(gap / size);
}

/* Near, and not the same: something was rounded. */
static inline void hf_assert_near(const float *full, const float *half, size_t n)
{
    const double far = hf_distance(full, half, n);
    if (far >= HALF_ERROR || far <= 1e-5) fail_msg("%g of its length from float", far);
}

/* A pass, planned and run, in bf16 or in float. */
static inline void hf_run(void (*pass)(const mn__env *env, void *arg), void *arg, int n_thread,
                          bool half)
{
    struct mn__kern kern;
    mn__tape tape = {0};
    mn__team *team = mn__team_new(n_thread);
    const mn__env env = {.team = team, .kern = &kern, .tape = &tape, .half = half};
    assert_non_null(team);
    mn__kern_init(&kern, (int)mn__cpu_best());
    assert_int_equal(mn__env_plan(&env, pass, arg, NULL), MN_OK);
    pass(&env, arg);
    mn__tape_fini(&tape);
    mn__team_free(team);
}

#endif
