/* onlook.c: who looks on at a session (mneme/watch.h): a scorer that shows attention to the
 * policy's own and to the onlooker, and the numbering of events. */
#include "infer/session_internal.h"

static void observe(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const mn__scorer *own = ((const mn__onlook *)s)->own;
    if (own && (own->needs & MN__NEED_COLUMNS) && own->ops->observe)
        own->ops->observe(own, seen, state);
}

static void observe_head(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const mn__onlook *o = (const mn__onlook *)s;
    const mn__lane *lane = mn__cache_lane(seen->cache, seen->layer, seen->head);
    const mn_watch_attention rows = {.layer = seen->layer,
                                     .head = seen->head,
                                     .i_group = seen->i_group,
                                     .n_group = seen->n_group,
                                     .query = seen->token0,
                                     .n_query = seen->n_row,
                                     .n = seen->n_slot,
                                     .token = mn__lane_token(lane) + seen->slot0,
                                     .p = seen->p,
                                     .ld = seen->ld};
    if (o->own && o->own->wants_heads) o->own->ops->observe_head(o->own, seen, state);
    o->by.attention(&rows, o->by.ctx);
}

static void observe_query(const mn__scorer *s, const mn__cache *c, size_t layer, size_t h,
                          int64_t token0, const float *q, size_t ld, size_t n_row,
                          uint8_t *lane_state)
{
    const mn__scorer *own = ((const mn__onlook *)s)->own;
    own->ops->observe_query(own, c, layer, h, token0, q, ld, n_row, lane_state);
}

static const struct mn__scorer_ops onlook_ops = {.name = "onlook",
                                                 .observe = observe,
                                                 .observe_head = observe_head,
                                                 .observe_query = observe_query};

static void on_lane(const mn_watch_lane *lane, void *ctx)
{
    mn__onlook *o = ctx;
    mn_watch_lane numbered = *lane;
    numbered.event = o->n_event;
    __atomic_store_n(&o->any, true, __ATOMIC_RELAXED);
    if (o->by.lane) o->by.lane(&numbered, o->by.ctx);
}

void mn_session_watch(mn_session *s, const mn_onlooker *by)
{
    mn__onlook *o = &s->onlook;
    *o = (mn__onlook){0}; /* nobody looks now: the scorer is the session's own */
    o->own = mn__session_scorer(s);
    if (by) o->by = *by;
    o->scorer = (mn__scorer){.ops = &onlook_ops, .needs = MN__NEED_COLUMNS};
    if (o->own) {
        o->scorer = *o->own;
        o->scorer.ops = &onlook_ops;
        o->scorer.needs |= MN__NEED_COLUMNS;
    }
    o->scorer.wants_heads = true;
    o->scorer.show_stride = 0; /* every row, also those that the policy's own passes over */
    bool looks = by && (by->lane || by->event);
    s->env.on_lane = looks ? on_lane : NULL;
    s->env.on_lane_ctx = looks ? o : NULL;
}

void mn__onlook_event(mn_session *s, mn__event event)
{
    static const mn_watch_when when[] = {[MN__EVENT_PROMPT_END] = MN_WATCH_PROMPT_END,
                                         [MN__EVENT_CHUNK] = MN_WATCH_CHUNK,
                                         [MN__EVENT_DECODE] = MN_WATCH_DECODE};
    mn__onlook *o = &s->onlook;
    if (!o->any) return;
    o->any = false;
    const mn_watch_event e = {
        .event = o->n_event++, .n_seen = s->cache->n_seen, .when = when[event]};
    if (o->by.event) o->by.event(&e, o->by.ctx);
}
