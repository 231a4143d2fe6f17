/* table_layers.h: layers of tokens that look things up, behind the face of layers: for the sockets
 * of feed-forward layers, and of memories between blocks. */
#ifndef MN_LAYER_TABLE_LAYERS_H
#define MN_LAYER_TABLE_LAYERS_H

#include "layer/memory_plus.h"
#include "layer/moe.h"
#include "layer/ultramem.h"
#include "layer/ultramem_v2.h"

/* Each: the face first, then the layer, whose sizes are set (and which is made by its own init)
 * before the face is, and what its pass in flight keeps. */
typedef struct mn__pkm_face {
    mn__layer layer;
    mn__pkm self;
    mn__pkm_saved saved;
} mn__pkm_face;
typedef struct mn__memory_plus_face {
    mn__layer layer;
    mn__memory_plus self;
    mn__memory_plus_saved saved;
} mn__memory_plus_face;
typedef struct mn__ultramem_face {
    mn__layer layer;
    mn__ultramem self;
    mn__ultramem_saved saved;
} mn__ultramem_face;
typedef struct mn__ultramem_v2_face {
    mn__layer layer;
    mn__ultramem_v2 self;
    mn__ultramem_v2_saved saved;
} mn__ultramem_v2_face;
typedef struct mn__moe_face {
    mn__layer layer;
    mn__moe self;
    mn__moe_saved saved;
} mn__moe_face;

void mn__pkm_face_init(mn__pkm_face *f);
void mn__memory_plus_face_init(mn__memory_plus_face *f);
void mn__ultramem_face_init(mn__ultramem_face *f);
void mn__ultramem_v2_face_init(mn__ultramem_v2_face *f);
void mn__moe_face_init(mn__moe_face *f);

/* What a layer's u and v want before each step of training; nothing for the others. */
void mn__table_layer_refresh(const mn__layer *l);
/* For inference, as mn__tucker_search_settle says; nothing for a mixture of experts. */
size_t mn__table_layer_settle(mn__layer *l, const mn__env *env, mn__real *out);
/* Of the layer's losses, what a pass counts: 1 / passes of a step. */
void mn__table_layer_loss_share(mn__layer *l, double share);

#endif
