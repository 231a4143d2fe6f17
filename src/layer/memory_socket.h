/* memory_socket.h: memories between the blocks of a model, as `mem_insert_way` says: each reads
 * what a block's feed-forward layer reads, and its output joins the residual stream after that
 * block or a later one. Ref: arXiv 2411.12364. */
#ifndef MN_LAYER_MEMORY_SOCKET_H
#define MN_LAYER_MEMORY_SOCKET_H

#include "layer/insertion.h"
#include "layer/layer.h"

typedef struct mn__memory_slot {
    mn__layer *memory; /* borrowed; from rows of the model's width to such */
    mn__insertion at;
    mn__real *y, *dy; /* [n][width], of the pass in flight: each memory waits with its own */
} mn__memory_slot;

typedef struct mn__memories {
    size_t n;
    mn__memory_slot slot[MN__INSERTIONS_MAX];
    char prefix[MN__PARAM_NAME]; /* memory k is declared as prefix.k */
} mn__memories;

/* Stands in the socket of a block's feed-forward layer: that layer, the memories that begin there,
 * and the outputs of those that end there. */
typedef struct mn__memory_socket {
    mn__layer layer; /* first */
    mn__layer *ffn;  /* borrowed */
    size_t i_block;
    mn__memories *memories; /* borrowed */
} mn__memory_socket;

void mn__memory_socket_init(mn__memory_socket *l, mn__layer *ffn, size_t i_block,
                            mn__memories *memories);

/* Before a pass over all blocks, dry ones too: takes from the tape what memories wait with. The
 * caller cuts the tape after the pass. */
void mn__memories_begin(mn__memories *m, const mn__env *env, size_t n, size_t width, bool backward);

#endif
