/* dots_avx2.c: 8 rows a register, two registers a group. Products of bytes are summed in pairs in
 * 16 bits, as many as cannot overflow, then in 32. */
#include <immintrin.h>
#include <string.h>
#include "kern/dots.h"
#include "kern/x86/x86.h"

/* The bits of a format are constants only where all is one function. */
#define MN__INLINE static inline __attribute__((always_inline))

typedef struct group {
    const uint8_t *q, *high, *part, *part_m, *d, *m;
} group;

MN__INLINE group open_group(const void *w, int bits, mn__dots_scale kind, size_t k)
{
    const mn__dots_planes p = mn__dots_layout(bits, kind, k);
    const uint8_t *base = w;
    return (group){base + p.q,      base + p.high, base + p.part,
                   base + p.part_m, base + p.d,    base + p.m};
}

MN__INLINE __m256i four_inputs(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm256_set1_epi32(word);
}

/* Bytes of inputs 4t .. 4t+3 of block b for rows 8*side .. 8*side+7. */
MN__INLINE __m256i bytes_at(const group *g, int bits, size_t b, int t, int side)
{
    const __m256i low = _mm256_set1_epi8(15);
    const uint8_t *q = g->q + 32 * side, *at_high = g->high + 32 * side;
    if (bits == 8) return _mm256_load_si256((const void *)(q + (b * 8 + (size_t)t) * 64));
    __m256i pair = _mm256_load_si256((const void *)(q + (b * 4 + (size_t)t % 4) * 64));
    if (t >= 4) pair = _mm256_srli_epi16(pair, 4);
    pair = _mm256_and_si256(pair, low);
    if (bits == 4) return pair;
    __m256i high =
        _mm256_load_si256((const void *)(at_high + (bits == 5 ? b : b * 2 + (size_t)t / 4) * 64));
    const int from = bits == 5 ? t : t % 4 * 2;
    high = from < 4 ? _mm256_slli_epi16(high, 4 - from) : _mm256_srli_epi16(high, from - 4);
    return _mm256_or_si256(pair, _mm256_and_si256(high, _mm256_set1_epi8(bits == 5 ? 16 : 48)));
}

/* Sums of two products each, in 16 bits. Bytes of 8 bits would overflow them: those go back to
 * signed, and lend their sign to the inputs. */
MN__INLINE __m256i pairs(__m256i w, __m256i x, int bits)
{
    if (bits < 8) return _mm256_maddubs_epi16(w, x);
    const __m256i s = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(s), _mm256_sign_epi8(x, s));
}

/* Sum over inputs 4*first .. 4*end-1 of block b; 8 bits: of the signed values. */
MN__INLINE __m256i sum_bytes(const group *g, int bits, size_t b, const int8_t *x, const int part[3])
{
    const __m256i ones = _mm256_set1_epi16(1);
    const int first = part[0], end = part[1], side = part[2];
    const int run = bits == 4   ? 8
                    : bits == 5 ? 4
                    : bits == 6 ? 2
                                : 1; /* 2 * 127 * (2^bits - 1) * run < 2^15 */
    __m256i sum = _mm256_setzero_si256(), s16 = sum;
#pragma GCC unroll 8
    for (int t = first; t < end; t++) {
        s16 = _mm256_add_epi16(s16,
                               pairs(bytes_at(g, bits, b, t, side), four_inputs(x + 4 * t), bits));
        if ((t + 1) % run == 0 || t + 1 == end) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(s16, ones));
            s16 = _mm256_setzero_si256();
        }
    }
    return sum;
}

MN__INLINE __m256i sum_block(const group *g, int bits, size_t b, const int8_t *x, int side)
{
    const int part[3] = {0, 8, side};
    return sum_bytes(g, bits, b, x, part);
}

MN__INLINE __m256 halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_load_si128((const void *)p));
}

MN__INLINE __m256 small_unsigned(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
}

MN__INLINE __m256 small_signed(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
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
    __m256 total[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, least[2] = {total[0], total[0]};
    for (size_t b = 0; b < x->k / 32; b++) {
#pragma GCC unroll 2
        for (int side = 0; side < 2; side++) {
            __m256i s = sum_block(g, bits, b, x->q + b * 32, side);
            if (zero && bits < 8) s = _mm256_sub_epi32(s, _mm256_set1_epi32(zero * x->sum[b]));
            const __m256 d =
                _mm256_mul_ps(halves(g->d + b * 32 + 16 * side), _mm256_set1_ps(x->scale[b]));
            total[side] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), d, total[side]);
            if (kind == MN__DOTS_DM)
                least[side] =
                    _mm256_fmadd_ps(halves(g->m + b * 32 + 16 * side),
                                    _mm256_set1_ps(x->scale[b] * (float)x->sum[b]), least[side]);
        }
    }
    _mm256_storeu_ps(y, _mm256_add_ps(total[0], least[0]));
    _mm256_storeu_ps(y + 8, _mm256_add_ps(total[1], least[1]));
}

MN__INLINE void dot_k(float *y, const group *g, const row *x, int bits)
{
    for (int side = 0; side < 2; side++) {
        __m256 total = _mm256_setzero_ps();
        for (size_t super = 0; super < x->k / 256; super++) {
            __m256 part = _mm256_setzero_ps(), least = _mm256_setzero_ps();
            for (size_t b = super * 8; b < super * 8 + 8; b++) {
                const __m256 s = _mm256_cvtepi32_ps(sum_block(g, bits, b, x->q + b * 32, side));
                const __m256 d = _mm256_mul_ps(small_unsigned(g->part + b * 16 + 8 * side),
                                               _mm256_set1_ps(x->scale[b]));
                part = _mm256_fmadd_ps(s, d, part);
                least = _mm256_fmadd_ps(small_unsigned(g->part_m + b * 16 + 8 * side),
                                        _mm256_set1_ps(x->scale[b] * (float)x->sum[b]), least);
            }
            total = _mm256_fmadd_ps(part, halves(g->d + super * 32 + 16 * side), total);
            total = _mm256_fnmadd_ps(least, halves(g->m + super * 32 + 16 * side), total);
        }
        _mm256_storeu_ps(y + 8 * side, total);
    }
}

/* zero * the sum of 16 inputs, everywhere */
MN__INLINE __m256i zero_of_16(const int8_t *x, int zero)
{
    const __m128i pair =
        _mm_maddubs_epi16(_mm_set1_epi8((char)zero), _mm_load_si128((const void *)x));
    const __m128i s = _mm_madd_epi16(pair, _mm_set1_epi16(1));
    const __m128i t = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm256_broadcastd_epi32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

MN__INLINE void dot_s(float *y, const group *g, const row *x, int bits, int zero)
{
    __m256 total[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t super = 0; super < x->k / 256; super++) {
        __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
#pragma GCC unroll 2
        for (size_t h = super * 16; h < super * 16 + 16; h++) {
            const size_t b = h / 2;
            const int first = h % 2 ? 4 : 0;
            const __m256i off = zero_of_16(x->q + h * 16, zero);
#pragma GCC unroll 2
            for (int side = 0; side < 2; side++) {
                const int part[3] = {first, first + 4, side};
                const __m256i s = _mm256_sub_epi32(sum_bytes(g, bits, b, x->q + b * 32, part), off);
                const __m256 d = _mm256_mul_ps(small_signed(g->part + h * 16 + 8 * side),
                                               _mm256_set1_ps(x->scale[b]));
                sums[side] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), d, sums[side]);
            }
        }
#pragma GCC unroll 2
        for (int side = 0; side < 2; side++)
            total[side] =
                _mm256_fmadd_ps(sums[side], halves(g->d + super * 32 + 16 * side), total[side]);
    }
    _mm256_storeu_ps(y, total[0]);
    _mm256_storeu_ps(y + 8, total[1]);
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

#define X(name, type, bits, zero, kind)                                                          \
    void mn__dot16_##name##_avx2(float *y, size_t ld_y, const void *w, size_t n_group,           \
                                 const int8_t *q, const float *scale, const int32_t *sum,        \
                                 size_t ld, size_t n_row, size_t k)                              \
    {                                                                                            \
        const size_t bytes = mn__dots_layout(bits, kind, k).bytes;                               \
        for (size_t i = 0; i < n_group; i++)                                                     \
            for (size_t r = 0; r < n_row; r++) {                                                 \
                const row x = {q + r * ld, (const void *)((const char *)scale + r * ld),         \
                               (const void *)((const char *)sum + r * ld), k};                   \
                dot_one(y + r * ld_y + i * MN__DOTS_ROWS, (const char *)w + i * bytes, &x, bits, \
                        zero, kind);                                                             \
            }                                                                                    \
    }
MN__DOTS_MAP(X)
#undef X

/* Largest of 8 values that are no NaN. */
MN__INLINE float top_of(__m256 x)
{
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}

void mn__quant_q8_avx2(int8_t *q, float *scale, int32_t *sum, const float *x, size_t k)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const __m256i order =
        _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* what two packs of halves have mixed up */
    for (size_t b = 0; b < k / 32; b++) {
        __m256 top = _mm256_setzero_ps();
        for (int i = 0; i < 4; i++) /* a NaN in the first operand leaves the second */
            top = _mm256_max_ps(_mm256_and_ps(_mm256_loadu_ps(x + b * 32 + 8 * i), magnitude), top);
        const float max = top_of(top);
        const __m256 inverse = _mm256_set1_ps(max > 1e-30f ? 127.0f / max : 0.0f);
        __m256i v[4];
        for (int i = 0; i < 4; i++)
            v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + b * 32 + 8 * i), inverse));
        const __m256i packed =
            _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
        const __m256i bytes = _mm256_permutevar8x32_epi32(packed, order);
        _mm256_storeu_si256((void *)(q + b * 32), bytes);
        scale[b] = max / 127.0f;
        const __m256i s = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes),
                                            _mm256_set1_epi16(1));
        const __m128i h = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
        const __m128i t = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
        sum[b] = _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
    }
}
