/* dense_ffn.h: the feed-forward layer of a dense block, behind the face of layers. */
#ifndef MN_LAYER_DENSE_FFN_H
#define MN_LAYER_DENSE_FFN_H

#include "layer/dense.h"

typedef enum mn__activation {
    MN__ACT_GELU,      /* exact */
    MN__ACT_GELU_TANH, /* its approximation */
    MN__ACT_SWIGLU,    /* silu of a gate times a linear half */
} mn__activation;

typedef struct mn__dense_ffn {
    mn__layer layer; /* first: n_in = n_out = width */
    mn__activation act;
    size_t n_hidden;
    mn__dense up, gate, down; /* gate: SWIGLU alone */
    const mn__real *x;        /* of the pass in flight, borrowed */
    mn__real *a, *g, *h;      /* [n][n_hidden]: before the activation, gate, after it */
} mn__dense_ffn;

/* What a feed-forward layer is made from. */
typedef struct mn__dense_ffn_sizes {
    size_t width, n_hidden;
    mn__activation act;
    bool has_bias;
    double std_in, std_out; /* of first values: into the hidden width, and out of it */
    bool cut;               /* these end at three deviations */
} mn__dense_ffn_sizes;
void mn__dense_ffn_init(mn__dense_ffn *l, const mn__dense_ffn_sizes *s);

#endif
