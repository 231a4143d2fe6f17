/* judge.c: tokens that go for their score alone, however many that are. */
#include <string.h>
#include "policy/policy_kind.h"

static bool is_below(const mn__policy *p, const mn__quota *q, size_t i)
{
    return !q->mask[i] && !((double)q->score[i] >= p->threshold);
}

int64_t mn__judge_tokens(const mn__policy *p, mn__quota *q)
{
    int64_t judged = 0;
    size_t stay = 0;
    if (p->judge != MN__JUDGE_ONCE && p->judge != MN__JUDGE_ALWAYS) return 0;
    if (p->judge == MN__JUDGE_ONCE)
        memcpy(&judged, q->lane->lane_state + p->judged_at, sizeof judged);
    for (size_t i = 0; i < q->n; i++) {
        if (q->token[i] >= judged && is_below(p, q, i)) q->mask[i] = MN__MASK_DROPPED;
        stay += q->mask[i] != MN__MASK_DROPPED;
    }
    q->keep = stay < q->keep ? stay : q->keep;
    return q->n > q->n_tail ? q->token[q->n - q->n_tail - 1] + (int64_t)1 : judged;
}

void mn__judge_layer(const mn__policy *p, mn__quota *q, size_t n_lane)
{
    size_t most = 0;
    for (size_t l = 0; l < n_lane; l++) {
        size_t stay = 0;
        for (size_t i = 0; !q[l].spared && i < q[l].n; i++) stay += !is_below(p, &q[l], i);
        most = stay > most ? stay : most;
    }
    for (size_t l = 0; l < n_lane; l++) {
        if (most < q[l].keep) q[l].keep = most > q[l].protect ? most : q[l].protect;
    }
}
