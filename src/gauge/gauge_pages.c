/* gauge_pages.c: gigabytes of random numbers in a moment, and how fast rows of them can be read. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "gauge/gauge.h"

enum { HUGE_PAGE = 2 << 20, LINE = 64 };

/* Bytes that the system could give without taking from others; 0: it does not tell. */
static size_t memory_left(void)
{
    char line[128];
    size_t kb = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f) return 0;
    while (!kb && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %zu kB", &kb) != 1) kb = 0;
    fclose(f);
    return kb * 1024;
}

/* One word of a stream of random bits: splitmix64. */
static uint64_t mixed(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Bits of each word that are random, and those that are set. */
typedef struct filling {
    uint64_t *to;
    size_t n;
    uint64_t random, set;
} filling;

static void fill_share(const mn__crew *crew, void *arg)
{
    const filling *f = arg;
    size_t begin, end;
    mn__team_split(crew, f->n, HUGE_PAGE / sizeof(uint64_t), &begin, &end);
    for (size_t i = begin; i < end; i++) f->to[i] = (mixed(i) & f->random) | f->set;
}

bool mn__pages_init(mn__pages *p, const mn__gauge *b, size_t bytes, const char *what)
{
    const size_t left = memory_left(), size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    *p = (mn__pages){0};
    if (left && size > left / 10 * 9) {
        mn__gauge_note(b, "%s: left out: %.1f GB of memory wanted, %.1f GB free", what,
                       (double)size / 1e9, (double)left / 1e9);
        return false;
    }
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        mn__gauge_note(b, "%s: left out: %.1f GB of memory refused", what, (double)size / 1e9);
        return false;
    }
    madvise(data, size, MADV_HUGEPAGE); /* a wish */
    *p = (mn__pages){.data = data, .size = size};
    filling f = {data, size / sizeof(uint64_t), 0x807f807f807f807fu, 0x3c003c003c003c00u};
    mn__team_run(b->team, fill_share, &f);
    return true;
}

void mn__pages_fini(mn__pages *p)
{
    if (p->data) munmap(p->data, p->size);
    *p = (mn__pages){0};
}

void *mn__pages_take(mn__pages *p, size_t bytes)
{
    uint8_t *at = p->data + p->used;
    p->used += (bytes + LINE - 1) / LINE * LINE;
    return at;
}

void mn__pages_fill_bytes(const mn__gauge *b, void *to, size_t bytes)
{
    filling f = {to, bytes / sizeof(uint64_t), UINT64_MAX, 0};
    mn__team_run(b->team, fill_share, &f);
}

/* ---- random reads ---- */

typedef uint64_t line __attribute__((vector_size(LINE), may_alias));

typedef struct reading {
    const uint8_t *data;
    size_t n_row, bytes, n; /* rows that there are, of how many bytes; reads of a thread */
    uint64_t pass;
    _Atomic uint64_t total; /* the sums are wanted: no read may be left out */
} reading;

static const uint8_t *row_at(const reading *r, const mn__crew *crew, size_t i)
{
    const uint64_t z = mixed((r->pass << 40) + ((uint64_t)crew->thread << 32) + i);
    return r->data + (size_t)(((unsigned __int128)z * r->n_row) >> 64) * r->bytes;
}

static void read_rows(const mn__crew *crew, void *arg)
{
    enum { AHEAD = 16 };
    reading *r = arg;
    line sum = {0};
    const uint8_t *next[AHEAD];
    for (size_t i = 0; i < r->n + AHEAD; i++) {
        const uint8_t *old = next[i % AHEAD];
        if (i < r->n) {
            next[i % AHEAD] = row_at(r, crew, i);
            for (size_t at = 0; at < r->bytes; at += LINE) __builtin_prefetch(next[i % AHEAD] + at);
        }
        if (i < AHEAD) continue;
        for (size_t at = 0; at < r->bytes; at += LINE) sum += *(const line *)(old + at);
    }
    r->total += sum[0] + sum[7];
}

double mn__gauge_random(const mn__gauge *b, const uint8_t *data, size_t size, size_t bytes)
{
    enum { PASSES = 8, PASS_BYTES = 1 << 26 };
    reading r = {.data = data, .n_row = size / bytes, .bytes = bytes, .n = PASS_BYTES / bytes};
    double best = 0;
    if (b->quick) return 0;
    for (r.pass = 0; r.pass < PASSES; r.pass++) {
        const double t0 = mn__clock_s();
        mn__team_run(b->team, read_rows, &r);
        const double rate = (double)(r.n * bytes) * b->n_thread / (mn__clock_s() - t0);
        if (rate > best) best = rate;
    }
    return best;
}
