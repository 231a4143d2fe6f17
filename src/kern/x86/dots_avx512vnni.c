/* dots_avx512vnni.c: 16 rows a register: one multiply-add of bytes takes four inputs of all of
 * them. Whole numbers are summed exactly over 32 inputs (16 where scales are per 16), then scaled.
 */
#include <stdbool.h>
#include "kern/x86/dots_avx512vnni.h"
#include "kern/x86/x86.h"

/* Sum over inputs 4*first .. 4*end-1 of block b. */
MN__INLINE __m512i sum_bytes(const group *g, int bits, size_t b, const int8_t *x, int first,
                             int end)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int t = first; t < end; t += 2) {
        s0 = _mm512_dpbusd_epi32(s0, bytes_at(g, bits, b, t), four_inputs(x + 4 * t));
        s1 = _mm512_dpbusd_epi32(s1, bytes_at(g, bits, b, t + 1), four_inputs(x + 4 * t + 4));
    }
    return _mm512_add_epi32(s0, s1);
}

/* The same for four bits: high nibbles stay where they are, which makes their sum 16 times as
 * large. */
MN__INLINE __m512i sum_nibbles(const group *g, size_t b, const int8_t *x)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i s0 = _mm512_setzero_si512(), s1 = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int t = 0; t < 4; t++) {
        const __m512i pair = _mm512_load_si512(g->q + (b * 4 + (size_t)t) * 64);
        s0 = _mm512_dpbusd_epi32(s0, _mm512_and_si512(low, pair), four_inputs(x + 4 * t));
        s1 = _mm512_dpbusd_epi32(s1, _mm512_andnot_si512(low, pair), four_inputs(x + 16 + 4 * t));
    }
    return _mm512_add_epi32(s0, _mm512_srai_epi32(s1, 4));
}

MN__INLINE __m512i sum_block(const group *g, int bits, size_t b, const int8_t *x)
{
    return bits == 4 ? sum_nibbles(g, b, x) : sum_bytes(g, bits, b, x, 0, 8);
}

/* Memory is the bound, and one stream of it leaves the processor idle: its prefetcher follows each
 * page of 4 KB on its own and only so far. So four groups come at once, a quarter of each during a
 * group's time: the first of the one four groups ahead, ..., the last of the next one. */
enum { STREAMS = 4 };

/* The same for groups that are read several at a time. */
MN__INLINE void look_ahead_of(const group *g, size_t n_group, int bits, mn__dots_scale kind,
                              const size_t k_and_b[2])
{
    const size_t k = k_and_b[0], b = k_and_b[1], n_block = k / MN__DOTS_BLOCK;
    const size_t block = n_group * (mn__dots_layout(bits, kind, 256).bytes / 8);
    const size_t part = (n_block + STREAMS - 1) / STREAMS, j = b % STREAMS;
    const char *at = (const char *)g->q + (j + 1) * n_group * mn__dots_layout(bits, kind, k).bytes +
                     ((STREAMS - 1 - j) * part + b / STREAMS) * block;
#pragma GCC unroll 18
    for (size_t i = 0; i < (block + 63) / 64; i++) _mm_prefetch(at + i * 64, _MM_HINT_T0);
}

MN__INLINE void look_ahead(const group *g, int bits, mn__dots_scale kind, size_t k, size_t b)
{
    look_ahead_of(g, 1, bits, kind, (const size_t[]){k, b});
}

typedef struct row {
    const int8_t *q;
    const float *scale;
    const int32_t *sum;
    size_t k;
} row;

MN__INLINE void dot_per_32(float *y, const group *g, const row *x, int bits, int zero,
                           mn__dots_scale kind)
{
    __m512 total = _mm512_setzero_ps(), least = _mm512_setzero_ps();
    for (size_t b = 0; b < x->k / 32; b++) {
        look_ahead(g, bits, kind, x->k, b);
        __m512i s = sum_block(g, bits, b, x->q + b * 32);
        if (zero) s = _mm512_sub_epi32(s, _mm512_set1_epi32(zero * x->sum[b]));
        const __m512 d = _mm512_mul_ps(halves(g->d + b * 32), _mm512_set1_ps(x->scale[b]));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), d, total);
        if (kind == MN__DOTS_DM)
            least = _mm512_fmadd_ps(halves(g->m + b * 32),
                                    _mm512_set1_ps(x->scale[b] * (float)x->sum[b]), least);
    }
    _mm512_storeu_ps(y, _mm512_add_ps(total, least));
}

MN__INLINE void dot_k(float *y, const group *g, const row *x, int bits)
{
    __m512 total = _mm512_setzero_ps();
    for (size_t super = 0; super < x->k / 256; super++) {
        __m512 part = _mm512_setzero_ps(), least = _mm512_setzero_ps();
        for (size_t b = super * 8; b < super * 8 + 8; b++) {
            look_ahead(g, bits, MN__DOTS_K, x->k, b);
            const __m512 s = _mm512_cvtepi32_ps(sum_block(g, bits, b, x->q + b * 32));
            const __m512 d =
                _mm512_mul_ps(small_unsigned(g->part + b * 16), _mm512_set1_ps(x->scale[b]));
            part = _mm512_fmadd_ps(s, d, part);
            least = _mm512_fmadd_ps(small_unsigned(g->part_m + b * 16),
                                    _mm512_set1_ps(x->scale[b] * (float)x->sum[b]), least);
        }
        total = _mm512_fmadd_ps(part, halves(g->d + super * 32), total);
        total = _mm512_fnmadd_ps(least, halves(g->m + super * 32), total);
    }
    _mm512_storeu_ps(y, total);
}

/* zero * the sum of 16 inputs, everywhere: `sum` knows only those of 32 */
MN__INLINE __m512i zero_of_16(const int8_t *x, int zero)
{
    const __m128i s = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8((char)zero),
                                       _mm_load_si128((const void *)x));
    const __m128i t = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm512_broadcastd_epi32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

MN__INLINE void dot_s(float *y, const group *g, const row *x, int bits, int zero)
{
    __m512 total = _mm512_setzero_ps();
    for (size_t super = 0; super < x->k / 256; super++) {
        __m512 part = _mm512_setzero_ps();
        for (size_t b = super * 8; b < super * 8 + 8; b++) {
            look_ahead(g, bits, MN__DOTS_S, x->k, b);
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) {
                __m512i s = sum_bytes(g, bits, b, x->q + b * 32, 4 * h, 4 * h + 4);
                s = _mm512_sub_epi32(s, zero_of_16(x->q + b * 32 + 16 * h, zero));
                const __m512 d = _mm512_mul_ps(small_signed(g->part + (b * 2 + (size_t)h) * 16),
                                               _mm512_set1_ps(x->scale[b]));
                part = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), d, part);
            }
        }
        total = _mm512_fmadd_ps(part, halves(g->d + super * 32), total);
    }
    _mm512_storeu_ps(y, total);
}

MN__INLINE void dot_one(float *y, const void *w, const row *x, int bits, int zero,
                        mn__dots_scale kind)
{
    const group g = open_group(w, bits, kind, x->k);
    if (kind == MN__DOTS_K)
        dot_k(y, &g, x, bits);
    else if (kind == MN__DOTS_S)
        dot_s(y, &g, x, bits, zero);
    else
        dot_per_32(y, &g, x, bits, zero, kind);
}

/* The rows of a chunk times two groups. */
MN__INLINE void dot_chunk(totals *t, const group g[PAIR], const rows *x, int bits, int zero,
                          mn__dots_scale kind, bool ahead)
{
    span s;
    for (size_t r = 0; r < x->n; r++)
        for (int h = 0; h < PAIR; h++) t->row[r].sum[h] = t->row[r].least[h] = _mm512_setzero_ps();
    for (s.first = 0; s.first < x->k / 32; s.first += SPAN) {
        s.n = x->k / 32 - s.first < SPAN ? x->k / 32 - s.first : SPAN;
        for (size_t i = 0; i < s.n; i++) {
            if (ahead) look_ahead_of(g, PAIR, bits, kind, (const size_t[]){x->k, s.first + i});
            unpack(&s, i, g, bits, kind);
        }
        unpack_super(&s, g, kind);
        meet_all(t, &s, x, zero, kind);
    }
}

/* n_group: 1 or 2 of them at w. Few rows wait for memory, many do not. */
MN__INLINE void dot_pair(float *y, size_t ld_y, const void *w, size_t n_group, const rows *x,
                         int bits, int zero, mn__dots_scale kind)
{
    const group first = open_group(w, bits, kind, x->k);
    const size_t bytes = mn__dots_layout(bits, kind, x->k).bytes;
    const group g[PAIR] = {
        first, n_group == 1 ? first : open_group((const char *)w + bytes, bits, kind, x->k)};
    for (size_t at = 0; at < x->n; at += CHUNK) {
        totals t;
        const rows some = rows_from(x, at, CHUNK);
        dot_chunk(&t, g, &some, bits, zero, kind, x->n <= CHUNK);
        for (size_t r = 0; r < some.n; r++)
            for (size_t h = 0; h < n_group; h++)
                _mm512_storeu_ps(y + (at + r) * ld_y + h * MN__DOTS_ROWS,
                                 kind == MN__DOTS_K || kind == MN__DOTS_S
                                     ? t.row[r].sum[h]
                                     : _mm512_add_ps(t.row[r].sum[h], t.row[r].least[h]));
    }
}

/* One by one: two or three rows of the simpler kinds are not worth unpacking for. */
MN__INLINE bool is_few(size_t n_row, mn__dots_scale kind)
{
    return n_row < (kind == MN__DOTS_D || kind == MN__DOTS_DM ? 4 : 2);
}

MN__INLINE void dot_few(float *y, size_t ld_y, const void *w, const rows *x, int bits, int zero,
                        mn__dots_scale kind)
{
    for (size_t r = 0; r < x->n; r++) {
        const rows one = rows_from(x, r, 1);
        dot_one(y + r * ld_y, w, &(row){one.q, one.scale, one.sum, x->k}, bits, zero, kind);
    }
}

#define X(name, type, bits, zero, kind)                                                         \
    void mn__dot16_##name##_avx512vnni(float *y, size_t ld_y, const void *w, size_t n_group,    \
                                       const int8_t *q, const float *scale, const int32_t *sum, \
                                       size_t ld, size_t n_row, size_t k)                       \
    {                                                                                           \
        const size_t bytes = mn__dots_layout(bits, kind, k).bytes;                              \
        const size_t step = is_few(n_row, kind) ? 1 : PAIR;                                     \
        const rows x = {q, scale, sum, ld, n_row, k};                                           \
        for (size_t i = 0; i < n_group; i += step) {                                            \
            float *out = y + i * MN__DOTS_ROWS;                                                 \
            const char *at = (const char *)w + i * bytes;                                       \
            if (step == 1)                                                                      \
                dot_few(out, ld_y, at, &x, bits, zero, kind);                                   \
            else                                                                                \
                dot_pair(out, ld_y, at, n_group - i < PAIR ? 1 : PAIR, &x, bits, zero, kind);   \
        }                                                                                       \
    }
MN__DOTS_MAP(X)
#undef X

void mn__quant_q8_avx512vnni(int8_t *q, float *scale, int32_t *sum, const float *x, size_t k)
{
    const __m512i least = _mm512_set1_epi32(-128);
    for (size_t b = 0; b < k / 32; b++) {
        const __m512 x0 = _mm512_loadu_ps(x + b * 32), x1 = _mm512_loadu_ps(x + b * 32 + 16);
        /* the second operand is what a NaN in the first leaves: NaNs do not count, as in ref/ */
        const __m512 top =
            _mm512_max_ps(_mm512_abs_ps(x1), _mm512_max_ps(_mm512_abs_ps(x0), _mm512_setzero_ps()));
        const float max = _mm512_reduce_max_ps(top);
        const __m512 inverse = _mm512_set1_ps(max > 1e-30f ? 127.0f / max : 0.0f);
        const __m512i q0 = _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse)), least);
        const __m512i q1 = _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse)), least);
        _mm_store_si128((void *)(q + b * 32), _mm512_cvtepi32_epi8(q0));
        _mm_store_si128((void *)(q + b * 32 + 16), _mm512_cvtepi32_epi8(q1));
        scale[b] = max / 127.0f;
        sum[b] = _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
    }
}
