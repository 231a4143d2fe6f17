/* draft.c: a growing text; its memory doubles, so that writing costs what is written. */
#include "eval/draft.h"

#include <jansson.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { FIRST_BYTES = 256 };

static bool make_room(mn__draft *d, size_t n)
{
    size_t want, cap = d->cap ? d->cap : FIRST_BYTES;
    if (d->failed) return false;
    d->failed = true;
    if (!mn__add_size(d->n, n, &want) || !mn__add_size(want, 1, &want)) return false;
    if (want > d->cap) {
        while (cap < want)
            if (!mn__mul_size(cap, 2, &cap)) return false;
        char *text = mn__alloc(MN_MEM_OTHER, cap);
        if (!text) return false;
        if (d->n) memcpy(text, d->text, d->n);
        mn__free(d->text);
        d->text = text;
        d->cap = cap;
    }
    d->failed = false;
    return true;
}

void mn__draft_put(mn__draft *d, const char *bytes, size_t n)
{
    if (!make_room(d, n)) return;
    if (n) memcpy(d->text + d->n, bytes, n);
    d->n += n;
    d->text[d->n] = '\0';
}

void mn__draft_str(mn__draft *d, const char *text)
{
    mn__draft_put(d, text, strlen(text));
}

void mn__draft_fmt(mn__draft *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(n >= 0);
    if (!make_room(d, (size_t)n)) return;
    va_start(args, fmt);
    vsnprintf(d->text + d->n, (size_t)n + 1, fmt, args);
    va_end(args);
    d->n += (size_t)n;
}

void mn__draft_clear(mn__draft *d)
{
    d->n = 0;
    d->failed = false;
    if (d->text) d->text[0] = '\0';
}

void mn__draft_free(mn__draft *d)
{
    mn__free(d->text);
    *d = (mn__draft){0};
}

const char *mn__draft_text(const mn__draft *d)
{
    return d->text ? d->text : "";
}

static int put_piece(const char *text, size_t n, void *draft)
{
    mn__draft_put(draft, text, n);
    return ((mn__draft *)draft)->failed;
}

bool mn__draft_json(mn__draft *d, const struct json_t *doc)
{
    if (!doc || json_dump_callback(doc, put_piece, d, JSON_COMPACT | JSON_SORT_KEYS))
        d->failed = true;
    return !d->failed;
}
