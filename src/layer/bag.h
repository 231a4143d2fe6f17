/* bag.h: weighted sums of rows of a table: what every memory layer does with what it found. */
#ifndef MN_LAYER_BAG_H
#define MN_LAYER_BAG_H

#include "layer/layer.h"

typedef struct mn__bag {
    size_t n_row, width; /* table [n_row][width] */
    size_t n_hit;        /* of a token */
    size_t n_part;       /* part c of a row is weighed by the c-th weight of its hit */
    size_t n_block;      /* sums of a token */
} mn__bag;

typedef struct mn__bag_hits { /* borrowed */
    const uint32_t *row;      /* [n][n_hit] */
    const uint32_t *block;    /* [n][n_hit]: which sum a hit goes to; NULL: the first */
    const mn__real *weight;   /* [n][n_hit][n_part] */
} mn__bag_hits;

/* sum[n][n_block][width]: sum[block, part] = weight[part] table[row, part] over a token's hits. The
 * table may be a stored one. */
void mn__bag_forward(const mn__bag *b, const mn__env *env, size_t n, const mn__param *table,
                     const mn__bag_hits *hits, mn__real *sum);
/* Writes dweight[n][n_hit][n_part], adds to dtable[n_row][width] unless NULL: each touched row is
 * visited once, by one thread. */
void mn__bag_backward(const mn__bag *b, const mn__env *env, size_t n, const mn__real *table,
                      const mn__bag_hits *hits, const mn__real *dsum, mn__real *dweight,
                      mn__real *dtable);

#endif
