/* pack.h: which weights get a copy in one of our own layouts when a model is opened. */
#ifndef MN_MODEL_PACK_H
#define MN_MODEL_PACK_H

#include "model/model.h"

/* Bytes that copies may take: in all, and beyond the rows of the file that they replace. */
typedef struct mn__pack_limits {
    size_t total, extra;
} mn__pack_limits;

/* Dots for all weights that are multiplied, then panels for those of the layers, as far as the
 * limits go; on all processors. Where prompts are to take the dots (m->reads_by_dots, decided here)
 * there are no panels. A copy that memory refuses is left out: the model runs without it, slower.
 * Fills m->packed_bytes. The head gets no panels: a prompt asks it for one row. */
void mn__model_pack(struct mn_model *m, mn__pack_limits limits, mn_product product);
void mn__model_unpack(struct mn_model *m);

#endif
