/* tensor.h: how a parameter lies in a model's file. */
#ifndef MN_LM_TENSOR_H
#define MN_LM_TENSOR_H

#include <stdint.h>
#include "layer/layer.h"

/* Behind the name of a table in 8 bits: the tensor of its rows' scales. */
#define MN__SCALE_SUFFIX ".scale"

/* Dimensions of the tensor of a parameter's name, the contiguous one first: the parameter's own
 * turned around, matrices that are turned (mn__param) likewise, and of five the outer two as one.
 */
void mn__tensor_shape(const mn__param *p, int64_t ne[4]);

#endif
