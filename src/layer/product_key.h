/* product_key.h: retrieval by product keys: a cell's key is a row key beside a column key, so that
 * its score is the sum of two, and the best of n_key^2 cells are found among the best of each.
 * Ref: arXiv 1907.05242. */
#ifndef MN_LAYER_PRODUCT_KEY_H
#define MN_LAYER_PRODUCT_KEY_H

#include "layer/layer.h"

typedef struct mn__product_key {
    size_t n_head, n_key, half; /* half: width of a half of a key */
    size_t n_keep;              /* cells that a head keeps: at most n_key */
    const mn__real *key;        /* [n_head][2][n_key][half] */
} mn__product_key;

typedef struct mn__product_key_found { /* the tape's */
    uint32_t *cell;                    /* [n][n_head][n_keep]: row * n_key + column, best first */
    mn__real *score;                   /* the same shape */
    mn__real *weight;                  /* the same: softmax of a head's scores */
    uint32_t *list;  /* [n][n_head][2][n_keep]: the best row keys and column keys */
    uint32_t *place; /* [n][n_head][n_keep]: of a cell in the grid of the two lists */
} mn__product_key_found;

/* query [n][n_head][2][half]. */
void mn__product_key_forward(const mn__product_key *k, const mn__env *env, size_t n,
                             const mn__real *query, mn__product_key_found *found);
/* From dweight[n][n_head][n_keep]: writes dquery, adds to dkey unless NULL. Cells that were not
 * kept have no gradient, the choice has none. */
void mn__product_key_backward(const mn__product_key *k, const mn__env *env, size_t n,
                              const mn__real *query, const mn__product_key_found *found,
                              const mn__real *dweight, mn__real *dquery, mn__real *dkey);

#endif
