/* bench.c: each kernel at shapes of SmolLM2 (d 64, width 576, feed-forward 1536, groups of 3 heads)
 * and of larger models (d 128, 256). A time is the best of many short runs, interleaved with the
 * peak loops: neighbours on the same processor slow everything down for seconds at a time, and only
 * the best runs of both are comparable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "bench.h"
#include "kern/dots.h"

/* Everything a timed call may need, filled once per shape. */
struct bench {
    const struct mn__kern *kern;
    size_t n_row, n_tok, d, k, n_out;
    float *x, *y, *z, *m, *l, *corr;
    float turn[512]; /* unit pairs: turning again and again must not fade into denormals */
    mn_bf16 *a, *b, *p;
    uint8_t *pages, *weights, *q8;
    const void **page;
    int32_t *lo, *hi;
};

typedef void bench_fn(struct bench *b);

/* An odd number of lines. */
static size_t q8_ld(size_t k)
{
    return (k + k / 4) | 64;
}

struct entry {
    const char *kernel;
    size_t n_row, n_tok, d, k, n_out;
    bench_fn *run;
    double flops, bytes;
};

static void run_rms_norm(struct bench *b)
{
    b->kern->rms_norm(b->y, b->x, b->z, b->k, 1e-5f);
}

static void run_rope(struct bench *b)
{
    b->kern->rope(b->y, b->turn, b->d, 1);
}

static void run_silu_mul(struct bench *b)
{
    b->kern->silu_mul(b->y, b->x, b->z, b->k);
}

static void run_gelu_mul(struct bench *b)
{
    b->kern->gelu_mul(b->y, b->x, b->z, b->k);
}

static void run_f32_to_bf16(struct bench *b)
{
    b->kern->f32_to_bf16(b->a, b->x, b->k);
}

/* c [n_row][32] per panel, panels in a row: the product of a layer. */
static void run_mm_bf16(struct bench *b)
{
    for (size_t j = 0; j < b->n_out; j += MN__MM_COLS)
        b->kern->mm_bf16(b->y, b->a, b->k + 32, b->n_row, b->b + j * b->k, b->k);
}

/* the same, 32 rows a call */
static void run_mm_bf16_32(struct bench *b)
{
    for (size_t j = 0; j < b->n_out; j += MN__MM_COLS)
        for (size_t r = 0; r < b->n_row; r += MN__MM_ROWS)
            b->kern->mm_bf16(b->y, b->a + r * (b->k + 32), b->k + 32, MN__MM_ROWS, b->b + j * b->k,
                             b->k);
}

static void run_mm_pack_bf16(struct bench *b)
{
    b->kern->mm_pack_bf16(b->b, b->x, b->k, MN__MM_COLS, b->k, b->k);
}

/* y [n_row][32] per pair of groups, from rows in records of q, scales and sums. */
#define DOTS(name, type, bits, zero, kind)                                                         \
    static void run_dot16_##name(struct bench *b)                                                  \
    {                                                                                              \
        const size_t bytes = mn__dots_layout(bits, kind, b->k).bytes, ld = q8_ld(b->k);            \
        for (size_t j = 0; j < b->n_out; j += 2 * MN__DOTS_ROWS)                                   \
            b->kern->dot16_##name(b->y, 2 * MN__DOTS_ROWS, b->weights + j / MN__DOTS_ROWS * bytes, \
                                  2, (const void *)b->q8, (const void *)(b->q8 + b->k),            \
                                  (const void *)(b->q8 + b->k + b->k / 8), ld, b->n_row, b->k);    \
    }
MN__DOTS_MAP(DOTS)
#undef DOTS

static void run_page_put_bf16(struct bench *b)
{
    b->kern->page_put_bf16(b->pages, 0, b->x, b->d, b->z, b->d, MN__PAGE_TOKENS, b->d);
}

static void run_page_put_one(struct bench *b)
{
    b->kern->page_put_bf16(b->pages, 5, b->x, b->d, b->z, b->d, 1, b->d);
}

static void run_page_put_q8(struct bench *b)
{
    b->kern->page_put_q8(b->pages, b->m, b->l, 0, b->x, b->d, b->z, b->d, MN__PAGE_TOKENS, b->d);
}

static void run_page_widen_q8(struct bench *b)
{
    b->kern->page_widen_q8(b->pages, b->x, b->m, b->l, b->d);
}

static void run_page_get_bf16(struct bench *b)
{
    b->kern->page_get_bf16(b->y, b->z, b->pages, 0, MN__PAGE_TOKENS, b->d);
}

static void run_qk_bf16(struct bench *b)
{
    b->kern->qk_bf16(b->y, b->n_tok, b->a, b->d, b->n_row, b->page, b->n_tok, b->d, NULL);
}

static void run_qk_f32(struct bench *b)
{
    b->kern->qk_f32(b->y, b->n_tok, b->x, b->d, b->n_row, b->page, b->n_tok, b->d, NULL);
}

static void run_pv_bf16(struct bench *b)
{
    b->kern->pv_bf16(b->z, b->d, b->corr, b->p, b->n_tok, b->n_row, b->page, b->n_tok, b->d, NULL);
}

static void run_pv_f32(struct bench *b)
{
    b->kern->pv_f32(b->z, b->d, b->corr, b->x, b->n_tok, b->n_row, b->page, b->n_tok, b->d, NULL);
}

static void run_softmax_bf16(struct bench *b)
{
    b->kern->softmax_bf16(b->p, b->n_tok, b->x, b->n_tok, b->n_row, b->n_tok, b->lo, b->hi, 0.125f,
                          b->m, b->l, b->corr);
}

static void run_softmax_f32(struct bench *b)
{
    b->kern->softmax_f32(b->y, b->n_tok, b->x, b->n_tok, b->n_row, b->n_tok, b->lo, b->hi, 0.125f,
                         b->m, b->l, b->corr);
}

static void run_probs(struct bench *b)
{
    memcpy(b->y, b->x, b->n_row * b->n_tok * sizeof *b->y); /* in place: fresh scores each time */
    b->kern->probs(b->y, b->n_tok, b->n_row, b->n_tok, b->lo, b->hi, 0.125f, b->m);
}

static void run_colsum(struct bench *b)
{
    b->kern->colsum(b->y, b->x, b->n_tok, NULL, b->n_row, b->n_tok);
}

/* A hop of 16 rows over slots of 49 numbers: a ring of 32, 17 averages. */
static void run_ring_put_bf16(struct bench *b)
{
    b->kern->ring_put_bf16(b->a, 49, b->x, b->n_tok, b->corr, b->n_row, b->n_tok);
}

/* y is the basis; the spectrum folded by its symmetries looks at the window in its first row. */
static void run_stft_ema_bf16(struct bench *b)
{
    b->kern->stft_ema_bf16(b->p + 32, b->p, 49, 32, 16, b->y, 32, 0.85f, b->n_tok);
}

#define MM(r, n, depth, fn)                                    \
    {                                                          \
        "mm_bf16", r, 0, 0, depth, n, fn, 2.0 * r *n *depth, 0 \
    }
/* bytes: of the weights */
#define DOTS(name, r, depth, n, kind, bits)                                     \
    {                                                                           \
        "dot16_" #name, r, 0, 0, depth, n, run_dot16_##name, 2.0 * r *n *depth, \
            (bits + (kind == MN__DOTS_DM ? 1.0 : 0.5)) / 8 * n *depth           \
    }
#define QK(r, t, dim)                                                          \
    {                                                                          \
        "qk_bf16", r, t, dim, 0, 0, run_qk_bf16, 2.0 * r *t *dim, 2.0 * t *dim \
    }
#define PV(r, t, dim)                                                          \
    {                                                                          \
        "pv_bf16", r, t, dim, 0, 0, run_pv_bf16, 2.0 * r *t *dim, 2.0 * t *dim \
    }
#define SM(name, r, t)                                  \
    {                                                   \
#name, r, t, 0, 0, 0, run_##name, 0, 6.0 * r *t \
    }

static const struct entry entries[] = {
    {"rms_norm", 0, 0, 0, 576, 0, run_rms_norm, 0, 576 * 12},
    {"rope", 0, 0, 64, 0, 0, run_rope, 0, 64 * 8},
    {"silu_mul", 0, 0, 0, 1536, 0, run_silu_mul, 0, 1536 * 12},
    {"gelu_mul", 0, 0, 0, 1536, 0, run_gelu_mul, 0, 1536 * 12},
    {"f32_to_bf16", 0, 0, 0, 1536, 0, run_f32_to_bf16, 0, 1536 * 6},
    MM(512, 1536, 576, run_mm_bf16),
    MM(512, 1536, 576, run_mm_bf16_32),
    MM(256, 576, 1536, run_mm_bf16),
    MM(256, 576, 1536, run_mm_bf16_32),
    MM(128, 512, 4096, run_mm_bf16),
    DOTS(q4_0, 1, 576, 1536, MN__DOTS_D, 4),
    DOTS(q4_0, 64, 576, 1536, MN__DOTS_D, 4),
    DOTS(q4_1, 1, 576, 1536, MN__DOTS_DM, 4),
    DOTS(q4_1, 4, 576, 1536, MN__DOTS_DM, 4),
    DOTS(q4_1, 64, 576, 1536, MN__DOTS_DM, 4),
    DOTS(q4_1, 64, 1536, 576, MN__DOTS_DM, 4),
    DOTS(q5_0, 64, 576, 1536, MN__DOTS_D, 5),
    DOTS(q5_1, 64, 576, 1536, MN__DOTS_DM, 5),
    DOTS(q8_0, 1, 576, 1536, MN__DOTS_D, 8),
    DOTS(q8_0, 64, 576, 1536, MN__DOTS_D, 8),
    DOTS(q4_k, 64, 4096, 512, MN__DOTS_K, 4),
    DOTS(q5_k, 64, 4096, 512, MN__DOTS_K, 5),
    DOTS(q6_k, 1, 4096, 512, MN__DOTS_S, 6),
    DOTS(q6_k, 64, 4096, 512, MN__DOTS_S, 6),
    {"mm_pack_bf16", 0, 0, 0, 576, 32, run_mm_pack_bf16, 0, 576 * 32 * 6},
    {"page_put_bf16", 0, 0, 64, 0, 0, run_page_put_bf16, 0, 64 * 64 * 12},
    {"page_put_bf16", 1, 0, 64, 0, 0, run_page_put_one, 0, 64 * 12},
    {"page_put_q8", 0, 0, 64, 0, 0, run_page_put_q8, 0, 64 * 64 * 10},
    {"page_widen_q8", 0, 0, 64, 0, 0, run_page_widen_q8, 0, 64 * 64 * 6},
    {"page_get_bf16", 0, 0, 64, 0, 0, run_page_get_bf16, 0, 64 * 64 * 12},
    QK(1, 4096, 64),
    QK(3, 4096, 64),
    QK(8, 4096, 64),
    QK(4, 4096, 128),
    QK(8, 4096, 128),
    QK(4, 4096, 256),
    QK(32, 512, 64),
    QK(96, 512, 64),
    QK(96, 512, 128),
    QK(96, 512, 256),
    QK(24, 512, 64),
    {"qk_f32", 96, 512, 64, 0, 0, run_qk_f32, 2.0 * 96 * 512 * 64, 4.0 * 512 * 64},
    SM(softmax_bf16, 96, 512),
    SM(softmax_f32, 96, 512),
    SM(probs, 96, 512),
    SM(colsum, 96, 512),
    {"ring_put_bf16", 16, 256, 64, 0, 0, run_ring_put_bf16, 0, 256 * (16 * 4 + 32)},
    {"stft_ema_bf16", 16, 256, 64, 0, 0, run_stft_ema_bf16, 0, 256 * (64 + 2 * 34)},
    PV(1, 4096, 64),
    PV(3, 4096, 64),
    PV(8, 4096, 64),
    PV(4, 4096, 128),
    PV(8, 4096, 128),
    PV(4, 4096, 256),
    PV(32, 512, 64),
    PV(96, 512, 64),
    PV(96, 512, 128),
    PV(96, 512, 256),
    PV(24, 512, 64),
    {"pv_f32", 96, 512, 64, 0, 0, run_pv_f32, 2.0 * 96 * 512 * 64, 4.0 * 512 * 64},
};

static void *take(size_t bytes)
{
    /* the limit is for the compiler, which suspects sizes that wrapped around */
    void *x = bytes < PTRDIFF_MAX / 2 ? aligned_alloc(64, (bytes + 63) / 64 * 64 + 64) : NULL;
    if (!x) {
        fputs("mneme-kern: out of memory\n", stderr);
        exit(1);
    }
    return x;
}

static float *take_f32(size_t n)
{
    float *x = take(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1;
    return x;
}

static mn_bf16 *take_bf16(const struct mn__kern *ref, size_t n)
{
    float *x = take_f32(n);
    mn_bf16 *y = take(n * sizeof *y);
    ref->f32_to_bf16(y, x, n);
    free(x);
    return y;
}

static struct bench bench_make(const struct entry *e, const struct mn__kern *ref)
{
    struct bench b = {
        .n_row = e->n_row, .n_tok = e->n_tok, .d = e->d, .k = e->k, .n_out = e->n_out};
    size_t page_bytes = 2 * MN__PAGE_TOKENS * (e->d + 1) * 4,
           n_page = e->n_tok / MN__PAGE_TOKENS + 1;
    size_t n_num = e->n_row * (e->n_tok + e->d + e->k + 64) + 64 * e->d + 32 * e->k + 4096;
    b.x = take_f32(n_num);
    b.y = take_f32(n_num);
    b.z = take_f32(n_num);
    for (size_t i = 0; i < sizeof b.turn / sizeof *b.turn; i += 2) {
        b.turn[i] = 0.6f;
        b.turn[i + 1] = 0.8f;
    }
    b.m = take_f32(e->n_row + 64);
    b.l = take_f32(e->n_row + 64);
    b.corr = take_f32(e->n_row + 1);
    b.a = take_bf16(ref, n_num);
    b.p = take_bf16(ref, n_num);
    b.b = take_bf16(ref, e->k * (e->n_out + 1));
    b.weights = take((e->n_out / MN__DOTS_ROWS + 1) * mn__dots_layout(8, MN__DOTS_DM, e->k).bytes);
    memset(b.weights, 0x35,
           (e->n_out / MN__DOTS_ROWS + 1) * mn__dots_layout(8, MN__DOTS_DM, e->k).bytes);
    b.q8 = take((e->n_row + 1) * q8_ld(e->k));
    memset(b.q8, 0x35, (e->n_row + 1) * q8_ld(e->k));
    b.pages = take(page_bytes * n_page);
    memset(b.pages, 0, page_bytes * n_page);
    b.page = take(n_page * sizeof *b.page);
    /* as in the cache: bf16 pages one after another */
    size_t stride =
        strstr(e->kernel, "f32") ? page_bytes / (e->d + 1) * e->d : 2 * MN__PAGE_TOKENS * e->d * 2;
    for (size_t i = 0; i < n_page; i++) b.page[i] = b.pages + i * stride;
    b.lo = take((e->n_row + 1) * sizeof *b.lo);
    b.hi = take((e->n_row + 1) * sizeof *b.hi);
    for (size_t r = 0; r < e->n_row; r++) {
        b.lo[r] = 0;
        b.hi[r] = (int32_t)e->n_tok;
    }
    return b;
}

static void bench_free(struct bench *b)
{
    void *all[] = {b->x, b->y, b->z,     b->m,       b->l,  b->corr,         b->a,
                   b->b, b->p, b->pages, b->weights, b->q8, (void *)b->page, b->lo,
                   b->hi};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Best of short runs over budget_s seconds; top: the best peak seen between them. */
static double time_best(const struct entry *e, struct bench *b, int level, double budget_s,
                        double *top)
{
    double best = 1e9, end = mn__clock_s() + budget_s;
    int many = 1;
    *top = 0;
    do {
        double peak = e->flops == 0 ? 0 : level == MN__CPU_AMX ? peak_tile() : peak_fma(level);
        if (peak > *top) *top = peak;
        double t = mn__clock_s();
        for (int i = 0; i < many; i++) e->run(b);
        t = mn__clock_s() - t;
        if (t / many < best) best = t / many;
        if (t < 2e-5) many *= 2;
    } while (mn__clock_s() < end);
    return best;
}

static void bench_entry(const struct entry *e, int first, int last, double seconds)
{
    struct mn__kern table;
    mn__kern_init(&table, MN__CPU_REF);
    struct bench b = bench_make(e, &table);
    double ref_s = 0, top;
    for (int level = MN__CPU_REF; level <= last; level++) {
        mn__kern_init(&table, level);
        b.kern = &table;
        if (level != MN__CPU_REF && level < first) continue;
        mn__tiles_begin(&table);
        double s = time_best(e, &b, level, level ? seconds : 0.02, &top);
        mn__tiles_end(&table);
        if (level == MN__CPU_REF) ref_s = s;
        printf("%-14s %4zu %5zu %4zu %5zu %5zu  %-10s %12.0f", e->kernel, e->n_row, e->n_tok, e->d,
               e->k, e->n_out, mn__cpu_level_name((mn__cpu_level)level), s * 1e9);
        printf(e->bytes > 0 ? " %7.1f" : "       -", e->bytes / s * 1e-9);
        printf(e->flops > 0 ? " %8.1f" : "        -", e->flops / s * 1e-9);
        printf(top > 0 ? " %5.0f%%" : "      -", 100 * e->flops / s / (top > 0 ? top : 1));
        printf(" %8.1f\n", ref_s / s);
        fflush(stdout);
    }
    bench_free(&b);
}

void bench_run(const char *filter, int first, int last, double seconds)
{
    printf("%-14s %4s %5s %4s %5s %5s  %-10s %12s %7s %8s %6s %8s\n", "kernel", "rows", "tok", "d",
           "k", "out", "level", "ns", "GB/s", "GFLOP/s", "peak", "x ref");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (!filter || strstr(entries[i].kernel, filter))
            bench_entry(entries + i, first, last, seconds);
}
