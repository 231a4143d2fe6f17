/* evict.c: one eviction event. Lanes are scored by all threads; where no rule needs more than one
 * lane at once (the usual case while writing) a lane is scored, chosen and compacted in one go,
 * with workspace per thread; sharing and competition need the scores of all lanes side by side.
 * Everything is laid out by the number of slots, so the result does not depend on the threads. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

struct mn__evictor {
    mn__span lane_room;   /* scores and masks of all lanes: policies that compare lanes */
    mn__span thread_room; /* of each thread */
    size_t max_n, n_thread;
    mn__quota *quota;     /* [full-attention lanes] */
    mn__score_lane *lane; /* the same, for scorers that compare lanes; else NULL */
    size_t n_lane;
};

/* Values whose output's norm is taken together: the projection is read once for them. */
enum { NORM_ROWS = 8 * MN__PAGE_TOKENS };

static bool compares_lanes(const mn__policy *p)
{
    return p->share != MN__SHARE_NONE || p->alloc >= MN__ALLOC_ADA || p->judge == MN__JUDGE_LAYER ||
           p->scorer->ops->score_all;
}

/* One thread's workspace: floats, 64-byte aligned pieces. */
typedef struct room {
    float *scratch; /* the scorer's */
    float *score;   /* [n] when lanes stand alone */
    float *spare;   /* [n] pooling, second stage */
    float *value;   /* [n] norms of the output (critical) */
    float *rows;    /* NORM_ROWS of V, and their products */
    float *merge;   /* of merge.c */
    uint32_t *keep; /* [n] */
    uint8_t *mask;  /* [n] */
} room;

static size_t lay_out(room *r, float *base, const mn__policy *p, const mn__cache_shape *shape,
                      size_t n)
{
    size_t at = 0, pad = mn__pad16(n);
    bool output = p->scorer->needs & MN__NEED_OUTPUT;
    size_t rows = NORM_ROWS * shape->head_dim + (p->norm_l2 ? mn__gram_floats(shape->head_dim) : 0);
    size_t size[8] = {
        p->scorer->ops->scratch_floats
            ? mn__pad16(p->scorer->ops->scratch_floats(p->scorer, shape, n))
            : 0,
        compares_lanes(p) ? 0 : pad,
        pad,
        output ? pad : 0,
        output ? mn__pad16(rows) : 0,
        pad,
        mn__pad16((n + 3) / 4),
        mn__merge_floats(p, shape->head_dim, n),
    };
    float *piece[8];
    for (int i = 0; i < 8; i++) {
        piece[i] = base ? base + at : NULL;
        at += size[i];
    }
    *r = (room){.scratch = piece[0],
                .score = piece[1],
                .spare = piece[2],
                .value = piece[3],
                .rows = piece[4],
                .merge = piece[7],
                .keep = (uint32_t *)(void *)piece[5],
                .mask = (uint8_t *)(void *)piece[6]};
    return at;
}

static size_t thread_bytes(const mn__policy *p, const mn__cache_shape *shape, size_t n)
{
    room r;
    return lay_out(&r, NULL, p, shape, n) * sizeof(float);
}

/* One lane's score, mask and room for the scorer, where lanes are compared. */
static size_t lane_bytes(const mn__policy *p, size_t n)
{
    const struct mn__scorer_ops *ops = p->scorer->ops;
    size_t own = ops->score_all ? mn__pad16(ops->lane_floats(p->scorer, n)) : 0;
    return compares_lanes(p) ? (mn__pad16(n) + mn__pad16((n + 3) / 4) + own) * sizeof(float) : 0;
}

size_t mn__evictor_bytes(const mn__policy *p, const mn__cache_shape *shape, int n_thread)
{
    size_t n = shape->max_slots + shape->max_step, n_lane = p->n_full * p->n_kv_head;
    size_t fixed = sizeof(mn__evictor) + n_lane * sizeof(mn__quota);
    if (!p->scorer) return fixed;
    if (p->scorer->ops->score_all) fixed += n_lane * sizeof(mn__score_lane);
    return fixed + mn__whole_pages(n_lane * lane_bytes(p, n)) +
           mn__whole_pages((size_t)n_thread * thread_bytes(p, shape, n));
}

mn_status mn__evictor_new(mn__evictor **out, const mn__policy *p, const mn__cache_shape *shape,
                          int n_thread, mn_diag *diag)
{
    *out = NULL;
    mn_status st = MN_ENOMEM;
    mn__evictor *e = mn__alloc_zero(MN_MEM_POLICY, sizeof *e);
    if (!e) goto done;
    e->max_n = shape->max_slots + shape->max_step;
    e->n_thread = (size_t)n_thread;
    e->n_lane = p->n_full * p->n_kv_head;
    e->quota = mn__alloc_array(MN_MEM_POLICY, e->n_lane, sizeof *e->quota);
    if (!e->quota) goto done;
    if (p->scorer && p->scorer->ops->score_all) {
        e->lane = mn__alloc_array(MN_MEM_POLICY, e->n_lane, sizeof *e->lane);
        if (!e->lane) goto done;
    }
    size_t lanes = 0, threads = 0;
    if (p->scorer && (!mn__mul_size(e->n_lane, lane_bytes(p, e->max_n), &lanes) ||
                      !mn__mul_size(e->n_thread, thread_bytes(p, shape, e->max_n), &threads)))
        goto done;
    MN_TRY(mn__span_init(&e->lane_room, MN_MEM_POLICY, lanes));
    MN_TRY(mn__span_init(&e->thread_room, MN_MEM_POLICY, threads));
    *out = e;
    e = NULL;
done:
    mn__evictor_free(e);
    return st == MN_OK
               ? st
               : mn__fail(diag, st, "out of memory for the workspace of policy %s", p->text);
}

void mn__evictor_free(mn__evictor *e)
{
    if (!e) return;
    mn__span_fini(&e->lane_room);
    mn__span_fini(&e->thread_room);
    mn__free(e->quota);
    mn__free(e->lane);
    mn__free(e);
}

void mn__evictor_rest(mn__evictor *e)
{
    (void)mn__span_resize(&e->lane_room, 0);
    (void)mn__span_resize(&e->thread_room, 0);
}

/* ---- when ---- */

static size_t slots_held(const mn__policy *p, const mn__cache *c)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_full; i++)
        for (size_t h = 0; h < p->n_kv_head; h++) n += mn__cache_lane(c, p->full[i], h)->n;
    return n;
}

/* Byte budgets: would the next step not fit? */
static bool out_of_bytes(const mn__policy *p, const mn__cache *c, mn__event event)
{
    size_t step = event == MN__EVENT_CHUNK ? p->cap_step : 1;
    return p->budget.kind == MN__BUDGET_BYTES &&
           slots_held(p, c) + step * p->n_full * p->n_kv_head > p->cap_slots;
}

/* Where a budget says how many stay it holds behind the prompt too, once there was an update: an
 * answer is written with what was asked for, not with an update's tokens more. */
static bool off_grid(const mn__policy *p, const mn__cache *c, mn__event event)
{
    const int64_t chunk = (int64_t)p->chunk;
    if (!p->base->on_grid || !chunk) return false;
    if (event == MN__EVENT_PROMPT_END) return p->judge || c->n_seen < chunk;
    return event == MN__EVENT_CHUNK && c->n_seen % chunk != 0;
}

bool mn__evict_due(const mn__policy *p, const mn__cache *c, mn__event event)
{
    if (p->n_full == 0) return false;
    if (p->budget.kind == MN__BUDGET_BYTES) return out_of_bytes(p, c, event);
    if (!p->scorer) return false;
    if (event == MN__EVENT_CHUNK && !p->chunk) return false;
    if (off_grid(p, c, event)) return false;
    if (event == MN__EVENT_DECODE && (!p->every || c->n_seen % (int64_t)p->every != 0))
        return false;
    if (p->budget.kind == MN__BUDGET_TOKENS && !p->judge)
        return slots_held(p, c) > p->budget.amount * p->n_full * p->n_kv_head;
    return true;
}

/* ---- one event ---- */

typedef struct event_run {
    mn__evictor *e;
    const mn__policy *p;
    mn__cache *c;
    const mn__evict_env *env;
    size_t thread_stride; /* bytes */
    size_t max_n;
} event_run;

static mn__score_view view_of(const event_run *r, const mn__quota *q, float *scratch)
{
    return (mn__score_view){
        .cache = r->c,
        .layer = q->layer,
        .head = q->head,
        .n = q->n,
        .token = q->token,
        .state = q->lane->state.data,
        .lane_state = q->lane->lane_state,
        .softmax_scale = r->env->softmax_scale,
        .model_hook = r->env->model_hook,
        .output_norm = r->env->output_norm,
        .gram = r->env->gram,
        .seed = r->env->seed,
        .scratch = scratch,
    };
}

/* The scores are there. */
static void end_score(const event_run *r, mn__quota *q)
{
    for (size_t i = 0; i < q->n; i++)
        if (isnan(q->score[i])) {
            q->score[i] = -INFINITY;
            q->n_nan++;
        }
    if (q->n_nan && r->p->base->keep_nan) q->spared = true;
    mn__protect_mask(q, r->env);
}

static void score_lane(const event_run *r, const room *w, mn__quota *q)
{
    const mn__score_view view = view_of(r, q, w->scratch);
    r->p->scorer->ops->score(r->p->scorer, &view, q->score);
    end_score(r, q);
}

static void pool_lane(const event_run *r, const room *w, mn__quota *q)
{
    if (r->p->pool > 1)
        mn__pool_scores(q->score, q->n - q->n_tail, r->p->pool, r->p->pool_avg, w->spare);
}

static const float *output_norms(const event_run *r, const room *w, const mn__quota *q)
{
    if (!r->p->kind->critical) return NULL;
    size_t D = r->c->shape.head_dim, most = r->p->norm_l2 ? MN__PAGE_TOKENS : NORM_ROWS;
    for (size_t i = 0; i < q->n; i += most) {
        size_t n = q->n - i < most ? q->n - i : most;
        mn__lane_read(r->c, q->lane, i, n, NULL, w->rows);
        if (r->p->norm_l2)
            mn__gram_norms(r->env->gram, r->c->kern, q->layer, q->head, w->rows, n,
                           w->rows + NORM_ROWS * D, w->value + i);
        else
            r->env->output_norm(r->env->model_hook, q->layer, q->head, w->rows, n, w->value + i);
    }
    return w->value;
}

/* keep NULL: all of them. */
static void show_lane(const event_run *r, const mn__quota *q, const uint32_t *keep)
{
    const mn_watch_lane lane = {.layer = q->layer,
                                .head = q->head,
                                .n = q->n,
                                .token = q->token,
                                .score = q->score,
                                .mark = q->mask,
                                .keep = keep,
                                .n_keep = q->keep,
                                .has_threshold = r->p->judge != MN__JUDGE_NONE,
                                .threshold = r->p->threshold};
    if (r->env->on_lane) r->env->on_lane(&lane, r->env->on_lane_ctx);
}

static void keep_lane(const event_run *r, const room *w, mn__quota *q)
{
    int64_t judged = mn__judge_tokens(r->p, q);
    if (q->keep < q->n) {
        const float *value = output_norms(r, w, q);
        q->keep = mn__select(r->p, q, value, w->spare, w->keep);
        show_lane(r, q, w->keep);
        q->st = r->p->merge == MN__MERGE_NONE
                    ? mn__lane_keep(r->c, q->layer, q->head, w->keep, q->keep)
                    : mn__merge_keep(r->p, r->c, q, w->keep, r->env->seed, w->merge);
    } else {
        show_lane(r, q, NULL);
    }
    if (r->p->judge == MN__JUDGE_ONCE && q->st == MN_OK)
        memcpy(q->lane->lane_state + r->p->judged_at, &judged, sizeof judged);
}

void mn__crew_meet(const mn__crew *crew)
{
    mn__team_wait(crew);
    if (crew->thread == 0) mn__team_claim_reset(crew);
    mn__team_wait(crew);
}

static bool untouched(const event_run *r, const mn__quota *q)
{
    return q->spared || (q->keep >= q->n && !r->p->judge);
}

static void run_alone(const event_run *r, const mn__crew *crew, const room *w)
{
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < r->e->n_lane;) {
        mn__quota *q = &r->e->quota[l];
        if (untouched(r, q)) continue;
        q->score = w->score;
        q->mask = w->mask;
        score_lane(r, w, q);
        if (q->spared) continue;
        pool_lane(r, w, q);
        keep_lane(r, w, q);
    }
}

static void share_lanes(const event_run *r, const mn__crew *crew)
{
    size_t n_head = r->p->n_kv_head;
    bool all = r->p->share == MN__SHARE_ALL;
    if (r->p->share == MN__SHARE_NONE) return;
    mn__crew_meet(crew);
    for (size_t i; (i = mn__team_claim(crew)) < (all ? 1 : r->p->n_full);)
        mn__share_mean(r->e->quota + i * n_head, all ? r->e->n_lane : n_head);
}

static void compete(const event_run *r, const mn__crew *crew)
{
    size_t n_head = r->p->n_kv_head;
    size_t first = r->p->n_even, n_layer = r->p->n_full - first;
    bool global = r->p->alloc == MN__ALLOC_GLOBAL;
    if (r->p->alloc < MN__ALLOC_ADA) return;
    mn__crew_meet(crew);
    for (size_t i; (i = mn__team_claim(crew)) < (global ? 1 : n_layer);)
        mn__allocate_compete(r->p, r->e->quota + (first + i) * n_head,
                             global ? n_layer * n_head : n_head);
}

/* A lane's score, mask and the scorer's room. */
static float *place_lane(const event_run *r, size_t l)
{
    mn__quota *q = &r->e->quota[l];
    uint8_t *base = r->e->lane_room.data + l * lane_bytes(r->p, r->max_n);
    size_t pad = mn__pad16(r->max_n) * sizeof(float);
    q->score = (float *)(void *)base;
    q->mask = base + pad;
    return (float *)(void *)(q->mask + mn__pad16((r->max_n + 3) / 4) * sizeof(float));
}

static void score_lanes(const event_run *r, const mn__crew *crew, const room *w)
{
    const mn__scorer *s = r->p->scorer;
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < r->e->n_lane;) {
        mn__quota *q = &r->e->quota[l];
        float *lane_room = place_lane(r, l);
        if (s->ops->score_all)
            r->e->lane[l] = (mn__score_lane){
                .view = view_of(r, q, lane_room), .score = q->score, .spared = q->spared};
        else if (!q->spared)
            score_lane(r, w, q);
    }
    if (!s->ops->score_all) return;
    mn__crew_meet(crew);
    s->ops->score_all(s, crew, r->e->lane, r->e->n_lane, w->scratch);
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < r->e->n_lane;)
        if (!r->e->quota[l].spared) end_score(r, &r->e->quota[l]);
}

static void judge_layers(const event_run *r, const mn__crew *crew)
{
    size_t n_head = r->p->n_kv_head;
    if (r->p->judge != MN__JUDGE_LAYER) return;
    mn__crew_meet(crew);
    for (size_t i; (i = mn__team_claim(crew)) < r->p->n_full;)
        mn__judge_layer(r->p, r->e->quota + i * n_head, n_head);
}

static void run_together(const event_run *r, const mn__crew *crew, const room *w)
{
    score_lanes(r, crew, w);
    share_lanes(r, crew);
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < r->e->n_lane;)
        if (!r->e->quota[l].spared) pool_lane(r, w, &r->e->quota[l]);
    compete(r, crew);
    judge_layers(r, crew);
    mn__crew_meet(crew);
    for (size_t l; (l = mn__team_claim(crew)) < r->e->n_lane;)
        if (!r->e->quota[l].spared) keep_lane(r, w, &r->e->quota[l]);
}

static void run_event(const mn__crew *crew, void *arg)
{
    const event_run *r = arg;
    room w;
    lay_out(&w, (float *)(void *)(r->e->thread_room.data + (size_t)crew->thread * r->thread_stride),
            r->p, &r->c->shape, r->max_n);
    if (compares_lanes(r->p))
        run_together(r, crew, &w);
    else
        run_alone(r, crew, &w);
}

/* Lanes, what each protects, and the budget given out evenly. */
static mn_status plan_event(event_run *r, mn__event event, mn_diag *diag)
{
    const mn__policy *p = r->p;
    size_t total = mn__budget_slots(p, r->c, event, r->env), own = 0, spared = 0;
    size_t mean = total == SIZE_MAX ? 0 : total / r->e->n_lane;
    size_t recent = p->recent_share > 0 ? (size_t)((double)mean * p->recent_share) : p->recent;
    for (size_t l = 0; l < r->e->n_lane; l++) {
        mn__quota *q = &r->e->quota[l];
        size_t layer = p->full[l / p->n_kv_head], head = l % p->n_kv_head;
        const mn__lane *lane = mn__cache_lane(r->c, layer, head);
        *q = (mn__quota){.layer = (uint32_t)layer,
                         .head = (uint32_t)head,
                         .lane = lane,
                         .n = lane->n,
                         .keep = lane->n,
                         .gain = 1};
        q->token = mn__lane_token(lane);
        q->spared = p->skip[layer];
        mn__protect_count(q, p, recent, r->env);
        own += q->spared ? q->n : q->n_sink + q->n_tail;
        spared += q->spared ? q->n : 0;
        r->max_n = q->n > r->max_n ? q->n : r->max_n;
    }
    if (p->budget.kind == MN__BUDGET_SHARE && total < own && total >= spared)
        total = own; /* a share never asks for less than sinks and recent tokens */
    return mn__allocate(p, r->e->quota, r->e->n_lane, total, (size_t)r->c->n_seen, diag);
}

static bool nothing_to_do(const event_run *r)
{
    for (size_t l = 0; l < r->e->n_lane; l++)
        if (!untouched(r, &r->e->quota[l])) return false;
    return true;
}

static mn_status grow(mn__span *span, size_t bytes)
{
    return bytes > span->committed ? mn__span_resize(span, bytes) : MN_OK;
}

/* What the threads left in the quotas: scores that were none, lanes that could not be cut. */
static mn_status gather(const event_run *r, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t l = 0; l < r->e->n_lane; l++) {
        const mn__quota *q = &r->e->quota[l];
        r->c->n_nan += q->n_nan;
        if (q->st != MN_OK && st == MN_OK)
            st = mn__fail(
                diag, q->st,
                "out of memory for the compaction of layer %u, head %u (%zu of %zu tokens)",
                q->layer, q->head, q->keep, q->n);
    }
    return st;
}

mn_status mn__evict(mn__evictor *e, const mn__policy *p, mn__cache *c, mn__team *team,
                    mn__event event, const mn__evict_env *env, mn_diag *diag)
{
    event_run r = {.e = e, .p = p, .c = c, .env = env};
    if (e->n_lane == 0) return MN_OK;
    if (!p->scorer)
        return out_of_bytes(p, c, event)
                   ? mn__fail(diag, MN_EBUDGET,
                              "the cache is full (%zu bytes) and policy %s drops nothing",
                              p->budget.amount, p->text)
                   : MN_OK;
    if ((p->scorer->needs & MN__NEED_GRAM) ? !env->gram : p->kind->critical && !env->output_norm)
        return mn__fail(diag, MN_EFAIL,
                        "policy %s needs the output projection, which this model does not show",
                        p->text);
    mn_status st = plan_event(&r, event, diag);
    if (st != MN_OK) return st;
    if (!nothing_to_do(&r)) {
        assert((size_t)mn__team_size(team) <= e->n_thread && r.max_n <= e->max_n);
        r.thread_stride = thread_bytes(p, &c->shape, r.max_n);
        st = grow(&e->lane_room, e->n_lane * lane_bytes(p, r.max_n));
        if (st == MN_OK) st = grow(&e->thread_room, e->n_thread * r.thread_stride);
        if (st != MN_OK)
            return mn__fail(diag, st,
                            "out of memory for an eviction of policy %s over lanes of %zu tokens",
                            p->text, r.max_n);
        mn__team_run(team, run_event, &r);
    }
    return gather(&r, diag);
}
