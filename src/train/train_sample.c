/* train_sample.c: text -> tokens -> text. A prompt stands behind the end of another document, as
 * every document does in training. */
#include "train/train_sample.h"

#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "text/utf8.h"

#define DOCUMENT_END "\n\n"

static mn_status prompt_tokens(const mn__tokenizer *t, const char *text, int32_t **out, size_t *n,
                               mn_diag *diag)
{
    mn_token_buf buf = {0};
    mn_status st = mn__vocab_tokenize(t->vocab, text, strlen(text), 0, &buf, diag);
    if (st != MN_OK) return st;
    *out = mn__alloc_array(MN_MEM_OTHER, buf.n + 1, sizeof **out);
    if (!*out) return mn__fail(diag, MN_ENOMEM, "no memory for a prompt");
    (*out)[0] = t->end;
    buf = (mn_token_buf){.data = *out + 1, .cap = buf.n};
    st = mn__vocab_tokenize(t->vocab, text, strlen(text), 0, &buf, diag);
    *n = buf.n + 1;
    return st;
}

mn_status mn__train_sample_init(mn__train_sample *out, const mn__trainer *t,
                                const mn__tokenizer *tokenizer, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__config *c = &t->learner->config;
    mn__train_sample s = {.tokenizer = tokenizer};
    int32_t *prompt = NULL;
    mn__continuation_params p = {.n_new = c->report_sample_tokens,
                                 .temperature = c->report_temperature};
    *out = (mn__train_sample){0};
    if (!c->report_sample_tokens) return MN_OK;
    MN_TRY(prompt_tokens(tokenizer, c->report_prompt, &prompt, &p.n_prompt, diag));
    p.prompt = prompt;
    MN_TRY(mn__continuation_init(&s.at, t, &p, diag));
    s.room =
        MN__UTF8_BOUND(s.at.n * (mn__vocab_token_bytes(tokenizer->vocab) + sizeof DOCUMENT_END)) +
        1;
    s.text = mn__alloc(MN_MEM_OTHER, s.room);
    if (!s.text) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a sample"));
    *out = s;
    s = (mn__train_sample){0};
done:
    mn__free(prompt);
    mn__train_sample_fini(&s);
    return st;
}

/* The bytes that a token stands for, NULs left out: texts end there. */
static size_t token_bytes(const mn__train_sample *s, int32_t token, char *out, size_t cap)
{
    mn_text_buf buf = {.data = out, .cap = cap};
    size_t n = 0;
    if (token == s->tokenizer->end) {
        memcpy(out, DOCUMENT_END, sizeof DOCUMENT_END - 1);
        return sizeof DOCUMENT_END - 1;
    }
    if (mn__vocab_token_text(s->tokenizer->vocab, token, false, &buf, NULL) != MN_OK) return 0;
    for (size_t i = 0; i < buf.n && buf.n <= cap; i++)
        if (out[i]) out[n++] = out[i];
    return n;
}

const char *mn__train_sample_write(mn__train_sample *s, mn__trainer *t)
{
    enum { PIECE = 256 };
    mn__utf8_gate gate = {0};
    size_t at = 0;
    char piece[PIECE];
    mn__continuation_write(&s->at, t);
    for (size_t i = s->at.n_prompt; i < s->at.n; i++) {
        const size_t n = token_bytes(s, s->at.token[i], piece, sizeof piece);
        if (at + MN__UTF8_BOUND(n) < s->room)
            at += mn__utf8_gate_push(&gate, piece, n, s->text + at);
    }
    if (at + MN__UTF8_BOUND(0) < s->room) at += mn__utf8_gate_flush(&gate, s->text + at);
    s->text[at] = '\0';
    return s->text;
}

void mn__train_sample_fini(mn__train_sample *s)
{
    mn__continuation_fini(&s->at);
    mn__free(s->text);
    *s = (mn__train_sample){0};
}
