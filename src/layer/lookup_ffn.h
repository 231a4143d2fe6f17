/* lookup_ffn.h: LookupFFN's feed-forward layer: a learnt projection whose signs choose the rows of
 * one memory layer. */
#ifndef MN_LAYER_LOOKUP_FFN_H
#define MN_LAYER_LOOKUP_FFN_H

#include "layer/bh4.h"
#include "layer/dense.h"
#include "layer/memory_layer.h"

typedef struct mn__lookup_ffn {
    mn__layer layer; /* first: n_in = n_out = width */
    bool is_bh4;     /* the projection; else dense */
    mn__dense dense;
    mn__bh4 bh4;
    mn__memory_layer memory;
    const mn__real *x;      /* of the pass in flight, borrowed */
    mn__memory_saved saved; /* of the pass in flight */
} mn__lookup_ffn;

typedef struct mn__lookup_ffn_sizes {
    size_t width, n_table, n_bit;
    bool is_bh4;
    size_t block;      /* of BH4 */
    double std_in;     /* of a dense projection's first values */
    double std_tables; /* 0.02 as published */
    mn__memory_score score;
    double temperature;
} mn__lookup_ffn_sizes;
mn_status mn__lookup_ffn_init(mn__lookup_ffn *l, const mn__lookup_ffn_sizes *s, mn_diag *diag);

#endif
