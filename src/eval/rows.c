/* rows.c: the lines of a set, one after the other: only one is held at a time, however large the
 * set is. */
#include "eval/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/draft.h"
#include "base/unpack.h"

enum { BUF_BYTES = 1 << 16, MAX_LINE = 64 << 20 };
#define MAX_BYTES (UINT64_C(16) << 30)

struct mn__rows {
    mn__unpack *file;
    char *path;
    mn__rows_params params;
    uint64_t line, n_bad;
    mn_diag first_bad;
    mn__draft text; /* the line, as far as it lies in more than one buffer */
    size_t at, n;   /* what of buf was not looked at yet */
    bool ended;
    char buf[BUF_BYTES];
};

mn_status mn__rows_open(mn__rows **out, const char *path, const mn__rows_params *params,
                        mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__rows *r = mn__alloc_zero(MN_MEM_OTHER, sizeof *r);
    if (!r || !(r->path = mn__strdup(path)))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path));
    if (params) r->params = *params;
    if (r->params.max_line == 0) r->params.max_line = MAX_LINE;
    if (r->params.max_bytes == 0) r->params.max_bytes = MAX_BYTES;
    MN_TRY(mn__unpack_open(&r->file, path, r->params.max_bytes, diag));
    *out = r;
    r = NULL;
done:
    mn__rows_close(r);
    return st;
}

/* The next line without its end, in r->text. *too_long: what was beyond the limit is dropped. */
static mn_status read_line(mn__rows *r, bool *found, bool *too_long, mn_diag *diag)
{
    *found = *too_long = false;
    mn__draft_clear(&r->text);
    for (;;) {
        if (r->at == r->n) {
            if (!r->ended) {
                mn_status st = mn__unpack_read(r->file, r->buf, BUF_BYTES, &r->n, diag);
                r->at = 0;
                if (st != MN_OK) r->n = 0;
                if (st != MN_OK) return st;
            }
            r->ended = r->ended || r->n == 0;
            if (r->ended) break;
        }
        const char *from = r->buf + r->at, *end = memchr(from, '\n', r->n - r->at);
        size_t n = end ? (size_t)(end - from) : r->n - r->at;
        *found = true;
        *too_long = *too_long || r->text.n + n > r->params.max_line;
        if (!*too_long) mn__draft_put(&r->text, from, n);
        r->at += n + (end != NULL);
        if (end) break;
    }
    r->line += *found;
    if (r->text.failed)
        return mn__fail(diag, MN_ENOMEM, "%s:%llu: no memory for the line", r->path,
                        (unsigned long long)r->line);
    return MN_OK;
}

/* Without a byte order mark before the first line, and without blanks around. */
static const char *trim(const mn__rows *r, size_t *n)
{
    const char *s = mn__draft_text(&r->text), *end = s + r->text.n;
    if (r->line == 1 && r->text.n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) s += 3;
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\r')) s++;
    while (s < end && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
    *n = (size_t)(end - s);
    return s;
}

static mn_status parse_line(mn__rows *r, const char *line, size_t n, bool too_long, mn__row *out,
                            mn_diag *diag)
{
    char where[600];
    snprintf(where, sizeof where, "%.560s:%llu", r->path, (unsigned long long)r->line);
    if (too_long)
        return mn__fail(diag, MN_EINPUT,
                        "%s: a line of at most %zu bytes wanted, a longer one found", where,
                        r->params.max_line);
    return mn__row_parse(out, line, n, where, diag);
}

mn_status mn__rows_next(mn__rows *r, mn__row *out, bool *found, mn_diag *diag)
{
    mn_status st;
    mn_diag bad;
    bool is_line, too_long;
    *found = false;
    for (;;) {
        size_t n;
        MN_TRY(read_line(r, &is_line, &too_long, diag));
        if (!is_line) break;
        const char *line = trim(r, &n);
        if (n == 0 && !too_long) continue;
        st = parse_line(r, line, n, too_long, out, &bad);
        if (st == MN_EINPUT && r->params.skip_bad) {
            if (r->n_bad++ == 0) r->first_bad = bad;
            continue;
        }
        if (st != MN_OK) return mn__fail(diag, st, "%s", bad.text);
        out->line = r->line;
        *found = true;
        break;
    }
done:
    return st;
}

const char *mn__rows_path(const mn__rows *r)
{
    return r->path;
}

uint64_t mn__rows_n_bad(const mn__rows *r)
{
    return r->n_bad;
}

const char *mn__rows_first_bad(const mn__rows *r)
{
    return r->first_bad.text;
}

void mn__rows_close(mn__rows *r)
{
    if (!r) return;
    mn__unpack_close(r->file);
    mn__draft_free(&r->text);
    mn__free(r->path);
    mn__free(r);
}
