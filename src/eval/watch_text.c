/* watch_text.c: the bytes that a text's tokens stand for, what kind each is, and finding one. */
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/watch_internal.h"
#include "mneme/text.h"
#include "text/unicode.h"

const char *const mn__token_kind_name[MN__KIND_COUNT] = {
    "word", "number", "punctuation", "code", "space", "newline", "part", "control"};

/* ---- kinds ---- */

static bool is_code(uint32_t c)
{
    return c && c < 128 && strchr("{}[]<>=+*/\\|&^%$#@~_`", (int)c);
}

mn__token_kind mn__token_kind_of(const char *text, size_t n)
{
    enum { MOST = 256 }; /* what the first characters are, the token is */
    uint32_t c[MOST];
    bool newline = false, space = false, digit = false, code = false, letter = false, other = false;
    if (!n) return MN__KIND_CONTROL;
    size_t n_char = mn__unicode_read(text, n < MOST ? n : MOST, c);
    for (size_t i = 0; i < n_char; i++) {
        if (c[i] == 0xFFFD && n < 4) return MN__KIND_PART;
        newline |= c[i] == '\n' || c[i] == '\r';
        if (mn__unicode_is_space(c[i]))
            space = true;
        else if (mn__unicode_is_digit(c[i]))
            digit = true;
        else if (is_code(c[i]))
            code = true;
        else if (mn__unicode_is_word(c[i]))
            letter = true;
        else
            other = true;
    }
    return letter    ? MN__KIND_WORD
           : digit   ? MN__KIND_NUMBER
           : code    ? MN__KIND_CODE
           : other   ? MN__KIND_PUNCTUATION
           : newline ? MN__KIND_NEWLINE
           : space   ? MN__KIND_SPACE
                     : MN__KIND_PUNCTUATION;
}

/* ---- texts ---- */

static mn_status fill(mn__watch_text *t, const mn_model *m, const int32_t *token, mn_diag *diag)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t room = t->at[i + 1] - t->at[i];
        mn_text_buf plain = {0}, whole = {.data = t->data + t->at[i], .cap = room};
        mn_status st = mn_token_text(m, token[i], true, &whole, diag);
        if (st == MN_OK) st = mn_token_text(m, token[i], false, &plain, diag);
        if (st != MN_OK) return st;
        t->kind[i] = (uint8_t)(plain.n ? mn__token_kind_of(whole.data, room) : MN__KIND_CONTROL);
    }
    return MN_OK;
}

mn_status mn__watch_text_make(mn__watch_text *out, const mn_model *m, const int32_t *token,
                              size_t n, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__watch_text t = {.n = n};
    t.at = mn__alloc_array(MN_MEM_OTHER, n + 1, sizeof *t.at);
    t.kind = mn__alloc(MN_MEM_OTHER, n);
    if (!t.at || !t.kind) MN_TRY(MN_ENOMEM);
    t.at[0] = 0;
    for (size_t i = 0; i < n; i++) {
        mn_text_buf size = {0};
        MN_TRY(mn_token_text(m, token[i], true, &size, diag));
        t.at[i + 1] = t.at[i] + size.n;
    }
    t.data = mn__alloc(MN_MEM_OTHER, t.at[n]);
    if (!t.data) MN_TRY(MN_ENOMEM);
    MN_TRY(fill(&t, m, token, diag));
    *out = t;
    t = (mn__watch_text){0};
done:
    mn__watch_text_free(&t);
    return st == MN_ENOMEM ? mn__fail(diag, st, "no memory for the text of %zu tokens", n) : st;
}

void mn__watch_text_free(mn__watch_text *t)
{
    mn__free(t->data);
    mn__free(t->at);
    mn__free(t->kind);
    *t = (mn__watch_text){0};
}

/* ---- finding ---- */

/* The token that byte `at` lies in. */
static size_t token_at(const mn__watch_text *t, size_t at)
{
    size_t lo = 0, hi = t->n;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (t->at[mid] <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

mn_status mn_watch_find(const mn_model *m, const int32_t *token, size_t n, const char *text,
                        size_t *out, mn_diag *diag)
{
    mn__watch_text t;
    if (!*text) return mn__fail(diag, MN_EUSAGE, "a token is wanted, none given");
    mn_status st = mn__watch_text_make(&t, m, token, n, diag);
    if (st != MN_OK) return st;
    const char *found = memmem(t.data, t.at[n], text, strlen(text));
    if (found)
        *out = token_at(&t, (size_t)(found - t.data));
    else
        st = mn__fail(diag, MN_EINPUT, "'%s' does not stand in the text of %zu tokens", text, n);
    mn__watch_text_free(&t);
    return st;
}
