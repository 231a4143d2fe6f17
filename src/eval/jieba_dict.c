/* jieba_dict.c: dict.txt, a line "word frequency tag" each, as sorted words that point into the
 * mapped file. Words that begin with the same characters stand side by side, so that a text walks
 * through the list as through a tree. */
#include "eval/words_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "text/unicode.h"

enum { DICT_BYTES_MAX = 1 << 26, WORD_BYTES_MAX = 1024, FREQ_MAX = 1000000000 };

typedef struct dict_word {
    const char *bytes;
    uint32_t n, freq;
} dict_word;

struct mn__jieba_dict {
    mn__map file;
    dict_word *words;
    size_t n;
    double log_total;
};

/* By bytes, a word before those that it begins, equal words as in the file. */
static int by_bytes(const void *a, const void *b)
{
    const dict_word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    if (order != 0) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* One line without its end. false: it is no word and number. */
static bool read_line(const char *line, size_t n, dict_word *out)
{
    const char *space = memchr(line, ' ', n);
    if (!space || space == line || space - line > WORD_BYTES_MAX) return false;
    *out = (dict_word){line, (uint32_t)(space - line), 0};
    const char *c = space + 1, *end = line + n;
    if (c == end || *c < '0' || *c > '9') return false;
    for (; c < end && *c >= '0' && *c <= '9'; c++) {
        out->freq = 10 * out->freq + (uint32_t)(*c - '0');
        if (out->freq > FREQ_MAX) return false;
    }
    return c == end || *c == ' ' || *c == '\r';
}

static mn_status read_words(mn__jieba_dict *d, const char *path, mn_diag *diag)
{
    const char *text = (const char *)d->file.data, *end = text + d->file.size;
    size_t n_line = 1;
    double total = 0;
    for (const char *c = text; c < end; c++) n_line += *c == '\n';
    d->words = mn__alloc_array(MN_MEM_OTHER, n_line, sizeof *d->words);
    if (!d->words) return mn__fail(diag, MN_ENOMEM, "no memory for %s", path);
    for (size_t i = 1; text < end; i++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop) stop = end;
        if (!read_line(text, (size_t)(stop - text), &d->words[d->n]))
            return mn__fail(diag, MN_EINPUT, "%s, line %zu: a word and its frequency wanted", path,
                            i);
        total += d->words[d->n++].freq;
        text = stop < end ? stop + 1 : end;
    }
    if (total <= 0) return mn__fail(diag, MN_EINPUT, "%s holds no word", path);
    d->log_total = log(total);
    return MN_OK;
}

/* Of equal words the last in the file counts. */
static void drop_doubles(mn__jieba_dict *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        bool same = i + 1 < d->n && d->words[i].n == d->words[i + 1].n &&
                    memcmp(d->words[i].bytes, d->words[i + 1].bytes, d->words[i].n) == 0;
        if (!same) d->words[n++] = d->words[i];
    }
    d->n = n;
}

static mn_status dict_load(mn__jieba_dict *d, const char *path, mn_diag *diag)
{
    mn_status st;
    MN_TRY(mn__map_open(&d->file, path, diag));
    if (d->file.size > DICT_BYTES_MAX)
        return mn__fail(diag, MN_EINPUT, "%s: %zu bytes, at most %d wanted", path, d->file.size,
                        DICT_BYTES_MAX);
    MN_TRY(read_words(d, path, diag));
    qsort(d->words, d->n, sizeof *d->words, by_bytes);
    drop_doubles(d);
done:
    return st;
}

mn_status mn__jieba_dict_open(mn__jieba_dict **out, const char *path, mn_diag *diag)
{
    *out = NULL;
    mn__jieba_dict *d = mn__alloc_zero(MN_MEM_OTHER, sizeof *d);
    if (!d) return mn__fail(diag, MN_ENOMEM, "no memory for %s", path);
    mn_status st = dict_load(d, path, diag);
    if (st != MN_OK) {
        mn__jieba_dict_close(d);
        return st;
    }
    *out = d;
    return MN_OK;
}

void mn__jieba_dict_close(mn__jieba_dict *d)
{
    if (!d) return;
    mn__free(d->words);
    mn__map_close(&d->file);
    mn__free(d);
}

double mn__jieba_dict_log_total(const mn__jieba_dict *d)
{
    return d->log_total;
}

mn__jieba_range mn__jieba_dict_all(const mn__jieba_dict *d)
{
    return (mn__jieba_range){0, d->n, 0};
}

/* The first word of the range whose bytes from depth on are not before `bytes`; behind: not before
 * anything that begins with them. */
static size_t bound(const mn__jieba_dict *d, const mn__jieba_range *range, const char *bytes,
                    size_t n, bool behind)
{
    size_t lo = range->lo, hi = range->hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, left = d->words[mid].n - range->depth;
        int order = memcmp(d->words[mid].bytes + range->depth, bytes, left < n ? left : n);
        bool before = order < 0 || (order == 0 && (left < n || behind));
        if (before) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool mn__jieba_dict_step(const mn__jieba_dict *d, mn__jieba_range *range, uint32_t c,
                         uint32_t *freq)
{
    char bytes[4];
    size_t n = mn__unicode_write(c, bytes);
    size_t lo = bound(d, range, bytes, n, false), hi = bound(d, range, bytes, n, true);
    *range = (mn__jieba_range){lo, hi, range->depth + n};
    if (lo == hi) return false;
    *freq = d->words[lo].n == range->depth ? d->words[lo].freq : 0;
    return true;
}
