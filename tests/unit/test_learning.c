/* test_learning.c: a small MemoryFormer learns a sequence by heart; an optimiser that owes updates
 * to rows nobody read makes the very same model, bit by bit, for layers announce all rows that they
 * read. */
#include "train/adamw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "layer/lm.h"
#include "layer/memory_ffn.h"
#include "layer/mixer.h"

enum { N_BLOCK = 2, N_TABLE = 4, N_BIT = 4, WIDTH = N_TABLE * N_BIT, VOCAB = 13 };
enum { N_SEQ = 2, LEN = 12, N = N_SEQ * LEN, STEPS = 80 };

typedef struct model {
    mn__lm lm;
    mn__block block[N_BLOCK];
    mn__mixer mixer[N_BLOCK];
    mn__memory_ffn ffn[N_BLOCK];
    mn__params list;
    float *w, *g;
    size_t n_w;
    mn__adamw *opt;
    mn__tape tape;
    mn__env env;
    struct mn__kern kern;
    int32_t token[N], target[N];
    mn__nll loss;
} model;

static void make(model *m, bool deferred)
{
    const mn__mixer_sizes mix = {.width = WIDTH,
                                 .heads = {2, 2, WIDTH / 2},
                                 .rotary = {2, 10000},
                                 .std_in = 0.1,
                                 .n_table = N_TABLE,
                                 .n_bit = N_BIT,
                                 .temperature = 1};
    const mn__memory_ffn_sizes ffn = {
        .n_table = N_TABLE, .n_bit = N_BIT, .n_extra = 2, .temperature = 1, .std = 0.02};
    *m = (model){.lm = {.n_vocab = VOCAB, .width = WIDTH, .n_block = N_BLOCK, .std = 0.3}};
    m->lm.block = m->block;
    mn__norm_init(&m->lm.norm, MN__NORM_RMS_OUTSIDE, WIDTH, 1e-8);
    for (size_t i = 0; i < N_BLOCK; i++) {
        assert_int_equal(mn__mixer_init(&m->mixer[i], &mix, NULL), MN_OK);
        assert_int_equal(mn__memory_ffn_init(&m->ffn[i], &ffn, NULL), MN_OK);
        m->block[i] =
            (mn__block){.width = WIDTH, .mixer = &m->mixer[i].layer, .ffn = &m->ffn[i].layer};
        for (size_t j = 0; j < 2; j++)
            mn__norm_init(&m->block[i].norm[j], MN__NORM_RMS_OUTSIDE, WIDTH, 1e-8);
    }
    mn__lm_declare(&m->lm, &m->list);
    assert_int_equal(m->list.st, MN_OK);
    m->n_w = mn__params_size(&m->list, false);
    m->w = calloc(m->n_w, sizeof *m->w);
    m->g = calloc(m->n_w, sizeof *m->g);
    assert_true(m->w && m->g);
    mn__params_bind(&m->list, m->w, m->g, NULL);
    mn__params_fill(&m->list, NULL, 5);
    const mn__adamw_config config = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = {0.1}, .deferred = deferred};
    assert_int_equal(mn__adamw_new(&m->opt, &m->list, &config, NULL), MN_OK);
    for (size_t i = 0; i < N; i++) {
        m->token[i] = (int32_t)((i * i + 3 * (i / LEN)) % VOCAB);
        m->target[i] = (int32_t)(((i + 1) * (i + 1) + 3 * ((i + 1) / LEN)) % VOCAB);
    }
    mn__kern_init(&m->kern, (int)mn__cpu_best());
    m->env = (mn__env){.kern = &m->kern, .tape = &m->tape};
}

static void pass(const mn__env *env, void *arg)
{
    model *m = arg;
    const mn__lm_batch b = {{N_SEQ, LEN}, m->token, m->target, 1.0 / N};
    m->loss = mn__lm_loss(&m->lm, env, &b, true, NULL);
}

/* The loss before and after. */
static void learn(model *m, mn__team *team, double *first, double *last)
{
    const double lr[MN__ADAMW_GROUPS] = {1e-2, 1e-2, 1e-2};
    m->env.team = team;
    assert_int_equal(mn__env_plan(&m->env, pass, m, NULL), MN_OK);
    for (size_t s = 0; s < STEPS; s++) {
        pass(&m->env, m);
        *last = m->loss.sum / (double)m->loss.n;
        if (!s) *first = *last;
        const double norm = mn__adamw_norm(m->opt, team);
        assert_true(norm > 0);
        assert_int_equal(mn__adamw_step(m->opt, team, lr, norm > 1 ? 1 / norm : 1, NULL), MN_OK);
    }
    mn__adamw_flush(m->opt, team);
}

static void done(model *m)
{
    mn__adamw_free(m->opt);
    mn__params_fini(&m->list);
    mn__tape_fini(&m->tape);
    free(m->w);
    free(m->g);
}

static void test_learning(void **state)
{
    (void)state;
    static model dense, deferred;
    double first, last, again;
    mn__team *team = mn__team_new(3);
    assert_non_null(team);
    make(&dense, false);
    make(&deferred, true);
    learn(&dense, NULL, &first, &last);
    assert_true(last < first / 4);
    learn(&deferred, team, &first, &again);
    size_t n_owed = 0;
    for (size_t i = 0; i < deferred.opt->n_table; i++) n_owed += deferred.opt->table[i].n_row;
    assert_true(n_owed > 1000); /* tables there are */
    assert_true(last == again);
    assert_memory_equal(dense.w, deferred.w, dense.n_w * sizeof *dense.w);
    assert_memory_equal(dense.opt->v, deferred.opt->v, dense.n_w * sizeof *dense.w);
    mn__team_free(team);
    done(&dense);
    done(&deferred);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
