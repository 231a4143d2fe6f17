/* export_fixture.h: tiny models of every architecture with random parameters: a checkpoint, its
 * export, and what the trainer's own layers say. */
#ifndef MN_TEST_EXPORT_FIXTURE_H
#define MN_TEST_EXPORT_FIXTURE_H

#include "unit/train_fixture.h"

#include "unit/abc_vocab.h"
#include "mneme/export.h"
#include "mneme/session.h"
#include "train/checkpoint.h"

enum { EF_TOKENS = 29 };

typedef struct exported {
    mn__config config;
    char folder[64], checkpoint[96], tokenizer[96], file[96];
    mn_export_tables rounding; /* of the tables that the trainer's logits are made with */
    float *logits;             /* [EF_TOKENS][ABC_N]: the trainer's */
} exported;

static inline const int32_t *ef_text(void)
{
    static int32_t token[EF_TOKENS];
    for (size_t i = 0; i < EF_TOKENS; i++)
        token[i] = (int32_t)(mn__rng_uniform(11, 1, i, 0) * ABC_N);
    return token;
}

/* Not one parameter where training would begin. */
static inline void ef_disturb(mn__learner *l)
{
    for (size_t i = 0; i < l->list.n; i++) {
        mn__param *p = l->list.at[i];
        const bool is_state = p->group == MN__PARAM_STATE;
        for (size_t k = 0; k < mn__param_size(p); k++)
            p->w[k] += (is_state ? 0.f : 0.05f) *
                       (float)mn__rng_normal(3, mn__param_stream(p->name), k, 0);
    }
    mn__learner_refresh(l);
}

static inline float ef_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000; /* to the nearest, ties to even */
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Rows of tables as a file of so many bits would have them. */
static inline void ef_round(mn__learner *l, mn_export_tables rounding)
{
    for (size_t i = 0; i < l->list.n; i++) {
        const mn__param *p = l->list.at[i];
        for (size_t at = 0; p->row && at < mn__param_size(p); at += p->row) {
            float most = 0, *w = p->w + at;
            for (size_t k = 0; k < p->row; k++) most = fmaxf(most, fabsf(w[k]));
            for (size_t k = 0; k < p->row; k++)
                w[k] = rounding == MN_EXPORT_TABLES_INT8 ? rintf(w[k] * (127 / most)) * (most / 127)
                                                         : ef_bf16(w[k]);
        }
    }
}

typedef struct ef_pass {
    mn__learner *l;
    float *logits;
} ef_pass;

static inline void ef_logits(const mn__env *env, void *arg)
{
    const ef_pass *p = arg;
    mn__learner_logits(p->l, env, (mn__shape){1, EF_TOKENS}, ef_text(), p->logits);
}

static inline void ef_write_tokenizer(const char *path)
{
    struct gguf_context *meta = abc_vocab_meta();
    assert_true(gguf_write_to_file(meta, path, true));
    gguf_free(meta);
}

/* A checkpoint of a model like `config`, and what the model makes of the text. */
static inline void ef_make(exported *e)
{
    mn_diag diag = {{0}};
    mn__learner *l;
    mn__adamw *o;
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    snprintf(e->folder, sizeof e->folder, "%s/mneme-export-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(e->folder));
    snprintf(e->checkpoint, sizeof e->checkpoint, "%s/checkpoint.gguf", e->folder);
    snprintf(e->tokenizer, sizeof e->tokenizer, "%s/tokenizer.gguf", e->folder);
    snprintf(e->file, sizeof e->file, "%s/model.gguf", e->folder);
    ef_write_tokenizer(e->tokenizer);
    e->config.model_vocab = ABC_N;
    finish_config(&e->config);
    if (mn__learner_new(&l, &e->config, true, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
    ef_disturb(l);
    assert_int_equal(
        mn__adamw_new(&o, &l->list, &(mn__adamw_config){.beta1 = 0.9, .beta2 = 0.9}, &diag), MN_OK);
    assert_int_equal(mn__checkpoint_save(e->checkpoint, l, o, NULL, 7, false, &diag), MN_OK);
    if (e->rounding) ef_round(l, e->rounding);
    e->logits = malloc(EF_TOKENS * ABC_N * sizeof *e->logits);
    assert_non_null(e->logits);
    ef_pass p = {l, e->logits};
    assert_int_equal(mn__env_plan(&env, ef_logits, &p, &diag), MN_OK);
    ef_logits(&env, &p);
    mn__tape_fini(&tape);
    mn__adamw_free(o);
    mn__learner_free(l);
}

static inline void ef_free(exported *e)
{
    unlink(e->checkpoint);
    unlink(e->tokenizer);
    unlink(e->file);
    rmdir(e->folder);
    free(e->logits);
    e->logits = NULL;
}

static inline void ef_export(const exported *e, mn_export_type type, mn_export_tables tables)
{
    mn_diag diag = {{0}};
    const mn_export_params p = {.type = type, .tables = tables, .tokenizer = e->tokenizer};
    if (mn_export(e->checkpoint, e->file, &p, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static inline mn_model *ef_open_at(const exported *e, const char *cpu)
{
    mn_diag diag = {{0}};
    mn_model *m;
    mn_model_params p;
    mn_model_params_default(&p);
    p.cpu = cpu;
    if (mn_model_open(&m, e->file, &p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return m;
}

static inline mn_model *ef_open(const exported *e)
{
    return ef_open_at(e, "auto");
}

static inline mn_session *ef_session(const mn_model *m, size_t chunk, const char *policy,
                                     const char *budget)
{
    mn_diag diag = {{0}};
    mn_session *s;
    mn_session_params p;
    mn_session_params_default(&p);
    p.kv_type = MN_KV_F32;
    p.chunk = chunk;
    p.n_thread = 1;
    p.n_ctx = 64;
    p.policy = policy;
    p.budget = budget;
    if (mn_session_new(&s, m, &p, &diag) != MN_OK) fail_msg("%s: %s", policy, diag.text);
    return s;
}

/* The largest difference of the rows of `at` tokens on. */
typedef struct ef_compare {
    const float *wanted;
    double most, sum, norm;
} ef_compare;

static inline void ef_row(size_t i, const float *logits, void *ctx)
{
    ef_compare *c = ctx;
    for (size_t v = 0; v < ABC_N; v++) {
        const double want = (double)c->wanted[i * ABC_N + v], d = (double)logits[v] - want;
        c->most = fmax(c->most, isnan(d) ? INFINITY : fabs(d));
        c->sum += d * d;
        c->norm += want * want;
    }
}

#endif
