/* maker_kit.c: draws by name, keys, places. A draw's name is (seed, task, row, stream, i): what a
 * row draws for its needles stays the same when its filling grows. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "eval/maker.h"
#include "eval/key_words.h"

enum { STREAM_PAIR, STREAM_DEPTH, STREAM_KEY, STREAM_VALUE };
enum { N_DEPTH = 40 };

const char mn__noise[] =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There "
    "and back again.";

double mn__draw(const mn__recipe *r, uint32_t stream, uint64_t i)
{
    const char *name = r->task->name;
    uint32_t purpose = (uint32_t)mn__hash64(name, strlen(name), 0) ^ stream;
    assert(i <= UINT32_MAX);
    return mn__rng_uniform(r->seed, purpose, r->index, (uint32_t)i);
}

uint64_t mn__draw_below(const mn__recipe *r, uint32_t stream, uint64_t i, uint64_t n)
{
    uint64_t x = (uint64_t)(mn__draw(r, stream, i) * (double)n);
    return x < n ? x : n - 1;
}

void mn__draw_order(const mn__recipe *r, uint32_t stream, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)mn__draw_below(r, stream, i, i), x = order[i - 1];
        order[i - 1] = order[j];
        order[j] = x;
    }
}

void mn__draw_places(const mn__recipe *r, uint32_t stream, size_t *place, size_t k, size_t n)
{
    assert(k <= n);
    for (size_t i = 0; i < k; i++) { /* Floyd: each set of k is as likely as any other */
        size_t top = n - k + i, x = (size_t)mn__draw_below(r, stream, i, top + 1), at = 0;
        for (size_t j = 0; j < i; j++)
            if (place[j] == x) x = top;
        while (at < i && place[at] < x) at++;
        memmove(place + at + 1, place + at, (i - at) * sizeof *place);
        place[at] = x;
    }
}

void mn__draw_uuid(const mn__recipe *r, uint32_t stream, uint64_t i, char out[MN__UUID_BYTES])
{
    static const char digit[] = "0123456789abcdef";
    uint32_t word = 0;
    for (size_t k = 0, n = 0; k < MN__UUID_BYTES - 1; k++) {
        if (k == 8 || k == 13 || k == 18 || k == 23) {
            out[k] = '-';
            continue;
        }
        if (n % 8 == 0)
            word = (uint32_t)mn__draw_below(r, stream, 4 * i + n / 8, UINT64_C(1) << 32);
        out[k] = digit[k == 14 ? 4 : k == 19 ? (word & 3) | 8 : word & 15];
        word >>= 4;
        n++;
    }
    out[MN__UUID_BYTES - 1] = '\0';
}

/* All pairs in an order of the row's own: by an odd step, which visits each of 2^16 once, and
 * rounds that part neighbours; both can be undone, so that no two numbers meet. */
void mn__draw_pair(const mn__recipe *r, uint64_t i, char out[MN__PAIR_BYTES])
{
    uint32_t start = (uint32_t)mn__draw_below(r, STREAM_PAIR, 0, MN__N_PAIR);
    uint32_t step = (uint32_t)mn__draw_below(r, STREAM_PAIR, 1, MN__N_PAIR) | 1;
    uint32_t x = (uint32_t)i;
    assert(i < MN__N_PAIR);
    for (int round = 0; round < 3; round++) {
        x = (x * step + start) & 0xffff;
        x ^= x >> 7;
    }
    snprintf(out, MN__PAIR_BYTES, "%s-%s", mn__key_adjective[x >> 8], mn__key_noun[x & 0xff]);
}

double mn__depth(const mn__recipe *r)
{
    if (!isnan(r->depth)) return r->depth;
    return (double)mn__draw_below(r, STREAM_DEPTH, 0, N_DEPTH) / (N_DEPTH - 1);
}

double mn__place_at(double depth, size_t n, size_t *place)
{
    *place = (size_t)(depth * (double)n + 0.5);
    if (*place > n) *place = n;
    return n ? (double)*place / (double)n : 0;
}

double mn__place_in_text(const mn__corpus *c, size_t first, size_t n, double depth, size_t *place)
{
    size_t all = 0, before = 0;
    for (size_t i = 0; i < n; i++) all += mn__corpus_bytes(c, (first + i) % c->n_sentence);
    for (*place = 0; *place < n; ++*place) {
        size_t next = mn__corpus_bytes(c, (first + *place) % c->n_sentence);
        if ((double)before + (double)next / 2 > depth * (double)all) break;
        before += next;
    }
    return all ? (double)before / (double)all : 0;
}

size_t mn__around(size_t i, size_t gold)
{
    return i == gold ? 0 : i < gold ? i + 1 : i;
}

void mn__write_pairs(const mn__recipe *r, size_t n, const char *between, mn__made *out,
                     char key[MN__UUID_BYTES])
{
    char name[MN__UUID_BYTES], value[MN__UUID_BYTES];
    size_t gold;
    mn__place_at(mn__depth(r), n - 1, &gold);
    out->depth = n > 1 ? (double)gold / (double)(n - 1) : 0;
    mn__draft_str(&out->context, "{");
    for (size_t i = 0; i < n; i++) {
        mn__draw_uuid(r, STREAM_KEY, mn__around(i, gold), name);
        mn__draw_uuid(r, STREAM_VALUE, mn__around(i, gold), value);
        mn__draft_fmt(&out->context, "\"%s\": \"%s\"%s", name, value, i + 1 < n ? between : "}");
        if (i != gold) continue;
        memcpy(key, name, sizeof name);
        mn__made_answer(out, value);
    }
}
