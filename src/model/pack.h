/* pack.h: which weights get a copy in one of our own layouts when a model is opened. */
#ifndef MN_MODEL_PACK_H
#define MN_MODEL_PACK_H

#include "model/model.h"

/* Dots for all weights that are multiplied, then panels for those of the layers, as far as
 * limit_bytes go; on all processors. A copy that memory refuses is left out: the model runs without
 * it, slower. Fills m->packed_bytes. The head gets no panels: a prompt asks it for one row. */
void mn__model_pack(struct mn_model *m, size_t limit_bytes);
void mn__model_unpack(struct mn_model *m);

#endif
