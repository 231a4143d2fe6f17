/* memory_ffn.h: MemoryFormer's feed-forward layer: a memory layer that writes the hash of a second
 * one, with a LayerNorm between them and no activation. */
#ifndef MN_LAYER_MEMORY_FFN_H
#define MN_LAYER_MEMORY_FFN_H

#include "layer/layer_norm.h"
#include "layer/memory_layer.h"

typedef struct mn__memory_ffn {
    mn__layer layer;                      /* first: n_in = n_out = n_table * n_bit */
    mn__memory_layer in, out;             /* out has n_extra more bits a table */
    mn__layer_norm norm;                  /* [n_table * (n_bit + n_extra)] */
    mn__memory_saved in_saved, out_saved; /* of the pass in flight */
    mn__layer_norm_saved norm_saved;
} mn__memory_ffn;

typedef struct mn__memory_ffn_sizes {
    size_t n_table, n_bit, n_extra;
    mn__memory_score score;
    double temperature;
    double std; /* of the tables' first values: 0.02 as published */
} mn__memory_ffn_sizes;
/* MN_ERANGE: n_bit + n_extra beyond what a table can have. */
mn_status mn__memory_ffn_init(mn__memory_ffn *l, const mn__memory_ffn_sizes *s, mn_diag *diag);

#endif
