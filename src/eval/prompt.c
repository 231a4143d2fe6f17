/* prompt.c: templates and the cut in the middle. */
#include "eval/prompt.h"

#include <stdbool.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/draft.h"
#include "text/utf8.h"

/* ---- templates ---- */

/* What a name in braces stands for; NULL: the brace is text. *n: bytes of the name with its braces.
 * missing: an option that the row does not have. */
static const char *field(const mn__row *row, const char *at, size_t *n, bool *missing)
{
    *missing = false;
    if (strncmp(at, "{context}", *n = 9) == 0) return row->context;
    if (strncmp(at, "{input}", *n = 7) == 0) return row->input;
    *n = 3;
    if (at[0] != '{' || at[1] < 'A' || at[1] > 'D' || at[2] != '}') return NULL;
    *missing = (size_t)(at[1] - 'A') >= row->n_class;
    return *missing ? NULL : row->classes[at[1] - 'A'];
}

mn_status mn__prompt_fill(mn__prompt *out, const mn__task *task, const mn__row *row, mn_diag *diag)
{
    mn__draft text = {0};
    size_t split = 0;
    *out = (mn__prompt){0};
    for (const char *at = task->prompt; *at;) {
        size_t plain = strcspn(at, "{"), n;
        bool missing;
        mn__draft_put(&text, at, plain);
        at += plain;
        if (!*at) break;
        const char *value = field(row, at, &n, &missing);
        if (missing) {
            mn__draft_free(&text);
            return mn__fail(diag, MN_EINPUT,
                            "task %s, row `%.80s`: the prompt asks for option %c, the row has %zu "
                            "options in `all_classes`",
                            task->name, row->id, at[1], row->n_class);
        }
        mn__draft_str(&text, value ? value : "{");
        if (value && strncmp(at, "{context}", 9) == 0) split = text.n;
        at += value ? n : 1;
    }
    if (text.failed || !text.text) {
        mn__draft_free(&text);
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for a prompt", task->name);
    }
    *out = (mn__prompt){.text = text.text, .n_byte = text.n, .split = split};
    return MN_OK;
}

void mn__prompt_free(mn__prompt *p)
{
    mn__free(p->text);
    *p = (mn__prompt){0};
}

/* ---- tokens ---- */

/* Tokens of a text in *out, the caller's. */
static mn_status encode(const mn__tokens *t, const mn__prompt *p, mn_token_buf *out, mn_diag *diag)
{
    mn_status st;
    *out = (mn_token_buf){.cap = p->n_byte + 8}; /* a token stands for at least a byte, mostly */
    for (int i = 0; i < 2; i++) {
        out->data = mn__alloc_array(MN_MEM_OTHER, out->cap, sizeof *out->data);
        if (!out->data)
            return mn__fail(diag, MN_ENOMEM, "no memory for %zu tokens of a prompt", out->cap);
        st = t->encode(t->ctx, p->text, p->n_byte, out, diag);
        if (st == MN_OK && out->n <= out->cap) return MN_OK;
        mn__free(out->data);
        out->data = NULL;
        if (st != MN_OK) return st;
        out->cap = out->n;
    }
    return mn__fail(diag, MN_EFAIL, "a text of %zu bytes has another number of tokens each time",
                    p->n_byte);
}

mn_status mn__tokens_count(const mn__tokens *t, const char *text, size_t n_byte, size_t *n,
                           mn_diag *diag)
{
    mn_token_buf buf = {0};
    mn_status st = t->encode(t->ctx, text, n_byte, &buf, diag);
    if (st == MN_OK) *n = buf.n;
    return st;
}

/* Append the text of tokens; characters that the cut broke become U+FFFD. */
static mn_status decode(const mn__tokens *t, const int32_t *token, size_t n, mn__draft *out,
                        mn_diag *diag)
{
    mn_status st;
    mn_text_buf bytes = {0};
    mn__utf8_gate gate = {0};
    char *whole = NULL;
    MN_TRY(t->decode(t->ctx, token, n, &bytes, diag));
    bytes.cap = bytes.n;
    bytes.data = mn__alloc(MN_MEM_OTHER, bytes.cap);
    whole = mn__alloc(MN_MEM_OTHER, MN__UTF8_BOUND(bytes.cap));
    if (!bytes.data || !whole)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for the text of %zu tokens", n));
    MN_TRY(t->decode(t->ctx, token, n, &bytes, diag));
    mn__draft_put(out, whole, mn__utf8_gate_push(&gate, bytes.data, bytes.cap, whole));
    mn__draft_put(out, whole, mn__utf8_gate_flush(&gate, whole));
done:
    mn__free(bytes.data);
    mn__free(whole);
    return st;
}

/* ---- the cut ---- */

/* Where the question begins in the joined text: as far from the end as before, if the last half
 * holds it whole. */
static size_t find_split(const mn__prompt *old, const mn__draft *joined, size_t seam)
{
    size_t question = old->n_byte - old->split;
    if (question > joined->n - seam) return seam;
    if (memcmp(joined->text + joined->n - question, old->text + old->split, question) != 0)
        return seam;
    return joined->n - question;
}

/* Some tokenizers put a blank in front of every text. The libraries that LongBench runs on drop it
 * when those make text of tokens: of the prompt's beginning, and of the last half's too. */
static bool has_added_blank(const mn__prompt *p, const mn__draft *head)
{
    return strspn(mn__draft_text(head), " ") == strspn(p->text, " ") + 1;
}

static void drop_blank(mn__draft *d, size_t at)
{
    if (d->failed || at >= d->n || d->text[at] != ' ') return;
    memmove(d->text + at, d->text + at + 1, d->n - at); /* with the NUL */
    d->n--;
}

mn_status mn__prompt_cut(mn__prompt *p, const mn__tokens *t, size_t n_max, mn_diag *diag)
{
    mn_status st;
    mn_token_buf token = {0};
    mn__draft text = {0};
    size_t half = n_max / 2;
    if (half == 0)
        return mn__fail(diag, MN_ERANGE, "room for at least 2 tokens of a prompt wanted, %zu found",
                        n_max);
    MN_TRY(encode(t, p, &token, diag));
    p->n_token = token.n;
    if (token.n <= n_max) goto done;
    MN_TRY(decode(t, token.data, half, &text, diag));
    bool blank = has_added_blank(p, &text);
    if (blank) drop_blank(&text, 0);
    size_t seam = text.n;
    MN_TRY(decode(t, token.data + token.n - half, half, &text, diag));
    if (blank) drop_blank(&text, seam);
    if (text.failed || !text.text)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a prompt of %zu tokens", n_max));
    p->split = find_split(p, &text, seam);
    p->n_cut = token.n - 2 * half;
    mn__free(p->text);
    p->text = text.text;
    p->n_byte = text.n;
    text = (mn__draft){0};
    MN_TRY(mn__tokens_count(t, p->text, p->n_byte, &p->n_token, diag));
done:
    mn__free(token.data);
    mn__draft_free(&text);
    return st;
}
