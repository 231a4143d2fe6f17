/* step_look_up.c: y = b + sum_k s_k scale[k][c_k] T[k][c_k], in runs of tables. */
#include "model/step_look_up.h"

#include <string.h>

enum { LINE = 64, FIRST = 8 };

/* All places are known at once: the scales and the first rows come while scores are multiplied. */
static void ask(const mn__look_up *l, const int8_t *rows, const float *scale, const uint32_t *row,
                size_t n)
{
    for (size_t k = 0; k < n; k++) __builtin_prefetch(scale + row[k]);
    for (size_t k = 0; k < n && k < FIRST; k++)
        for (size_t at = 0; at < l->width; at += LINE)
            __builtin_prefetch(rows + row[k] * l->width + at);
}

void mn__look_up_step(const mn__crew *crew, const struct mn__kern *kern, const mn__look_up *l,
                      const float *x, float *part)
{
    uint32_t row[MN__LOOK_UP_TABLES];
    float score[MN__LOOK_UP_TABLES];
    size_t begin, end;
    mn__team_split(crew, MN__LOOK_UP_PARTS, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t k0 = l->n_table * i / MN__LOOK_UP_PARTS,
                     n = l->n_table * (i + 1) / MN__LOOK_UP_PARTS - k0, first = k0 << l->n_bit;
        const int8_t *rows = l->rows + first * l->width;
        const float *scale = l->scale + first;
        kern->hash_signs(row, score, x + k0 * l->n_bit, n, l->n_bit, l->temperature, l->by_size);
        ask(l, rows, scale, row, n);
        for (size_t k = 0; k < n; k++) score[k] *= scale[row[k]];
        kern->gather_q8(part + i * l->width, i ? NULL : l->bias, rows, row, score, n, l->width);
    }
}

void mn__look_up_sum(const mn__look_up *l, const float *part, bool add, float *y)
{
    const size_t w = l->width;
    for (size_t c = 0; c < w; c++) {
        const float sum = ((part[c] + part[w + c]) + part[2 * w + c]) + part[3 * w + c];
        y[c] = add ? y[c] + sum : sum;
    }
}
