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

void mn__hash_signs_ref(uint32_t *row, float *score, const float *x, size_t n_table, size_t n_bit,
                        float temperature, int by_size)
{
    for (size_t k = 0; k < n_table; k++) {
        uint32_t code = 0;
        double below = 1, sum = 0;
        for (size_t b = 0; b < n_bit; b++) {
            const double z = (double)x[k * n_bit + b];
            code = code << 1 | (z >= 0);
            below *= 1 + exp(-2 * fabs(z) / (double)temperature);
            sum += fabs(z);
        }
        row[k] = (uint32_t)(k << n_bit) + code;
        score[k] = (float)((by_size ? sum : 1) / below);
    }
}

void mn__row_dots_bf16_ref(float *y, const mn_bf16 *rows, const uint32_t *row, const float *x,
                           size_t n_row, size_t width)
{
    for (size_t i = 0; i < n_row; i++) {
        double sum = 0;
        for (size_t c = 0; c < width; c++)
            sum += (double)mn__bf16_widen(rows[row[i] * width + c]) * (double)x[c];
        y[i] = (float)sum;
    }
}
