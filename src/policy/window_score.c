/* window_score.c: the common part of scorers that look back with the last queries (tova, window,
 * snapkv, pyramidkv, finch, scissorhands): rows of attention over the whole lane, recomputed from
 * the ring of queries, put together with a weight each.
 *
 *   s[h][i] = sum_t weight[t] A[h,t,i]
 *   S[i] = mean, maximum or sum of s[h][i] over the query heads h of the group
 *
 * The softmax runs over the whole causal row, the window's own keys included.
 * Needs: MN__NEED_WINDOW. Cost: window*n*D multiply-adds per query head and event; state: the
 * ring, window*H*D values a layer. */
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

enum { MEAN, MAX, SUM };

typedef struct window_scorer {
    mn__scorer scorer;
    mn__window_rule rule;
    int reduce;
    size_t pool; /* > 1: pooled here, per query head */
    bool pool_avg;
    struct mn__scorer_ops ops;
} window_scorer;

static size_t row_floats(size_t n)
{
    return (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    const window_scorer *w = (const window_scorer *)s;
    (void)shape;
    return w->rule.window * row_floats(n) + 2 * row_floats(n) + mn__pad16(w->rule.window);
}

/* Weights of rows, oldest first; n keys are visible to the last row. */
static void row_weights(const window_scorer *w, size_t n_row, size_t n, float *weight)
{
    double decay = 1;
    for (size_t r = n_row; r-- > 0; decay *= w->rule.decay) {
        double x = decay * (w->rule.sum ? 1 : 1.0 / (double)n_row);
        if (w->rule.count_rows) /* kvpress counts one key less than the row sees */
            x *= (double)(n > n_row - r ? n - n_row + r : 0);
        weight[r] = (float)x;
    }
}

static void reduce_into(const window_scorer *w, float *score, const float *head, size_t n,
                        size_t i_group, size_t n_group)
{
    for (size_t i = 0; i < n; i++) {
        if (w->reduce == MAX)
            score[i] = i_group && score[i] > head[i] ? score[i] : head[i];
        else
            score[i] =
                (i_group ? score[i] : 0) + head[i] / (w->reduce == MEAN ? (float)n_group : 1);
    }
}

static void score_window(const mn__scorer *s, const mn__score_view *v, float *score)
{
    const window_scorer *w = (const window_scorer *)s;
    const mn__cache *c = v->cache;
    size_t n_group = c->shape.n_head / c->shape.n_kv_head, ld = row_floats(v->n);
    float *p = v->scratch, *head = p + w->rule.window * ld, *tmp = head + ld, *weight = tmp + ld;
    for (size_t g = 0; g < n_group; g++) {
        size_t n_row = mn__cache_window_probs(c, v->layer, v->head * n_group + g, w->rule.window,
                                              v->softmax_scale, p, ld);
        row_weights(w, n_row, v->n, weight);
        memset(head, 0, v->n * sizeof *head);
        if (n_row) c->kern->colsum(head, p, ld, weight, n_row, v->n);
        size_t cand = v->n > w->rule.window ? v->n - w->rule.window : 0;
        mn__pool_scores(head, cand, w->pool, w->pool_avg, tmp);
        reduce_into(w, score, head, v->n, g, n_group);
    }
}

/* Max-pooling and the mean over the group do not commute: order=pool_first pools each query head
 * here, as kvpress does. */
static mn_status read_pool_first(window_scorer *w, const mn__spec *s, mn_diag *diag)
{
    static const char *const orders[] = {"reduce_first", "pool_first", NULL}, *const modes[] = {
                                                                                  "max", "avg",
                                                                                  NULL};
    int first = 0, avg = 0;
    mn_status st;
    w->pool = 1;
    if (!mn__spec_get(s, "order")) return MN_OK;
    MN_TRY(mn__spec_word(s, "order", orders, &first, diag));
    MN_TRY(mn__spec_word(s, "poolmode", modes, &avg, diag));
    if (first) MN_TRY(mn__spec_size(s, "pool", 1, 255, &w->pool, diag));
    w->pool_avg = avg;
done:
    return st;
}

mn_status mn__window_scorer_new(mn__scorer **out, const char *name, const char *key,
                                const mn__window_rule *rule, const mn__spec *s, mn_diag *diag)
{
    static const char *const reduces[] = {"mean", "max", "sum", NULL};
    mn_status st;
    window_scorer *w = mn__alloc_zero(MN_MEM_POLICY, sizeof *w);
    if (!w) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", name);
    w->ops = (struct mn__scorer_ops){.name = name,
                                     .score = score_window,
                                     .scratch_floats = scratch_floats,
                                     .free = mn__plain_scorer_free};
    w->scorer = (mn__scorer){.ops = &w->ops, .needs = MN__NEED_WINDOW};
    w->rule = *rule;
    MN_TRY(mn__spec_size(s, key, 1, 65536, &w->rule.window, diag));
    w->scorer.n_query_ring = w->rule.window;
    if (mn__spec_get(s, "reduce")) MN_TRY(mn__spec_word(s, "reduce", reduces, &w->reduce, diag));
    MN_TRY(read_pool_first(w, s, diag));
    *out = &w->scorer;
    w = NULL;
done:
    mn__free(w);
    return st;
}
