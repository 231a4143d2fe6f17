/* test_adamw.c: deferred rows have the bits of a dense optimiser, whenever they are touched; what
 * is left out when replays are limited is small; groups, clipping, norms. */
#include "train/adamw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "train/cosine.h"

enum { N_ROW = 200, WIDTH = 5, N_OTHER = 37, STEPS = 260 };

typedef struct model {
    mn__param state, table, bias, other;
    mn__params list;
    float *w, *g, *s;
    mn__adamw *opt;
    size_t n;
} model;

static void make(model *m, bool deferred, size_t replay_max)
{
    const mn__adamw_config config = {.beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .eps = 1e-8,
                                     .decay = {0.1, 0, 0.02},
                                     .deferred = deferred,
                                     .replay_max = replay_max};
    *m = (model){.n = 0};
    mn__params_add(&m->list, &m->state,
                   (mn__param){.dim = {3}, .n_dim = 1, .group = MN__PARAM_STATE}, "", "state");
    mn__params_add(&m->list, &m->bias,
                   (mn__param){.dim = {N_OTHER}, .n_dim = 1, .group = MN__PARAM_NO_DECAY}, "",
                   "bias");
    mn__params_add(&m->list, &m->table,
                   (mn__param){.dim = {N_ROW, WIDTH}, .n_dim = 2, .row = WIDTH}, "", "table");
    mn__params_add(&m->list, &m->other,
                   (mn__param){.dim = {N_OTHER}, .n_dim = 1, .group = MN__PARAM_VALUES}, "",
                   "other");
    m->n = mn__params_size(&m->list, false);
    m->w = calloc(m->n, sizeof *m->w);
    m->g = calloc(m->n, sizeof *m->g);
    m->s = calloc(mn__params_size(&m->list, true), sizeof *m->s);
    assert_true(m->w && m->g && m->s);
    mn__params_bind(&m->list, m->w, m->g, m->s);
    for (size_t i = 0; i < m->n; i++) m->w[i] = (float)mn__rng_normal(1, 1, i, 0);
    assert_int_equal(mn__adamw_new(&m->opt, &m->list, &config, NULL), MN_OK);
    assert_true((m->table.hook != NULL) == deferred);
}

static void done(model *m)
{
    mn__adamw_free(m->opt);
    assert_null(m->table.hook);
    mn__params_fini(&m->list);
    free(m->w);
    free(m->g);
    free(m->s);
}

/* Gradients of a step: some rows, more of the low ones; some rows are read without one. */
static void learn(model *m, size_t step, mn__team *team)
{
    const mn__cosine c = {1e-2, 1e-4, 20, STEPS};
    const double rate = mn__cosine_rate(&c, (double)step), lr[] = {rate, rate, 3 * rate};
    for (size_t r = 0; r < N_ROW; r++) {
        double u = mn__rng_uniform(2, 2, step, (uint32_t)r);
        if (u * (double)(r + 1) > 1) continue;
        if (m->table.hook) m->table.hook->touch(m->table.hook, r);
        for (size_t i = 0; i < WIDTH && r % 7; i++)
            m->table.g[r * WIDTH + i] += (float)mn__rng_normal(3, (uint32_t)i, step, (uint32_t)r);
    }
    for (size_t i = 0; i < N_OTHER; i++) {
        m->bias.g[i] = (float)mn__rng_normal(4, 1, step, (uint32_t)i);
        m->other.g[i] = (float)mn__rng_normal(4, 2, step, (uint32_t)i);
    }
    const double norm = mn__adamw_norm(m->opt, team);
    assert_true(norm > 1);
    assert_int_equal(mn__adamw_step(m->opt, team, lr, 1 / norm, NULL), MN_OK);
    for (size_t i = 0; i < m->n; i++) assert_true(m->g[i] == 0);
}

static void test_same_bits(void **state)
{
    (void)state;
    model a, b;
    mn__team *team = mn__team_new(3);
    assert_non_null(team);
    make(&a, false, 0);
    make(&b, true, 0);
    size_t n_owed = 0;
    for (size_t s = 0; s < STEPS; s++) {
        learn(&a, s, NULL);
        learn(&b, s, team);
        for (size_t r = 0; r < N_ROW; r++) {
            bool owed = b.opt->table->last[r] < b.opt->step;
            n_owed += owed;
            if (!owed)
                assert_memory_equal(a.table.w + r * WIDTH, b.table.w + r * WIDTH,
                                    WIDTH * sizeof(float));
        }
    }
    assert_true(n_owed > STEPS * N_ROW / 4);
    mn__adamw_flush(b.opt, team);
    assert_memory_equal(a.w, b.w, a.n * sizeof *a.w);
    assert_memory_equal(a.opt->m, b.opt->m, a.n * sizeof *a.w);
    assert_memory_equal(a.opt->v, b.opt->v, a.n * sizeof *a.w);
    mn__team_free(team);
    done(&a);
    done(&b);
}

static void test_limited(void **state)
{
    (void)state;
    model a, b;
    double most = 0;
    make(&a, true, 0);
    make(&b, true, 60);
    for (size_t s = 0; s < STEPS; s++) {
        learn(&a, s, NULL);
        learn(&b, s, NULL);
    }
    mn__adamw_flush(a.opt, NULL);
    mn__adamw_flush(b.opt, NULL);
    for (size_t i = 0; i < a.n; i++) most = fmax(most, fabs((double)(a.w[i] - b.w[i])));
    assert_true(most > 0 && most < 1e-3);
    done(&a);
    done(&b);
}

/* By hand: the first step moves by lr against the sign of the gradient. */
static void test_first_step(void **state)
{
    (void)state;
    model m;
    const double lr[] = {0.1, 0.1, 0.2};
    make(&m, false, 0);
    float before[] = {m.table.w[0], m.bias.w[0], m.other.w[0]};
    m.table.g[0] = 4;
    m.bias.g[0] = -4;
    m.other.g[0] = 1e-3f;
    assert_true(fabs(mn__adamw_norm(m.opt, NULL) - sqrt(32 + 1e-6)) < 1e-6);
    assert_int_equal(mn__adamw_step(m.opt, NULL, lr, 0.5, NULL), MN_OK);
    assert_true(fabsf(m.table.w[0] - (before[0] * 0.99f - 0.1f)) < 1e-6f);
    assert_true(fabsf(m.bias.w[0] - (before[1] + 0.1f)) < 1e-6f);
    assert_true(fabsf(m.other.w[0] - (before[2] * (1 - 0.2f * 0.02f) - 0.2f)) < 1e-5f);
    done(&m);
}

static void test_cosine(void **state)
{
    (void)state;
    const mn__cosine c = {2, 1, 4, 12};
    assert_true(mn__cosine_rate(&c, 0) == 0);
    assert_true(mn__cosine_rate(&c, 1) == 0.5);
    assert_true(mn__cosine_rate(&c, 4) == 2);
    assert_true(fabs(mn__cosine_rate(&c, 8) - 1.5) < 1e-15);
    assert_true(mn__cosine_rate(&c, 12) == 1 && mn__cosine_rate(&c, 99) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_limited),
        cmocka_unit_test(test_first_step),
        cmocka_unit_test(test_cosine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
