/* policy_observed.c: mean attention received: h2o's sum over the number of queries that could see
 * the token. Ref: kvpress.
 *
 *   S[i] = 1/(n_seen - i) * sum over queries t >= i of A[h,t,i], mean over the group
 *
 * State of a slot: float, the sum.
 * Deviations: sinks are protected. The newest tokens are not: their means are of few values.
 * Needs: MN__NEED_COLUMNS. Cost: one add per probability; 4 bytes per token and head. */
#include "policy/policy_kind.h"

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    const float *sum = (const float *)(const void *)v->state;
    for (size_t i = 0; i < v->n; i++) out[i] = sum[i] / (float)(v->cache->n_seen - v->token[i]);
}

static const struct mn__scorer_ops ops = {
    .name = "observed", .observe = mn__observe_sum, .score = score, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_COLUMNS, sizeof(float), diag);
}

const mn__policy_kind mn__kind_observed = {.make = make, .kvpress = "sinks=0"};
