/* protect.c: slots that no policy may drop: first tokens, newest tokens, spans named by the user. A
 * mask, never a score: a score of "more than the best" is lost to rounding. */
#include <string.h>
#include "policy/policy_kind.h"

/* First slot whose token is not below `token`. */
static size_t lower_bound(const int32_t *at, size_t n, int64_t token)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (at[mid] < token)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

typedef struct run {
    size_t begin, end;
} run;

static run pinned(const mn__quota *q, const mn__pin *pin)
{
    run r = {lower_bound(q->token, q->n, pin->begin), lower_bound(q->token, q->n, pin->end)};
    if (r.end < r.begin) r.end = r.begin;
    return r;
}

/* Slots of the middle that the pins cover; they may overlap. */
static size_t count_pinned(const mn__quota *q, const mn__evict_env *env)
{
    size_t at = q->n_sink, end = q->n - q->n_tail, count = 0;
    while (at < end) {
        size_t next = end, to = at;
        for (size_t i = 0; i < env->n_pin; i++) {
            run r = pinned(q, &env->pin[i]);
            if (r.begin <= at && r.end > to)
                to = r.end;
            else if (r.begin > at && r.begin < r.end && r.begin < next)
                next = r.begin;
        }
        if (to > end) to = end;
        count += to - at;
        at = to > at ? to : next;
    }
    return count;
}

void mn__protect_count(mn__quota *q, const mn__policy *p, size_t recent, const mn__evict_env *env)
{
    q->n_sink = lower_bound(q->token, q->n, (int64_t)p->sinks);
    size_t tail = p->base->tail ? p->base->tail(p->scorer, q->n, q->n_sink) : 0;
    if (tail < recent) tail = recent;
    q->n_tail = tail < q->n - q->n_sink ? tail : q->n - q->n_sink;
    q->protect = q->n_sink + q->n_tail + count_pinned(q, env);
}

void mn__protect_mask(const mn__quota *q, const mn__evict_env *env)
{
    memset(q->mask, 0, q->n);
    memset(q->mask, MN__MASK_PROTECTED, q->n_sink);
    memset(q->mask + q->n - q->n_tail, MN__MASK_PROTECTED, q->n_tail);
    for (size_t i = 0; i < env->n_pin; i++) {
        run r = pinned(q, &env->pin[i]);
        memset(q->mask + r.begin, MN__MASK_PROTECTED, r.end - r.begin);
    }
}
