/* corpus.c: reading texts and finding sentences: by rule, so that every machine finds the same. A
 * sentence ends behind . ! ? and any closing quotes when a blank follows, behind their full-width
 * kin in any case, and at a line's end. That "Mr. " ends one too does no harm here. */
#include "eval/corpus.h"

#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/unpack.h"
#include "text/utf8.h"

enum { MAX_BYTES = 1 << 30, BUF_BYTES = 1 << 16 };
#define DOCUMENT_END "<|endoftext|>"

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static mn_status read_all(mn__draft *out, const char *path, mn_diag *diag)
{
    mn__unpack *file = NULL;
    mn_status st;
    size_t n = 1;
    char *buf = mn__alloc(MN_MEM_OTHER, BUF_BYTES);
    if (!buf) return mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path);
    MN_TRY(mn__unpack_open(&file, path, MAX_BYTES, diag));
    while (n) {
        MN_TRY(mn__unpack_read(file, buf, BUF_BYTES, &n, diag));
        mn__draft_put(out, buf, n);
    }
    if (out->failed) st = mn__fail(diag, MN_ENOMEM, "%s: no memory for its text", path);
done:
    mn__unpack_close(file);
    mn__free(buf);
    return st;
}

/* Lines that end documents become blank lines, in place. */
static size_t part_documents(char *text, size_t n)
{
    size_t mark = sizeof DOCUMENT_END - 1, to = 0, from = 0;
    while (from < n) {
        bool starts = from == 0 || text[from - 1] == '\n';
        if (starts && n - from >= mark && memcmp(text + from, DOCUMENT_END, mark) == 0) {
            from += mark;
            continue;
        }
        text[to++] = text[from++];
    }
    text[to] = '\0';
    return to;
}

/* Bytes of a closing quote or bracket at s, 0: none. */
static size_t closing(const char *s)
{
    static const char *const marks[] = {"\"", "'", ")", "]", "”", "’", "」", "』", "）", NULL};
    for (const char *const *m = marks; *m; m++)
        if (strncmp(s, *m, strlen(*m)) == 0) return strlen(*m);
    return 0;
}

/* Where the sentence that begins at s ends: behind its blanks. */
static const char *sentence_end(const char *s)
{
    static const char *const wide[] = {"。", "！", "？", NULL};
    bool ended = false;
    while (*s && !ended) {
        bool is_wide = false, is_stop = *s == '.' || *s == '!' || *s == '?';
        for (const char *const *w = wide; *w; w++) is_wide |= strncmp(s, *w, 3) == 0;
        ended = *s == '\n';
        s += is_wide ? 3 : 1;
        if (!is_wide && !is_stop) continue;
        for (size_t n = 1; n; s += n) n = closing(s);
        ended = is_wide || is_blank(*s);
    }
    while (is_blank(*s)) s++;
    return s;
}

static mn_status find_sentences(mn__corpus *c, const char *path, mn_diag *diag)
{
    const char *text = c->text;
    size_t n = 0;
    for (const char *s = text; *s; s = sentence_end(s)) n++;
    c->begin = mn__alloc_array(MN_MEM_OTHER, n + 1, sizeof *c->begin);
    if (!c->begin) return mn__fail(diag, MN_ENOMEM, "%s: no memory for %zu sentences", path, n);
    for (const char *s = text; *s; s = sentence_end(s))
        c->begin[c->n_sentence++] = (size_t)(s - text);
    c->begin[n] = c->n_byte;
    return MN_OK;
}

mn_status mn__corpus_read(mn__corpus *out, const char *path, mn_diag *diag)
{
    mn__draft text = {0};
    mn__corpus c = {0};
    mn_status st;
    *out = c;
    MN_TRY(read_all(&text, path, diag));
    if (text.n && memchr(text.text, '\0', text.n))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a text wanted, a NUL byte found", path));
    if (mn__utf8_count_broken(mn__draft_text(&text), text.n))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a text in UTF-8 wanted, other bytes found", path));
    size_t blank = strspn(mn__draft_text(&text), " \n\t\r");
    if (blank == text.n) MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a text wanted, none found", path));
    memmove(text.text, text.text + blank, text.n - blank + 1);
    c.n_byte = part_documents(text.text, text.n - blank);
    c.text = text.text;
    text = (mn__draft){0};
    MN_TRY(find_sentences(&c, path, diag));
    *out = c;
    c = (mn__corpus){0};
done:
    mn__draft_free(&text);
    mn__corpus_free(&c);
    return st;
}

void mn__corpus_free(mn__corpus *c)
{
    mn__free(c->text);
    mn__free(c->begin);
    *c = (mn__corpus){0};
}

size_t mn__corpus_bytes(const mn__corpus *c, size_t i)
{
    size_t n = c->begin[i + 1] - c->begin[i];
    while (n && is_blank(c->text[c->begin[i] + n - 1])) n--;
    return n;
}

void mn__corpus_say(const mn__corpus *c, size_t i, mn__draft *out)
{
    i %= c->n_sentence;
    const char *s = c->text + c->begin[i], *end = s + mn__corpus_bytes(c, i);
    while (s < end) {
        const char *word = s;
        while (s < end && !is_blank(*s)) s++;
        mn__draft_put(out, word, (size_t)(s - word));
        while (s < end && is_blank(*s)) s++;
        if (s < end) mn__draft_put(out, " ", 1);
    }
}
