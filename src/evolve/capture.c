/* capture.c: one session reads each prompt; a fork under the policy shows its inputs, then the
 * session reads on, and its last queries tell what was attended to (capture.h). */
#include "evolve/capture.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "eval/ask.h"
#include "evolve/sample.h"
#include "infer/session_internal.h"
#include "policy/policy_kind.h"

enum { STREAM_LAYER = 0x43415054, LATER_ROWS = 256, POOL = 7, ROW_PAD = 64 };
#define LATER_RULE "window:window=256"

typedef struct run {
    const mn__capture_params *p;
    mn__capture *out;
    mn__deck *deck;
    mn__tokens tokens;
    mn_session *session;
    size_t n_layer, n_head; /* full-attention layers; KV heads */
    const uint32_t *full;   /* [n_layer] */
    uint8_t *wanted;        /* [layers of the model] of the prompt under way */
    size_t first;           /* of its lanes in out */
    uint8_t *seen;          /* [n_layer * n_head] of its lanes: those that the policy showed */
    mn_status st;           /* of what the policy showed */
    double *spare;          /* of statistics */
} run;

/* ---- lanes ---- */

static mn_status grow(mn__capture *c, mn_diag *diag)
{
    size_t cap = c->cap ? 2 * c->cap : 64;
    mn__lane_sample *lane = mn__alloc_array(MN_MEM_OTHER, cap, sizeof *lane);
    uint32_t *prompt = mn__alloc_array(MN_MEM_OTHER, cap, sizeof *prompt);
    if (!lane || !prompt) {
        mn__free(lane);
        mn__free(prompt);
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu lanes", cap);
    }
    if (c->n_lane) {
        memcpy(lane, c->lane, c->n_lane * sizeof *lane);
        memcpy(prompt, c->prompt, c->n_lane * sizeof *prompt);
    }
    mn__free(c->lane);
    mn__free(c->prompt);
    c->lane = lane;
    c->prompt = prompt;
    c->cap = cap;
    return MN_OK;
}

/* Room for the lane of (layer, head): its own rows and target. */
static mn_status add_lane(run *r, uint32_t prompt, size_t n, mn_diag *diag)
{
    mn__capture *c = r->out;
    if (c->n_lane == c->cap) {
        mn_status st = grow(c, diag);
        if (st != MN_OK) return st;
    }
    float *x = mn__alloc_array(MN_MEM_OTHER, n * (c->n_in + 1), sizeof *x);
    if (!x) return mn__fail(diag, MN_ENOMEM, "no memory for the inputs of %zu tokens", n);
    const size_t kept = r->p->n_sink + r->p->n_last;
    c->prompt[c->n_lane] = prompt;
    c->lane[c->n_lane++] = (mn__lane_sample){.n = n,
                                             .begin = n > kept ? r->p->n_sink : 0,
                                             .end = n > kept ? n - r->p->n_last : 0,
                                             .x = x,
                                             .target = x + n * c->n_in};
    return MN_OK;
}

void mn__capture_fini(mn__capture *c)
{
    for (size_t i = 0; i < c->n_lane; i++) mn__free((void *)(uintptr_t)c->lane[i].x);
    mn__free(c->lane);
    mn__free(c->prompt);
    mn__free(c->stats.mean);
    *c = (mn__capture){0};
}

static size_t lane_of(const run *r, size_t i_layer, size_t head)
{
    return r->first + i_layer * r->n_head + head;
}

/* ---- which layers ---- */

/* Each layer as likely as any other, without repetition. */
static void draw_layers(run *r, uint64_t prompt)
{
    size_t left = r->p->n_layer && r->p->n_layer < r->n_layer ? r->p->n_layer : r->n_layer;
    memset(r->wanted, 0, r->p->model->n_layer);
    for (size_t i = 0; i < r->n_layer && left; i++) {
        double u = mn__rng_uniform(r->p->seed, STREAM_LAYER, prompt, (uint32_t)i);
        if (u * (double)(r->n_layer - i) >= (double)left) continue;
        r->wanted[r->full[i]] = 1;
        left--;
    }
}

/* How many wanted layers lie in front of this one. */
static size_t place_of(const run *r, size_t layer)
{
    size_t n = 0;
    for (size_t l = 0; l < layer; l++) n += r->wanted[l];
    return n;
}

/* ---- inputs ---- */

/* From any thread of the crew, a lane each. */
static void take_inputs(void *ctx, const mn__score_view *v, const float *x)
{
    run *r = ctx;
    if (!r->wanted[v->layer]) return;
    const size_t l = lane_of(r, place_of(r, v->layer), v->head);
    const mn__lane_sample *lane = &r->out->lane[l];
    if (lane->n != v->n) {
        __atomic_store_n(&r->st, MN_EFAIL, __ATOMIC_RELAXED);
        return;
    }
    memcpy((float *)(uintptr_t)lane->x, x, v->n * r->out->n_in * sizeof *x);
    r->seen[l - r->first] = 1;
}

/* Lanes that keep everything are not scored, and stay without inputs. */
static mn_status show_inputs(run *r, mn_diag *diag)
{
    mn_status st;
    mn_session *child = NULL;
    memset(r->seen, 0, r->n_layer * r->n_head);
    MN_TRY(mn_session_fork_under(&child, r->session, r->p->policy, "50%", diag));
    mn__policy_show_inputs(child->policy, take_inputs, r);
    MN_TRY(mn_session_evict(child, diag));
    if (r->st != MN_OK) MN_TRY(mn__fail(diag, r->st, "a lane of another length than the others"));
    for (size_t l = r->first; l < r->out->n_lane; l++) {
        if (!r->seen[l - r->first]) continue;
        mn__namm_stats_add(&r->out->stats, r->out->lane[l].x, r->out->n_in, r->out->lane[l].n, NULL,
                           r->spare);
    }
done:
    mn_session_free(child);
    return st;
}

/* ---- what came later ---- */

static void normalise(const mn__lane_sample *lane, float *t)
{
    double sum = 0;
    for (size_t i = lane->begin; i < lane->end; i++) sum += (double)t[i];
    for (size_t i = 0; i < lane->n; i++) t[i] = sum > 0 ? (float)((double)t[i] / sum) : 0;
}

/* What a value carries into the stream, where the network sees that too. */
static void times_output(const run *r, size_t layer, size_t head, float *work,
                         const mn__lane_sample *lane)
{
    const mn_session *s = r->session;
    const size_t d = s->cache->shape.head_dim;
    float *t = (float *)(uintptr_t)lane->target, *norm = work + mn__pad16(MN__PAGE_TOKENS * d),
          *rest = norm + MN__PAGE_TOKENS;
    for (size_t i = 0, n; s->env.gram && i < lane->n; i += n) {
        n = lane->n - i < MN__PAGE_TOKENS ? lane->n - i : MN__PAGE_TOKENS;
        mn__lane_read(s->cache, mn__cache_lane(s->cache, layer, head), i, n, NULL, work);
        mn__gram_norms(s->env.gram, s->cache->kern, layer, head, work, n, rest, norm);
        for (size_t k = 0; k < n; k++) t[i + k] *= norm[k];
    }
}

/* Largest or mean attention of the last n_row queries of the group to each of the lane's first n
 * tokens. */
static void later_attention(const run *r, size_t layer, size_t head, size_t n_row, float *p,
                            const mn__lane_sample *lane)
{
    const mn__cache *c = r->session->cache;
    const size_t group = c->shape.n_head / c->shape.n_kv_head,
                 ld = mn__cache_lane(c, layer, head)->n / ROW_PAD * ROW_PAD + ROW_PAD;
    float *t = (float *)(uintptr_t)lane->target;
    memset(t, 0, lane->n * sizeof *t);
    for (size_t h = head * group; h < (head + 1) * group; h++) {
        const size_t n =
            mn__cache_window_probs(c, layer, h, n_row, r->session->env.softmax_scale, p, ld);
        for (size_t row = 0; row < n; row++)
            for (size_t i = 0; i < lane->n; i++) {
                const float a = p[row * ld + i];
                if (r->p->target == MN__TARGET_OWN)
                    t[i] += a / (float)(n * group);
                else if (a > t[i])
                    t[i] = a;
            }
    }
    if (r->p->target == MN__TARGET_SHARED) times_output(r, layer, head, p, lane);
    normalise(lane, t);
}

static void pool(const mn__lane_sample *lane, const float *in, float *out)
{
    for (size_t i = 0; i < lane->n; i++) {
        const size_t lo = i < POOL / 2 ? 0 : i - POOL / 2,
                     hi = i + POOL / 2 < lane->n ? i + POOL / 2 : lane->n - 1;
        out[i] = in[lo];
        for (size_t j = lo + 1; j <= hi; j++)
            if (in[j] > out[i]) out[i] = in[j];
    }
}

/* Half of a head's target becomes the pooled mean over the layer's: what one head wants now another
 * will want, with its neighbours; but heads that compete for slots must differ. room [2 n]. */
static void share(const run *r, size_t i_layer, float *room)
{
    const mn__lane_sample *first = &r->out->lane[lane_of(r, i_layer, 0)];
    float *mean = room, *pooled = room + first->n;
    memset(mean, 0, first->n * sizeof *mean);
    for (size_t h = 0; h < r->n_head; h++)
        for (size_t i = 0; i < first->n; i++) mean[i] += first[h].target[i] / (float)r->n_head;
    pool(first, mean, pooled);
    normalise(first, pooled);
    for (size_t h = 0; h < r->n_head; h++) {
        float *t = (float *)(uintptr_t)first[h].target;
        for (size_t i = 0; i < first->n; i++) t[i] = 0.5f * (t[i] + pooled[i]);
    }
}

static mn_status look_later(run *r, size_t n_later, mn_diag *diag)
{
    const size_t n_row = n_later < LATER_ROWS ? n_later : LATER_ROWS,
                 n = (size_t)r->session->cache->n_seen;
    const size_t d = r->session->cache->shape.head_dim,
                 norms = mn__pad16(MN__PAGE_TOKENS * d) + MN__PAGE_TOKENS + mn__gram_floats(d),
                 rows = n_row * (n + ROW_PAD) + 2 * n;
    float *p = mn__alloc_array(MN_MEM_OTHER, rows > norms ? rows : norms, sizeof *p);
    if (!p) return mn__fail(diag, MN_ENOMEM, "no memory for attention to %zu tokens", n);
    for (size_t i = 0; i < r->n_layer; i++) {
        const size_t layer = r->full[i];
        if (!r->wanted[layer]) continue;
        const size_t place = place_of(r, layer);
        for (size_t h = 0; h < r->n_head; h++)
            later_attention(r, layer, h, n_row, p, &r->out->lane[lane_of(r, place, h)]);
        if (r->p->target == MN__TARGET_SHARED) share(r, place, p + n_row * (n + ROW_PAD));
    }
    mn__free(p);
    return MN_OK;
}

/* ---- a prompt ---- */

/* Of a prompt that did not end well, or has none to show. */
static void drop_lanes(run *r)
{
    mn__capture *c = r->out;
    while (c->n_lane > r->first) mn__free((void *)(uintptr_t)c->lane[--c->n_lane].x);
}

/* Those without inputs, which the layer's share of the target no longer needs. */
static void drop_unseen(run *r)
{
    mn__capture *c = r->out;
    size_t n = r->first;
    for (size_t l = n; l < c->n_lane; l++)
        if (r->seen[l - r->first])
            c->lane[n++] = c->lane[l]; /* all are of this prompt */
        else
            mn__free((void *)(uintptr_t)c->lane[l].x);
    c->n_lane = n;
}

static bool poll_stop(size_t done, size_t total, void *ctx)
{
    const run *r = ctx;
    (void)done;
    (void)total;
    return r->p->stop && r->p->stop(r->p->ctx);
}

static mn_status read_tokens(run *r, const int32_t *token, size_t n, mn_diag *diag)
{
    if (!n) return MN_OK;
    mn_status st = mn_session_read(r->session, token, n, false, NULL, poll_stop, r, diag);
    return st == MN_ECANCEL ? mn__fail(diag, st, "interrupted") : st;
}

static mn_status capture_reading(run *r, uint32_t prompt, const mn__reading *reading,
                                 const mn__continuation *gold, mn_diag *diag)
{
    mn_status st;
    const size_t n = r->p->evict_context && reading->n_context ? reading->n_context : reading->n;
    r->first = r->out->n_lane;
    draw_layers(r, prompt);
    mn_session_clear(r->session);
    MN_TRY(read_tokens(r, reading->token, n, diag));
    for (size_t l = 0; l < r->n_layer; l++)
        for (size_t h = 0; r->wanted[r->full[l]] && h < r->n_head; h++)
            MN_TRY(add_lane(r, prompt, n, diag));
    MN_TRY(show_inputs(r, diag));
    if (!memchr(r->seen, 1, r->n_layer * r->n_head)) {
        drop_lanes(r);
        r->out->n_uncut++;
        goto done;
    }
    MN_TRY(read_tokens(r, reading->token + n, reading->n - n, diag));
    MN_TRY(read_tokens(r, gold->token, gold->n, diag));
    MN_TRY(look_later(r, reading->n - n + gold->n, diag));
    drop_unseen(r);
    r->out->n_prompt++;
done:
    if (st != MN_OK) drop_lanes(r);
    return st;
}

static mn_status capture_item(run *r, uint64_t i, mn_diag *diag)
{
    mn_status st;
    bool found = false;
    mn__row row = {0};
    mn__ask ask = {0};
    const mn__ask_params ap = {.model = r->p->model,
                               .n_ctx = r->p->session.n_ctx,
                               .max_new = r->p->max_new,
                               .max_gold = r->p->max_gold};
    const mn__deck_unit *u = mn__deck_get_unit(r->deck, mn__deck_get_item(r->deck, i).unit);
    MN_TRY(mn__deck_get_row(r->deck, i, &row, &found, diag));
    if (!found) MN_TRY(mn__fail(diag, MN_EINPUT, "a row that was there is gone"));
    MN_TRY(mn__ask_make(&ask, u->ref.task, &row, &ap, diag));
    const mn__reading *reading = &ask.reading[ask.gold_reading];
    if (reading->n_gold > ask.gold)
        MN_TRY(capture_reading(r, (uint32_t)i, reading, &reading->gold[ask.gold], diag));
done:
    mn__ask_free(&ask);
    mn__row_free(&row);
    return st;
}

/* ---- all of them ---- */

static mn_status begin(run *r, mn_diag *diag)
{
    mn_status st;
    const mn__capture_params *p = r->p;
    const char *const also[] = {p->policy, LATER_RULE};
    mn_session_params sp = p->session;
    mn_session *child = NULL;
    mn__deck_params deck = p->deck;
    r->tokens = mn__model_tokens(p->model);
    deck.source.tokens = &r->tokens;
    sp.policy = "full";
    sp.budget = "";
    sp.also = also;
    sp.n_also = 2;
    MN_TRY(mn__deck_open(&r->deck, &deck, diag));
    MN_TRY(mn_session_new(&r->session, p->model, &sp, diag));
    MN_TRY(mn_session_fork_under(&child, r->session, p->policy, "50%", diag));
    mn__capture *c = r->out;
    c->n_in = mn__policy_n_inputs(child->policy);
    if (!c->n_in) MN_TRY(mn__fail(diag, MN_EUSAGE, "policy %s has no network", p->policy));
    c->stats = (mn__namm_stats){.n_col = c->n_in};
    c->stats.mean = mn__alloc_zero(MN_MEM_OTHER, 2 * c->n_in * sizeof *c->stats.mean);
    r->spare = mn__alloc_array(MN_MEM_OTHER, 2 * c->n_in, sizeof *r->spare);
    r->wanted = mn__alloc_zero(MN_MEM_OTHER, p->model->n_layer);
    if (!c->stats.mean || !r->spare || !r->wanted)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for statistics"));
    c->stats.var = c->stats.mean + c->n_in;
    r->n_head = p->model->n_kv_head;
    r->full = mn__policy_full_layers(r->session->policy, &r->n_layer);
    r->seen = mn__alloc_zero(MN_MEM_OTHER, r->n_layer * r->n_head);
    if (!r->seen) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a list of lanes"));
done:
    mn_session_free(child);
    return st;
}

/* Numbers of those held out, rising, the caller's (mn__free); NULL where there are none. */
static mn_status draw_held_out(const mn__capture_params *p, uint64_t n, uint64_t **out,
                               mn_diag *diag)
{
    const size_t k = p->n_held_out;
    *out = NULL;
    if (!k) return MN_OK;
    if (n <= k)
        return mn__fail(diag, MN_ERANGE, "stage 1: %zu prompts held out wanted, %llu found in all",
                        k, (unsigned long long)n);
    *out = mn__alloc_array(MN_MEM_OTHER, k, sizeof **out);
    if (!*out) return mn__fail(diag, MN_ENOMEM, "no memory for prompts held out");
    mn__sample_held_out(p->held_out_seed, 0, n, k, *out);
    return MN_OK;
}

mn_status mn__capture_run(mn__capture *out, const mn__capture_params *params, mn_diag *diag)
{
    mn_status st;
    run r = {.p = params, .out = out};
    uint64_t *held = NULL, done = 0;
    size_t n_passed = 0; /* of those held out */
    *out = (mn__capture){0};
    MN_TRY(begin(&r, diag));
    const uint64_t n = out->n_item = mn__deck_n_item(r.deck);
    MN_TRY(draw_held_out(params, n, &held, diag));
    out->n_looked = n - params->n_held_out;
    for (uint64_t i = 0; i < n; i++) {
        if (n_passed < params->n_held_out && held[n_passed] == i) {
            n_passed++;
            continue;
        }
        st = capture_item(&r, i, diag);
        if (st != MN_OK && st != MN_ERANGE && st != MN_EBUDGET) goto done;
        st = MN_OK;
        if (params->progress) params->progress(++done, out->n_looked, params->ctx);
    }
    if (!out->n_lane && out->n_uncut)
        MN_TRY(mn__fail(diag, MN_EINPUT, "no prompt can be captured: " MN__CAPTURE_UNCUT,
                        (unsigned long long)out->n_uncut, (unsigned long long)out->n_looked));
done:
    mn__free(held);
    mn_session_free(r.session);
    mn__deck_close(r.deck);
    mn__free(r.spare);
    mn__free(r.wanted);
    mn__free(r.seen);
    if (st != MN_OK) mn__capture_fini(out);
    return st;
}
