/* block.h: one block of a language model: a mixer and a feed-forward layer, each behind a norm. */
#ifndef MN_LAYER_BLOCK_H
#define MN_LAYER_BLOCK_H

#include "layer/norm.h"

typedef struct mn__block {
    bool parallel; /* both read x (GPT-NeoX); else one after the other */
    size_t width;
    mn__norm norm[2];
    mn__layer *mixer, *ffn;  /* borrowed sockets, as wide as the block */
    mn__norm_saved saved[2]; /* of the pass in flight */
} mn__block;

/* Names below prefix: norm1, mixer, norm2, ffn. */
void mn__block_declare(mn__block *l, mn__params *list, const char *prefix);
/* x, y [n_seq * len][width]; x is borrowed until backward. */
void mn__block_forward(mn__block *l, const mn__env *env, mn__shape s, const mn__real *x,
                       mn__real *y, bool keep);
void mn__block_backward(mn__block *l, const mn__env *env, mn__shape s, const mn__real *dy,
                        mn__real *dx);

#endif
