/* forecast.c: what an event will leave, told from lengths alone, for plans: nothing was scored yet.
 * Exact for even and pyramid budgets; lanes that compete by score share the same sum in another
 * way, thresholds and groups leave less. */
#include <string.h>

#include "base/diag.h"
#include "policy/policy_kind.h"

bool mn__policy_is_ragged(const mn__policy *p)
{
    return p->scorer && (p->alloc >= MN__ALLOC_ADA || p->judge || p->group);
}

/* Text tokens in [begin, end) that are pinned; overlaps count twice, which errs on the safe side.
 */
static size_t count_pins(const mn__evict_env *env, size_t begin, size_t end)
{
    size_t n = 0;
    for (size_t i = 0; i < env->n_pin; i++) {
        int64_t lo = env->pin[i].begin, hi = env->pin[i].end;
        lo = lo > (int64_t)begin ? lo : (int64_t)begin;
        hi = hi < (int64_t)end ? hi : (int64_t)end;
        n += hi > lo ? (size_t)(hi - lo) : 0;
    }
    return n;
}

static void set_quota(mn__quota *q, const mn__policy *p, size_t recent, const mn__evict_env *env,
                      size_t n_seen)
{
    q->n_sink = p->sinks < q->n ? p->sinks : q->n;
    size_t tail = p->base->tail ? p->base->tail(p->scorer, q->n, q->n_sink) : 0;
    if (tail < recent) tail = recent;
    q->n_tail = tail < q->n - q->n_sink ? tail : q->n - q->n_sink;
    size_t pins = count_pins(env, q->n_sink, n_seen - q->n_tail),
           rest = q->n - q->n_sink - q->n_tail;
    q->protect = q->n_sink + q->n_tail + (pins < rest ? pins : rest);
}

/* Survivors that move when positions are compact: all but the newest that stand together. */
static size_t moved(const mn__policy *p, const mn__quota *q)
{
    if (p->base == &mn__kind_streaming) return q->protect < q->keep ? q->protect : q->keep;
    return q->keep - (q->n_tail < q->keep ? q->n_tail : q->keep);
}

static void set_lanes(const mn__policy *p, mn__cache *c, const mn__quota *quota, size_t n_lane)
{
    for (size_t l = 0; l < n_lane; l++) {
        const mn__quota *q = &quota[l];
        mn__lane *lane = mn__cache_lane(c, q->layer, q->head);
        if (q->spared || q->keep >= q->n) continue;
        size_t n_moved = moved(p, q);
        if (c->shape.compact && n_moved > lane->n_origin) lane->n_origin = n_moved;
        lane->n = q->keep;
        if (lane->n_origin > lane->n) lane->n_origin = lane->n;
    }
}

mn_status mn__evict_forecast(const mn__policy *p, mn__cache *c, mn__event event,
                             const mn__evict_env *env, mn_diag *diag)
{
    size_t n_lane = p->n_full * p->n_kv_head, own = 0, spared = 0;
    if (!n_lane) return MN_OK;
    if (!p->scorer)
        return mn__fail(diag, MN_EBUDGET,
                        "the cache is full (%zu bytes) and policy %s drops nothing",
                        p->budget.amount, p->text);
    size_t total = mn__budget_slots(p, c, event, env),
           mean = total == SIZE_MAX ? 0 : total / n_lane;
    size_t recent = p->recent_share > 0 ? (size_t)((double)mean * p->recent_share) : p->recent;
    mn__quota *quota = mn__alloc_zero(MN_MEM_OTHER, n_lane * sizeof *quota);
    if (!quota)
        return mn__fail(diag, MN_ENOMEM, "out of memory for the plan of policy %s", p->text);
    for (size_t l = 0; l < n_lane; l++) {
        mn__quota *q = &quota[l];
        q->layer = p->full[l / p->n_kv_head];
        q->head = (uint32_t)(l % p->n_kv_head);
        q->n = q->keep = mn__cache_lane(c, q->layer, q->head)->n;
        q->spared = p->skip[q->layer];
        set_quota(q, p, recent, env, (size_t)c->n_seen);
        own += q->spared ? q->n : q->n_sink + q->n_tail;
        spared += q->spared ? q->n : 0;
    }
    if (p->budget.kind == MN__BUDGET_SHARE && total < own && total >= spared) total = own;
    mn_status st = mn__allocate(p, quota, n_lane, total, (size_t)c->n_seen, diag);
    if (st == MN_OK) set_lanes(p, c, quota, n_lane);
    mn__free(quota);
    return st;
}
