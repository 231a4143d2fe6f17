/* budget.c: budgets as the user writes them, and what they mean in slots.
 * A share s is what is kept. Where the literature has a removed ratio r = 1 - s, n_kept =
 * (size_t)(n * (1.0 - r)) in doubles, literally, so that a tenth of 100 tokens is 9. A share never
 * asks for fewer slots than sinks and recent tokens need: on a short text that is what stays. Bytes
 * are a cap at all times: whole pages are counted, and room for the next step is left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "cache/pool.h"
#include "policy/policy_kind.h"

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static mn_status bad(const char *text, mn_diag *diag)
{
    return mn__fail(diag, MN_EUSAGE,
                    "budget `%.40s`: tokens (2048), a share kept (25%%, above 0, at most 100) or "
                    "bytes (512M) wanted",
                    text);
}

static mn_status parse_share(const char *text, double x, mn__budget *out, mn_diag *diag)
{
    if (!(x > 0 && x <= 100)) return bad(text, diag);
    *out = (mn__budget){.kind = MN__BUDGET_SHARE, .share = x / 100};
    return MN_OK;
}

mn_status mn__budget_parse(const char *text, mn__budget *out, mn_diag *diag)
{
    if (!text || !*text) {
        *out = (mn__budget){0};
        return MN_OK;
    }
    if (*text < '0' || *text > '9') return bad(text, diag);
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    if (strcmp(end, "%") == 0) return parse_share(text, x, out, diag);
    unsigned long long whole = strtoull(text, &end, 10);
    if (errno || whole == 0) return bad(text, diag);
    size_t unit = 1;
    bool bytes = true;
    switch (*end) {
    case 'K':
    case 'k':
        unit = (size_t)1 << 10;
        end++;
        break;
    case 'M':
    case 'm':
        unit = (size_t)1 << 20;
        end++;
        break;
    case 'G':
    case 'g':
        unit = (size_t)1 << 30;
        end++;
        break;
    default: bytes = *end == 'B'; break;
    }
    if (bytes && *end == 'B') end++;
    size_t amount;
    if (*end || !mn__mul_size((size_t)whole, unit, &amount)) return bad(text, diag);
    *out = (mn__budget){.kind = bytes ? MN__BUDGET_BYTES : MN__BUDGET_TOKENS, .amount = amount};
    return MN_OK;
}

/* What a lane of n_page pages takes, as mn__cache_get_bytes counts it: pages, their list, side
 * arrays, and where survivors move, the keys as they were (of the first tokens alone where the
 * others always stand together). */
static size_t lane_cost(const mn__policy *p, const mn__cache_shape *shape, size_t n_page)
{
    size_t n = n_page * MN__PAGE_TOKENS, n_side = shape->kv_type == MN__KV_Q8 ? 4 : 2;
    size_t n_moved = !shape->compact                                  ? 0
                     : p->base == &mn__kind_streaming && p->sinks < n ? p->sinks
                                                                      : n;
    return n_page * mn__pool_page_bytes(shape->kv_type, shape->head_dim) +
           mn__whole_pages(n_page * sizeof(void *)) + n_side * mn__whole_pages(n * sizeof(float)) +
           mn__whole_pages(n_moved * mn__origin_bytes(shape));
}

static bool is_even(const mn__policy *p)
{
    return p->alloc == MN__ALLOC_UNIFORM && p->n_skip == 0 && !p->base->rank && !p->judge &&
           !p->group;
}

/* Most pages that each of n_lane lanes can have. */
static size_t pages_within(const mn__policy *p, const mn__cache_shape *shape, size_t n_lane)
{
    size_t share = p->budget.amount / n_lane, lo = 0;
    size_t hi = share / mn__pool_page_bytes(shape->kv_type, shape->head_dim);
    while (lo < hi) {
        size_t mid = lo + (hi - lo + 1) / 2;
        if (lane_cost(p, shape, mid) <= share)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

/* Pages by which lanes of different lengths may overshoot: most of the last one, and of each
 * array's last system page. */
static size_t lost_pages(const mn__policy *p, const mn__cache_shape *shape)
{
    size_t one = mn__pool_page_bytes(shape->kv_type, shape->head_dim),
           n_array = shape->kv_type == MN__KV_Q8 ? 5 : 3;
    return is_even(p) ? 0 : 1 + ((n_array + shape->compact) * mn__whole_pages(1) + one - 1) / one;
}

/* Bytes to slots: whole pages. */
static mn_status bind_bytes(mn__policy *p, const mn__cache_shape *shape, mn_diag *diag)
{
    size_t n_lane = p->n_full * p->n_kv_head, n_page = pages_within(p, shape, n_lane),
           lost = lost_pages(p, shape);
    if (n_page < 1 + lost)
        return mn__fail(
            diag, MN_EBUDGET,
            "a budget of %zu bytes: %zu are the least for %zu heads that hold pages of %d tokens",
            p->budget.amount, n_lane * lane_cost(p, shape, 1 + lost), n_lane, MN__PAGE_TOKENS);
    p->cap_lane = (n_page - lost) * MN__PAGE_TOKENS;
    p->cap_slots = p->cap_lane * n_lane;
    return MN_OK;
}

mn_status mn__budget_bind(mn__policy *p, const mn__cache_shape *shape, mn_diag *diag)
{
    size_t need = mn__policy_protected(p);
    if (p->base->tail_max && p->scorer)
        need = max_size(need, p->sinks + p->base->tail_max(p->scorer));
    if (p->n_full == 0) return MN_OK;
    if (p->budget.kind == MN__BUDGET_BYTES) {
        mn_status st = bind_bytes(p, shape, diag);
        if (st != MN_OK) return st;
    }
    size_t have = p->budget.kind == MN__BUDGET_TOKENS ? p->budget.amount : p->cap_lane;
    bool fixed = p->budget.kind == MN__BUDGET_TOKENS || p->budget.kind == MN__BUDGET_BYTES;
    if (fixed && p->scorer && have < max_size(need, 1))
        return mn__fail(diag, MN_EBUDGET,
                        "policy %s: the budget leaves %zu tokens to a head, %zu are protected "
                        "(first %zu, newest %zu)",
                        p->text, have, need, p->sinks, need - p->sinks);
    if (p->budget.kind == MN__BUDGET_BYTES) {
        if (have == need && p->scorer)
            return mn__fail(diag, MN_EBUDGET,
                            "policy %s: a budget of %zu bytes holds the %zu protected tokens of a "
                            "head and no more",
                            p->text, p->budget.amount, need);
        p->cap_step = max_size(1, min_size(shape->max_step, min_size(have / 2, have - need)));
    }
    return MN_OK;
}

/* Tokens that a share is a share of. */
static size_t reference_length(const mn__policy *p, const mn__cache *c, const mn__evict_env *env)
{
    size_t seen = (size_t)c->n_seen, prompt = env->n_prompt > 0 ? (size_t)env->n_prompt : 0;
    if (p->of_prompt && prompt) return prompt;
    return max_size(seen, prompt);
}

size_t mn__budget_slots(const mn__policy *p, const mn__cache *c, mn__event event,
                        const mn__evict_env *env)
{
    size_t n_lane = p->n_full * p->n_kv_head;
    switch (p->budget.kind) {
    case MN__BUDGET_TOKENS: {
        size_t slots;
        return mn__mul_size(p->budget.amount, n_lane, &slots) ? slots : SIZE_MAX;
    }
    case MN__BUDGET_SHARE: {
        double removed = 1.0 - p->budget.share;
        size_t kept = (size_t)((double)reference_length(p, c, env) * (1.0 - removed));
        return n_lane * max_size(1, max_size(kept, mn__policy_protected(p)));
    }
    case MN__BUDGET_BYTES: {
        /* While writing, an event makes room for several tokens, so that not every token calls for
         * one. */
        size_t room = min_size(MN__PAGE_TOKENS, max_size(1, p->cap_lane / 16));
        return p->cap_slots -
               n_lane * (event == MN__EVENT_CHUNK ? p->cap_step : min_size(room, p->cap_step));
    }
    case MN__BUDGET_NONE: break;
    }
    return SIZE_MAX;
}
