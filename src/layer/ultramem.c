/* ultramem.c: y = W_v concat over blocks p of sum over hits l in p of w_l^c V[row_l, part c].
 * Ref: arXiv 2411.12364; implicit value expansion: a virtual cell is row (cell mod N) seen through
 * block (cell div N) of W_v; multi-core scoring: core c weighs part c of a value. No softmax.
 *
 *   gp = W_v' g,  dW_v += g sum',  dV[row, part c] += w^c gp[block, part c],
 *   dw^c = <V[row, part c], gp[block, part c]>
 *
 * First values: the code's, or the paper's V ~ N(0, E / (2 m H L)) with scores of about 1.
 * Deviations: RMS in the place of LayerNorm and no convolution of the query's input, as the
 * published code; all heads share one query, more than two too. */
#include "layer/ultramem.h"

#include "base/diag.h"
#include "layer/row_sum.h"
#include "layer/part.h"

enum { TOKEN_GRAIN = 64 };

/* Smallest z that a normal value exceeds with probability p. */
static double upper_quantile(double p)
{
    double lo = -40, hi = 40;
    for (int i = 0; i < 100; i++) {
        double mid = (lo + hi) / 2;
        if (erfc(mid / sqrt(2)) / 2 > p)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void mn__ultramem_paper_gains(mn__tucker_search *s)
{
    const double sqrt_2pi = 2.50662827463100050242;
    double share = 1 / (double)s->n_keep, z = upper_quantile(share);
    double best = s->n_keep > 1 ? exp(-z * z / 2) / sqrt_2pi / share : 1;
    s->key_gain = 1 / sqrt((double)s->half);
    s->query_gain = 1 / sqrt(best);
}

mn_status mn__ultramem_init(mn__ultramem *l, mn_diag *diag)
{
    mn__tucker_search *s = &l->search;
    size_t root = 0;
    while ((root + 1) * (root + 1) <= l->n_expand) root++;
    if (!root || !l->n_axis || l->n_axis > UINT16_MAX || l->n_expand > UINT16_MAX ||
        (l->first == MN__FIRST_PAPER && !l->n_block))
        return mn__fail(diag, MN_ERANGE, "an UltraMem layer has no size of zero");
    if (!l->value_width || !s->n_core || l->value_width % s->n_core)
        return mn__fail(diag, MN_ERANGE, "vdim: a multiple of the %zu cores wanted, %zu found",
                        s->n_core, l->value_width);
    s->n_key = root * l->n_axis;
    s->n_cell = l->n_expand * l->n_axis * l->n_axis;
    s->proj_std = 1 / sqrt((double)s->half);
    s->query_gain = s->key_gain = pow((double)s->half, -0.33);
    if (l->first == MN__FIRST_PAPER) mn__ultramem_paper_gains(s);
    return mn__tucker_search_init(s, diag);
}

void mn__ultramem_fini(mn__ultramem *l)
{
    mn__tucker_search_fini(&l->search);
}

void mn__ultramem_declare(mn__ultramem *l, mn__params *list, const char *prefix)
{
    const mn__tucker_search *s = &l->search;
    const size_t n_sum = l->n_expand * l->value_width;
    char name[MN__PARAM_NAME];
    mn__tucker_search_declare(&l->search, list, prefix);
    l->values_proj = (mn__dense){.n_in = n_sum, .n_out = s->width, .std = 1 / sqrt((double)n_sum)};
    mn__dense_declare(&l->values_proj, list, mn__param_join(name, prefix, "values_proj"));
    if (l->values) return;
    l->values = &l->own_values;
    mn__param values = {.dim = {l->n_axis * l->n_axis, l->value_width},
                        .n_dim = 2,
                        .group = MN__PARAM_VALUES,
                        .init = MN__INIT_NORMAL,
                        .scale = 0.02,
                        .row = l->value_width,
                        .n_part = s->n_core};
    if (l->first == MN__FIRST_PAPER)
        values.scale = sqrt((double)l->n_expand / (double)(2 * s->n_keep * s->n_head * l->n_block));
    mn__params_add(list, &l->own_values, values, prefix, "values_for_look_up");
}

typedef struct placing {
    const mn__ultramem *l;
    const mn__ultramem_saved *s;
} placing;

static void place_hits(void *arg, size_t begin, size_t end, int thread)
{
    const placing *p = arg;
    const uint32_t n_row = (uint32_t)(p->l->n_axis * p->l->n_axis);
    const size_t n_hit = p->l->search.n_head * p->l->search.n_keep;
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++) {
        p->s->row[i] = p->s->search.address[i] % n_row;
        p->s->block[i] = p->s->search.address[i] / n_row;
    }
}

static mn__bag bag_of(const mn__ultramem *l)
{
    return (mn__bag){.n_row = l->n_axis * l->n_axis,
                     .width = l->value_width,
                     .n_hit = l->search.n_head * l->search.n_keep,
                     .n_part = l->search.n_core,
                     .n_block = l->n_expand};
}

static mn__row_sum row_sum_of(const mn__ultramem *l, const mn__ultramem_saved *s)
{
    return (mn__row_sum){bag_of(l), l->values, {s->row, s->block, s->search.found.weight}};
}

void mn__ultramem_forward(const mn__ultramem *l, const mn__env *env, size_t n, const mn__real *x,
                          mn__real *y, mn__ultramem_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__ultramem_saved own, *s = saved ? saved : &own;
    const mn__bag bag = bag_of(l);
    *s = (mn__ultramem_saved){
        .row = mn__tape_take(env->tape, n * bag.n_hit, sizeof(uint32_t)),
        .block = mn__tape_take(env->tape, n * bag.n_hit, sizeof(uint32_t)),
        .sum = mn__take_reals(env, n * bag.n_block * bag.width),
    };
    mn__tucker_search_forward(&l->search, env, n, x, &s->search, saved != NULL);
    placing p = {l, s};
    mn__each(env, n, TOKEN_GRAIN, place_hits, &p);
    const mn__row_sum row_sum = row_sum_of(l, s);
    mn__row_sum_forward(&row_sum, env, n, s->sum, saved ? &s->far : NULL);
    mn__dense_forward(&l->values_proj, env, n, s->sum, y);
    if (!saved) mn__tape_cut(env->tape, mark);
}

void mn__ultramem_backward(const mn__ultramem *l, const mn__env *env, size_t n,
                           const mn__ultramem_saved *saved, const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    const mn__bag bag = bag_of(l);
    const mn__row_sum row_sum = row_sum_of(l, saved);
    mn__real *dsum = mn__take_reals(env, n * bag.n_block * bag.width),
             *dweight = mn__take_reals(env, n * bag.n_hit * bag.n_part);
    mn__dense_backward(&l->values_proj, env, n, saved->sum, dy, dsum);
    mn__row_sum_backward(&row_sum, env, n, &saved->far, dsum, dweight);
    mn__tucker_search_backward(&l->search, env, n, &saved->search, dweight, dx);
    mn__tape_cut(env->tape, mark);
}
