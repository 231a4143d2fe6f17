/* test_moe_half.c: experts in bf16 against the same in float, forward and backward, alone and by a
 * team; the router chooses the same ones. */
#include "layer/moe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"

/* A pass and all that comes out of it. */
typedef struct mixture {
    mn__moe l;
    mn__params list;
    size_t n, n_w;
    const float *x, *dy;
    float *y, *dx, *g;
    uint32_t *expert;
} mixture;

static void pass(const mn__env *env, void *arg)
{
    const mixture *m = arg;
    mn__moe_saved saved;
    mn__moe_forward(&m->l, env, m->n, m->x, m->y, &saved);
    mn__moe_backward(&m->l, env, m->n, &saved, m->dy, m->dx);
    if (!mn__env_is_dry(env))
        memcpy(m->expert, saved.expert, m->n * m->l.n_keep * sizeof *m->expert);
}

static float *draw(size_t n, uint32_t stream)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)mn__rng_normal(5, stream, i, 0);
    return x;
}

static void begin(mixture *m, mn__moe l, size_t n, const float *x, const float *dy)
{
    *m = (mixture){.l = l, .n = n, .x = x, .dy = dy};
    mn__moe_declare(&m->l, &m->list, "moe");
    m->n_w = mn__params_size(&m->list, false);
    m->y = draw(n * l.width, 3); /* whatever stood there must not matter */
    m->dx = draw(n * l.width, 4);
    m->g = calloc(m->n_w, sizeof *m->g);
    m->expert = calloc(n * l.n_keep, sizeof *m->expert);
    assert_true(m->g && m->expert);
}

static void run(mixture *m, int n_thread, bool half)
{
    struct mn__kern kern;
    mn__tape tape = {0};
    mn__team *team = mn__team_new(n_thread);
    float *w = draw(m->n_w, 6);
    const mn__env env = {.team = team, .kern = &kern, .tape = &tape, .half = half};
    assert_non_null(team);
    mn__kern_init(&kern, (int)mn__cpu_best());
    mn__params_bind(&m->list, w, m->g, NULL);
    mn__params_fill(&m->list, team, 3);
    assert_int_equal(mn__env_plan(&env, pass, m, NULL), MN_OK);
    pass(&env, m);
    mn__tape_fini(&tape);
    mn__team_free(team);
    free(w);
}

static void fini(mixture *m)
{
    mn__params_fini(&m->list);
    free(m->y);
    free(m->dx);
    free(m->g);
    free(m->expert);
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

static void compare(const mixture *full, const mixture *half)
{
    const size_t n = full->n * full->l.width;
    const mn__param *const param[] = {&full->l.w1, &full->l.v1, &full->l.w2, &full->l.router};
    assert_memory_equal(full->expert, half->expert, full->n * full->l.n_keep * sizeof(uint32_t));
    assert_true(distance(full->y, half->y, n) < HALF_ERROR);
    assert_true(distance(full->dx, half->dx, n) < HALF_ERROR);
    assert_true(distance(full->y, half->y, n) > 1e-5); /* or nothing was rounded */
    for (size_t i = 0; i < sizeof param / sizeof *param; i++) {
        if (!param[i]->g) continue; /* of three matrices alone */
        const size_t at = (size_t)(param[i]->g - full->g), size = mn__param_size(param[i]);
        const double far = distance(full->g + at, half->g + at, size);
        assert_true(far < HALF_ERROR && far > 1e-5);
    }
}

static void check(mn__moe l, size_t n)
{
    float *x = draw(n * l.width, 1), *dy = draw(n * l.width, 2);
    mixture m[3];
    for (int i = 0; i < 3; i++) {
        begin(&m[i], l, n, x, dy);
        run(&m[i], i == 2 ? 3 : 1, i > 0);
    }
    compare(&m[0], &m[1]);
    assert_memory_equal(m[1].y, m[2].y, n * l.width * sizeof(float));
    assert_memory_equal(m[1].dx, m[2].dx, n * l.width * sizeof(float));
    assert_memory_equal(m[1].g, m[2].g, m[1].n_w * sizeof(float));
    for (int i = 0; i < 3; i++) fini(&m[i]);
    free(x);
    free(dy);
}

static void test_half(void **state)
{
    mn__moe l = {.width = 72,
                 .inner = 100,
                 .n_expert = 4,
                 .n_keep = 2,
                 .balance = 0.01,
                 .z = 0.001,
                 .n_layer = 1,
                 .n_block = 1,
                 .std = 0.1};
    (void)state;
    check(l, 400); /* panels with rests */
    l.renormalise = true;
    check(l, 1200); /* more than a tile of tokens an expert */
    l.gelu = true;
    l.width = 64;
    l.inner = 288; /* more than a block of rows of gradients */
    check(l, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
