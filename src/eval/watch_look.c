/* watch_look.c: what a watch writes down while its session reads. Lanes are cut, and attention is
 * shown, on several threads at once: each writes to its own lane, or to its own tokens of a lane.
 */
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "eval/watch_internal.h"

/* ---- eviction ---- */

static bool room_for_scores(mn__watch_lane *l, size_t n)
{
    if (n <= l->cap_score) return true;
    size_t cap = n + n / 4;
    mn__free(l->score);
    mn__free(l->fate);
    l->score = mn__alloc_array(MN_MEM_OTHER, cap, sizeof *l->score);
    l->fate = mn__alloc(MN_MEM_OTHER, cap);
    l->cap_score = l->score && l->fate ? cap : 0;
    return l->cap_score > 0;
}

/* Of the last event that dropped something, or of the first. */
static void keep_scores(mn__watch_lane *l, const mn_watch_lane *lane)
{
    if (l->n_score && !lane->keep) return;
    l->n_score = 0;
    if (!room_for_scores(l, lane->n)) {
        l->no_memory = true;
        return;
    }
    memcpy(l->score, lane->score, lane->n * sizeof *l->score);
    for (size_t i = 0, k = 0; i < lane->n; i++) {
        bool stays = !lane->keep || (k < lane->n_keep && lane->keep[k] == i);
        k += stays;
        l->fate[i] = lane->mark[i] & 1 ? MN__FATE_PROTECTED
                     : stays           ? MN__FATE_KEPT
                                       : MN__FATE_DROPPED;
    }
    l->n_score = lane->n;
    l->score_event = lane->event;
    l->has_threshold = lane->has_threshold;
    l->threshold = lane->threshold;
}

static void on_lane(const mn_watch_lane *lane, void *ctx)
{
    mn_watch *w = ctx;
    mn__watch_lane *l = &w->lane[mn__watch_lane_of(w, lane->layer, lane->head)];
    uint64_t last = MN__WATCH_EVENTS - 1, event = lane->event < last ? lane->event : last;
    for (size_t i = 0, k = 0; lane->keep && i < lane->n; i++) {
        if (k < lane->n_keep && lane->keep[k] == i)
            k++;
        else
            l->gone[lane->token[i]] = (uint16_t)(event + 1);
    }
    keep_scores(l, lane);
}

static void on_event(const mn_watch_event *event, void *ctx)
{
    mn_watch *w = ctx;
    if (w->n_event == MN__WATCH_EVENTS) { /* the last one takes in all that follow */
        w->event[w->n_event - 1] = *event;
        return;
    }
    if (MN__GROW(w->event, w->n_event, w->cap_event) != MN_OK)
        w->no_memory = true;
    else
        w->event[w->n_event++] = *event;
}

/* ---- attention ---- */

static void add_drawn(float *drawn, const mn_watch_attention *a)
{
    enum { BLOCK = 256 };
    float sum[BLOCK];
    for (size_t i = 0; i < a->n; i += BLOCK) {
        size_t n = a->n - i < BLOCK ? a->n - i : BLOCK;
        memset(sum, 0, sizeof sum);
        for (size_t r = 0; r < a->n_query; r++)
            for (size_t j = 0; j < n; j++) sum[j] += a->p[r * a->ld + i + j];
        for (size_t j = 0; j < n; j++) drawn[a->token[i + j]] += sum[j] / (float)a->n_group;
    }
}

/* The token's slot in the run; a->n: it is not there. */
static size_t slot_of(const mn_watch_attention *a, size_t token)
{
    size_t lo = 0, hi = a->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((size_t)a->token[mid] < token)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < a->n && (size_t)a->token[lo] == token ? lo : a->n;
}

static void on_attention(const mn_watch_attention *a, void *ctx)
{
    mn_watch *w = ctx;
    size_t lane = mn__watch_lane_of(w, a->layer, a->head);
    if (!w->again) add_drawn(w->lane[lane].drawn, a);
    for (size_t i = 0; i < w->n_watched; i++) {
        size_t slot = slot_of(a, w->watched[i].token);
        if (slot < a->n) mn__series_add(&w->watched[i].series[lane], a, slot);
    }
}

void mn__watch_look(mn_watch *w)
{
    const mn_onlooker by = {.lane = w->again ? NULL : on_lane,
                            .event = w->again ? NULL : on_event,
                            .attention = w->no_attention ? NULL : on_attention,
                            .ctx = w};
    mn_session_watch(w->s, &by);
}
