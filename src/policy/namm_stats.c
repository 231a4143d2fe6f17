/* namm_stats.c: running mean and variance (namm_stats.h). */
#include "policy/namm_stats.h"
#include <assert.h>
#include <math.h>
#include <string.h>

void mn__namm_stats_merge(mn__namm_stats *all, const mn__namm_stats *part)
{
    double n = all->count + part->count;
    assert(all->n_col == part->n_col);
    if (part->count <= 0) return;
    double a = part->count / n, b = 1 - a;
    for (size_t i = 0; i < all->n_col; i++) {
        double step = part->mean[i] - all->mean[i];
        all->mean[i] += a * step;
        all->var[i] = a * part->var[i] + b * all->var[i] + step * step * a * b;
    }
    all->count = n;
}

void mn__namm_stats_add(mn__namm_stats *all, const float *x, size_t ld, size_t n_row,
                        const uint8_t *valid, double *spare)
{
    mn__namm_stats part = {.n_col = all->n_col, .mean = spare, .var = spare + all->n_col};
    memset(spare, 0, 2 * all->n_col * sizeof *spare);
    for (size_t r = 0; r < n_row; r++) {
        if (valid && !valid[r]) continue;
        part.count++;
        for (size_t i = 0; i < all->n_col; i++) { /* Welford's update, of sums of squares */
            double step = (double)x[r * ld + i] - part.mean[i];
            part.mean[i] += step / part.count;
            part.var[i] += step * ((double)x[r * ld + i] - part.mean[i]);
        }
    }
    for (size_t i = 0; i < all->n_col && part.count > 0; i++) part.var[i] /= part.count;
    mn__namm_stats_merge(all, &part);
}

double mn__namm_stats_deviation(const mn__namm_stats *s, size_t col)
{
    double deviation = sqrt(s->var[col]);
    return deviation > 1e-7 ? deviation : 1e-7;
}
