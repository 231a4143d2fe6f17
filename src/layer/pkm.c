/* pkm.c: y = sum over heads and kept cells of softmax(score) V[cell]. Ref: arXiv 1907.05242.
 *
 *   q = norm(W_q x + b_q), halves of heads;  s[i,j] = K[h,0,i].q1 + K[h,1,j].q2
 *   peer: the weight is softmax(score) gelu(U[cell].x), arXiv 2407.04153
 *
 * No scale of 1/sqrt(d), heads are summed. */
#include "layer/pkm.h"

#include "base/diag.h"
#include "layer/hits.h"
#include "layer/ops.h"
#include "layer/part.h"

enum { GRAIN = 1 << 12 };

mn_status mn__pkm_check(const mn__pkm *l, mn_diag *diag)
{
    if (!l->width || !l->value_width || !l->n_head || !l->half || !l->n_keep)
        return mn__fail(diag, MN_ERANGE, "a product-key memory has no size of zero");
    if (l->n_keep > l->n_key)
        return mn__fail(diag, MN_ERANGE, "knn: at most the %zu keys of an axis wanted, %zu found",
                        l->n_key, l->n_keep);
    if (l->n_key > UINT16_MAX)
        return mn__fail(diag, MN_ERANGE, "keys of an axis: at most %d wanted, %zu found",
                        UINT16_MAX, l->n_key);
    return MN_OK;
}

static void declare_values(const mn__pkm *l, mn__params *list, const char *prefix, const char *name,
                           mn__param *own, size_t width, mn__param **out)
{
    if (*out) return;
    *out = own;
    mn__params_add(list, own,
                   (mn__param){.dim = {l->n_key * l->n_key, width},
                               .n_dim = 2,
                               .group = MN__PARAM_VALUES,
                               .init = MN__INIT_NORMAL,
                               .scale = 1 / sqrt((double)width),
                               .row = width,
                               .n_part = own == &l->own_values},
                   prefix, name);
}

void mn__pkm_declare(mn__pkm *l, mn__params *list, const char *prefix)
{
    const size_t n_query = l->n_head * 2 * l->half;
    char name[MN__PARAM_NAME];
    mn__dense *proj = &l->query_proj;
    *proj = (mn__dense){.n_in = l->width, .n_out = n_query, .has_bias = l->query_bias};
    mn__dense_declare(proj, list, mn__param_join(name, prefix, "query_proj"));
    proj->weight.init = proj->bias.init = MN__INIT_UNIFORM;
    proj->weight.scale = proj->bias.scale = 1 / sqrt((double)l->width);
    if (l->as_meta) proj->weight.scale = sqrt(6.0 / (double)(l->width + n_query));
    if (l->norm == MN__PKM_BATCH) {
        l->batch_norm =
            (mn__batch_norm){.width = n_query, .eps = l->norm_eps, .momentum = l->momentum};
        mn__batch_norm_declare(&l->batch_norm, list, mn__param_join(name, prefix, "query_norm"));
    }
    l->query_norm = l->key_norm = (mn__rms_norm){.width = l->half, .eps = l->norm_eps};
    if (l->norm == MN__PKM_RMS)
        mn__rms_norm_declare(&l->query_norm, list, mn__param_join(name, prefix, "query_norm"));
    if (l->norm_keys)
        mn__rms_norm_declare(&l->key_norm, list, mn__param_join(name, prefix, "keys_norm"));
    mn__params_add(list, &l->keys,
                   (mn__param){.dim = {l->n_head, 2, l->n_key, l->half},
                               .n_dim = 4,
                               .init = MN__INIT_UNIFORM,
                               .scale = 1 / sqrt((double)(l->as_meta ? 2 * l->half : l->half))},
                   prefix, "keys");
    declare_values(l, list, prefix, "values", &l->own_values, l->value_width, &l->values);
    if (l->peer) declare_values(l, list, prefix, "experts", &l->own_experts, l->width, &l->experts);
}

/* Rows of half-queries and of half-keys. */
static size_t query_rows(const mn__pkm *l, size_t n)
{
    return n * l->n_head * 2;
}

static void norm_query(const mn__pkm *l, const mn__env *env, size_t n, mn__pkm_saved *s, bool keep)
{
    if (l->norm == MN__PKM_RAW) {
        s->query = s->raw;
        return;
    }
    s->query = mn__take_reals(env, query_rows(l, n) * l->half);
    if (l->norm == MN__PKM_BATCH)
        mn__batch_norm_forward(&l->batch_norm, env, n, s->raw, s->query, keep ? &s->batch : NULL);
    else
        mn__rms_norm_forward(&l->query_norm, env, query_rows(l, n), s->raw, s->query,
                             keep ? &s->query_norm : NULL);
}

static void norm_keys(const mn__pkm *l, const mn__env *env, mn__pkm_saved *s, bool keep)
{
    s->key = l->normed ? l->normed : l->keys.w;
    if (!l->norm_keys || l->normed) return;
    mn__real *key = mn__take_reals(env, mn__param_size(&l->keys));
    mn__rms_norm_forward(&l->key_norm, env, l->n_head * 2 * l->n_key, l->keys.w, key,
                         keep ? &s->key_norm : NULL);
    s->key = key;
}

size_t mn__pkm_settle(mn__pkm *l, const mn__env *env, mn__real *out)
{
    if (!l->norm_keys) return 0;
    if (out) {
        mn__rms_norm_forward(&l->key_norm, env, l->n_head * 2 * l->n_key, l->keys.w, out, NULL);
        l->normed = out;
    }
    return mn__param_size(&l->keys);
}

static mn__product_key search_of(const mn__pkm *l, const mn__real *key)
{
    return (mn__product_key){l->n_head, l->n_key, l->half, l->n_keep, key};
}

static mn__expert_score experts_of(const mn__pkm *l, const mn__pkm_saved *s)
{
    return (mn__expert_score){.n_row = l->n_key * l->n_key,
                              .width = l->width,
                              .n_hit = l->n_head * l->n_keep,
                              .gelu = true,
                              .table = l->experts->w,
                              .z = s->x,
                              .row = s->found.cell,
                              .raw = s->expert_raw};
}

static mn__bag bag_of(const mn__pkm *l)
{
    return (mn__bag){l->n_key * l->n_key, l->value_width, l->n_head * l->n_keep, 1, 1};
}

static mn__row_sum row_sum_of(const mn__pkm *l, const mn__pkm_saved *s)
{
    return (mn__row_sum){bag_of(l), l->values, {.row = s->found.cell, .weight = s->weight}};
}

typedef struct product {
    mn__real *out;
    const mn__real *a, *b;
} product;

static void multiply(void *arg, size_t begin, size_t end, int thread)
{
    const product *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) p->out[i] = p->a[i] * p->b[i];
}

static void weigh_experts(const mn__pkm *l, const mn__env *env, size_t n, mn__pkm_saved *s)
{
    const size_t n_hit = n * l->n_head * l->n_keep;
    s->weight = s->found.weight;
    if (!l->peer) return;
    s->expert_raw = mn__take_reals(env, n_hit);
    s->expert_score = mn__take_reals(env, n_hit);
    s->weight = mn__take_reals(env, n_hit);
    const mn__expert_score e = experts_of(l, s);
    mn__expert_score_forward(&e, env, n, s->expert_score);
    product p = {s->weight, s->found.weight, s->expert_score};
    mn__each(env, n_hit, GRAIN, multiply, &p);
}

void mn__pkm_forward(const mn__pkm *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y,
                     mn__pkm_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__pkm_saved own, *s = saved ? saved : &own;
    *s = (mn__pkm_saved){.x = x, .raw = mn__take_reals(env, query_rows(l, n) * l->half)};
    mn__dense_forward(&l->query_proj, env, n, x, s->raw);
    norm_query(l, env, n, s, saved != NULL);
    norm_keys(l, env, s, saved != NULL);
    const mn__product_key search = search_of(l, s->key);
    mn__product_key_forward(&search, env, n, s->query, &s->found);
    if (l->peer) mn__hits_touch(env, l->experts, s->found.cell, n * l->n_head * l->n_keep);
    weigh_experts(l, env, n, s);
    const mn__row_sum row_sum = row_sum_of(l, s);
    mn__row_sum_forward(&row_sum, env, n, y, saved ? &s->far : NULL);
    if (!saved) mn__tape_cut(env->tape, mark);
}

/* dweight of values becomes that of the softmax; dx of the experts is written. */
static void back_experts(const mn__pkm *l, const mn__env *env, size_t n, const mn__pkm_saved *s,
                         mn__real *dweight, mn__real *dx)
{
    const size_t n_hit = n * l->n_head * l->n_keep;
    mn__real *dscore = mn__take_reals(env, n_hit);
    product to_score = {dscore, dweight, s->found.weight},
            to_weight = {dweight, dweight, s->expert_score};
    mn__each(env, n_hit, GRAIN, multiply, &to_score);
    mn__each(env, n_hit, GRAIN, multiply, &to_weight);
    const mn__expert_score e = experts_of(l, s);
    mn__expert_score_backward(&e, env, n, dscore, dx, l->experts->g);
}

/* From dkey as used to the keys' own gradient. */
static void back_keys(const mn__pkm *l, const mn__env *env, const mn__pkm_saved *s,
                      const mn__real *dkey)
{
    const size_t n_all = mn__param_size(&l->keys);
    mn__real *draw = mn__take_reals(env, n_all);
    mn__rms_norm_backward(&l->key_norm, env, n_all / l->half, &s->key_norm, dkey, draw);
    if (l->keys.g) mn__each_add(env, l->keys.g, draw, n_all);
}

/* The gradient before the norm; dquery itself where there is none. */
static const mn__real *back_norm(const mn__pkm *l, const mn__env *env, size_t n,
                                 const mn__pkm_saved *s, const mn__real *dquery)
{
    if (l->norm == MN__PKM_RAW) return dquery;
    mn__real *draw = mn__take_reals(env, query_rows(l, n) * l->half);
    if (l->norm == MN__PKM_BATCH)
        mn__batch_norm_backward(&l->batch_norm, env, n, &s->batch, dquery, draw);
    else
        mn__rms_norm_backward(&l->query_norm, env, query_rows(l, n), &s->query_norm, dquery, draw);
    return draw;
}

void mn__pkm_backward(const mn__pkm *l, const mn__env *env, size_t n, const mn__pkm_saved *saved,
                      const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape), n_key = mn__param_size(&l->keys);
    const mn__row_sum row_sum = row_sum_of(l, saved);
    const mn__product_key search = search_of(l, saved->key);
    mn__real *dweight = mn__take_reals(env, n * l->n_head * l->n_keep),
             *dquery = mn__take_reals(env, query_rows(l, n) * l->half),
             *dexpert = l->peer ? mn__take_reals(env, n * l->width) : NULL,
             *dkey = l->norm_keys ? mn__take_zeros(env, n_key) : l->keys.g;
    mn__row_sum_backward(&row_sum, env, n, &saved->far, dy, dweight);
    if (l->peer) back_experts(l, env, n, saved, dweight, dexpert);
    mn__product_key_backward(&search, env, n, saved->query, &saved->found, dweight, dquery, dkey);
    if (l->norm_keys) back_keys(l, env, saved, dkey);
    mn__dense_backward(&l->query_proj, env, n, saved->x, back_norm(l, env, n, saved, dquery), dx);
    if (l->peer) mn__each_add(env, dx, dexpert, n * l->width);
    mn__tape_cut(env->tape, mark);
}
