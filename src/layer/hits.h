/* hits.h: which tokens touched which rows of a table, by row: what lets one thread own all
 * gradients of a row. Ref: the reverse index of arXiv 2412.09764. */
#ifndef MN_LAYER_HITS_H
#define MN_LAYER_HITS_H

#include "layer/layer.h"

typedef struct mn__hits {
    size_t n_row;    /* rows that were touched */
    uint32_t *order; /* hits by row, ascending within a row */
    uint32_t *first; /* [n_row + 1]: where in order a touched row's hits begin */
} mn__hits;

/* Hits 0..n_hit-1 of row[n_hit], each below `bound`. Time and memory follow the hits, not the
 * table. The arrays are the tape's. */
void mn__hits_sort(const mn__env *env, const uint32_t *row, size_t n_hit, size_t bound,
                   mn__hits *out);
/* Before rows of a table are read: says so to the table's hook, each row once. Nothing where there
 * is no hook. */
void mn__hits_touch(const mn__env *env, const mn__param *table, const uint32_t *row, size_t n_hit);

#endif
