/* namm_stats.h: mean and variance of a NAMM's inputs over everything that was seen of them, merged
 * pair by pair, so that parts may be gathered apart. Ref: arXiv 2410.13166; Chan et al., 1979. */
#ifndef MN_NAMM_STATS_H
#define MN_NAMM_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Arrays are the caller's. All zero: nothing was seen. */
typedef struct mn__namm_stats {
    size_t n_col;
    double count;       /* rows */
    double *mean, *var; /* [n_col]; population variance */
} mn__namm_stats;

/* What `part` saw joins what `all` saw; n_col is the same. */
void mn__namm_stats_merge(mn__namm_stats *all, const mn__namm_stats *part);
/* Rows x [n_row][ld] join; valid [n_row] or NULL: rows of zero are passed over. spare [2][n_col].
 */
void mn__namm_stats_add(mn__namm_stats *all, const float *x, size_t ld, size_t n_row,
                        const uint8_t *valid, double *spare);
/* What a column is divided by: the root of its variance, at least 1e-7. */
double mn__namm_stats_deviation(const mn__namm_stats *s, size_t col);

#endif
