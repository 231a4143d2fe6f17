/* tensor.c: dimensions of GGUF. */
#include "lm/tensor.h"

#include <string.h>

enum { GGUF_DIMS = 4 };

void mn__tensor_shape(const mn__param *p, int64_t ne[4])
{
    size_t dim[MN__PARAM_DIMS];
    int n = p->n_dim;
    memcpy(dim, p->dim, sizeof dim);
    if (p->is_turned) {
        dim[n - 1] = p->dim[n - 2];
        dim[n - 2] = p->dim[n - 1];
    }
    for (; n > GGUF_DIMS; n--) {
        dim[0] *= dim[1];
        memmove(dim + 1, dim + 2, (size_t)(n - 2) * sizeof *dim);
    }
    for (int i = 0; i < GGUF_DIMS; i++) ne[i] = i < n ? (int64_t)dim[n - 1 - i] : 1;
}
