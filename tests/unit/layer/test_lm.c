/* test_lm.c: whole models against differences of their loss: blocks in a row and side by side, own
 * and tied heads, activations kept and run again, targets that nobody asks for. */
#include "layer/lm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "layer/dense_ffn.h"
#include "layer/mixer.h"

enum { N_BLOCK = 3, WIDTH = 6, VOCAB = 11, N_SEQ = 2, LEN = 5, N = N_SEQ * LEN };

#define SCALE 0.5 /* of the loss's gradients */

typedef struct model {
    mn__lm lm;
    mn__block block[N_BLOCK];
    mn__mixer mixer[N_BLOCK];
    mn__dense_ffn ffn[N_BLOCK];
    mn__params list;
    mn__real *w, *g;
    size_t n_w;
    int32_t token[N], target[N];
    mn__nll loss;
    bool backward;
    mn__team *team;
} model;

static void make(model *m, bool tied, bool parallel, bool recompute)
{
    const mn__mixer_sizes mix = {.width = WIDTH,
                                 .heads = {2, 1, 4},
                                 .rotary = {2, 10000},
                                 .has_out = true,
                                 .std_in = 0.4,
                                 .std_out = 0.4};
    *m = (model){.lm = {.n_vocab = VOCAB,
                        .width = WIDTH,
                        .n_block = N_BLOCK,
                        .tied = tied,
                        .recompute = recompute,
                        .std = 0.4}};
    m->lm.block = m->block;
    mn__norm_init(&m->lm.norm, MN__NORM_RMS, WIDTH, 1e-5);
    for (size_t i = 0; i < N_BLOCK; i++) {
        assert_int_equal(mn__mixer_init(&m->mixer[i], &mix, NULL), MN_OK);
        mn__dense_ffn_init(&m->ffn[i], &(mn__dense_ffn_sizes){.width = WIDTH,
                                                              .n_hidden = 7,
                                                              .act = MN__ACT_SWIGLU,
                                                              .std_in = 0.4,
                                                              .std_out = 0.4});
        m->block[i] = (mn__block){.parallel = parallel,
                                  .width = WIDTH,
                                  .mixer = &m->mixer[i].layer,
                                  .ffn = &m->ffn[i].layer};
        for (size_t j = 0; j < 2; j++)
            mn__norm_init(&m->block[i].norm[j], MN__NORM_RMS, WIDTH, 1e-5);
    }
    mn__lm_declare(&m->lm, &m->list);
    assert_int_equal(m->list.st, MN_OK);
    m->n_w = mn__params_size(&m->list, false);
    m->w = calloc(m->n_w, sizeof *m->w);
    m->g = calloc(m->n_w, sizeof *m->g);
    assert_true(m->w && m->g);
    mn__params_bind(&m->list, m->w, m->g, NULL);
    mn__params_fill(&m->list, NULL, 5);
    for (size_t i = 0; i < N; i++) {
        m->token[i] = (int32_t)(mn__rng_uniform(1, 1, i, 0) * VOCAB);
        m->target[i] = i % 4 == 3 ? -1 : (int32_t)(mn__rng_uniform(1, 2, i, 0) * VOCAB);
    }
}

static void done(model *m)
{
    mn__params_fini(&m->list);
    free(m->w);
    free(m->g);
}

static void pass(const mn__env *env, void *arg)
{
    model *m = arg;
    const mn__lm_batch b = {{N_SEQ, LEN}, m->token, m->target, SCALE};
    m->loss = mn__lm_loss(&m->lm, env, &b, m->backward, NULL);
}

static double run(model *m, bool backward)
{
    mn__tape tape = {0};
    const mn__env env = {.team = m->team, .tape = &tape};
    m->backward = backward;
    assert_int_equal(mn__env_plan(&env, pass, m, NULL), MN_OK);
    pass(&env, m);
    assert_int_equal(mn__tape_mark(&tape), 0);
    mn__tape_fini(&tape);
    assert_int_equal(m->loss.n, 8);
    return m->loss.sum;
}

static void check(bool tied, bool parallel, bool recompute)
{
    const double h = 1e-5;
    model m;
    make(&m, tied, parallel, recompute);
    assert_true((mn__params_find(&m.list, "head") == NULL) == tied);
    run(&m, true);
    for (size_t i = 0; i < m.list.n; i++) {
        mn__param *p = m.list.at[i];
        double mean = 0;
        const size_t n = mn__param_size(p);
        for (size_t j = 0; j < n; j++) mean += fabs(p->g[j]) / (double)n;
        assert_true(mean > 0);
        for (size_t j = 0; j < n; j++) {
            const double keep = p->w[j];
            p->w[j] = keep + h;
            double up = run(&m, false);
            p->w[j] = keep - h;
            double wanted = SCALE * (up - run(&m, false)) / (2 * h);
            p->w[j] = keep;
            if (!(fabs(p->g[j] - wanted) <= 1e-5 * fmax(fabs(wanted), mean)))
                fail_msg("%s[%zu]: %g found, %g by differences", p->name, j, p->g[j], wanted);
        }
    }
    done(&m);
}

static void test_differences(void **state)
{
    (void)state;
    check(false, false, false);
    check(true, true, true);
}

/* Running blocks again, and threads, change no bit. */
static void test_same_bits(void **state)
{
    (void)state;
    model a, b;
    make(&a, true, false, false);
    make(&b, true, false, true);
    b.team = mn__team_new(3);
    assert_non_null(b.team);
    assert_true(run(&a, true) == run(&b, true));
    assert_true(run(&a, false) == run(&b, false));
    assert_memory_equal(a.g, b.g, a.n_w * sizeof *a.g);
    mn__team_free(b.team);
    done(&a);
    done(&b);
}

static void test_names(void **state)
{
    (void)state;
    model m;
    make(&m, false, false, false);
    static const char *const names[] = {"embedding",
                                        "block.0.norm1.scale",
                                        "block.1.mixer.qkv.weight",
                                        "block.2.ffn.gate.weight",
                                        "norm.scale",
                                        "head"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(mn__params_find(&m.list, names[i]));
    assert_null(mn__params_find(&m.list, "block.3.norm1.scale"));
    done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
