/* golden_pkm.c: kinds `pkm`, `memplus_meta`, `memplus_bd`: product-key memories. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_memory.h"
#include "layer/memory_plus.h"

enum { SIZE_LIMIT = 1 << 16, TIES_MAX = 16 };

typedef struct replay {
    golden_rig rig;
    golden_batch batch;
    mn__memory_plus l; /* a plain memory is one without anything behind the sum */
    mn__memory_plus_saved saved;
    golden_tie tie[TIES_MAX];
    size_t n_tie;
} replay;

static bool read_flag(golden *g, const char *name, bool *out)
{
    const json_t *v = json_object_get(golden_part(g, "config"), name);
    *out = json_is_true(v);
    return json_is_boolean(v) || golden_fail(g, "`%s`: true or false wanted", name);
}

static bool read_size(golden *g, const char *name, size_t *out)
{
    return golden_size(g, golden_part(g, "config"), name, 1, SIZE_LIMIT, out);
}

static bool read_eps(golden *g, const char *name, mn__real *out)
{
    double x = 0;
    bool ok = golden_real(g, golden_part(g, "config"), name, &x);
    *out = (mn__real)x;
    return ok;
}

static void tie(replay *r, const char *name, mn__param *p, size_t n_row)
{
    r->tie[r->n_tie++] = (golden_tie){.name = name, .p = p, .n_row = n_row};
}

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__memory_plus_forward(&r->l, env, r->batch.n, r->batch.x, r->batch.y, &r->saved);
    mn__memory_plus_backward(&r->l, env, r->batch.n, &r->saved, r->batch.dy, r->batch.dx);
}

/* The batch, nested with its sequences when n_seq > 0, through the layer. */
static bool run(golden *g, replay *r, size_t n_token, size_t n_seq)
{
    const mn__pkm *m = &r->l.memory;
    double loss = 0;
    bool ok = golden_batch_read(g, n_token, m->width, m->width, n_seq, &r->batch) &&
              golden_ties_load(g, golden_part(g, "params"), r->tie, r->n_tie) &&
              golden_rig_run(g, &r->rig, pass, r) &&
              golden_batch_compare(g, m->width, m->width, &r->batch);
    for (size_t i = 0; ok && i < n_token * m->width; i++)
        loss += (double)r->batch.y[i] * (double)r->batch.dy[i];
    return ok && golden_scalar(g, "loss", loss);
}

static bool compare_found(golden *g, const replay *r)
{
    const mn__pkm *m = &r->l.memory;
    const mn__product_key_found *f = &r->saved.memory.found;
    size_t n = r->batch.n * m->n_head * m->n_keep;
    return golden_floats_out(g, "topk_scores", f->score, n) &&
           golden_indices(g, golden_part(g, "outputs"), "topk_idx", f->cell, n) &&
           golden_floats_out(g, "weights", f->weight, n);
}

/* Lists of rows and columns, which the file keeps apart. */
static bool compare_lists(golden *g, const replay *r)
{
    static const char *const name[2] = {"row_topk_idx", "col_topk_idx"};
    const mn__pkm *m = &r->l.memory;
    size_t n = r->batch.n * m->n_head, m_keep = m->n_keep;
    uint32_t *list = calloc(n * m_keep, sizeof *list);
    bool ok = list || golden_fail(g, "out of memory");
    for (size_t axis = 0; ok && axis < 2; axis++) {
        for (size_t i = 0; i < n; i++)
            memcpy(list + i * m_keep, r->saved.memory.found.list + (i * 2 + axis) * m_keep,
                   m_keep * sizeof *list);
        ok = golden_indices(g, golden_part(g, "outputs"), name[axis], list, n * m_keep);
    }
    free(list);
    return ok;
}

/* All scores of one axis, which the layer keeps of listed keys only. */
static bool compare_scores(golden *g, const replay *r)
{
    static const char *const name[2] = {"row_scores", "col_scores"};
    const mn__pkm *m = &r->l.memory;
    size_t n = r->batch.n * m->n_head;
    float *score = calloc(n * m->n_key, sizeof *score);
    bool ok = score || golden_fail(g, "out of memory");
    for (size_t axis = 0; ok && axis < 2; axis++) {
        for (size_t i = 0; i < n * m->n_key; i++) {
            const float *q = r->saved.memory.query + (i / m->n_key * 2 + axis) * m->half;
            const float *k =
                m->keys.w +
                ((i / m->n_key % m->n_head * 2 + axis) * m->n_key + i % m->n_key) * m->half;
            score[i] = 0;
            for (size_t c = 0; c < m->half; c++) score[i] += q[c] * k[c];
        }
        ok = golden_floats_out(g, name[axis], score, n * m->n_key);
    }
    free(score);
    return ok;
}

static void drop(replay *r)
{
    golden_batch_fini(&r->batch);
    golden_rig_fini(&r->rig);
}

/* ---- pkm ---- */

static bool read_pkm_sizes(golden *g, replay *r, const char *more, size_t *k_dim)
{
    mn__pkm *m = &r->l.memory;
    const char *mode;
    char known[256] = "hidden n_keys k_dim heads knn query_batchnorm bn_eps mode seed ";
    bool batch = false;
    strncat(known, more, sizeof known - strlen(known) - 1);
    if (!golden_fields(g, golden_part(g, "config"), "config", known) ||
        !read_size(g, "hidden", &m->width) || !read_size(g, "n_keys", &m->n_key) ||
        !read_size(g, "k_dim", k_dim) || !read_size(g, "heads", &m->n_head) ||
        !read_size(g, "knn", &m->n_keep) || !read_flag(g, "query_batchnorm", &batch) ||
        !read_eps(g, "bn_eps", &m->norm_eps) ||
        !golden_text(g, golden_part(g, "config"), "mode", &mode))
        return false;
    if (strcmp(mode, "train") != 0 || *k_dim % 2)
        return golden_fail(g, "mode train and an even k_dim wanted");
    m->half = *k_dim / 2;
    m->query_bias = true;
    m->value_width = m->width;
    m->norm = batch ? MN__PKM_BATCH : MN__PKM_RAW;
    return true;
}

static bool declare(golden *g, replay *r)
{
    mn_diag diag = {""};
    if (mn__memory_plus_check(&r->l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__memory_plus_declare(&r->l, &r->rig.list, "");
    return golden_rig_bind(g, &r->rig);
}

static void tie_pkm(replay *r, size_t n_key_row)
{
    mn__pkm *m = &r->l.memory;
    tie(r, "keys", &m->keys, n_key_row);
    tie(r, "values.weight", m->values, 0);
    tie(r, "query_proj.query_mlps.0.weight", &m->query_proj.weight, 0);
    tie(r, "query_proj.query_mlps.0.bias", &m->query_proj.bias, 0);
    if (m->norm != MN__PKM_BATCH) return;
    tie(r, "query_proj.query_mlps.1.weight", &m->batch_norm.scale, 0);
    tie(r, "query_proj.query_mlps.1.bias", &m->batch_norm.shift, 0);
}

static bool load_running(golden *g, replay *r)
{
    mn__batch_norm *b = &r->l.memory.batch_norm;
    const golden_tie before[] = {{.name = "bn_running_mean_before", .p = &b->mean},
                                 {.name = "bn_running_var_before", .p = &b->var}};
    return golden_ties_load(g, golden_part(g, "params"), before, 2);
}

/* The bias before the norm has no gradient but what rounding leaves: 1e-5 is the README's. */
static bool compare_bias(golden *g, const replay *r)
{
    const mn__param *p = &r->l.memory.query_proj.bias;
    for (size_t i = 0; i < mn__param_size(p); i++)
        if (!(fabsf(p->g[i]) < 1e-5f))
            return golden_fail(g, "gradient of the query's bias: %g", (double)p->g[i]);
    return true;
}

static bool replay_pkm(golden *g, replay *r)
{
    mn__pkm *m = &r->l.memory;
    size_t n = 0, k_dim;
    if (!golden_layer_fields(g) || !read_pkm_sizes(g, r, "tokens bn_momentum", &k_dim) ||
        !read_size(g, "tokens", &n) || !read_eps(g, "bn_momentum", &m->momentum) || !declare(g, r))
        return false;
    const bool batch = m->norm == MN__PKM_BATCH;
    const size_t n_query = m->n_head * 2 * m->half;
    tie_pkm(r, 0);
    if ((batch && !load_running(g, r)) || !run(g, r, n, 0) ||
        !golden_floats_out(g, "query", r->saved.memory.query, n * n_query) ||
        !compare_found(g, r) || !compare_lists(g, r))
        return false;
    if (batch) {
        r->tie[3] = r->tie[--r->n_tie]; /* the query's bias */
        if (!compare_bias(g, r) ||
            !golden_floats_out(g, "bn_running_mean_after", m->batch_norm.mean.w, n_query) ||
            !golden_floats_out(g, "bn_running_var_after", m->batch_norm.var.w, n_query))
            return false;
    }
    return golden_ties_compare(g, golden_part(g, "grads"), r->tie, r->n_tie);
}

bool golden_pkm(golden *g)
{
    replay r = {0};
    bool ok = replay_pkm(g, &r);
    drop(&r);
    return ok;
}

/* ---- Memory+ ---- */

static bool replay_meta(golden *g, replay *r)
{
    mn__memory_plus *l = &r->l;
    mn__pkm *m = &l->memory;
    size_t n_seq = 0, len = 0, k_dim, v_dim = 0;
    if (!golden_layer_fields(g) || !read_pkm_sizes(g, r, "batch seq swilu gated v_dim", &k_dim) ||
        !read_size(g, "batch", &n_seq) || !read_size(g, "seq", &len) ||
        !read_flag(g, "swilu", &l->swilu) || !read_flag(g, "gated", &l->gate) ||
        !golden_size(g, golden_part(g, "config"), "v_dim", 0, SIZE_LIMIT, &v_dim))
        return false;
    l->project = v_dim > 0 || l->swilu;
    l->bias = true;
    if (v_dim) m->value_width = v_dim;
    if (m->norm != MN__PKM_RAW) return golden_fail(g, "`query_batchnorm`: false wanted");
    if (!declare(g, r)) return false;
    tie_pkm(r, 2 * m->n_head * m->n_key);
    if (l->project) {
        tie(r, "value_proj.weight", &l->values_proj.weight, 0);
        tie(r, "value_proj.bias", &l->values_proj.bias, 0);
    }
    if (l->swilu) {
        tie(r, "swilu_projection.weight", &l->swilu_proj.weight, 0);
        tie(r, "swilu_projection.bias", &l->swilu_proj.bias, 0);
    }
    if (l->gate) {
        tie(r, "gating.weight", &l->gating.weight, 0);
        tie(r, "gating.bias", &l->gating.bias, 0);
    }
    size_t n_query = n_seq * len * m->n_head * 2 * m->half;
    return run(g, r, n_seq * len, n_seq) && compare_found(g, r) && compare_lists(g, r) &&
           golden_floats_out(g, "query", r->saved.memory.query, n_query) && compare_scores(g, r) &&
           golden_ties_compare(g, golden_part(g, "grads"), r->tie, r->n_tie);
}

bool golden_memplus_meta(golden *g)
{
    replay r = {0};
    bool ok = replay_meta(g, &r);
    drop(&r);
    return ok;
}

static bool read_bd_sizes(golden *g, replay *r, size_t *n)
{
    mn__pkm *m = &r->l.memory;
    m->norm = MN__PKM_RMS;
    r->l.swilu = true;
    return golden_fields(g, golden_part(g, "config"), "config",
                         "hidden tokens knum kdim vdim knn head rms_eps seed") &&
           read_size(g, "hidden", &m->width) && read_size(g, "tokens", n) &&
           read_size(g, "knum", &m->n_key) && read_size(g, "kdim", &m->half) &&
           read_size(g, "vdim", &m->value_width) && read_size(g, "knn", &m->n_keep) &&
           read_size(g, "head", &m->n_head) && read_eps(g, "rms_eps", &m->norm_eps);
}

static bool replay_bd(golden *g, replay *r)
{
    mn__memory_plus *l = &r->l;
    mn__pkm *m = &l->memory;
    size_t n = 0;
    if (!golden_layer_fields(g) || !read_bd_sizes(g, r, &n) || !declare(g, r)) return false;
    tie(r, "keys", &m->keys, 0);
    tie(r, "values", m->values, 0);
    tie(r, "query_proj.weight", &m->query_proj.weight, 0);
    tie(r, "query_norm.weight", &m->query_norm.scale, 0);
    tie(r, "values_proj.weight", &l->values_proj.weight, 0);
    tie(r, "swilu_projection.weight", &l->swilu_proj.weight, 0);
    const json_t *grads = golden_part(g, "grads");
    size_t n_query = n * m->n_head * 2 * m->half;
    return run(g, r, n, 0) && compare_found(g, r) &&
           golden_floats_out(g, "query_normed", r->saved.memory.query, n_query) &&
           golden_ties_compare(g, grads, r->tie, r->n_tie) &&
           golden_is_zero(g, grads, "keys_norm.weight", m->half); /* dropped by that code */
}

bool golden_memplus_bd(golden *g)
{
    replay r = {0};
    bool ok = replay_bd(g, &r);
    drop(&r);
    return ok;
}
