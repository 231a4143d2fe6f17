/* state.c: a session to a file and back. The sequence is whole in the file: what was read and kept,
 * what its policy has seen, pins and seed. How it is to go on (model, policy, budget, cache type,
 * positions) must be asked for as it was; context, step size and threads may be others. */
#include <string.h>

#include "base/diag.h"
#include "cache/cache_state.h"
#include "infer/session_internal.h"
#include "infer/state_file.h"

/* ---- out ---- */

static mn__state_head head_of(const mn_session *s)
{
    const mn__cache *c = s->cache;
    const mn__cache_shape *shape = &c->shape;
    return (mn__state_head){
        .model_hash = s->m->hash,
        .n_layer = (uint32_t)shape->n_layer,
        .n_head = (uint32_t)shape->n_head,
        .n_kv_head = (uint32_t)shape->n_kv_head,
        .head_dim = (uint32_t)shape->head_dim,
        .kv_type = (uint32_t)s->params.kv_type,
        .compact = shape->compact,
        .n_pin = (uint32_t)s->params.n_pin,
        .slot_bytes = shape->slot_bytes,
        .lane_bytes = shape->lane_bytes,
        .n_query_ring = shape->n_query_ring,
        .n_ctx = s->params.n_ctx,
        .chunk = s->params.chunk,
        .seed = s->params.seed,
        .n_seen = c->n_seen,
        .n_prompt = s->env.n_prompt,
        .query_begin = c->query_begin,
        .n_nan = c->n_nan,
        .kv_peak_bytes = s->kv_peak_bytes,
        .forward_s = s->forward_s,
        .evict_s = s->evict_s,
        .last_token = s->last_token,
    };
}

mn_status mn_session_save(const mn_session *s, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__state_writer w = {0};
    mn__state_head head = head_of(s);
    mn__state_text text = {.name = s->m->name,
                           .policy = mn__policy_spec(s->policy),
                           .budget = s->params.budget,
                           .pin = (const mn_pin *)s->pin}; /* same layout */
    MN_TRY(mn__state_create(&w, path, &head, &text, mn__cache_state_bytes(s->cache), diag));
    MN_TRY(mn__cache_save(s->cache, mn__state_put, &w));
    MN_TRY(mn__state_commit(&w));
done:
    mn__state_abort(&w);
    return st;
}

/* ---- in ---- */

static mn_status differs(const mn__state_reader *r, const char *what, const char *saved,
                         const char *given)
{
    return mn__fail(r->diag, MN_EINPUT, "%s: saved with %s '%s', opened with '%s'", r->path, what,
                    saved, given);
}

static mn_status check_model(const mn__state_reader *r, const mn_model *m)
{
    const mn__state_head *h = &r->head;
    if (h->model_hash == m->hash && h->n_layer == m->n_layer && h->n_head == m->n_head &&
        h->n_kv_head == m->n_kv_head && h->head_dim == m->head_dim)
        return MN_OK;
    return mn__fail(r->diag, MN_EINPUT,
                    "%s: saved with the model '%.96s' (%016llx), opened with '%s' (%016llx)",
                    r->path, r->text.name, (unsigned long long)h->model_hash, m->name,
                    (unsigned long long)m->hash);
}

static mn_status check_options(const mn__state_reader *r, const mn_session *s)
{
    static const char *const positions[] = {"absolute", "compact"};
    const mn__state_head *h = &r->head;
    const mn__cache_shape *shape = &s->cache->shape;
    if (strcmp(r->text.policy, mn__policy_spec(s->policy)) != 0)
        return differs(r, "policy", r->text.policy, mn__policy_spec(s->policy));
    if (strcmp(r->text.budget, s->params.budget) != 0)
        return differs(r, "budget", r->text.budget, s->params.budget);
    if (h->kv_type != (uint32_t)s->params.kv_type)
        return differs(r, "cache type", mn__state_kv_name(h->kv_type),
                       mn__state_kv_name((uint32_t)s->params.kv_type));
    if (shape->state_bytes && h->n_ctx != s->params.n_ctx)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: attention state for a context of %llu tokens, opened with one of %zu",
                        r->path, (unsigned long long)h->n_ctx, s->params.n_ctx);
    if (h->compact != shape->compact)
        return differs(r, "positions", positions[h->compact != 0], positions[shape->compact]);
    if (h->slot_bytes != shape->slot_bytes || h->lane_bytes != shape->lane_bytes ||
        h->n_query_ring != shape->n_query_ring)
        return mn__fail(
            r->diag, MN_EINPUT,
            "%s: policy state of %llu bytes a token, %llu a head and %llu queries wanted, "
            "%llu, %llu and %llu found",
            r->path, (unsigned long long)shape->slot_bytes, (unsigned long long)shape->lane_bytes,
            (unsigned long long)shape->n_query_ring, (unsigned long long)h->slot_bytes,
            (unsigned long long)h->lane_bytes, (unsigned long long)h->n_query_ring);
    return MN_OK;
}

static mn_status check_numbers(const mn__state_reader *r, const mn_model *m)
{
    const mn__state_head *h = &r->head;
    if (h->n_seen < 0 || h->n_seen > INT32_MAX || h->n_prompt < 0 || h->n_prompt > INT32_MAX)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: %lld tokens read, %lld of the prompt: 0 to %d wanted", r->path,
                        (long long)h->n_seen, (long long)h->n_prompt, INT32_MAX);
    if (h->last_token < -1 || h->last_token >= (int64_t)m->n_vocab)
        return mn__fail(r->diag, MN_EINPUT, "%s: the last token is %lld, the vocabulary has %zu",
                        r->path, (long long)h->last_token, m->n_vocab);
    for (size_t i = 0; i < h->n_pin; i++)
        if (r->pin[i].begin < 0 || r->pin[i].end < r->pin[i].begin)
            return mn__fail(r->diag, MN_EINPUT, "%s: pinned span %zu is [%lld, %lld)", r->path, i,
                            (long long)r->pin[i].begin, (long long)r->pin[i].end);
    return MN_OK;
}

static bool has_pin(const mn_pin *pin, size_t n, mn_pin x)
{
    for (size_t i = 0; i < n; i++)
        if (pin[i].begin == x.begin && pin[i].end == x.end) return true;
    return false;
}

/* The file's pins and those given that are not among them; owned by the caller. */
static mn_status join_pins(const mn__state_reader *r, const mn_session_params *p, mn_pin **out,
                           size_t *n_out)
{
    size_t n = r->head.n_pin;
    mn_pin *pin = mn__alloc_array(MN_MEM_OTHER, n + p->n_pin, sizeof *pin);
    if (!pin) return mn__fail(r->diag, MN_ENOMEM, "%s: no memory to read it", r->path);
    if (n) memcpy(pin, r->pin, n * sizeof *pin);
    for (size_t i = 0; i < p->n_pin; i++)
        if (!has_pin(pin, n, p->pin[i])) pin[n++] = p->pin[i];
    *out = pin;
    *n_out = n;
    return MN_OK;
}

static mn_status read_cache(mn__state_reader *r, mn_session *s)
{
    const mn__state_head *h = &r->head;
    mn__state_source from = {.get = mn__state_get, .left = mn__state_left, .ctx = r};
    s->cache->n_seen = h->n_seen;
    s->cache->query_begin = h->query_begin;
    s->cache->n_nan = h->n_nan;
    mn_status st = mn__cache_load(s->cache, &from, r->diag);
    if (st != MN_OK && !r->has_failed) mn__diag_prefix(r->diag, "%s", r->path);
    if (mn__policy_acts_once(s->policy) && h->query_begin == h->n_seen)
        mn__cache_close_ring(s->cache); /* as it was */
    return st == MN_OK ? mn__state_end(r) : st;
}

mn_status mn_session_load(mn_session **out, const mn_model *m, const mn_session_params *p,
                          const char *path, mn_diag *diag)
{
    mn_status st;
    mn__state_reader r = {.fd = -1};
    mn_session_params params = *p;
    mn_session *s = NULL;
    mn_pin *pin = NULL;
    *out = NULL;
    MN_TRY(mn__state_open(&r, path, diag));
    MN_TRY(check_model(&r, m));
    MN_TRY(check_numbers(&r, m));
    MN_TRY(join_pins(&r, p, &pin, &params.n_pin));
    params.pin = pin;
    params.seed = r.head.seed;
    MN_TRY(mn_session_new(&s, m, &params, diag));
    MN_TRY(check_options(&r, s));
    MN_TRY(read_cache(&r, s));
    s->env.n_prompt = s->cache->n_prompt = r.head.n_prompt;
    s->kv_peak_bytes = (size_t)r.head.kv_peak_bytes;
    s->forward_s = r.head.forward_s;
    s->evict_s = r.head.evict_s;
    s->last_token = (int32_t)r.head.last_token;
    *out = s;
    s = NULL;
done:
    mn_session_free(s);
    mn__free(pin);
    mn__state_close(&r);
    return st;
}
