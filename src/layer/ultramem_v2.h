/* ultramem_v2.h: UltraMemV2: a memory layer in every block, tables that layers share through
 * windows on a ring, and a row of each hit that meets the token before its value is weighed.
 * Ref: arXiv 2508.18756. */
#ifndef MN_LAYER_ULTRAMEM_V2_H
#define MN_LAYER_ULTRAMEM_V2_H

#include "layer/ultramem.h"

/* The tables of a model: rows of all its memory layers, in a ring. */
typedef struct mn__value_pool {
    size_t n_layer, n_axis; /* n_layer n_axis^2 rows */
    size_t value_width, pre_width;
    size_t n_part;                /* of a value, weighed apart: cores; 0: not known */
    double std;                   /* of first values */
    mn__param values, pre_values; /* [rows][value_width], [rows][pre_width] */
} mn__value_pool;

void mn__value_pool_declare(mn__value_pool *p, mn__params *list, const char *prefix);
size_t mn__value_pool_rows(const mn__value_pool *p);

typedef struct mn__ultramem_v2 {
    /* Set before init; in search as mn__ultramem. */
    mn__tucker_search search;
    mn__value_pool *pool;
    size_t i_layer;    /* its number among the layers of the pool */
    double share;      /* of all rows that it sees: floor(sqrt(rows share)) rows of an axis, from
                        * i_layer n_axis^2 on; 1/n_layer: rows of its own */
    size_t key_expand; /* keys of an axis for each row of an axis */
    bool gelu;         /* activation between pre-values and values; the paper: none */
    mn__first_values first;
    /* Its own. */
    size_t n_window; /* rows it sees */
    mn__dense pre_values_proj, values_proj;
} mn__ultramem_v2;

typedef struct mn__ultramem_v2_saved {
    mn__tucker_saved search;
    uint32_t *row;         /* [n][n_head n_keep] */
    mn__real *pre;         /* [n][pre_width]: W_p x */
    mn__real *raw, *score; /* [n][n_head n_keep]: before and after the activation */
    mn__real *weight;      /* [n][n_head n_keep][n_core]: w^c p */
    mn__real *sum;         /* [n][value_width] */
    mn__row_sum_far far;
} mn__ultramem_v2_saved;

/* Deviation of the pool's first values as the paper has it: an output as large as that of a
 * feed-forward layer n_inner wide, in a model of n_block blocks, at n_hit hits of a token. */
double mn__ultramem_v2_std(const mn__value_pool *p, size_t n_inner, size_t n_block, size_t n_hit);

mn_status mn__ultramem_v2_init(mn__ultramem_v2 *l, mn_diag *diag);
void mn__ultramem_v2_fini(mn__ultramem_v2 *l);
void mn__ultramem_v2_declare(mn__ultramem_v2 *l, mn__params *list, const char *prefix);
void mn__ultramem_v2_forward(const mn__ultramem_v2 *l, const mn__env *env, size_t n,
                             const mn__real *x, mn__real *y, mn__ultramem_v2_saved *saved);
void mn__ultramem_v2_backward(const mn__ultramem_v2 *l, const mn__env *env, size_t n,
                              const mn__ultramem_v2_saved *saved, const mn__real *dy, mn__real *dx);

#endif
