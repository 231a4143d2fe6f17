/* plan.c: bytes beforehand. The run is gone through in lengths alone: a hollow cache has lanes that
 * know how long they are and nothing else, and the policy's driver and budget act on it as they
 * will on the real one. */
#include "base/diag.h"
#include "infer/session_internal.h"

enum {
    ALIKE = 64,      /* events; a window lane repeats itself after a page of tokens at the latest */
    TEAM_BYTES = 320 /* of the barrier and its counters */
};

typedef struct run {
    mn_session s; /* policy, parameters and the hollow cache, for what looks at them */
    mn__cache cache;
    size_t n_lane;             /* all layers */
    size_t fixed_policy, ring; /* state of lanes; queries, while they are kept */
    size_t workspace;          /* of evictions so far */
    size_t longest;            /* lane that an eviction met so far */
    bool ragged;               /* lanes have been cut to lengths that scores choose */
    size_t last_event, last_slots, period, n_alike;
    size_t kv_peak, policy_peak, sum_peak;
} run;

static int32_t window_of(const run *r, size_t lane)
{
    return r->cache.shape.window[lane / r->cache.shape.n_kv_head];
}

/* ---- bytes of a moment ---- */

/* A ragged lane may begin one page more than an even one does. */
static size_t lane_slots(const run *r, size_t i)
{
    size_t spread = r->ragged && window_of(r, i) <= 0 ? MN__PAGE_TOKENS - 1 : 0;
    return r->cache.lane[i].n + r->cache.n_reserved + spread;
}

static size_t kv_bytes(const run *r)
{
    const mn__cache_shape *shape = &r->cache.shape;
    size_t bytes = shape->state_bytes;
    for (size_t i = 0; i < r->n_lane && !shape->state_bytes; i++)
        bytes += mn__cache_lane_bytes(shape, lane_slots(r, i)) +
                 mn__whole_pages(r->cache.lane[i].n_origin * mn__origin_bytes(shape));
    return bytes;
}

static size_t policy_bytes(const run *r)
{
    size_t bytes = r->fixed_policy + r->ring + r->workspace;
    for (size_t i = 0; r->cache.shape.slot_bytes && i < r->n_lane; i++)
        bytes += mn__whole_pages(lane_slots(r, i) * r->cache.shape.slot_bytes);
    return bytes;
}

static void note(run *r, size_t kv)
{
    size_t policy = policy_bytes(r);
    if (kv > r->kv_peak) r->kv_peak = kv;
    if (policy > r->policy_peak) r->policy_peak = policy;
    if (kv + policy > r->sum_peak) r->sum_peak = kv + policy;
}

/* ---- one step ---- */

static mn_status check_room(const run *r, size_t n_new, mn_diag *diag)
{
    const mn__cache *c = &r->cache;
    if (c->shape.state_bytes && (size_t)c->n_seen + n_new > c->shape.max_slots)
        return mn__fail(diag, MN_EBUDGET, "the run stops at token %zu: the context holds as many",
                        c->shape.max_slots);
    for (size_t i = 0; i < r->n_lane; i++)
        if (window_of(r, i) <= 0 && c->lane[i].n + n_new > c->shape.max_slots)
            return mn__fail(
                diag, MN_EBUDGET,
                "the run stops at token %lld: the context holds %zu tokens a lane and policy "
                "'%s' drops none before it is reached",
                (long long)c->n_seen + (long long)(c->shape.max_slots - c->lane[i].n),
                c->shape.max_slots, mn__policy_spec(r->s.policy));
    return MN_OK;
}

/* Whole pages in front of a window lane that the next query does not see. */
static size_t unseen(size_t n, int32_t window)
{
    size_t first = n + 1 > (size_t)window ? n + 1 - (size_t)window : 0;
    return window > 0 ? (first < n ? first : n) / MN__PAGE_TOKENS * MN__PAGE_TOKENS : 0;
}

static mn_status step(run *r, size_t n_new, bool always_note, mn_diag *diag)
{
    mn__cache *c = &r->cache;
    mn_status st = check_room(r, n_new, diag);
    bool drops = always_note;
    if (st != MN_OK) return st;
    for (size_t i = 0; i < r->n_lane && !drops; i++)
        drops = unseen(c->lane[i].n + n_new, window_of(r, i)) > 0;
    c->n_reserved = n_new;
    if (drops) note(r, kv_bytes(r)); /* the most before less */
    c->n_reserved = 0;
    c->n_seen += (int64_t)n_new;
    for (size_t i = 0; i < r->n_lane && !c->shape.state_bytes; i++) {
        c->lane[i].n += n_new;
        c->lane[i].n -= unseen(c->lane[i].n, window_of(r, i));
    }
    return MN_OK;
}

/* While lanes are cut, those that threads work on hold origins and all their slots as well. */
static size_t moving_bytes(const run *r)
{
    size_t most = 0, n_thread = (size_t)r->s.params.n_thread;
    for (size_t i = 0; i < r->n_lane; i++)
        if (r->cache.lane[i].n_origin > most) most = r->cache.lane[i].n_origin;
    return (n_thread < r->n_lane ? n_thread : r->n_lane) *
           mn__whole_pages(most * mn__origin_bytes(&r->cache.shape));
}

/* Slots and the longest lane of the full-attention layers. */
static size_t count_slots(const run *r, size_t *longest)
{
    size_t slots = 0;
    for (size_t i = 0; i < r->n_lane; i++) {
        if (window_of(r, i) > 0) continue;
        slots += r->cache.lane[i].n;
        if (r->cache.lane[i].n > *longest) *longest = r->cache.lane[i].n;
    }
    return slots;
}

/* Events that leave the same slots at equal distances are alike. */
static void compare_events(run *r, size_t slots)
{
    size_t at = (size_t)r->cache.n_seen, period = at - r->last_event;
    bool alike = slots == r->last_slots && period == r->period;
    r->n_alike = alike ? r->n_alike + 1 : 0;
    r->last_event = at;
    r->last_slots = slots;
    r->period = period;
}

static mn_status pass_event(run *r, mn__event event, mn_diag *diag)
{
    size_t longest = r->longest, none = 0;
    mn__cache_shape at_most = r->cache.shape;
    if (!mn__evict_due(r->s.policy, &r->cache, event)) return MN_OK;
    size_t kv = kv_bytes(r), before = count_slots(r, &longest);
    mn_status st = mn__evict_forecast(r->s.policy, &r->cache, event, &r->s.env, diag);
    if (st != MN_OK) return st;
    size_t after = count_slots(r, &none);
    compare_events(r, after);
    if (after == before && !mn__policy_is_ragged(r->s.policy)) return MN_OK;
    if (longest > r->longest) {
        at_most.max_slots = r->longest = longest;
        at_most.max_step = 0;
        r->workspace = mn__evictor_bytes(r->s.policy, &at_most, r->s.params.n_thread);
    }
    note(r, kv + moving_bytes(r));
    r->ragged = r->ragged || mn__policy_is_ragged(r->s.policy);
    return MN_OK;
}

/* Where budgets do not grow with the text, a long run repeats itself: whole rounds are passed over.
 * Returns how many of the tokens that are left. */
static size_t pass_rounds(run *r, bool is_fixed, size_t left)
{
    size_t round = r->period * ALIKE;
    if (!is_fixed || !round || r->n_alike < ALIKE) return 0;
    left -= left % round;
    r->cache.n_seen += (int64_t)left;
    r->last_event += left;
    return left;
}

/* ---- the run ---- */

static mn_status read_prompt(run *r, bool is_fixed, size_t n, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t done = 0;
    r->s.env.n_prompt = (int64_t)n;
    while (done < n) {
        size_t chunk = mn__session_chunk(&r->s, n - done);
        MN_TRY(step(r, chunk, true, diag));
        done += chunk;
        MN_TRY(pass_event(r, MN__EVENT_CHUNK, diag));
        done += pass_rounds(r, is_fixed, n - done);
    }
    if (n) MN_TRY(pass_event(r, MN__EVENT_PROMPT_END, diag));
    r->workspace = r->longest = 0; /* mn__evictor_rest */
    if (n && mn__policy_acts_once(r->s.policy)) r->ring = 0;
done:
    r->n_alike = 0;
    return st;
}

static mn_status write_answer(run *r, bool is_fixed, size_t n, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t done = 0; done < n;) {
        MN_TRY(step(r, 1, false, diag));
        done++;
        MN_TRY(pass_event(r, MN__EVENT_DECODE, diag));
        done += pass_rounds(r, is_fixed, n - done);
    }
done:
    return st;
}

/* ---- what does not change ---- */

static size_t model_bytes(const mn_model *m)
{
    size_t per_layer = sizeof *m->layer + sizeof *m->window + sizeof *m->layer_rope;
    return sizeof *m + m->n_layer * per_layer + m->packed_bytes +
           (m->lm ? mn__learner_bytes(m->lm) : 0);
}

static size_t session_bytes(const run *r)
{
    const mn__cache_shape *s = &r->cache.shape;
    size_t n_page = r->kv_peak / mn__pool_page_bytes(s->kv_type, s->head_dim);
    return sizeof r->s + TEAM_BYTES + sizeof(mn__shared_pool) + sizeof r->cache +
           r->n_lane * sizeof(mn__lane) + r->s.params.n_pin * sizeof(mn__pin) +
           mn__pool_overhead_bytes(s->kv_type, s->head_dim, n_page);
}

static mn_status begin(run *r, const mn_model *m, const mn_session_params *p, mn__budget *budget,
                       mn_diag *diag)
{
    mn_status st;
    size_t ring;
    mn__cache_shape *shape = &r->cache.shape;
    r->s.m = m;
    r->s.cache = &r->cache;
    mn__session_resolve(m, p, &r->s.params);
    MN_TRY(mn__session_check(&r->s.params, diag));
    MN_TRY(mn__budget_parse(r->s.params.budget, budget, diag));
    *shape = mn__session_shape(m, &r->s.params);
    MN_TRY(mn__policy_new(&r->s.policy, r->s.params.policy, budget, shape, diag));
    MN_TRY(mn__session_check_model(m, r->s.policy, shape, diag));
    if (p->n_also) MN_TRY(mn__gather_new(&r->s.gather, p->also, p->n_also, shape, diag));
    mn__session_add_needs(shape, r->s.policy, mn__session_scorer(&r->s), r->s.params.positions);
    r->s.env.pin = (const mn__pin *)r->s.params.pin; /* same layout */
    r->s.env.n_pin = r->s.params.n_pin;
    r->n_lane = shape->n_layer * shape->n_kv_head;
    if (!mn__query_bytes(shape, shape->n_query_ring, &ring))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "plan: no memory for so many queries"));
    r->fixed_policy = r->n_lane * shape->lane_bytes + mn__gram_bytes(r->s.policy, shape);
    r->ring = mn__whole_pages(ring);
    r->cache.lane = mn__alloc_zero(MN_MEM_OTHER, r->n_lane * sizeof *r->cache.lane);
    if (!r->cache.lane) st = mn__fail(diag, MN_ENOMEM, "plan: no memory");
done:
    return st;
}

mn_status mn_plan_make(const mn_model *m, const mn_session_params *p, size_t n_prompt,
                       size_t n_generate, mn_plan *out, mn_diag *diag)
{
    mn_status st;
    run r = {0};
    mn__budget budget;
    *out = (mn_plan){0};
    MN_TRY(begin(&r, m, p, &budget, diag));
    bool is_fixed = budget.kind != MN__BUDGET_SHARE;
    MN_TRY(read_prompt(&r, is_fixed, n_prompt, diag));
    MN_TRY(write_answer(&r, is_fixed, n_generate, diag));
    size_t kv_final = kv_bytes(&r);
    note(&r, kv_final);
    mn__forward_limits lim = mn__session_limits(m, &r.s.params, &r.cache.shape);
    *out = (mn_plan){.weights_bytes = mn__gguf_size(m->file),
                     .packed_bytes = m->packed_bytes,
                     .kv_peak_bytes = r.kv_peak,
                     .kv_final_bytes = kv_final,
                     .policy_bytes = r.policy_peak,
                     .scratch_bytes = mn__forward_bytes(m, &lim)};
    out->total_peak_bytes = model_bytes(m) + session_bytes(&r) + out->scratch_bytes + r.sum_peak;
done:
    mn__policy_free(r.s.policy);
    mn__gather_free(r.s.gather);
    mn__free(r.cache.lane);
    return st;
}
