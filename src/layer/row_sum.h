/* row_sum.h: rows of a table are announced, weighed and summed. Of a split table each rank holds
 * some columns of every row: it sums them for the tokens of all ranks. Ref: dimension-wise
 * partition, arXiv 2411.12364. */
#ifndef MN_LAYER_ROW_SUM_H
#define MN_LAYER_ROW_SUM_H

#include "layer/bag.h"

typedef struct mn__row_sum {
    mn__bag bag; /* of whole rows */
    mn__param *table;
    mn__bag_hits hits;
} mn__row_sum;

/* Hits of all ranks, in their order, for backward; of a split table alone. The tape's. */
typedef struct mn__row_sum_far {
    uint32_t *row, *block; /* [ranks n][n_hit] */
    mn__real *weight;      /* [ranks n][n_hit][parts that the columns here belong to] */
} mn__row_sum_far;

/* sum [n][n_block][width], as mn__bag_forward. far: filled for backward; NULL: none follows. Of a
 * split table all ranks call this together, with the same n. */
void mn__row_sum_forward(const mn__row_sum *u, const mn__env *env, size_t n, mn__real *sum,
                         mn__row_sum_far *far);
/* Writes dweight [n][n_hit][n_part], adds to the table's gradient: of a split one, that of the
 * tokens of all ranks. */
void mn__row_sum_backward(const mn__row_sum *u, const mn__env *env, size_t n,
                          const mn__row_sum_far *far, const mn__real *dsum, mn__real *dweight);

#endif
