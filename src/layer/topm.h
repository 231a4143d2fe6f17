/* topm.h: the m largest of a row of scores, as every memory layer selects. */
#ifndef MN_LAYER_TOPM_H
#define MN_LAYER_TOPM_H

#include <stddef.h>
#include <stdint.h>
#include "layer/real.h"

/* Indices of the m largest of score[n] (1 <= m <= n) into index[m], their values into value[m],
 * descending, ties to the smaller index. NaN counts as the lowest value there is. Exact; on random
 * scores it costs a comparison an element and a short sort. work[m]: space to work in. */
void mn__topm(const mn__real *score, size_t n, size_t m, uint32_t *index, mn__real *value,
              mn__real *work);

#endif
