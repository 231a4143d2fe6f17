/* ultramem_v2.c: p_l = act(P[row_l] . W_p x),  y = W_v sum over hits of w_l^c p_l V[row_l, part c].
 * Ref: arXiv 2508.18756; pre-values as PEER, arXiv 2407.04153.
 *
 *   row = ((cell mod N) + start) mod ALL, N rows of a window that begins at the layer's own
 *   gp = W_v' g,  da^c = <V[row, part c], gp[part c]>,  dV[row, part c] += w^c p gp[part c]
 *   dw^c = da^c p,  dp = sum_c da^c w^c (act'),  dP[row] += dp W_p x,  d(W_p x) = sum dp P[row]
 *
 * Deviations: the paper's windows are centred on the layer; ours start there, as the code's. */
#include "layer/ultramem_v2.h"

#include "base/diag.h"
#include "layer/expert_score.h"
#include "layer/hits.h"
#include "layer/ops.h"
#include "layer/part.h"

enum { TOKEN_GRAIN = 64 };

size_t mn__value_pool_rows(const mn__value_pool *p)
{
    return p->n_layer * p->n_axis * p->n_axis;
}

void mn__value_pool_declare(mn__value_pool *p, mn__params *list, const char *prefix)
{
    mn__param like = {.dim = {mn__value_pool_rows(p), p->value_width},
                      .n_dim = 2,
                      .group = MN__PARAM_VALUES,
                      .init = MN__INIT_NORMAL,
                      .scale = p->std,
                      .row = p->value_width,
                      .n_part = p->n_part};
    mn__params_add(list, &p->values, like, prefix, "values_for_look_up");
    like.dim[1] = like.row = p->pre_width;
    like.n_part = 0; /* products with tokens read it, too */
    mn__params_add(list, &p->pre_values, like, prefix, "pre_values_for_look_up");
}

/* 0.16 s^4 Dp m H Dv / D = 0.064 k / (2 L), k the feed-forward's inner width over D (appendix A);
 * the variance of kept scores, which the paper adds to 1, is left out. */
double mn__ultramem_v2_std(const mn__value_pool *p, size_t n_inner, size_t n_block, size_t n_hit)
{
    double below = (double)n_hit * (double)p->pre_width * (double)p->value_width * (double)n_block;
    return pow(0.2 * (double)n_inner / below, 0.25);
}

mn_status mn__ultramem_v2_init(mn__ultramem_v2 *l, mn_diag *diag)
{
    mn__tucker_search *s = &l->search;
    const mn__value_pool *p = l->pool;
    const size_t n_all = mn__value_pool_rows(p);
    if (!n_all || n_all > UINT32_MAX || !l->key_expand || l->key_expand > UINT8_MAX ||
        !p->value_width || !p->pre_width || l->i_layer >= p->n_layer)
        return mn__fail(diag, MN_ERANGE, "an UltraMemV2 layer has sizes that cannot be");
    if (!(l->share > 0) || l->share > 1)
        return mn__fail(diag, MN_ERANGE, "mem_share_ratio: above 0 and to 1 wanted, %g found",
                        l->share);
    if (!s->n_core || p->value_width % s->n_core)
        return mn__fail(diag, MN_ERANGE, "vdim: a multiple of the %zu cores wanted, %zu found",
                        s->n_core, p->value_width);
    /* A share of 1/n_layer must not lose a row to rounding. */
    size_t n_axis = (size_t)sqrt((double)n_all * l->share * (1 + 1e-12));
    l->n_window = n_axis * n_axis;
    if (!n_axis) return mn__fail(diag, MN_ERANGE, "mem_share_ratio: no row is left of %zu", n_all);
    s->n_key = l->key_expand * n_axis;
    s->n_cell = s->n_key * s->n_key;
    s->proj_std = 1 / sqrt((double)s->half);
    s->query_gain = s->key_gain = pow((double)s->half, -0.4);
    if (l->first == MN__FIRST_PAPER) {
        mn__ultramem_paper_gains(s);
        s->proj_std = sqrt(0.4 / (double)s->width);
    }
    return mn__tucker_search_init(s, diag);
}

void mn__ultramem_v2_fini(mn__ultramem_v2 *l)
{
    mn__tucker_search_fini(&l->search);
}

void mn__ultramem_v2_declare(mn__ultramem_v2 *l, mn__params *list, const char *prefix)
{
    const size_t width = l->search.width, value_width = l->pool->value_width;
    const bool paper = l->first == MN__FIRST_PAPER;
    const double std = sqrt(0.4 / (double)width);
    char name[MN__PARAM_NAME];
    mn__tucker_search_declare(&l->search, list, prefix);
    l->values_proj = (mn__dense){
        .n_in = value_width, .n_out = width, .std = paper ? std : 1 / sqrt((double)value_width)};
    l->pre_values_proj = (mn__dense){
        .n_in = width, .n_out = l->pool->pre_width, .std = paper ? std : 1 / sqrt((double)width)};
    mn__dense_declare(&l->values_proj, list, mn__param_join(name, prefix, "values_proj"));
    mn__dense_declare(&l->pre_values_proj, list, mn__param_join(name, prefix, "pre_values_proj"));
}

typedef struct pass {
    const mn__ultramem_v2 *l;
    const mn__ultramem_v2_saved *s;
    mn__real *dweight, *dscore; /* [hits][n_core], [hits] */
} pass;

static size_t hits_per_token(const mn__ultramem_v2 *l)
{
    return l->search.n_head * l->search.n_keep;
}

static void place_hits(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__ultramem_v2 *l = p->l;
    const size_t n_hit = hits_per_token(l), n_all = mn__value_pool_rows(l->pool),
                 start = l->i_layer * l->pool->n_axis * l->pool->n_axis;
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++)
        p->s->row[i] = (uint32_t)((p->s->search.address[i] % l->n_window + start) % n_all);
}

static void weigh_hits(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_core = p->l->search.n_core, n_hit = hits_per_token(p->l) * n_core;
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++)
        p->s->weight[i] = p->s->search.found.weight[i] * p->s->score[i / n_core];
}

static mn__bag bag_of(const mn__ultramem_v2 *l)
{
    return (mn__bag){.n_row = mn__value_pool_rows(l->pool),
                     .width = l->pool->value_width,
                     .n_hit = hits_per_token(l),
                     .n_part = l->search.n_core,
                     .n_block = 1};
}

static mn__row_sum row_sum_of(const mn__ultramem_v2 *l, const mn__ultramem_v2_saved *s)
{
    return (mn__row_sum){bag_of(l), &l->pool->values, {.row = s->row, .weight = s->weight}};
}

static mn__expert_score experts_of(const mn__ultramem_v2 *l, const mn__ultramem_v2_saved *s)
{
    return (mn__expert_score){.n_row = mn__value_pool_rows(l->pool),
                              .width = l->pool->pre_width,
                              .n_hit = hits_per_token(l),
                              .gelu = l->gelu,
                              .table = l->pool->pre_values.w,
                              .stored = l->pool->pre_values.stored ? &l->pool->pre_values : NULL,
                              .z = s->pre,
                              .row = s->row,
                              .raw = s->raw};
}

static void take_saved(const mn__ultramem_v2 *l, const mn__env *env, size_t n,
                       mn__ultramem_v2_saved *s)
{
    const size_t n_hit = n * hits_per_token(l);
    *s = (mn__ultramem_v2_saved){
        .row = mn__tape_take(env->tape, n_hit, sizeof(uint32_t)),
        .pre = mn__take_reals(env, n * l->pool->pre_width),
        .raw = mn__take_reals(env, n_hit),
        .score = mn__take_reals(env, n_hit),
        .weight = mn__take_reals(env, n_hit * l->search.n_core),
        .sum = mn__take_reals(env, n * l->pool->value_width),
    };
}

void mn__ultramem_v2_forward(const mn__ultramem_v2 *l, const mn__env *env, size_t n,
                             const mn__real *x, mn__real *y, mn__ultramem_v2_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__ultramem_v2_saved own, *s = saved ? saved : &own;
    take_saved(l, env, n, s);
    mn__tucker_search_forward(&l->search, env, n, x, &s->search, saved != NULL);
    pass p = {.l = l, .s = s};
    mn__each(env, n, TOKEN_GRAIN, place_hits, &p);
    const mn__bag bag = bag_of(l);
    mn__hits_touch(env, &l->pool->pre_values, s->row, n * bag.n_hit);
    mn__dense_forward(&l->pre_values_proj, env, n, x, s->pre);
    const mn__expert_score experts = experts_of(l, s);
    mn__expert_score_forward(&experts, env, n, s->score);
    mn__each(env, n, TOKEN_GRAIN, weigh_hits, &p);
    const mn__row_sum row_sum = row_sum_of(l, s);
    mn__row_sum_forward(&row_sum, env, n, s->sum, saved ? &s->far : NULL);
    mn__dense_forward(&l->values_proj, env, n, s->sum, y);
    if (!saved) mn__tape_cut(env->tape, mark);
}

/* da^c becomes dw^c; dp is what the parts have in common. */
static void back_weights(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_core = p->l->search.n_core, n_hit = hits_per_token(p->l);
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++) {
        p->dscore[i] = 0;
        for (size_t c = i * n_core; c < (i + 1) * n_core; c++) {
            p->dscore[i] += p->dweight[c] * p->s->search.found.weight[c];
            p->dweight[c] *= p->s->score[i];
        }
    }
}

void mn__ultramem_v2_backward(const mn__ultramem_v2 *l, const mn__env *env, size_t n,
                              const mn__ultramem_v2_saved *s, const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    const mn__bag bag = bag_of(l);
    const mn__row_sum row_sum = row_sum_of(l, s);
    const mn__expert_score experts = experts_of(l, s);
    const size_t n_pre = n * l->pool->pre_width, n_x = n * l->search.width;
    mn__real *dsum = mn__take_reals(env, n * bag.width), *dpre = mn__take_reals(env, n_pre),
             *more = mn__take_reals(env, n_x);
    pass p = {.l = l,
              .s = s,
              .dweight = mn__take_reals(env, n * bag.n_hit * bag.n_part),
              .dscore = mn__take_reals(env, n * bag.n_hit)};
    mn__dense_backward(&l->values_proj, env, n, s->sum, dy, dsum);
    mn__row_sum_backward(&row_sum, env, n, &s->far, dsum, p.dweight);
    mn__each(env, n, TOKEN_GRAIN, back_weights, &p);
    mn__expert_score_backward(&experts, env, n, p.dscore, dpre, l->pool->pre_values.g);
    mn__tucker_search_backward(&l->search, env, n, &s->search, p.dweight, dx);
    mn__dense_backward(&l->pre_values_proj, env, n, s->search.x, dpre, more);
    mn__each_add(env, dx, more, n_x);
    mn__tape_cut(env->tape, mark);
}
