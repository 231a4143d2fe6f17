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

enum { HASH_BITS = 16 };

/* A table is a lane. Its signs are made of max(z, -1) + 0: NaN becomes -1, -0 becomes 0. */
MN__INLINE void hash_tables(const float *turned, size_t n_bit, float slope, int by_size,
                            float *code, float *score)
{
    vf c = vf_set1(0), below = vf_set1(1), sum = vf_set1(0);
    for (size_t b = 0; b < n_bit; b++) {
        const vf z = vf_load(turned + b * VF_N), size = vf_abs(z);
        const vf sign = vf_add(vf_max(z, vf_set1(-1)), vf_set1(0));
        c = vf_fma(c, vf_set1(2), vf_pick_negative(sign, vf_set1(0), vf_set1(1)));
        below = vf_fma(below, vf_exp(vf_mul(size, vf_set1(slope))), below);
        sum = vf_add(sum, size);
    }
    vf_store(code, c);
    vf_store(score, vf_div(by_size ? sum : vf_set1(1), below));
}

void MN__ISA(hash_signs)(uint32_t *row, float *score, const float *x, size_t n_table, size_t n_bit,
                         float temperature, int by_size)
{
    float turned[HASH_BITS * VF_N] = {0}, code[VF_N], some[VF_N];
    for (size_t k = 0; k < n_table; k += VF_N) {
        const size_t n = n_table - k < VF_N ? n_table - k : VF_N;
        for (size_t t = 0; t < n; t++)
            for (size_t b = 0; b < n_bit; b++) turned[b * VF_N + t] = x[(k + t) * n_bit + b];
        hash_tables(turned, n_bit, -2 / temperature, by_size, code, some);
        for (size_t t = 0; t < n; t++) {
            row[k + t] = (uint32_t)((k + t) << n_bit) + (uint32_t)(int32_t)code[t];
            score[k + t] = some[t];
        }
    }
}

void MN__ISA(row_dots_bf16)(float *y, const mn_bf16 *rows, const uint32_t *row, const float *x,
                            size_t n_row, size_t width)
{
    const size_t ask = width * sizeof *rows;
    for (size_t i = 0; i < n_row && i < GATHER_AHEAD; i++) gather_ask(rows + row[i] * width, ask);
    for (size_t i = 0; i < n_row; i++) {
        const mn_bf16 *r = rows + row[i] * width;
        vf even = vf_set1(0), odd = vf_set1(0);
        size_t c = 0;
        if (i + GATHER_AHEAD < n_row) gather_ask(rows + row[i + GATHER_AHEAD] * width, ask);
        for (; c + 2 * VF_N <= width; c += 2 * VF_N) {
            even = vf_fma(vf_load_bf16(r + c), vf_load(x + c), even);
            odd = vf_fma(vf_load_bf16(r + c + VF_N), vf_load(x + c + VF_N), odd);
        }
        float sum = vf_sum(vf_add(even, odd));
        for (; c < width; c++) sum += mn__bf16_widen(r[c]) * x[c];
        y[i] = sum;
    }
}
