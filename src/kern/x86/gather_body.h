/* gather_body.h: weighted sums of rows that look-ups chose; included once per width. A slice of y
 * stays in registers while all rows pass. Rows stand anywhere in tables that are larger than any
 * cache, so whole rows are asked for AHEAD of the first slice's turn; the other slices then find
 * them in the second cache. */
#include "kern/ref/number_ref.h"

enum { GATHER_VECTORS = VF_N == 16 ? 16 : 8, GATHER_AHEAD = 8, LINE = 64 };

MN__INLINE void gather_ask(const void *row, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE) _mm_prefetch((const char *)row + at, _MM_HINT_T0);
}

MN__INLINE float widen_f32(float x)
{
    return x;
}
MN__INLINE float widen_bf16(mn_bf16 x)
{
    return mn__bf16_widen(x);
}
MN__INLINE float widen_q8(int8_t x)
{
    return x;
}

/* One file's three kernels differ in how a row is read. */
#define MN__GATHER(name, type, load, widen)                                                       \
    MN__INLINE void name##_slice(const size_t n_vec, float *y, const float *bias,                 \
                                 const type *rows, const uint32_t *row, const float *score,       \
                                 size_t n_row, size_t width, size_t ask)                          \
    {                                                                                             \
        vf sum[GATHER_VECTORS];                                                                   \
        for (size_t v = 0; v < n_vec; v++) sum[v] = bias ? vf_load(bias + v * VF_N) : vf_set1(0); \
        for (size_t i = 0; i < n_row; i++) {                                                      \
            const type *x = rows + row[i] * width;                                                \
            const vf s = vf_set1(score[i]);                                                       \
            if (ask && i + GATHER_AHEAD < n_row)                                                  \
                gather_ask(rows + row[i + GATHER_AHEAD] * width, ask);                            \
            for (size_t v = 0; v < n_vec; v++) sum[v] = vf_fma(s, load(x + v * VF_N), sum[v]);    \
        }                                                                                         \
        for (size_t v = 0; v < n_vec; v++) vf_store(y + v * VF_N, sum[v]);                        \
    }                                                                                             \
                                                                                                  \
    void MN__ISA(name)(float *y, const float *bias, const type *rows, const uint32_t *row,        \
                       const float *score, size_t n_row, size_t width)                            \
    {                                                                                             \
        size_t c = 0, ask = width * sizeof(type);                                                 \
        for (size_t i = 0; i < n_row && i < GATHER_AHEAD; i++)                                    \
            gather_ask(rows + row[i] * width, ask);                                               \
        for (; c + GATHER_VECTORS * VF_N <= width; c += GATHER_VECTORS * VF_N, ask = 0)           \
            name##_slice(GATHER_VECTORS, y + c, bias ? bias + c : bias, rows + c, row, score,     \
                         n_row, width, ask);                                                      \
        for (; c + 4 * VF_N <= width; c += 4 * VF_N, ask = 0)                                     \
            name##_slice(4, y + c, bias ? bias + c : bias, rows + c, row, score, n_row, width,    \
                         ask);                                                                    \
        for (; c + VF_N <= width; c += VF_N, ask = 0)                                             \
            name##_slice(1, y + c, bias ? bias + c : bias, rows + c, row, score, n_row, width,    \
                         ask);                                                                    \
        for (; c < width; c++) {                                                                  \
            float sum = bias ? bias[c] : 0;                                                       \
            for (size_t i = 0; i < n_row; i++) sum += score[i] * widen(rows[row[i] * width + c]); \
            y[c] = sum;                                                                           \
        }                                                                                         \
    }

MN__GATHER(gather_f32, float, vf_load, widen_f32)
MN__GATHER(gather_bf16, mn_bf16, vf_load_bf16, widen_bf16)
MN__GATHER(gather_q8, int8_t, vf_load_i8, widen_q8)
