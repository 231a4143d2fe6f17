/* test_causal_half.c: attention in bf16 against the same in float, forward and backward, alone and
 * by a team. */
#include "layer/causal_softmax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"

typedef struct attention {
    mn__causal_softmax core;
    mn__shape s;
    size_t n_y, n_x, ld; /* values of outputs and of inputs, and between rows of these */
    const float *x, *dy;
    float *y, *dx;
} attention;

static void pass(const mn__env *env, void *arg)
{
    const attention *a = arg;
    const size_t q = a->core.heads.n_head * a->core.heads.dim,
                 kv = a->core.heads.n_kv * a->core.heads.dim;
    const mn__qkv in = {.q = a->x, .k = a->x + q, .v = a->x + q + kv, .ld = a->ld};
    const mn__qkv_grad out = {a->dx, a->dx + q, a->dx + q + kv};
    mn__causal_softmax_saved saved;
    mn__causal_softmax_forward(&a->core, env, a->s, &in, a->y, &saved);
    mn__causal_softmax_backward(&a->core, env, a->s, &saved, a->dy, &out);
}

static void run(attention *a, int n_thread, bool half, float *y, float *dx)
{
    struct mn__kern kern;
    mn__tape tape = {0};
    mn__team *team = mn__team_new(n_thread);
    const mn__env env = {.team = team, .kern = &kern, .tape = &tape, .half = half};
    assert_non_null(team);
    mn__kern_init(&kern, (int)mn__cpu_best());
    a->y = y;
    a->dx = dx;
    assert_int_equal(mn__env_plan(&env, pass, a, NULL), MN_OK);
    pass(&env, a);
    mn__tape_fini(&tape);
    mn__team_free(team);
}

static float *draw(size_t n, uint32_t stream)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)mn__rng_normal(5, stream, i, 0);
    return x;
}

/* Length of the difference over that of the first. */
static double distance(const float *a, const float *b, size_t n)
{
    double gap = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        gap += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)a[i] * a[i];
    }
    return sqrt(gap / size);
}

/* Products of rounded numbers, each of an error below 2^-9 of its own, independent of the others:
 * sums of them keep it, relative to their length, and three follow each other. */
#define HALF_ERROR (3.0 / 256)

static void check(mn__heads heads, mn__shape s)
{
    attention a = {.core = {heads}, .s = s};
    a.ld = (heads.n_head + 2 * heads.n_kv) * heads.dim;
    a.n_x = s.n_seq * s.len * a.ld;
    a.n_y = s.n_seq * s.len * heads.n_head * heads.dim;
    float *x = draw(a.n_x, 1), *dy = draw(a.n_y, 2), *y[3], *dx[3];
    a.x = x;
    a.dy = dy;
    for (int i = 0; i < 3; i++) {
        y[i] = draw(a.n_y, 3); /* whatever stood there must not matter */
        dx[i] = draw(a.n_x, 4);
        run(&a, i == 2 ? 3 : 1, i > 0, y[i], dx[i]);
    }
    assert_true(distance(y[0], y[1], a.n_y) < HALF_ERROR);
    assert_true(distance(dx[0], dx[1], a.n_x) < HALF_ERROR);
    assert_true(distance(y[0], y[1], a.n_y) > 1e-5); /* or nothing was rounded */
    assert_memory_equal(y[1], y[2], a.n_y * sizeof(float));
    assert_memory_equal(dx[1], dx[2], a.n_x * sizeof(float));
    for (int i = 0; i < 3; i++) {
        free(y[i]);
        free(dx[i]);
    }
    free(x);
    free(dy);
}

static void test_half(void **state)
{
    (void)state;
    check((mn__heads){2, 2, 64}, (mn__shape){2, 300}); /* rests of tiles of both kinds */
    check((mn__heads){4, 2, 32}, (mn__shape){1, 256}); /* groups of queries, none */
    check((mn__heads){1, 1, 96}, (mn__shape){3, 7});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
