/* attn_amx.c: scores and weighted values in tiles. Rows go 32 at a time while there are as many
 * (prefill); what is left, 16 at a time against four blocks of the cache, padded with zeros.
 * Decode's few rows wait for memory, and plain vectors ask for it ahead. */
#include "kern/x86/tile_amx.h"
#include "kern/x86/x86.h"

enum {
    ROWS = 32,
    FEW = 16,
    MEMORY_BOUND = 8, /* rows up to which tiles gain nothing */
    TOKENS = MN__PAGE_TOKENS,
    D_MAX = 512, /* widest head whose last rows are copied on the stack */
};

/* Scores of 32 rows with 32 tokens, and with 16. */
static void qk_two(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const mn_bf16 *k, size_t d)
{
    struct tile_cols t = {{(const char *)k, (const char *)(k + 16 * d)}, 64};
    c_zero();
    c_add(q, ld_q, &t, d / 32, STREAM_B, NULL);
    c_store(s, ld_s);
}

static void qk_one(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const mn_bf16 *k, size_t d)
{
    MN__TILES_WRITTEN();
    _tile_zero(0);
    _tile_zero(2);
    for (size_t i = 0; i < d; i += 32) {
        _tile_loadd(6, k + i * 16, 64);
        _tile_loadd(4, q + i, ld_q * 2);
        _tile_loadd(5, q + 16 * ld_q + i, ld_q * 2);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
    }
    _tile_stored(0, s, ld_s * 4);
    _tile_stored(2, s + 16 * ld_s, ld_s * 4);
}

/* d = 64: all of q's tiles (2-5) stay in registers, so that only K is loaded. */
static void qk_page_64(float *s, size_t ld_s, const mn_bf16 *k, size_t n_block,
                       const mn_bf16 *ahead)
{
    for (size_t j = 0; j < n_block; j++, k += 16 * 64, s += 16) {
        const char *next = (const char *)(j + 1 < n_block ? k + 16 * 64 : ahead);
        _tile_zero(0);
        _tile_zero(1);
        _tile_loadd(6, k, 64);
        tile_call(next, 64);
        _tile_dpbf16ps(0, 2, 6);
        _tile_dpbf16ps(1, 4, 6);
        tile_call(next + 1024, 64);
        _tile_loadd(7, k + 512, 64);
        _tile_dpbf16ps(0, 3, 7);
        _tile_dpbf16ps(1, 5, 7);
        _tile_stored(0, s, ld_s * 4);
        _tile_stored(1, s + 16 * ld_s, ld_s * 4);
    }
}

static void qk_rows(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, const void *const *page,
                    size_t n_tok, size_t d)
{
    if (d == 64) {
        MN__TILES_WRITTEN();
        _tile_loadd(2, q, ld_q * 2);
        _tile_loadd(3, q + 32, ld_q * 2);
        _tile_loadd(4, q + 16 * ld_q, ld_q * 2);
        _tile_loadd(5, q + 16 * ld_q + 32, ld_q * 2);
    }
    for (size_t t = 0; t < n_tok; t += TOKENS) {
        const mn_bf16 *k = page[t / TOKENS];
        size_t left = n_tok - t, n_block = left < TOKENS ? (left + 15) / 16 : 4, j = 0;
        if (d == 64) {
            qk_page_64(s + t, ld_s, k, n_block,
                       page[t + TOKENS < n_tok ? t / TOKENS + 1 : t / TOKENS]);
            continue;
        }
        for (; j + 2 <= n_block; j += 2) qk_two(s + t + j * 16, ld_s, q, ld_q, k + j * 16 * d, d);
        if (j < n_block) qk_one(s + t + j * 16, ld_s, q, ld_q, k + j * 16 * d, d);
    }
}

/* At most 16 rows: a page at a time. Blocks beyond the last token belong to the page and their
 * scores are not copied. */
static void qk_few(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row,
                   const void *const *page, size_t n_tok, size_t d)
{
    mn_bf16 copy[FEW * D_MAX] __attribute__((aligned(64)));
    float out[FEW * TOKENS] __attribute__((aligned(64)));
    for (size_t r = 0; r < n_row; r++) memcpy(copy + r * d, q + r * ld_q, d * sizeof *q);
    memset(copy + n_row * d, 0, (FEW - n_row) * d * sizeof *q);
    for (size_t t = 0; t < n_tok; t += TOKENS) {
        const char *k = page[t / TOKENS];
        size_t n = n_tok - t < TOKENS ? n_tok - t : TOKENS;
        struct tile_cols cols = {{k, k + 32 * d, k + 64 * d, k + 96 * d}, 64};
        c_zero();
        few_add(copy, d, &cols, d / 32);
        few_store(out, TOKENS);
        for (size_t r = 0; r < n_row; r++)
            memcpy(s + r * ld_s + t, out + r * TOKENS, n * sizeof *s);
    }
}

void mn__qk_bf16_amx(float *s, size_t ld_s, const mn_bf16 *q, size_t ld_q, size_t n_row,
                     const void *const *page, size_t n_tok, size_t d, const void *const *then)
{
    size_t r = 0;
    if (n_row <= MEMORY_BOUND || d % 32 || d > D_MAX) {
        mn__qk_bf16_avx512(s, ld_s, q, ld_q, n_row, page, n_tok, d, then);
        return;
    }
    for (; r + ROWS <= n_row; r += ROWS)
        qk_rows(s + r * ld_s, ld_s, q + r * ld_q, ld_q, page, n_tok, d);
    for (; r < n_row; r += FEW)
        qk_few(s + r * ld_s, ld_s, q + r * ld_q, ld_q, n_row - r < FEW ? n_row - r : FEW, page,
               n_tok, d);
}

/* n_col channels (multiple of 16) of the last n < 32 tokens of V, the rest zero: their slots may
 * hold anything. */
static void pv_copy_tail(mn_bf16 *copy, const mn_bf16 *v, size_t n, size_t n_col, size_t d)
{
    for (size_t i = 0; i < 16; i++)
        for (size_t c = 0; c < 2 * n_col; c += 32) {
            __mmask32 keep = 2 * i + 1 < n ? 0xffffffff : 2 * i < n ? 0x55555555 : 0;
            _mm512_store_si512(copy + i * 2 * n_col + c,
                               _mm512_maskz_loadu_epi16(keep, v + i * 2 * d + c));
        }
}

/* o, 32 rows and channels [c, c+32), += p * V */
static void pv_rows(float *o, size_t ld_o, const mn_bf16 *p, size_t ld_p, const void *const *page,
                    size_t n_tok, size_t c, size_t d)
{
    c_load(o, ld_o);
    for (size_t t = 0; t < n_tok; t += TOKENS) {
        const mn_bf16 *v = (const mn_bf16 *)page[t / TOKENS] + TOKENS * d + c * 2;
        size_t n = n_tok - t < TOKENS ? n_tok - t : TOKENS, whole = n / 32 * 32;
        struct tile_cols cols = {{(const char *)v, (const char *)(v + 32)}, d * 4};
        for (size_t i = 0; i < whole; i += 32) {
            const char *next = cols.b[0] + 64 * d;
            if (i + 32 == TOKENS && t + TOKENS < n_tok)
                next = (const char *)((const mn_bf16 *)page[t / TOKENS + 1] + TOKENS * d + c * 2);
            tile_call(next, 4 * d);
            tile_call(next + 64, 4 * d);
            c_add(p + t + i, ld_p, &cols, 1, STREAM_B, NULL);
            cols.b[0] += 64 * d;
            cols.b[1] += 64 * d;
        }
        if (whole < n) {
            mn_bf16 copy[16 * 64] __attribute__((aligned(64)));
            struct tile_cols tail = {{(const char *)copy, (const char *)(copy + 32)}, 128};
            pv_copy_tail(copy, v + whole * d, n - whole, 32, d);
            c_add(p + t + whole, ld_p, &tail, 1, STREAM_NONE, NULL);
        }
    }
    c_store(o, ld_o);
}

/* o, at most 16 rows and channels [c, c+64) (32 where d ends there), = o * corr + p * V */
static void pv_few(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p,
                   size_t n_row, const void *const *page, size_t n_tok, size_t c, size_t d)
{
    mn_bf16 copy[FEW * TOKENS] __attribute__((aligned(64))) = {0},
                               end[16 * 128] __attribute__((aligned(64)));
    float out[FEW * 64] __attribute__((aligned(64))) = {0};
    size_t n_col = d - c < 64 ? 32 : 64;
    for (size_t r = 0; r < n_row; r++)
        for (size_t x = 0; x < n_col; x++) out[r * 64 + x] = o[r * ld_o + x] * corr[r];
    few_load(out, 64);
    for (size_t t = 0; t < n_tok; t += TOKENS) {
        const mn_bf16 *v = (const mn_bf16 *)page[t / TOKENS] + TOKENS * d + c * 2;
        size_t n = n_tok - t < TOKENS ? n_tok - t : TOKENS, whole = n / 32 * 32,
               second = n_col == 64 ? 64 : 0;
        struct tile_cols cols = {{(const char *)v, (const char *)(v + 32),
                                  (const char *)(v + second), (const char *)(v + second + 32)},
                                 d * 4};
        for (size_t r = 0; r < n_row; r++)
            memcpy(copy + r * TOKENS, p + r * ld_p + t, (n + 31) / 32 * 64);
        few_add(copy, TOKENS, &cols, whole / 32);
        if (whole < n) {
            struct tile_cols tail = {{(const char *)end, (const char *)(end + 32),
                                      (const char *)(end + second),
                                      (const char *)(end + second + 32)},
                                     n_col * 4};
            pv_copy_tail(end, v + whole * d, n - whole, n_col, d);
            few_add(copy + whole, TOKENS, &tail, 1);
        }
    }
    few_store(out, 64);
    for (size_t r = 0; r < n_row; r++) memcpy(o + r * ld_o, out + r * 64, n_col * sizeof *o);
}

static void scale_rows(float *o, size_t ld_o, const float *corr, size_t n_row, size_t d)
{
    for (size_t r = 0; r < n_row; r++)
        for (size_t c = 0; c < d && corr[r] != 1; c += 16)
            _mm512_storeu_ps(o + r * ld_o + c, _mm512_mul_ps(_mm512_loadu_ps(o + r * ld_o + c),
                                                             _mm512_set1_ps(corr[r])));
}

void mn__pv_bf16_amx(float *o, size_t ld_o, const float *corr, const mn_bf16 *p, size_t ld_p,
                     size_t n_row, const void *const *page, size_t n_tok, size_t d,
                     const void *const *then)
{
    size_t r = 0;
    if (n_row <= MEMORY_BOUND || d % 32) {
        mn__pv_bf16_avx512(o, ld_o, corr, p, ld_p, n_row, page, n_tok, d, then);
        return;
    }
    scale_rows(o, ld_o, corr, n_row / ROWS * ROWS, d);
    for (; r + ROWS <= n_row; r += ROWS)
        for (size_t c = 0; c < d; c += 32)
            pv_rows(o + r * ld_o + c, ld_o, p + r * ld_p, ld_p, page, n_tok, c, d);
    for (; r < n_row; r += FEW)
        for (size_t c = 0; c < d; c += 64)
            pv_few(o + r * ld_o + c, ld_o, corr + r, p + r * ld_p, ld_p,
                   n_row - r < FEW ? n_row - r : FEW, page, n_tok, c, d);
}
