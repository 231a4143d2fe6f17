/* piece.c: code points cut into pieces. */
#include "eval/piece.h"

#include <stdalign.h>
#include <string.h>

#include "base/heap.h"
#include "text/unicode.h"

typedef struct scratch_block {
    struct scratch_block *before;
    size_t used, size;
    alignas(16) uint8_t data[];
} scratch_block;

enum { SCRATCH_BLOCK = 1 << 16 };

void *mn__scratch_take(mn__scratch *s, size_t n, size_t size)
{
    size_t bytes, whole;
    if (!mn__mul_size(n, size, &bytes) || !mn__add_size(bytes, 15, &bytes)) return NULL;
    bytes &= ~(size_t)15;
    if (!s->last || s->last->size - s->last->used < bytes) {
        size_t room = bytes > SCRATCH_BLOCK ? bytes : SCRATCH_BLOCK;
        if (!mn__add_size(room, sizeof(scratch_block), &whole)) return NULL;
        scratch_block *block = mn__alloc(MN_MEM_OTHER, whole);
        if (!block) return NULL;
        *block = (scratch_block){s->last, 0, room};
        s->last = block;
    }
    void *p = s->last->data + s->last->used;
    s->last->used += bytes;
    return p;
}

void mn__scratch_free(mn__scratch *s)
{
    while (s->last) {
        scratch_block *before = s->last->before;
        mn__free(s->last);
        s->last = before;
    }
}

mn_status mn__piece_read(mn__scratch *s, const char *utf8, size_t n, mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, n, sizeof *c);
    if (!c) return MN_ENOMEM;
    *out = (mn__piece){c, mn__unicode_read(utf8, n, c)};
    return MN_OK;
}

bool mn__piece_starts(mn__piece p, const char *ascii)
{
    size_t i = 0;
    while (ascii[i] && i < p.n && p.c[i] == (unsigned char)ascii[i]) i++;
    return !ascii[i];
}

bool mn__piece_is(mn__piece p, const char *ascii)
{
    return p.n == strlen(ascii) && mn__piece_starts(p, ascii);
}

bool mn__piece_equal(mn__piece a, mn__piece b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.c, b.c, a.n * sizeof *a.c) == 0);
}

mn__piece mn__piece_part(mn__piece p, size_t begin, size_t end)
{
    if (end > p.n) end = p.n;
    if (begin > end) begin = end;
    return (mn__piece){p.c + begin, end - begin};
}

mn__piece mn__piece_from(mn__piece p, size_t begin)
{
    return mn__piece_part(p, begin, p.n);
}

mn__piece mn__piece_strip(mn__piece p)
{
    while (p.n > 0 && mn__unicode_is_space(p.c[p.n - 1])) p.n--;
    while (p.n > 0 && mn__unicode_is_space(p.c[0])) p = mn__piece_from(p, 1);
    return p;
}

mn__piece mn__piece_first_line(mn__piece p)
{
    while (p.n > 0 && p.c[0] == '\n') p = mn__piece_from(p, 1);
    return mn__piece_part(p, 0, mn__piece_find_char(p, '\n'));
}

/* Knuth, Morris, Pratt: border[i] is the length of the longest proper border of what[0..i]. */
mn_status mn__piece_find(mn__scratch *s, mn__piece text, mn__piece what, size_t *at)
{
    *at = what.n == 0 ? 0 : MN__NOWHERE;
    if (what.n == 0 || what.n > text.n) return MN_OK;
    uint32_t *border = mn__scratch_take(s, what.n, sizeof *border);
    if (!border) return MN_ENOMEM;
    border[0] = 0;
    uint32_t k = 0;
    for (size_t i = 1; i < what.n; i++) {
        while (k > 0 && what.c[i] != what.c[k]) k = border[k - 1];
        if (what.c[i] == what.c[k]) k++;
        border[i] = k;
    }
    k = 0;
    for (size_t i = 0; i < text.n; i++) {
        while (k > 0 && text.c[i] != what.c[k]) k = border[k - 1];
        if (text.c[i] == what.c[k]) k++;
        if (k == what.n) {
            *at = i + 1 - what.n;
            return MN_OK;
        }
    }
    return MN_OK;
}

size_t mn__piece_find_ascii(mn__piece text, const char *what)
{
    for (size_t i = 0; i <= text.n; i++)
        if (mn__piece_starts(mn__piece_from(text, i), what)) return i;
    return MN__NOWHERE;
}

size_t mn__piece_find_char(mn__piece text, uint32_t c)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.c[i] == c) return i;
    return MN__NOWHERE;
}

mn_status mn__piece_lower(mn__scratch *s, mn__piece p, mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, p.n, sizeof *c);
    if (!c) return MN_ENOMEM;
    for (size_t i = 0; i < p.n; i++) c[i] = mn__unicode_lower(p.c[i]);
    *out = (mn__piece){c, p.n};
    return MN_OK;
}

mn_status mn__piece_without(mn__scratch *s, mn__piece p, bool (*drop)(uint32_t c), uint32_t instead,
                            mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, p.n, sizeof *c);
    if (!c) return MN_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (!drop(p.c[i])) {
            c[n++] = p.c[i];
        } else if (instead) {
            c[n++] = instead;
        }
    }
    *out = (mn__piece){c, n};
    return MN_OK;
}

static bool no_space(uint32_t c)
{
    return !mn__unicode_is_space(c);
}

mn_status mn__piece_words(mn__scratch *s, mn__piece p, mn__pieces *out)
{
    return mn__piece_runs(s, p, no_space, out);
}

mn_status mn__piece_runs(mn__scratch *s, mn__piece p, bool (*inside)(uint32_t c), mn__pieces *out)
{
    size_t n = 0;
    bool before = false;
    for (size_t i = 0; i < p.n; i++) {
        bool now = inside(p.c[i]);
        n += now && !before;
        before = now;
    }
    *out = (mn__pieces){mn__scratch_take(s, n, sizeof *out->p), 0};
    if (!out->p) return MN_ENOMEM;
    for (size_t i = 0; i < p.n;) {
        size_t begin = i;
        while (i < p.n && inside(p.c[i])) i++;
        if (i > begin) out->p[out->n++] = mn__piece_part(p, begin, i);
        if (i < p.n) i++;
    }
    return MN_OK;
}

mn_status mn__piece_split(mn__scratch *s, mn__piece p, uint32_t c, mn__pieces *out)
{
    size_t n = 1;
    for (size_t i = 0; i < p.n; i++) n += p.c[i] == c;
    *out = (mn__pieces){mn__scratch_take(s, n, sizeof *out->p), 0};
    if (!out->p) return MN_ENOMEM;
    size_t begin = 0;
    for (size_t i = 0; i <= p.n; i++) {
        if (i < p.n && p.c[i] != c) continue;
        out->p[out->n++] = mn__piece_part(p, begin, i);
        begin = i + 1;
    }
    return MN_OK;
}

mn_status mn__piece_chars(mn__scratch *s, mn__piece p, mn__pieces *out)
{
    *out = (mn__pieces){mn__scratch_take(s, p.n, sizeof *out->p), p.n};
    if (!out->p) return MN_ENOMEM;
    for (size_t i = 0; i < p.n; i++) out->p[i] = mn__piece_part(p, i, i + 1);
    return MN_OK;
}

mn_status mn__piece_join(mn__scratch *s, const mn__pieces *parts, mn__piece *out)
{
    size_t n = 0;
    for (size_t i = 0; i < parts->n; i++) n += parts->p[i].n + 1;
    uint32_t *c = mn__scratch_take(s, n, sizeof *c);
    if (!c) return MN_ENOMEM;
    n = 0;
    for (size_t i = 0; i < parts->n; i++) {
        if (i > 0) c[n++] = ' ';
        for (size_t k = 0; k < parts->p[i].n; k++) c[n++] = parts->p[i].c[k];
    }
    *out = (mn__piece){c, n};
    return MN_OK;
}

/* An open hash table from pieces to numbers. */
typedef struct id_table {
    mn__piece *key;
    uint32_t *id; /* UINT32_MAX: free */
    size_t mask;
    uint32_t n;
} id_table;

static uint32_t id_get(id_table *t, mn__piece p)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over code points */
    for (size_t i = 0; i < p.n; i++) h = (h ^ p.c[i]) * 0x100000001b3u;
    size_t at = (size_t)(h ^ h >> 29) & t->mask;
    while (t->id[at] != UINT32_MAX && !mn__piece_equal(t->key[at], p)) at = (at + 1) & t->mask;
    if (t->id[at] == UINT32_MAX) {
        t->key[at] = p;
        t->id[at] = t->n++;
    }
    return t->id[at];
}

mn_status mn__ids_of(mn__scratch *s, const mn__pieces *a, const mn__pieces *b, mn__ids *ids_a,
                     mn__ids *ids_b, size_t *n_id)
{
    size_t size = 16;
    while (size < 2 * (a->n + b->n)) size *= 2;
    id_table t = {mn__scratch_take(s, size, sizeof *t.key), mn__scratch_take(s, size, sizeof *t.id),
                  size - 1, 0};
    *ids_a = (mn__ids){mn__scratch_take(s, a->n, sizeof *ids_a->id), a->n};
    *ids_b = (mn__ids){mn__scratch_take(s, b->n, sizeof *ids_b->id), b->n};
    if (!t.key || !t.id || !ids_a->id || !ids_b->id) return MN_ENOMEM;
    memset(t.id, 0xff, size * sizeof *t.id);
    for (size_t i = 0; i < a->n; i++) ids_a->id[i] = id_get(&t, a->p[i]);
    for (size_t i = 0; i < b->n; i++) ids_b->id[i] = id_get(&t, b->p[i]);
    *n_id = t.n;
    return MN_OK;
}
