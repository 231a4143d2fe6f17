/* test_learning_tables.c: small models with memories between their blocks, or experts in them,
 * learn a sequence by heart; an optimiser that owes updates to rows nobody read makes the very same
 * model, by three threads too: layers announce all rows that they read. */
#include "train/adamw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "layer/dense_ffn.h"
#include "layer/lm.h"
#include "layer/memory_socket.h"
#include "layer/mixer.h"
#include "layer/table_layers.h"

enum { N_BLOCK = 3, N_MEMORY = 2, WIDTH = 16, VOCAB = 13 };
enum { N_SEQ = 2, LEN = 12, N = N_SEQ * LEN, STEPS = 60 };
enum kind { PKM, PLUS, V1, V2, MOE, KINDS };

typedef union memory {
    mn__layer layer;
    mn__pkm_face pkm;
    mn__memory_plus_face plus;
    mn__ultramem_face v1;
    mn__ultramem_v2_face v2;
} memory;

typedef struct model {
    enum kind kind;
    mn__lm lm;
    mn__block block[N_BLOCK];
    mn__mixer mixer[N_BLOCK];
    mn__dense_ffn ffn[N_BLOCK];
    mn__moe_face moe[N_BLOCK];
    mn__memory_socket socket[N_BLOCK];
    mn__memories memories;
    memory memory[N_MEMORY];
    mn__value_pool pool;
    mn__params list;
    float *w, *g, *state;
    size_t n_w;
    mn__adamw *opt;
    mn__tape tape;
    mn__env env;
    struct mn__kern kern;
    int32_t token[N], target[N];
    double loss;
} model;

static mn__pkm pkm_of(void)
{
    return (mn__pkm){.width = WIDTH,
                     .value_width = WIDTH,
                     .n_head = 2,
                     .n_key = 12,
                     .half = 4,
                     .n_keep = 4,
                     .norm = MN__PKM_RMS,
                     .norm_eps = 1e-5f};
}

static mn__tucker_search search_of(size_t k)
{
    return (mn__tucker_search){.width = WIDTH,
                               .n_head = 2,
                               .half = 4,
                               .rank = 2,
                               .n_core = 2,
                               .n_keep = 4,
                               .norm_eps = 1e-5f,
                               .balance = 1e-3,
                               .core = 1e-3,
                               .core_margin = 0.15,
                               .shuffle_seed = k};
}

static void make_memory(model *m, size_t k)
{
    memory *x = &m->memory[k];
    switch (m->kind) {
    case PKM:
        x->pkm.self = pkm_of();
        mn__pkm_face_init(&x->pkm);
        break;
    case PLUS: /* one table for both */
        x->plus.self = (mn__memory_plus){.memory = pkm_of(), .swilu = true, .gate = true};
        if (k) x->plus.self.memory.values = &m->memory[0].plus.self.memory.own_values;
        mn__memory_plus_face_init(&x->plus);
        break;
    case V1:
        x->v1.self =
            (mn__ultramem){.search = search_of(k), .value_width = 8, .n_axis = 8, .n_expand = 4};
        assert_int_equal(mn__ultramem_init(&x->v1.self, NULL), MN_OK);
        mn__ultramem_face_init(&x->v1);
        break;
    default: /* windows that overlap */
        x->v2.self = (mn__ultramem_v2){
            .search = search_of(k), .pool = &m->pool, .i_layer = k, .share = 0.8, .key_expand = 2};
        x->v2.self.search.mode = MN__QUERY_PER_RANK;
        assert_int_equal(mn__ultramem_v2_init(&x->v2.self, NULL), MN_OK);
        mn__ultramem_v2_face_init(&x->v2);
    }
    m->memories.slot[k].memory = &x->layer;
}

static void make_blocks(model *m)
{
    const mn__mixer_sizes mix = {.width = WIDTH,
                                 .heads = {2, 2, WIDTH / 2},
                                 .rotary = {4, 10000},
                                 .has_out = true,
                                 .std_in = 0.1,
                                 .std_out = 0.1};
    const mn__dense_ffn_sizes ffn = {
        .width = WIDTH, .n_hidden = 8, .act = MN__ACT_SWIGLU, .std_in = 0.1, .std_out = 0.1};
    for (size_t i = 0; i < N_BLOCK; i++) {
        mn__layer *layer = &m->ffn[i].layer;
        assert_int_equal(mn__mixer_init(&m->mixer[i], &mix, NULL), MN_OK);
        mn__dense_ffn_init(&m->ffn[i], &ffn);
        m->moe[i].self = (mn__moe){.width = WIDTH,
                                   .inner = 8,
                                   .n_expert = 6,
                                   .n_keep = 2,
                                   .balance = 0.01,
                                   .z = 1e-3,
                                   .n_layer = N_BLOCK,
                                   .n_block = N_BLOCK,
                                   .std = 0.2};
        mn__moe_face_init(&m->moe[i]);
        if (m->kind == MOE) layer = &m->moe[i].layer;
        mn__memory_socket_init(&m->socket[i], layer, i, &m->memories);
        m->block[i] =
            (mn__block){.width = WIDTH, .mixer = &m->mixer[i].layer, .ffn = &m->socket[i].layer};
        for (size_t j = 0; j < 2; j++)
            mn__norm_init(&m->block[i].norm[j], MN__NORM_RMS, WIDTH, 1e-5);
    }
}

static void make(model *m, enum kind kind, bool deferred, bool selective)
{
    *m = (model){
        .kind = kind,
        .lm = {.n_vocab = VOCAB, .width = WIDTH, .n_block = N_BLOCK, .std = 0.3},
        .memories = {.n = kind == MOE ? 0 : N_MEMORY,
                     .slot = {{.at = {0, 1}}, {.at = {0, 2}}},
                     .prefix = "memory"},
        .pool = {.n_layer = N_MEMORY, .n_axis = 8, .value_width = 8, .pre_width = 6, .std = 0.3}};
    m->lm.block = m->block;
    m->lm.tied = true;
    mn__norm_init(&m->lm.norm, MN__NORM_RMS, WIDTH, 1e-5);
    for (size_t k = 0; k < m->memories.n; k++) make_memory(m, k);
    make_blocks(m);
    mn__lm_declare(&m->lm, &m->list);
    if (kind == V2) mn__value_pool_declare(&m->pool, &m->list, "pool");
    assert_int_equal(m->list.st, MN_OK);
    m->n_w = mn__params_size(&m->list, false);
    m->w = calloc(m->n_w, sizeof *m->w);
    m->g = calloc(m->n_w, sizeof *m->g);
    m->state = calloc(mn__params_size(&m->list, true) + 1, sizeof *m->state);
    assert_true(m->w && m->g && m->state);
    mn__params_bind(&m->list, m->w, m->g, m->state);
    mn__params_fill(&m->list, NULL, 5);
    const mn__adamw_config config = {.beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .eps = 1e-8,
                                     .decay = {0.1, 0, 0.1},
                                     .deferred = deferred,
                                     .selective = selective};
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
    const size_t mark = mn__tape_mark(env->tape);
    const mn__lm_batch b = {{N_SEQ, LEN}, m->token, m->target, 1.0 / N};
    double aux = 0;
    mn__memories_begin(&m->memories, env, N, WIDTH, true);
    const mn__nll nll = mn__lm_loss(&m->lm, env, &b, true, &aux);
    mn__tape_cut(env->tape, mark);
    m->loss = nll.n ? nll.sum / (double)nll.n + aux : 0;
}

static void learn(model *m, mn__team *team, double *first)
{
    const double lr[MN__ADAMW_GROUPS] = {1e-2, 1e-2, 1e-2};
    m->env.team = team;
    assert_int_equal(mn__env_plan(&m->env, pass, m, NULL), MN_OK);
    for (size_t s = 0; s < STEPS; s++) {
        for (size_t k = 0; k < m->memories.n; k++)
            mn__table_layer_refresh(m->memories.slot[k].memory);
        pass(&m->env, m);
        if (!s) *first = m->loss;
        const double norm = mn__adamw_norm(m->opt, team);
        assert_true(norm > 0);
        assert_int_equal(mn__adamw_step(m->opt, team, lr, norm > 1 ? 1 / norm : 1, NULL), MN_OK);
    }
    mn__adamw_flush(m->opt, team);
}

static void done(model *m)
{
    for (size_t k = 0; k < m->memories.n; k++) {
        if (m->kind == V1) mn__ultramem_fini(&m->memory[k].v1.self);
        if (m->kind == V2) mn__ultramem_v2_fini(&m->memory[k].v2.self);
    }
    mn__adamw_free(m->opt);
    mn__params_fini(&m->list);
    mn__tape_fini(&m->tape);
    free(m->w);
    free(m->g);
    free(m->state);
}

static const size_t n_table[KINDS] = {[PKM] = 2, [PLUS] = 1, [V1] = 2, [V2] = 2, [MOE] = 0};

static void test_learning(void **state)
{
    static model dense, deferred, selective;
    mn__team *team = mn__team_new(3);
    (void)state;
    assert_non_null(team);
    for (enum kind kind = PKM; kind < KINDS; kind++) {
        double first;
        make(&dense, kind, false, false);
        make(&deferred, kind, true, false);
        make(&selective, kind, false, true);
        learn(&dense, NULL, &first);
        if (!(dense.loss < first / 2))
            fail_msg("kind %d: a loss of %g, then of %g", (int)kind, first, dense.loss);
        learn(&deferred, team, &first);
        assert_true(dense.loss == deferred.loss);
        assert_memory_equal(dense.w, deferred.w, dense.n_w * sizeof *dense.w);
        assert_memory_equal(dense.opt->v, deferred.opt->v, dense.n_w * sizeof *dense.w);
        assert_int_equal(deferred.opt->n_table, n_table[kind]);
        learn(&selective, NULL, &first);
        assert_true(selective.loss < first / 2);
        if (kind != MOE) /* another optimiser: rows that nobody read have not shrunk */
            assert_memory_not_equal(dense.w, selective.w, dense.n_w * sizeof *dense.w);
        done(&dense);
        done(&deferred);
        done(&selective);
    }
    mn__team_free(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learning)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
