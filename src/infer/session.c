/* session.c: a sequence's life: made, read into, stepped, cut, forked, cleared. */
#include "infer/session_internal.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"

/* ---- parameters ---- */

void mn_session_params_default(mn_session_params *p)
{
    *p = (mn_session_params){.policy = "full", .budget = "", .chunk = 512};
}

void mn__session_resolve(const mn_model *m, const mn_session_params *in, mn_session_params *out)
{
    *out = *in;
    if (!out->policy || !*out->policy) out->policy = "full";
    if (!out->budget) out->budget = "";
    if (!out->n_ctx) out->n_ctx = m->n_ctx_train;
    if (!out->chunk) out->chunk = 512;
    if (out->n_thread <= 0) out->n_thread = mn__cpu_count();
}

mn__cache_shape mn__session_shape(const mn_model *m, const mn_session_params *p)
{
    return (mn__cache_shape){.n_layer = m->n_layer,
                             .n_head = m->n_head,
                             .n_kv_head = m->n_kv_head,
                             .head_dim = m->head_dim,
                             .window = m->window,
                             .rope = m->layer_rope,
                             .kv_type = (mn__kv_type)p->kv_type,
                             .max_slots = p->n_ctx,
                             .max_step = p->chunk,
                             .state_bytes = mn__model_state_bytes(m, p->n_ctx)};
}

void mn__session_add_needs(mn__cache_shape *shape, const mn__policy *policy, const mn__scorer *sc,
                           mn_positions positions)
{
    if (sc) {
        shape->slot_bytes = sc->slot_bytes;
        shape->lane_bytes = sc->lane_bytes;
        shape->n_query_ring = sc->n_query_ring;
    }
    shape->compact = positions == MN_POSITIONS_COMPACT ||
                     (positions == MN_POSITIONS_AUTO && mn__policy_compact_default(policy));
}

const mn__scorer *mn__session_scorer(const mn_session *s)
{
    if (s->onlook.by.attention) return &s->onlook.scorer;
    return s->gather ? mn__gather_scorer(s->gather) : mn__policy_scorer(s->policy);
}

/* Most slots that a lane may hold between steps: a sliding window may be longer than the context.
 */
static size_t most_slots(const mn__cache_shape *shape)
{
    size_t most = shape->max_slots;
    for (size_t l = 0; l < shape->n_layer; l++) {
        size_t n = shape->window[l] > 0 ? (size_t)shape->window[l] + MN__PAGE_TOKENS : 0;
        if (n > most) most = n;
    }
    return most;
}

mn__forward_limits mn__session_limits(const mn_model *m, const mn_session_params *p,
                                      const mn__cache_shape *shape)
{
    enum { LOGIT_BYTES = 16 << 20 }; /* rows of likelihoods are made in slices of about this size */
    size_t rows = LOGIT_BYTES / (m->n_vocab * sizeof(float));
    rows = rows < 1 ? 1 : rows > p->chunk ? p->chunk : rows;
    return (mn__forward_limits){.max_prefill_row = p->chunk,
                                .max_decode_row = 1,
                                .max_slots = most_slots(shape) + p->chunk,
                                .max_logit_row = rows,
                                .kv_type = shape->kv_type,
                                .n_thread = p->n_thread};
}

/* ---- life ---- */

static mn_status shared_pool_new(mn__shared_pool **out, const mn__cache_shape *shape, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__shared_pool *p = mn__alloc_zero(MN_MEM_OTHER, sizeof *p);
    if (!p) return mn__fail(diag, MN_ENOMEM, "session: no memory");
    p->n_user = 1;
    st = mn__pool_new(&p->pool, shape->kv_type, shape->head_dim, diag);
    if (st != MN_OK)
        mn__free(p);
    else
        *out = p;
    return st;
}

static void shared_pool_drop(mn__shared_pool *p)
{
    if (!p || __atomic_sub_fetch(&p->n_user, 1, __ATOMIC_ACQ_REL) > 0) return;
    mn__pool_free(p->pool);
    mn__gram_free(p->gram);
    mn__free(p);
}

static mn_status copy_strings(mn_session *s, mn_diag *diag)
{
    size_t n = s->params.n_pin;
    s->policy_text = mn__strdup(s->params.policy);
    s->budget_text = mn__strdup(s->params.budget);
    s->pin = mn__alloc_array(MN_MEM_OTHER, n, sizeof *s->pin);
    if (!s->policy_text || !s->budget_text || !s->pin)
        return mn__fail(diag, MN_ENOMEM, "session: no memory");
    for (size_t i = 0; i < n; i++)
        s->pin[i] = (mn__pin){s->params.pin[i].begin, s->params.pin[i].end};
    s->params.policy = s->policy_text;
    s->params.budget = s->budget_text;
    s->params.pin = NULL;
    return MN_OK;
}

mn_status mn__session_check(const mn_session_params *p, mn_diag *diag)
{
    if (p->chunk > 8192)
        return mn__fail(diag, MN_EUSAGE, "chunk: at most 8192 tokens, %zu given", p->chunk);
    if (p->n_ctx > (size_t)1 << 27)
        return mn__fail(diag, MN_EUSAGE, "context: at most 2^27 tokens, %zu given", p->n_ctx);
    if (p->n_thread > 1024)
        return mn__fail(diag, MN_EUSAGE, "threads: at most 1024, %d given", p->n_thread);
    for (size_t i = 0; i < p->n_pin; i++)
        if (p->pin[i].begin < 0 || p->pin[i].end < p->pin[i].begin)
            return mn__fail(diag, MN_EUSAGE,
                            "pinned span %zu: begin must be 0 or more and not after its end", i);
    return MN_OK;
}

static mn_status gather_for_others(mn_session *s, const mn__cache_shape *shape, mn_diag *diag)
{
    if (mn__policy_scorer(s->policy))
        return mn__fail(diag, MN_EUSAGE,
                        "a session that gathers for other policies has the policy full, not %s",
                        s->policy_text);
    mn_status st = mn__gather_new(&s->gather, s->params.also, s->params.n_also, shape, diag);
    s->params.also = NULL; /* the caller's */
    s->params.n_also = 0;
    return st;
}

mn_status mn__session_check_model(const mn_model *m, const mn__policy *policy,
                                  const mn__cache_shape *shape, mn_diag *diag)
{
    if (!shape->state_bytes) return MN_OK;
    if (strcmp(mn__policy_spec(policy), "full") != 0)
        return mn__fail(diag, MN_EUSAGE,
                        "policy %s: %s keeps no keys and values that could be dropped: its "
                        "attention carries a state of one size",
                        mn__policy_spec(policy), m->name);
    if (shape->max_slots > mn__model_longest(m))
        return mn__fail(diag, MN_EUSAGE,
                        "context: %s has weights for up to %zu tokens, %zu asked for", m->name,
                        mn__model_longest(m), shape->max_slots);
    return MN_OK;
}

mn_status mn__session_base(mn_session **out, const mn_model *m, const mn_session_params *p,
                           mn__cache_shape *shape, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__budget budget;
    if (!m->layer)
        return mn__fail(diag, MN_EUSAGE, "session: the model was opened without weights");
    mn_session *s = mn__alloc_zero(MN_MEM_OTHER, sizeof *s);
    if (!s) return mn__fail(diag, MN_ENOMEM, "session: no memory");
    s->m = m;
    s->last_token = -1;
    mn__session_resolve(m, p, &s->params);
    MN_TRY(mn__session_check(&s->params, diag));
    MN_TRY(copy_strings(s, diag));
    MN_TRY(mn__budget_parse(s->budget_text, &budget, diag));
    *shape = mn__session_shape(m, &s->params);
    MN_TRY(mn__policy_new(&s->policy, s->policy_text, &budget, shape, diag));
    MN_TRY(mn__session_check_model(m, s->policy, shape, diag));
    if (s->params.n_also) MN_TRY(gather_for_others(s, shape, diag));
    mn__session_add_needs(shape, s->policy, mn__session_scorer(s), s->params.positions);
    s->env = (mn__evict_env){.softmax_scale = m->softmax_scale,
                             .model_hook = m,
                             .output_norm = mn__model_output_norm,
                             .output_gram = mn__model_output_gram,
                             .pin = s->pin,
                             .n_pin = s->params.n_pin,
                             .seed = s->params.seed};
    s->team = mn__team_new(s->params.n_thread);
    if (!s->team)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "session: no memory for %d threads", s->params.n_thread));
    MN_TRY(mn__evictor_new(&s->evictor, s->policy, shape, s->params.n_thread, diag));
    mn__forward_limits lim = mn__session_limits(m, &s->params, shape);
    MN_TRY(mn__forward_new(&s->forward, m, &lim, diag));
    *out = s;
    s = NULL;
done:
    mn_session_free(s);
    return st;
}

/* Of the session's own policy or of one that a fork may go on under: it is the same for all. */
static mn_status share_gram(mn_session *s, const mn__cache_shape *shape, mn_diag *diag)
{
    mn_status st = mn__gram_new(&s->shared->gram, s->policy, shape, &s->env, s->team, diag);
    for (size_t i = 0; s->gather && i < mn__gather_count(s->gather); i++)
        if (st == MN_OK && !s->shared->gram)
            st = mn__gram_new(&s->shared->gram, mn__gather_policy(s->gather, i), shape, &s->env,
                              s->team, diag);
    s->env.gram = s->shared->gram;
    return st;
}

mn_status mn_session_new(mn_session **out, const mn_model *m, const mn_session_params *p,
                         mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__cache_shape shape;
    mn_session *s = NULL;
    *out = NULL;
    MN_TRY(mn__session_base(&s, m, p, &shape, diag));
    MN_TRY(shared_pool_new(&s->shared, &shape, diag));
    MN_TRY(share_gram(s, &shape, diag));
    MN_TRY(mn__cache_new(&s->cache, &shape, s->shared->pool, &m->kern, diag));
    MN_TRY(mn__cache_open_ring(s->cache, diag));
    *out = s;
    s = NULL;
done:
    mn_session_free(s);
    return st;
}

void mn_session_free(mn_session *s)
{
    if (!s) return;
    mn__cache_free(s->cache);
    shared_pool_drop(s->shared);
    mn__evictor_free(s->evictor);
    mn__gather_free(s->gather);
    mn__policy_free(s->policy);
    mn__forward_free(s->forward);
    mn__team_free(s->team);
    mn__free(s->pin);
    mn__free(s->policy_text);
    mn__free(s->budget_text);
    mn__free(s);
}

void mn_session_clear(mn_session *s)
{
    mn__cache_clear(s->cache);
    s->env.n_prompt = 0;
    s->last_token = -1;
    s->kv_peak_bytes = 0;
    s->forward_s = s->evict_s = 0;
}

/* ---- steps ---- */

/* How many more tokens every full-attention lane can take. */
static size_t room_left(const mn__cache *c)
{
    size_t longest = c->state ? (size_t)c->n_seen : 0;
    for (size_t i = 0; i < c->shape.n_layer * c->shape.n_kv_head; i++)
        if (c->shape.window[i / c->shape.n_kv_head] <= 0 && c->lane[i].n > longest)
            longest = c->lane[i].n;
    return c->shape.max_slots - longest;
}

mn_status mn__session_reserve(mn_session *s, size_t n, mn_diag *diag)
{
    mn_status st = mn__cache_reserve(s->cache, n, diag);
    if (st != MN_ERANGE || room_left(s->cache) >= n) return st;
    return mn__fail(
        diag, MN_EBUDGET,
        "token %lld does not fit: the context holds %zu tokens a lane and policy '%s' drops none "
        "before it is reached; raise "
        "the context, or choose a policy and a budget that forget while reading (streaming, "
        "h2o:chunk=512)",
        (long long)s->cache->n_seen + (long long)room_left(s->cache) + 1, s->params.n_ctx,
        mn__policy_spec(s->policy));
}

size_t mn__session_chunk(const mn_session *s, size_t left)
{
    size_t every = mn__policy_chunk(s->policy), n = s->params.chunk;
    if (every) { /* events fall on multiples of the policy's own interval */
        size_t to_event = every - (size_t)(s->cache->n_seen % (int64_t)every);
        if (to_event < n) n = to_event;
    }
    return left < n ? left : n;
}

void mn__session_commit(mn_session *s, int32_t last_token)
{
    mn__cache_commit(s->cache);
    s->last_token = last_token;
}

static mn_status evict(mn_session *s, mn__event event, mn_diag *diag)
{
    double t0 = mn__clock_s();
    mn_status st = mn__evict(s->evictor, s->policy, s->cache, s->team, event, &s->env, diag);
    s->evict_s += mn__clock_s() - t0;
    if (st == MN_OK) mn__onlook_event(s, event);
    return st;
}

/* Behind a prompt: what no event needs while an answer is written goes back to the system. After
 * an event that failed another may be tried. */
static void rest(mn_session *s, mn_status event)
{
    mn__evictor_rest(s->evictor);
    if (event == MN_OK && mn__policy_acts_once(s->policy)) mn__cache_close_ring(s->cache);
}

mn_status mn__session_after(mn_session *s, mn__event event, mn_diag *diag)
{
    mn__cache_bytes b;
    mn__cache_get_bytes(s->cache, &b);
    if (b.kv > s->kv_peak_bytes) s->kv_peak_bytes = b.kv;
    mn_status st = mn__evict_due(s->policy, s->cache, event) ? evict(s, event, diag) : MN_OK;
    if (event == MN__EVENT_PROMPT_END) rest(s, st);
    return st;
}

static mn_status check_tokens(const mn_session *s, const int32_t *token, size_t n, mn_diag *diag)
{
    for (size_t i = 0; i < n; i++)
        if (token[i] < 0 || (size_t)token[i] >= s->m->n_vocab)
            return mn__fail(diag, MN_ERANGE, "token %zu is %d, the vocabulary has %zu", i, token[i],
                            s->m->n_vocab);
    return MN_OK;
}

/* One chunk through the layers. */
static mn_status read_chunk(mn_session *s, const int32_t *token, size_t n, mn__want want,
                            mn_diag *diag)
{
    mn_status st = mn__session_reserve(s, n, diag);
    if (st != MN_OK) return st;
    double t0 = mn__clock_s();
    mn__forward_seq seq = {
        .cache = s->cache, .scorer = mn__session_scorer(s), .token = token, .n = n, .want = want};
    mn__forward_run(s->forward, s->team, &seq, 1);
    mn__session_commit(s, token[n - 1]);
    s->forward_s += mn__clock_s() - t0;
    return MN_OK;
}

mn_status mn_session_read(mn_session *s, const int32_t *token, size_t n, bool end_of_prompt,
                          const float **logits, mn_progress_fn progress, void *progress_ctx,
                          mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t done = 0;
    if (!n) return mn__fail(diag, MN_EINPUT, "nothing to read: the prompt has no tokens");
    MN_TRY(check_tokens(s, token, n, diag));
    MN_TRY(mn__cache_open_ring(s->cache, diag));
    s->env.n_prompt = s->cache->n_prompt = s->cache->n_seen + (int64_t)n;
    while (done < n) {
        size_t c = mn__session_chunk(s, n - done);
        bool last = done + c == n;
        MN_TRY(read_chunk(s, token + done, c, last && logits ? MN__WANT_LAST : MN__WANT_NOTHING,
                          diag));
        done += c;
        if (last && logits) *logits = mn__forward_logits(s->forward, s->team, 0, 1, true);
        MN_TRY(mn__session_after(s, MN__EVENT_CHUNK, diag));
        if (progress && progress(done, n, progress_ctx) && !last) return MN_ECANCEL;
    }
    if (end_of_prompt) MN_TRY(mn__session_after(s, MN__EVENT_PROMPT_END, diag));
done:
    return st;
}

mn_status mn_session_score(mn_session *s, const int32_t *token, size_t n, mn_logits_fn fn,
                           void *ctx, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t done = 0, V = s->m->n_vocab,
           slice = mn__session_limits(s->m, &s->params, &s->cache->shape).max_logit_row;
    MN_TRY(check_tokens(s, token, n, diag));
    MN_TRY(mn__cache_open_ring(s->cache, diag));
    while (done < n) {
        size_t c = mn__session_chunk(s, n - done);
        MN_TRY(read_chunk(s, token + done, c, MN__WANT_ALL, diag));
        for (size_t i = 0; i < c; i += slice) {
            size_t rows = c - i < slice ? c - i : slice;
            const float *l = mn__forward_logits(s->forward, s->team, i, rows, false);
            for (size_t r = 0; r < rows; r++) fn(done + i + r, l + r * V, ctx);
        }
        done += c;
        MN_TRY(mn__session_after(s, MN__EVENT_CHUNK, diag));
    }
done:
    return st;
}

mn_status mn_session_step(mn_session *s, int32_t token, const float **logits, mn_diag *diag)
{
    mn_status st = check_tokens(s, &token, 1, diag);
    if (st == MN_OK) st = mn__session_reserve(s, 1, diag);
    if (st != MN_OK) return st;
    double t0 = mn__clock_s();
    mn__forward_seq seq = {.cache = s->cache,
                           .scorer = mn__session_scorer(s),
                           .token = &token,
                           .n = 1,
                           .decode = true,
                           .want = MN__WANT_LAST};
    mn__forward_run(s->forward, s->team, &seq, 1);
    mn__session_commit(s, token);
    *logits = mn__forward_logits(s->forward, s->team, 0, 1, true);
    s->forward_s += mn__clock_s() - t0;
    return mn__session_after(s, MN__EVENT_DECODE, diag);
}

mn_status mn_session_evict(mn_session *s, mn_diag *diag)
{
    const mn__cache *c = s->cache;
    const bool has_looked =
        mn__policy_acts_once(s->policy) && c->shape.n_query_ring && c->query_begin == c->n_seen;
    mn_status st = has_looked ? MN_OK : evict(s, MN__EVENT_PROMPT_END, diag);
    rest(s, st);
    return st;
}

mn_status mn_session_rewind(mn_session *s, size_t n, mn_diag *diag)
{
    if (n > (size_t)s->cache->n_seen)
        return mn__fail(diag, MN_ERANGE, "rewind by %zu: only %lld tokens were read", n,
                        (long long)s->cache->n_seen);
    if (n && s->cache->state && n < (size_t)s->cache->n_seen)
        return mn__fail(diag, MN_EUSAGE,
                        "rewind by %zu: the state that attention carries forgets nothing by itself",
                        n);
    if (n && s->cache->state) {
        mn_session_clear(s);
        return MN_OK;
    }
    mn_status st = mn__cache_rewind(s->cache, n);
    if (n) s->last_token = -1;
    return st == MN_OK ? st
                       : mn__fail(diag, st, "rewind by %zu: no memory for keys that move back", n);
}

/* ---- what it holds ---- */

void mn_session_get_info(const mn_session *s, mn_session_info *out)
{
    mn__cache_bytes b;
    size_t kept = 0, lanes = 0;
    const mn__cache *c = s->cache;
    mn__cache_get_bytes(c, &b);
    for (size_t l = 0; l < c->shape.n_layer; l++)
        for (size_t n = 0; c->shape.window[l] == 0 && n < c->shape.n_kv_head; n++, lanes++)
            kept += mn__cache_lane(c, l, n)->n;
    *out = (mn_session_info){.n_seen = c->n_seen,
                             .last_token = s->last_token,
                             .kv_bytes = b.kv,
                             .kv_window_bytes = b.kv_window,
                             .kv_full_bytes = b.kv_full,
                             .kv_peak_bytes = s->kv_peak_bytes > b.kv ? s->kv_peak_bytes : b.kv,
                             .policy_bytes = b.policy,
                             .state_bytes = c->shape.state_bytes,
                             .kept_share = lanes && c->n_seen && !c->state
                                               ? (double)kept / ((double)lanes * (double)c->n_seen)
                                               : 1.0,
                             .n_nan_scores = c->n_nan,
                             .nan_rule = mn__policy_nan_rule(s->policy),
                             .policy = mn__policy_spec(s->policy),
                             .evict_s = s->evict_s,
                             .forward_s = s->forward_s};
}

size_t mn_session_kept(const mn_session *s, size_t layer, size_t head, const int32_t **token)
{
    const mn__lane *l = mn__cache_lane(s->cache, layer, head);
    *token = mn__lane_token(l);
    return l->n;
}
