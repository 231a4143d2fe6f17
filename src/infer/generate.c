/* generate.c: choose, show, step, until the model ends its turn or the caller has enough. */
#include "mneme/generate.h"

#include <assert.h>

#include "base/clock.h"
#include "base/diag.h"
#include "infer/sampler.h"
#include "infer/session_internal.h"
#include "text/utf8.h"

struct mn_sampler {
    const mn_model *m;
    mn__sampler *sampler;
    size_t n_logit;
    mn_text_buf piece; /* room for any token, */
    char *text;        /* and for what the gate makes of it */
};

mn_status mn_sampler_new(mn_sampler **out, const mn_model *m, const mn_sampler_params *params,
                         mn_diag *diag)
{
    *out = NULL;
    mn_sampler *s = mn__alloc_zero(MN_MEM_OTHER, sizeof *s);
    if (!s) return mn__fail(diag, MN_ENOMEM, "sampler: no memory");
    mn_status st;
    s->m = m;
    s->n_logit = m->n_vocab;
    s->piece.cap = mn__vocab_token_bytes(m->vocab);
    s->piece.data = mn__alloc(MN_MEM_OTHER, s->piece.cap);
    s->text = mn__alloc(MN_MEM_OTHER, MN__UTF8_BOUND(s->piece.cap));
    if (!s->piece.data || !s->text) MN_TRY(mn__fail(diag, MN_ENOMEM, "sampler: no memory"));
    MN_TRY(mn__sampler_new(&s->sampler, params, m->vocab, diag));
    *out = s;
    s = NULL;
done:
    mn_sampler_free(s);
    return st;
}

void mn_sampler_free(mn_sampler *s)
{
    if (!s) return;
    mn__sampler_free(s->sampler);
    mn__free(s->piece.data);
    mn__free(s->text);
    mn__free(s);
}

mn_status mn_sampler_prime(mn_sampler *s, const int32_t *token, size_t n, mn_diag *diag)
{
    return mn__sampler_prime(s->sampler, token, n, diag);
}

void mn_sampler_next_answer(mn_sampler *s)
{
    mn__sampler_next_answer(s->sampler);
}

mn_status mn_sampler_next(mn_sampler *s, const float *logits, int32_t *token, mn_diag *diag)
{
    mn_status st = mn__sampler_pick(s->sampler, logits, s->n_logit, token, diag);
    return st == MN_OK ? mn__sampler_accept(s->sampler, *token, diag) : st;
}

/* The text of one token through the gate; true when the caller has enough. */
static bool show(mn_sampler *s, const mn_generate_params *p, mn__utf8_gate *gate, int32_t token)
{
    mn_text_buf *piece = &s->piece;
    if (!p->on_text || mn__vocab_token_text(s->m->vocab, token, false, piece, NULL) != MN_OK)
        return false;
    assert(piece->n <= piece->cap);
    size_t n = mn__utf8_gate_push(gate, piece->data, piece->n, s->text);
    return n && p->on_text(s->text, n, p->ctx);
}

static void flush(const mn_generate_params *p, mn__utf8_gate *gate)
{
    char text[MN__UTF8_BOUND(0)];
    size_t n = p->on_text ? mn__utf8_gate_flush(gate, text) : 0;
    if (n) p->on_text(text, n, p->ctx);
}

mn_status mn_generate(mn_session *s, mn_sampler *sampler, const float *logits,
                      const mn_generate_params *params, mn_generated *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__utf8_gate gate = {0};
    double t0 = mn__clock_s();
    *out = (mn_generated){.stop = MN_STOP_LENGTH};
    if (s->m != sampler->m)
        return mn__fail(diag, MN_EUSAGE, "the sampler was made for another model than the session");
    while (out->n_token < params->max_token) {
        int32_t token;
        MN_TRY(mn_sampler_next(sampler, logits, &token, diag));
        bool end = !params->ignore_end && mn__vocab_is_end(s->m->vocab, token);
        if (!end) out->n_token++;
        bool enough = !end && show(sampler, params, &gate, token);
        MN_TRY(mn_session_step(s, token, &logits, diag));
        if (end || enough) {
            out->stop = end ? MN_STOP_END : MN_STOP_CALLER;
            break;
        }
    }
done:
    flush(params, &gate);
    out->seconds = mn__clock_s() - t0;
    return st;
}
