/* tucker_search.c: z = W_q x, its halves normed; keys normed; tucker-decomposed retrieval
 * (tdqkr.c); cells shuffled by a fixed permutation, so that the images of one row under virtual
 * expansion are no neighbours. Ref: arXiv 2411.12364, 2508.18756. */
#include "layer/tucker_search.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/rng.h"
#include "layer/ops.h"
#include "layer/part.h"
#include "layer/tucker.h"

enum { SHUFFLE_STREAM = 0x75fe, TOKEN_GRAIN = 64 };

static mn_status check(const mn__tucker_search *l, mn_diag *diag)
{
    if (!l->width || !l->n_head || !l->half || !l->rank || !l->n_core || !l->n_keep)
        return mn__fail(diag, MN_ERANGE, "an UltraMem layer has no size of zero");
    if (l->rank > MN__TUCKER_RANK_MAX || l->n_core > MN__CORES_MAX)
        return mn__fail(diag, MN_ERANGE,
                        "Tucker rank to %d and cores to %d wanted, %zu and %zu found",
                        MN__TUCKER_RANK_MAX, MN__CORES_MAX, l->rank, l->n_core);
    size_t most = l->two_quadrant ? l->n_key / 2 : l->n_key;
    if (l->n_keep > most)
        return mn__fail(diag, MN_ERANGE,
                        "knn: at most %zu of %zu keys of an axis wanted, %zu found", most, l->n_key,
                        l->n_keep);
    if (l->n_key > UINT16_MAX || l->n_cell < l->n_key * l->n_key || l->n_cell > UINT32_MAX)
        return mn__fail(diag, MN_ERANGE, "%zu cells for %zu keys of an axis: they do not fit",
                        l->n_cell, l->n_key);
    return MN_OK;
}

mn_status mn__tucker_search_init(mn__tucker_search *l, mn_diag *diag)
{
    mn_status st = check(l, diag);
    if (st != MN_OK || l->bare) return st;
    l->shuffle = mn__alloc_array(MN_MEM_WEIGHTS, l->n_cell, sizeof *l->shuffle);
    if (!l->shuffle)
        return mn__fail(diag, MN_ENOMEM, "the shuffle of %zu cells: out of memory", l->n_cell);
    for (size_t i = 0; i < l->n_cell; i++) l->shuffle[i] = (uint32_t)i;
    for (size_t i = l->n_cell - 1; i > 0; i--) {
        double u = mn__rng_uniform(l->shuffle_seed, SHUFFLE_STREAM, i, 0);
        size_t j = (size_t)(u * (double)(i + 1));
        uint32_t swap = l->shuffle[i];
        l->shuffle[i] = l->shuffle[j];
        l->shuffle[j] = swap;
    }
    return MN_OK;
}

void mn__tucker_search_fini(mn__tucker_search *l)
{
    mn__free(l->shuffle);
    l->shuffle = NULL;
}

void mn__tucker_search_declare(mn__tucker_search *l, mn__params *list, const char *prefix)
{
    const size_t n_rank = l->mode == MN__QUERY_SHARED ? 1 : l->rank;
    char name[MN__PARAM_NAME];
    l->query_proj =
        (mn__dense){.n_in = l->width, .n_out = 2 * n_rank * l->half, .std = l->proj_std};
    mn__dense_declare(&l->query_proj, list, mn__param_join(name, prefix, "query_proj"));
    l->query_norm = l->key_norm = (mn__rms_norm){.width = l->half, .eps = l->norm_eps};
    mn__rms_norm_declare(&l->query_norm, list, mn__param_join(name, prefix, "query_norm"));
    mn__rms_norm_declare(&l->key_norm, list, mn__param_join(name, prefix, "keys_norm"));
    l->query_norm.scale.scale = l->query_gain;
    l->key_norm.scale.scale = l->key_gain;
    mn__params_add(list, &l->keys,
                   (mn__param){.dim = {l->n_head, 2, l->n_key, l->rank, l->half},
                               .n_dim = 5,
                               .init = MN__INIT_NORMAL,
                               .scale = 1 / sqrt((double)l->half)}, /* lost in the norm */
                   prefix, "keys");
    for (size_t c = 0; c < l->n_core; c++) {
        char core[40];
        snprintf(core, sizeof core, "tucker_core.%zu", c);
        mn__params_add(list, &l->cores[c],
                       (mn__param){.dim = {l->n_head, l->rank, l->rank},
                                   .n_dim = 3,
                                   .init = MN__INIT_ABOVE,
                                   .scale = 1},
                       prefix, core);
    }
    const mn__param pair = {
        .dim = {l->n_head, l->rank}, .n_dim = 2, .group = MN__PARAM_STATE, .init = MN__INIT_OWN};
    mn__params_add(list, &l->u, pair, prefix, "u");
    mn__params_add(list, &l->v, pair, prefix, "v");
}

/* ---- cores ---- */

/* One head at a time: no memory is needed. */
static void sum_of_cores(const mn__tucker_search *l, size_t head, mn__real *sum)
{
    const size_t n = l->rank * l->rank;
    memset(sum, 0, n * sizeof *sum);
    for (size_t c = 0; c < l->n_core; c++) mn__axpy(sum, 1, l->cores[c].w + head * n, n);
}

void mn__tucker_search_refresh(const mn__tucker_search *l)
{
    mn__real sum[MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX];
    for (size_t h = 0; h < l->n_head; h++) {
        sum_of_cores(l, h, sum);
        mn__tucker_refresh(sum, 1, l->rank, l->u.w + h * l->rank, l->v.w + h * l->rank);
    }
}

static bool was_refreshed(const mn__tucker_search *l)
{
    for (size_t i = 0; i < l->n_head * l->rank; i++)
        if (l->u.w[i] < 0 || l->u.w[i] > 0) return true;
    return false;
}

/* Mean over heads; `scale` other than 0 adds that much of its gradient to all cores. */
static mn__real core_loss(const mn__tucker_search *l, double scale)
{
    mn__real sum[MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX], loss = 0;
    const size_t n = l->rank * l->rank;
    for (size_t h = 0; h < l->n_head; h++) {
        mn__real grad[MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX] = {0};
        sum_of_cores(l, h, sum);
        loss += mn__tucker_loss(sum, 1, l->rank, l->core_margin, scale / (double)l->n_head, grad);
        for (size_t c = 0; scale != 0 && c < l->n_core; c++)
            if (l->cores[c].g) mn__axpy(l->cores[c].g + h * n, 1, grad, n);
    }
    return loss / (mn__real)l->n_head;
}

/* ---- passes ---- */

/* The rows of the projection that take part: the first, of the published code. */
static mn__dense live_proj(const mn__tucker_search *l)
{
    mn__dense live = l->query_proj;
    if (l->mode == MN__QUERY_PUBLISHED) live.n_out = 2 * l->half;
    return live;
}

static mn__tdqkr retrieval(const mn__tucker_search *l, const mn__real *key)
{
    mn__tdqkr t = {.n_head = l->n_head,
                   .n_key = l->n_key,
                   .width = l->half,
                   .rank = l->rank,
                   .n_core = l->n_core,
                   .n_keep = l->n_keep,
                   .per_rank = l->mode == MN__QUERY_PER_RANK,
                   .two_quadrant = l->two_quadrant,
                   .key = key,
                   .u = l->u.w,
                   .v = l->v.w};
    for (size_t c = 0; c < l->n_core; c++) t.core[c] = l->cores[c].w;
    return t;
}

typedef struct shuffling {
    const mn__tucker_search *l;
    const mn__tucker_saved *s;
} shuffling;

static void shuffle_cells(void *arg, size_t begin, size_t end, int thread)
{
    const shuffling *p = arg;
    const size_t n_hit = p->l->n_head * p->l->n_keep;
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++)
        p->s->address[i] = p->l->shuffle[p->s->found.cell[i]];
}

static size_t key_rows(const mn__tucker_search *l)
{
    return l->n_head * 2 * l->n_key * l->rank;
}

static double loss_share(const mn__tucker_search *l)
{
    return l->loss_share > 0 ? l->loss_share : 1;
}

static void add_losses(const mn__tucker_search *l, const mn__env *env, size_t n, const mn__tdqkr *t,
                       mn__tucker_saved *s)
{
    if (l->balance != 0)
        s->aux += (mn__real)l->balance * mn__tdqkr_balance(t, env, n, s->query, &s->found);
    if (l->core != 0 && !mn__env_is_dry(env)) s->aux += (mn__real)l->core * core_loss(l, 0);
    s->aux *= (mn__real)loss_share(l);
}

void mn__tucker_search_forward(const mn__tucker_search *l, const mn__env *env, size_t n,
                               const mn__real *x, mn__tucker_saved *s, bool keep)
{
    const mn__dense proj = live_proj(l);
    const size_t n_query = n * proj.n_out;
    *s = (mn__tucker_saved){.x = x,
                            .raw = mn__take_reals(env, n_query),
                            .query = mn__take_reals(env, n_query),
                            .key = mn__take_reals(env, key_rows(l) * l->half)};
    s->address = mn__tape_take(env->tape, n * l->n_head * l->n_keep, sizeof *s->address);
    if (!mn__env_is_dry(env) && !was_refreshed(l)) mn__tucker_search_refresh(l);
    mn__dense_forward(&proj, env, n, x, s->raw);
    mn__rms_norm_forward(&l->query_norm, env, n_query / l->half, s->raw, s->query,
                         keep ? &s->query_norm : NULL);
    mn__rms_norm_forward(&l->key_norm, env, key_rows(l), l->keys.w, s->key,
                         keep ? &s->key_norm : NULL);
    const mn__tdqkr t = retrieval(l, s->key);
    mn__tdqkr_forward(&t, env, n, s->query, &s->found);
    shuffling p = {l, s};
    mn__each(env, n, TOKEN_GRAIN, shuffle_cells, &p);
    if (keep) add_losses(l, env, n, &t, s);
}

void mn__tucker_search_backward(const mn__tucker_search *l, const mn__env *env, size_t n,
                                const mn__tucker_saved *s, const mn__real *dweight, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    const mn__dense proj = live_proj(l);
    const mn__tdqkr t = retrieval(l, s->key);
    const size_t n_query = n * proj.n_out, n_key = key_rows(l) * l->half;
    mn__real *draw = mn__take_reals(env, n_query), *dkeys = mn__take_reals(env, n_key);
    mn__tdqkr_grad grad = {.dquery = mn__take_reals(env, n_query),
                           .dkey = mn__take_zeros(env, n_key)};
    for (size_t c = 0; c < l->n_core; c++) grad.dcore[c] = l->cores[c].g;
    mn__tdqkr_backward(&t, env, n, s->query, &s->found, dweight, &grad);
    if (l->balance != 0)
        mn__tdqkr_balance_backward(&t, env, n, s->query, &s->found,
                                   (mn__real)(l->balance * loss_share(l)), &grad);
    if (l->core != 0 && !mn__env_is_dry(env)) core_loss(l, l->core * loss_share(l));
    mn__rms_norm_backward(&l->key_norm, env, key_rows(l), &s->key_norm, grad.dkey, dkeys);
    if (l->keys.g) mn__each_add(env, l->keys.g, dkeys, n_key);
    mn__rms_norm_backward(&l->query_norm, env, n_query / l->half, &s->query_norm, grad.dquery,
                          draw);
    mn__dense_backward(&proj, env, n, s->x, draw, dx);
    mn__tape_cut(env->tape, mark);
}
