/* bh4.h: a cheap linear map of LookupFFN: four products with small diagonal blocks, each behind a
 * Hadamard transform. */
#ifndef MN_LAYER_BH4_H
#define MN_LAYER_BH4_H

#include "layer/layer.h"

enum { MN__BH4_STAGES = 4 };

typedef struct mn__bh4 {
    size_t n_in, n_out;
    size_t block;     /* a power of two: 64 as published */
    double alpha;     /* share of the map; the rest is the input itself: 0.7 */
    mn__param weight; /* [repeats][4][padded/block][block out][block in] */
    mn__param bias;   /* [n_out] */
} mn__bh4;

size_t mn__bh4_padded(const mn__bh4 *l);  /* n_in up to a power of two, at least a block */
size_t mn__bh4_repeats(const mn__bh4 *l); /* maps of the padded width that make n_out */
void mn__bh4_declare(mn__bh4 *l, mn__params *list, const char *prefix);
/* x [n][n_in], y [n][n_out]. Backward wants the same x again. */
void mn__bh4_forward(const mn__bh4 *l, const mn__env *env, size_t n, const mn__real *x,
                     mn__real *y);
void mn__bh4_backward(const mn__bh4 *l, const mn__env *env, size_t n, const mn__real *x,
                      const mn__real *dy, mn__real *dx);
/* x [n] by the Hadamard matrix of entries +-1, in place; n a power of two. Its own transpose. */
void mn__hadamard(mn__real *x, size_t n);

#endif
