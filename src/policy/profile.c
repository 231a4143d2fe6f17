/* profile.c: what was found out about a model's heads beforehand, from a text file:
 *
 *   # comment
 *   0.1 0.9        one line per layer, one number from 0 to 1 per KV head: a table
 *   0.5 1
 *
 *   kept 0.25      or several tables, each under the mean share kept that it is for, rising
 *   0.05 0.45
 *   0.2 0.3
 *   kept 0.5
 *   ...
 *
 * Lines of layers with sliding windows stand in the file and are passed over. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "base/file.h"
#include "policy/policy_kind.h"

enum { MAX_BYTES = 1 << 26, MAX_POINTS = 1000 };

typedef struct reader {
    const char *at, *end, *path;
    const mn__cache_shape *shape;
    mn__profile *out;
    size_t table, line, lane; /* where the next number belongs */
    mn_diag *diag;
} reader;

void mn__profile_free(mn__profile *p)
{
    mn__free(p->kept);
    mn__free(p->value);
    *p = (mn__profile){0};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; false at its end or at a comment. */
static bool next_word(reader *r, char *word, size_t size)
{
    size_t n = 0;
    while (r->at < r->end && is_blank(*r->at)) r->at++;
    while (r->at < r->end && !is_blank(*r->at) && *r->at != '\n' && *r->at != '#' && n + 1 < size)
        word[n++] = *r->at++;
    word[n] = 0;
    return n > 0;
}

static double number(const char *word)
{
    char *rest;
    double x = strtod(word, &rest);
    return *rest || rest == word ? NAN : x;
}

static void next_line(reader *r)
{
    while (r->at < r->end && *r->at != '\n') r->at++;
    r->at += r->at < r->end;
}

/* Where we are, for sentences: the file, and the table if there are several. */
static const char *place(const reader *r, char *room, size_t size)
{
    if (r->table == 0) return r->path;
    snprintf(room, size, "%s, kept %g", r->path, (double)r->out->kept[r->table - 1]);
    return room;
}

static mn_status check_table(const reader *r)
{
    char room[320];
    if (r->line == r->shape->n_layer) return MN_OK;
    return mn__fail(r->diag, MN_EINPUT, "%s: %zu lines of numbers, the model has %zu layers",
                    place(r, room, sizeof room), r->line, r->shape->n_layer);
}

/* The number after `kept`: a new table begins. */
static mn_status begin_table(reader *r)
{
    char word[48];
    double x = next_word(r, word, sizeof word) ? number(word) : NAN;
    mn_status st = r->table || r->line ? check_table(r) : MN_OK;
    if (st != MN_OK) return st;
    if (r->table == 0 && r->line)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: numbers stand before the first `kept`, which names their table",
                        r->path);
    if (!(x > 0 && x <= 1) || (r->table && (float)x <= r->out->kept[r->table - 1]))
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: table %zu: `kept` and a share above 0, at most 1, rising from table "
                        "to table wanted, `%s` found",
                        r->path, r->table, word);
    r->out->kept[r->table++] = (float)x;
    r->line = r->lane = 0;
    return MN_OK;
}

static mn_status read_layer(reader *r, char *word, size_t size)
{
    const mn__cache_shape *s = r->shape;
    char room[320];
    size_t head = 0, table = r->table ? r->table - 1 : 0;
    do {
        double x = number(word);
        if (!(x >= 0 && x <= 1))
            return mn__fail(r->diag, MN_EINPUT,
                            "%s: layer %zu, head %zu: a number from 0 to 1 wanted, `%s` found",
                            place(r, room, sizeof room), r->line, head, word);
        if (r->line < s->n_layer && head < s->n_kv_head && (!s->window || !s->window[r->line]))
            r->out->value[table * r->out->n_lane + r->lane++] = (float)x;
        head++;
    } while (next_word(r, word, size));
    if (head != s->n_kv_head)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: layer %zu has %zu numbers, the model has %zu KV heads",
                        place(r, room, sizeof room), r->line, head, s->n_kv_head);
    r->line++;
    return MN_OK;
}

static mn_status read_tables(reader *r)
{
    char word[48];
    mn_status st = MN_OK;
    for (; r->at < r->end && st == MN_OK; next_line(r)) {
        if (!next_word(r, word, sizeof word)) continue;
        st = strcmp(word, "kept") == 0 ? begin_table(r) : read_layer(r, word, sizeof word);
    }
    return st == MN_OK ? check_table(r) : st;
}

static size_t count_tables(reader r)
{
    char word[48];
    size_t n = 0;
    for (; r.at < r.end; next_line(&r))
        n += next_word(&r, word, sizeof word) && strcmp(word, "kept") == 0;
    return n;
}

static mn_status make_room(reader *r, size_t n_kept)
{
    mn__profile *p = r->out;
    size_t n;
    for (size_t l = 0; l < r->shape->n_layer; l++)
        if (!r->shape->window || !r->shape->window[l]) p->n_lane += r->shape->n_kv_head;
    p->n_table = n_kept ? n_kept : 1;
    if (n_kept) p->kept = mn__alloc_array(MN_MEM_POLICY, n_kept, sizeof *p->kept);
    if (mn__mul_size(p->n_table, p->n_lane, &n))
        p->value = mn__alloc_array(MN_MEM_POLICY, n, sizeof *p->value);
    if (p->value && (p->kept || !n_kept)) return MN_OK;
    return mn__fail(r->diag, MN_ENOMEM, "out of memory for %zu profiles of %zu heads", p->n_table,
                    p->n_lane);
}

mn_status mn__profile_read(mn__profile *out, const char *path, const mn__cache_shape *shape,
                           mn_diag *diag)
{
    mn__map map = {0};
    mn_status st;
    *out = (mn__profile){0};
    MN_TRY(mn__map_open(&map, path, diag));
    if (map.size > MAX_BYTES)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a profile of at most %d bytes wanted, %zu found",
                        path, MAX_BYTES, map.size));
    reader r = {.at = (const char *)map.data,
                .end = (const char *)map.data + map.size,
                .path = path,
                .shape = shape,
                .out = out,
                .diag = diag};
    size_t n_kept = count_tables(r);
    if (n_kept > MAX_POINTS)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: at most %d tables wanted, %zu found", path,
                        MAX_POINTS, n_kept));
    MN_TRY(make_room(&r, n_kept));
    MN_TRY(read_tables(&r));
done:
    mn__map_close(&map);
    if (st != MN_OK) mn__profile_free(out);
    return st;
}

double mn__profile_share(const mn__profile *p, size_t lane, double kept)
{
    size_t i = 0;
    if (!p->kept) return (double)p->value[lane];
    while (i + 1 < p->n_table && (double)p->kept[i] < kept) i++;
    double above = (double)p->value[i * p->n_lane + lane], at = (double)p->kept[i];
    if (i == 0 || kept >= at) return above;
    double below = (double)p->value[(i - 1) * p->n_lane + lane], from = (double)p->kept[i - 1];
    return below + (above - below) * (kept - from) / (at - from);
}
