/* gather_ref.c: weighted sums of rows that look-ups chose, the plain way. */
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__gather_f32_ref(float *y, const float *bias, const float *rows, const uint32_t *row,
                        const float *score, size_t n_row, size_t width)
{
    for (size_t c = 0; c < width; c++) {
        double sum = bias ? (double)bias[c] : 0;
        for (size_t i = 0; i < n_row; i++)
            sum += (double)score[i] * (double)rows[row[i] * width + c];
        y[c] = (float)sum;
    }
}

void mn__gather_bf16_ref(float *y, const float *bias, const mn_bf16 *rows, const uint32_t *row,
                         const float *score, size_t n_row, size_t width)
{
    for (size_t c = 0; c < width; c++) {
        double sum = bias ? (double)bias[c] : 0;
        for (size_t i = 0; i < n_row; i++)
            sum += (double)score[i] * (double)mn__bf16_widen(rows[row[i] * width + c]);
        y[c] = (float)sum;
    }
}

void mn__gather_q8_ref(float *y, const float *bias, const int8_t *rows, const uint32_t *row,
                       const float *score, size_t n_row, size_t width)
{
    for (size_t c = 0; c < width; c++) {
        double sum = bias ? (double)bias[c] : 0;
        for (size_t i = 0; i < n_row; i++)
            sum += (double)score[i] * (double)rows[row[i] * width + c];
        y[c] = (float)sum;
    }
}
