/* mm_ref.c: product of rows with a panel of 32 outputs, and the packing of such panels and rows. */
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__mm_bf16_ref(float *c, const mn_bf16 *a, size_t ld_a, size_t n_row, const mn_bf16 *b,
                     size_t k)
{
    for (size_t r = 0; r < n_row; r++)
        for (size_t j = 0; j < MN__MM_COLS; j++) {
            double sum = 0;
            for (size_t i = 0; i < k; i++)
                sum += (double)mn__bf16_widen(a[r * ld_a + i]) *
                       mn__bf16_widen(b[(i / 2 * MN__MM_COLS + j) * 2 + i % 2]);
            c[r * MN__MM_COLS + j] = (float)sum;
        }
}

void mn__mm_pack_bf16_ref(mn_bf16 *b, const float *w, size_t ld_w, size_t n_row, size_t k,
                          size_t k_pad)
{
    for (size_t i = 0; i < k_pad; i++)
        for (size_t j = 0; j < MN__MM_COLS; j++)
            b[(i / 2 * MN__MM_COLS + j) * 2 + i % 2] =
                j < n_row && i < k ? mn__bf16_round(w[j * ld_w + i]) : 0;
}

void mn__mm_into_bf16_ref(float *c, size_t ld_c, int add, const mn_bf16 *a, size_t ld_a,
                          size_t n_row, const mn_bf16 *b, size_t k, const mn_bf16 *next)
{
    (void)next;
    for (size_t r = 0; r < n_row; r++) {
        float sum[MN__MM_COLS];
        mn__mm_bf16_ref(sum, a + r * ld_a, ld_a, 1, b, k);
        for (size_t j = 0; j < MN__MM_COLS; j++)
            c[r * ld_c + j] = add ? c[r * ld_c + j] + sum[j] : sum[j];
    }
}

void mn__mm_pack_cols_bf16_ref(mn_bf16 *b, const float *w, size_t ld_w, size_t n_col, size_t k,
                               size_t k_pad)
{
    for (size_t i = 0; i < k_pad; i++)
        for (size_t j = 0; j < MN__MM_COLS; j++)
            b[(i / 2 * MN__MM_COLS + j) * 2 + i % 2] =
                j < n_col && i < k ? mn__bf16_round(w[i * ld_w + j]) : 0;
}

void mn__mm_turn_bf16_ref(mn_bf16 *a, size_t ld_a, const float *x, size_t ld_x, size_t n_row,
                          size_t k, size_t k_pad)
{
    for (size_t j = 0; j < n_row; j++)
        for (size_t i = 0; i < k_pad; i++)
            a[j * ld_a + i] = i < k ? mn__bf16_round(x[i * ld_x + j]) : 0;
}
