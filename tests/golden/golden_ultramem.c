/* golden_ultramem.c: kinds `ultramem_v1`, `ultramem_v2`: whole layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_memory.h"
#include "layer/tucker.h"
#include "layer/ultramem_v2.h"

enum { SIZE_LIMIT = 1 << 16, CELL_LIMIT = 1 << 22 };

static bool read_size(golden *g, const char *name, size_t *out)
{
    return golden_size(g, golden_part(g, "config"), name, 1, SIZE_LIMIT, out);
}

/* A size that follows from others; the file says it too. */
static bool is_size(golden *g, const char *name, size_t wanted)
{
    size_t found = 0;
    if (!golden_size(g, golden_part(g, "config"), name, 0, CELL_LIMIT, &found)) return false;
    return found == wanted ||
           golden_fail(g, "`%s`: %zu follows from the other sizes, %zu found", name, wanted, found);
}

static bool read_search(golden *g, mn__tucker_search *s, size_t *n)
{
    double eps = 0;
    bool ok = read_size(g, "hidden", &s->width) && read_size(g, "tokens", n) &&
              read_size(g, "kdim", &s->half) && read_size(g, "knn", &s->n_keep) &&
              read_size(g, "head", &s->n_head) && read_size(g, "tucker_rank", &s->rank) &&
              read_size(g, "tucker_multihead", &s->n_core) &&
              golden_real(g, golden_part(g, "config"), "rms_eps", &eps);
    s->norm_eps = (float)eps;
    return ok;
}

static double loss_of(const golden_batch *b, size_t width)
{
    double loss = 0;
    for (size_t i = 0; i < b->n * width; i++) loss += (double)b->y[i] * (double)b->dy[i];
    return loss;
}

/* Rows or columns of the lists, which the file keeps apart. */
static bool compare_lists(golden *g, const mn__tucker_search *s, const mn__tdqkr_found *f, size_t n)
{
    static const char *const name[2] = {"row_idx", "col_idx"};
    const size_t n_head = n * s->n_head, m = s->n_keep;
    uint32_t *list = calloc(n_head * m, sizeof *list);
    bool ok = list || golden_fail(g, "out of memory");
    for (size_t axis = 0; ok && axis < 2; axis++) {
        for (size_t i = 0; i < n_head; i++)
            memcpy(list + i * m, f->list + (i * 2 + axis) * m, m * sizeof *list);
        ok = golden_indices(g, golden_part(g, "outputs"), name[axis], list, n_head * m);
    }
    free(list);
    return ok;
}

static bool compare_search(golden *g, const mn__tucker_search *s, const mn__tucker_saved *f,
                           size_t n)
{
    const json_t *out = golden_part(g, "outputs");
    const size_t n_hit = n * s->n_head * s->n_keep;
    size_t n_query = 2 * n * s->half;
    if (s->mode == MN__QUERY_PER_RANK) n_query *= s->rank;
    return golden_floats_out(g, "query_normed", f->query, n_query) &&
           compare_lists(g, s, &f->found, n) &&
           golden_indices(g, out, "best_idx", f->found.cell, n_hit) &&
           golden_floats_out(g, "best_core_scores", f->found.weight, n_hit * s->n_core) &&
           golden_indices(g, out, "shuffled_idx", f->address, n_hit);
}

/* ---- ultramem_v1 ---- */

typedef struct v1 {
    golden_rig rig;
    golden_batch batch;
    mn__ultramem l;
    mn__ultramem_saved saved;
    golden_list list;
    double tau;
} v1;

static void v1_pass(const mn__env *env, void *arg)
{
    v1 *r = arg;
    mn__ultramem_forward(&r->l, env, r->batch.n, r->batch.x, r->batch.y, &r->saved);
    mn__ultramem_backward(&r->l, env, r->batch.n, &r->saved, r->batch.dy, r->batch.dx);
}

static bool make_v1(golden *g, v1 *r, size_t *n)
{
    mn__ultramem *l = &r->l;
    const json_t *config = golden_part(g, "config");
    mn_diag diag = {""};
    if (!golden_layer_fields(g) ||
        !golden_fields(g, config, "config",
                       "hidden tokens knum kdim vdim knn head tucker_rank tucker_multihead "
                       "value_expand_time key_num value_num virtual_num rms_eps tau seed") ||
        !read_search(g, &l->search, n) || !read_size(g, "knum", &l->n_axis) ||
        !read_size(g, "vdim", &l->value_width) ||
        !read_size(g, "value_expand_time", &l->n_expand) || !golden_real(g, config, "tau", &r->tau))
        return false;
    if (mn__ultramem_init(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__ultramem_declare(l, &r->rig.list, "");
    golden_list_search(&r->list, "", &l->search);
    golden_list_add(&r->list, "", "values_for_look_up", l->values);
    golden_list_add(&r->list, "", "values_proj.weight", &l->values_proj.weight);
    return is_size(g, "key_num", l->search.n_key) && is_size(g, "virtual_num", l->search.n_cell) &&
           is_size(g, "value_num", l->n_axis * l->n_axis) && golden_rig_bind(g, &r->rig);
}

/* The singular values, and the cores' loss with its gradient. */
static bool compare_cores(golden *g, const v1 *r)
{
    enum { N = MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX, HEADS = 64 };
    const mn__tucker_search *s = &r->l.search;
    const size_t rank = s->rank, n = s->n_head * rank * rank;
    float sum[N * HEADS] = {0}, grad[N * HEADS] = {0}, value[MN__TUCKER_RANK_MAX * HEADS];
    double c[N], left[N], right[N], found[MN__TUCKER_RANK_MAX];
    if (s->n_head > HEADS) return golden_fail(g, "too many heads");
    for (size_t i = 0; i < s->n_core * n; i++) sum[i % n] += s->cores[i / n].w[i % n];
    for (size_t h = 0; h < s->n_head; h++) {
        for (size_t i = 0; i < rank * rank; i++) c[i] = (double)sum[h * rank * rank + i];
        mn__tucker_svd(c, rank, found, left, right);
        for (size_t i = 0; i < rank; i++) value[h * rank + i] = (float)found[i];
    }
    float loss = mn__tucker_loss(sum, s->n_head, rank, r->tau, 1, grad);
    return golden_floats_out(g, "singular_values", value, s->n_head * rank) &&
           golden_scalar(g, "aux_loss", (double)loss) &&
           golden_compare(g, golden_part(g, "grads"), "aux_wrt_core_sum", grad, n, golden_grad);
}

static bool replay_v1(golden *g, v1 *r)
{
    mn__ultramem *l = &r->l;
    const json_t *out = golden_part(g, "outputs");
    size_t n = 0;
    if (!make_v1(g, r, &n)) return false;
    const size_t width = l->search.width, n_hit = n * l->search.n_head * l->search.n_keep;
    return golden_batch_read(g, n, width, width, 0, &r->batch) &&
           golden_ties_load(g, golden_part(g, "params"), r->list.tie, r->list.n) &&
           golden_search_load(g, "", &l->search) && golden_rig_run(g, &r->rig, v1_pass, r) &&
           compare_search(g, &l->search, &r->saved.search, n) &&
           golden_indices(g, out, "physical_row", r->saved.row, n_hit) &&
           golden_indices(g, out, "block", r->saved.block, n_hit) &&
           golden_batch_compare(g, width, width, &r->batch) &&
           golden_scalar(g, "loss", loss_of(&r->batch, width)) && compare_cores(g, r) &&
           golden_ties_compare(g, golden_part(g, "grads"), r->list.tie, r->list.n);
}

bool golden_ultramem_v1(golden *g)
{
    v1 *r = calloc(1, sizeof *r);
    bool ok = r ? replay_v1(g, r) : golden_fail(g, "out of memory");
    if (r) {
        mn__ultramem_fini(&r->l);
        golden_batch_fini(&r->batch);
        golden_rig_fini(&r->rig);
    }
    free(r);
    return ok;
}

/* ---- ultramem_v2 ---- */

typedef struct v2 {
    golden_rig rig;
    golden_batch batch;
    mn__value_pool pool;
    mn__ultramem_v2 l;
    mn__ultramem_v2_saved saved;
    golden_list list;
    float balance;
} v2;

static mn__tdqkr retrieval_of(const v2 *r)
{
    const mn__tucker_search *s = &r->l.search;
    return (mn__tdqkr){.n_head = s->n_head,
                       .n_key = s->n_key,
                       .width = s->half,
                       .rank = s->rank,
                       .n_core = s->n_core,
                       .n_keep = s->n_keep,
                       .per_rank = s->mode == MN__QUERY_PER_RANK,
                       .key = r->saved.search.key,
                       .u = s->u.w,
                       .v = s->v.w};
}

static void v2_pass(const mn__env *env, void *arg)
{
    v2 *r = arg;
    mn__ultramem_v2_forward(&r->l, env, r->batch.n, r->batch.x, r->batch.y, &r->saved);
    const mn__tdqkr t = retrieval_of(r); /* the file has the loss where it is not trained too */
    r->balance =
        mn__tdqkr_balance(&t, env, r->batch.n, r->saved.search.query, &r->saved.search.found);
    mn__ultramem_v2_backward(&r->l, env, r->batch.n, &r->saved, r->batch.dy, r->batch.dx);
}

/* One of the words, as its place among them. */
static bool read_word(golden *g, const char *name, const char *const *words, size_t n, size_t *out)
{
    const char *text;
    if (!golden_text(g, golden_part(g, "config"), name, &text)) return false;
    for (*out = 0; *out < n; ++*out)
        if (strcmp(text, words[*out]) == 0) return true;
    return golden_fail(g, "`%s`: `%s` is unknown", name, text);
}

static bool read_v2(golden *g, v2 *r, size_t *n)
{
    static const char *const modes[] = {"shared", "per-rank", "published-code"}, *const acts[] = {
                                                                                     "none",
                                                                                     "gelu-erf"};
    const json_t *config = golden_part(g, "config");
    mn__ultramem_v2 *l = &r->l;
    size_t mode = 0, act = 0;
    if (!golden_fields(g, config, "config",
                       "hidden tokens knum_arg kdim vdim pre_vdim knn head tucker_rank "
                       "tucker_multihead key_expand knum_window key_num value_num all_value_num "
                       "offset virtual_num mem_layer_num layer_id share_ratio query_mode glu_act "
                       "balance_coef rms_eps seed") ||
        !read_search(g, &l->search, n) || !read_size(g, "knum_arg", &r->pool.n_axis) ||
        !read_size(g, "mem_layer_num", &r->pool.n_layer) ||
        !read_size(g, "vdim", &r->pool.value_width) ||
        !read_size(g, "pre_vdim", &r->pool.pre_width) ||
        !read_size(g, "key_expand", &l->key_expand) ||
        !golden_size(g, config, "layer_id", 0, SIZE_LIMIT, &l->i_layer) ||
        !golden_real(g, config, "share_ratio", &l->share) ||
        !golden_real(g, config, "balance_coef", &l->search.balance) ||
        !read_word(g, "query_mode", modes, 3, &mode) || !read_word(g, "glu_act", acts, 2, &act))
        return false;
    l->search.mode =
        (mn__query_mode[]){MN__QUERY_SHARED, MN__QUERY_PER_RANK, MN__QUERY_PUBLISHED}[mode];
    l->gelu = act == 1;
    l->pool = &r->pool;
    return true;
}

static bool make_v2(golden *g, v2 *r, size_t *n)
{
    mn__ultramem_v2 *l = &r->l;
    mn_diag diag = {""};
    if (!golden_layer_fields(g) || !read_v2(g, r, n)) return false;
    if (mn__ultramem_v2_init(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__value_pool_declare(&r->pool, &r->rig.list, "");
    mn__ultramem_v2_declare(l, &r->rig.list, "");
    golden_list_search(&r->list, "", &l->search);
    golden_list_add(&r->list, "", "values_for_look_up", &r->pool.values);
    golden_list_add(&r->list, "", "pre_values_for_look_up", &r->pool.pre_values);
    golden_list_add(&r->list, "", "values_proj.weight", &l->values_proj.weight);
    golden_list_add(&r->list, "", "pre_values_proj.weight", &l->pre_values_proj.weight);
    const size_t n_all = mn__value_pool_rows(&r->pool);
    return is_size(g, "key_num", l->search.n_key) && is_size(g, "value_num", l->n_window) &&
           is_size(g, "knum_window", (size_t)sqrt((double)l->n_window)) &&
           is_size(g, "all_value_num", n_all) && is_size(g, "virtual_num", l->search.n_cell) &&
           is_size(g, "offset", l->i_layer * r->pool.n_axis * r->pool.n_axis) &&
           golden_rig_bind(g, &r->rig);
}

static bool replay_v2(golden *g, v2 *r)
{
    mn__ultramem_v2 *l = &r->l;
    size_t n = 0;
    if (!make_v2(g, r, &n)) return false;
    const size_t width = l->search.width, n_hit = n * l->search.n_head * l->search.n_keep;
    return golden_batch_read(g, n, width, width, 0, &r->batch) &&
           golden_ties_load(g, golden_part(g, "params"), r->list.tie, r->list.n) &&
           golden_search_load(g, "", &l->search) && golden_rig_run(g, &r->rig, v2_pass, r) &&
           compare_search(g, &l->search, &r->saved.search, n) &&
           golden_indices(g, golden_part(g, "outputs"), "physical_row", r->saved.row, n_hit) &&
           golden_floats_out(g, "pre_score", r->saved.score, n_hit) &&
           golden_floats_out(g, "pooled", r->saved.sum, n * r->pool.value_width) &&
           golden_scalar(g, "balance_loss", (double)r->balance) &&
           golden_batch_compare(g, width, width, &r->batch) &&
           golden_scalar(g, "loss", loss_of(&r->batch, width)) &&
           golden_ties_compare(g, golden_part(g, "grads"), r->list.tie, r->list.n);
}

bool golden_ultramem_v2(golden *g)
{
    v2 *r = calloc(1, sizeof *r);
    bool ok = r ? replay_v2(g, r) : golden_fail(g, "out of memory");
    if (r) {
        mn__ultramem_v2_fini(&r->l);
        golden_batch_fini(&r->batch);
        golden_rig_fini(&r->rig);
    }
    free(r);
    return ok;
}
