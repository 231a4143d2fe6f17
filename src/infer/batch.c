/* batch.c: one generated token for each of several sessions: their rows share one pass over the
 * weights. */
#include "base/clock.h"
#include "base/diag.h"
#include "infer/session_internal.h"

struct mn_batch {
    const mn_model *m;
    size_t max_session, n_ctx;
    mn__kv_type kv_type;
    mn__forward *forward;
    mn__team *team;
    mn__forward_seq *seq;
};

mn_status mn_batch_new(mn_batch **out, const mn_model *m, const mn_session_params *p,
                       size_t max_session, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_session_params params;
    mn_batch *b = NULL;
    *out = NULL;
    if (!max_session || max_session > 4096)
        return mn__fail(diag, MN_EUSAGE, "batch: 1 to 4096 sessions, %zu given", max_session);
    if (!m->layer) return mn__fail(diag, MN_EUSAGE, "batch: the model was opened without weights");
    mn__session_resolve(m, p, &params);
    MN_TRY(mn__session_check(&params, diag));
    mn__cache_shape shape = mn__session_shape(m, &params);
    mn__forward_limits lim = mn__session_limits(m, &params, &shape);
    lim.max_prefill_row = 0;
    lim.max_decode_row = lim.max_logit_row = max_session;
    b = mn__alloc_zero(MN_MEM_OTHER, sizeof *b);
    if (!b) return mn__fail(diag, MN_ENOMEM, "batch: no memory");
    b->m = m;
    b->max_session = max_session;
    b->n_ctx = params.n_ctx;
    b->kv_type = shape.kv_type;
    b->team = mn__team_new(params.n_thread);
    b->seq = mn__alloc_array(MN_MEM_OTHER, max_session, sizeof *b->seq);
    if (!b->team || !b->seq) MN_TRY(mn__fail(diag, MN_ENOMEM, "batch: no memory"));
    MN_TRY(mn__forward_new(&b->forward, m, &lim, diag));
    *out = b;
    b = NULL;
done:
    mn_batch_free(b);
    return st;
}

void mn_batch_free(mn_batch *b)
{
    if (!b) return;
    mn__forward_free(b->forward);
    mn__team_free(b->team);
    mn__free(b->seq);
    mn__free(b);
}

/* The workspace is made for lanes of one kind and length. */
static mn_status check_session(const mn_batch *b, const mn_session *s, size_t i, mn_diag *diag)
{
    const mn__cache_shape *shape = &s->cache->shape;
    if (s->m != b->m)
        return mn__fail(diag, MN_EUSAGE, "batch: session %zu belongs to another model", i);
    if (shape->max_slots > b->n_ctx || shape->kv_type != b->kv_type)
        return mn__fail(diag, MN_EUSAGE,
                        "batch: a context of at most %zu tokens and the batch's cache type wanted, "
                        "session %zu has %zu tokens and %s type",
                        b->n_ctx, i, shape->max_slots,
                        shape->kv_type == b->kv_type ? "this" : "another");
    if (s->cache->n_reserved)
        return mn__fail(diag, MN_EUSAGE, "batch: session %zu stands there twice", i);
    return MN_OK;
}

static mn_status prepare(mn_batch *b, mn_session *const *s, const int32_t *token, size_t n,
                         mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t ready = 0;
    for (; ready < n; ready++) {
        MN_TRY(check_session(b, s[ready], ready, diag));
        if (token[ready] < 0 || (size_t)token[ready] >= b->m->n_vocab)
            MN_TRY(mn__fail(diag, MN_ERANGE, "token %d, the vocabulary has %zu", token[ready],
                            b->m->n_vocab));
        MN_TRY(mn__session_reserve(s[ready], 1, diag));
        b->seq[ready] = (mn__forward_seq){.cache = s[ready]->cache,
                                          .scorer = mn__session_scorer(s[ready]),
                                          .token = &token[ready],
                                          .n = 1,
                                          .decode = true,
                                          .want = MN__WANT_LAST};
    }
done:
    if (st != MN_OK)
        for (size_t i = 0; i < ready; i++) mn__cache_rollback(s[i]->cache);
    return st;
}

mn_status mn_batch_step(mn_batch *b, mn_session *const *s, const int32_t *token, size_t n,
                        const float **logits, mn_diag *diag)
{
    if (!n || n > b->max_session)
        return mn__fail(diag, MN_EUSAGE, "batch: 1 to %zu sessions, %zu given", b->max_session, n);
    mn_status st = prepare(b, s, token, n, diag);
    if (st != MN_OK) return st;
    double t0 = mn__clock_s();
    mn__forward_run(b->forward, b->team, b->seq, n);
    float *l = mn__forward_logits(b->forward, b->team, 0, n, true);
    double share = (mn__clock_s() - t0) / (double)n;
    for (size_t i = 0; i < n; i++) {
        mn__session_commit(s[i], token[i]);
        s[i]->forward_s += share;
        logits[i] = l + i * b->m->n_vocab;
        mn_status after = mn__session_after(s[i], MN__EVENT_DECODE, st == MN_OK ? diag : NULL);
        if (st == MN_OK) st = after;
    }
    return st;
}
