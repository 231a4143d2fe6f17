/* ultramem.h: UltraMem: few large memory layers beside the feed-forward ones; a physical table
 * stands for several virtual ones, and each core weighs its own part of a value.
 * Ref: arXiv 2411.12364. */
#ifndef MN_LAYER_ULTRAMEM_H
#define MN_LAYER_ULTRAMEM_H

#include "layer/row_sum.h"
#include "layer/tucker_search.h"

typedef enum mn__first_values {
    MN__FIRST_CODE,  /* the published code's constants */
    MN__FIRST_PAPER, /* scores of about 1, output as large as a feed-forward's */
} mn__first_values;

typedef struct mn__ultramem {
    /* Set before init. In search: width, n_head, half, rank, n_core, n_keep and options; the rest
     * follows from these. */
    mn__tucker_search search;
    size_t value_width; /* a multiple of n_core */
    size_t n_axis;      /* physical rows of an axis: the table has n_axis^2 */
    size_t n_expand;    /* virtual tables of the physical one; keys of an axis are
                         * floor(sqrt(n_expand)) n_axis */
    mn__first_values first;
    size_t n_block;    /* of the model: the paper's first values want it */
    mn__param *values; /* [n_axis^2][value_width]: another layer's, to share; NULL: its own */
    /* Its own. */
    mn__param own_values;
    mn__dense values_proj; /* from [n_expand][value_width] */
} mn__ultramem;

typedef struct mn__ultramem_saved {
    mn__tucker_saved search;
    uint32_t *row, *block; /* [n][n_head n_keep] */
    mn__real *sum;         /* [n][n_expand][value_width] */
    mn__row_sum_far far;
} mn__ultramem_saved;

/* Fills in what follows from the sizes; MN_ERANGE with a sentence, MN_ENOMEM. */
mn_status mn__ultramem_init(mn__ultramem *l, mn_diag *diag);
void mn__ultramem_fini(mn__ultramem *l);
void mn__ultramem_declare(mn__ultramem *l, mn__params *list, const char *prefix);
/* x, y [n][width]. In training mn__tucker_search_refresh comes before. */
void mn__ultramem_forward(const mn__ultramem *l, const mn__env *env, size_t n, const mn__real *x,
                          mn__real *y, mn__ultramem_saved *saved);
void mn__ultramem_backward(const mn__ultramem *l, const mn__env *env, size_t n,
                           const mn__ultramem_saved *saved, const mn__real *dy, mn__real *dx);

/* What the papers' first values bring scores to 1 with: gains of the norms of queries and keys, for
 * `half`-wide keys of which n_keep are kept: the mean of the best n_keep of n_keep^2 normal values,
 * taken from the normal distribution (the papers draw them). */
void mn__ultramem_paper_gains(mn__tucker_search *s);

#endif
