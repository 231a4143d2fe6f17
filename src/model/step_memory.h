/* step_memory.h: UltraMem in a step of some rows: keys folded along the cores' first singular pair
 * are streamed once for all rows; of those listed each rank is scored; rows of the table are asked
 * for as soon as they are found. Ref: arXiv 2411.12364. */
#ifndef MN_MODEL_STEP_MEMORY_H
#define MN_MODEL_STEP_MEMORY_H

#include "model/step_matrix.h"

enum {
    MN__STEP_RANK = 4,
    MN__STEP_CORES = 4,
    MN__STEP_HITS = 256,  /* rows of a token: n_head n_keep */
    MN__STEP_PART = 1024, /* values of a part: value_width / n_core */
};                        /* most of each */

typedef struct mn__step_memory {
    size_t width, n_head, n_key, half, rank, n_core, n_keep; /* width, half: multiples of 32 */
    size_t n_axis, value_width, n_expand;
    float norm_eps;
    mn__matrix query;         /* [2 half][width]: of rows, of columns */
    const float *query_gain;  /* [half] */
    const mn__matrix *folded; /* [2][n_head]: [n_key][half] each, of normed keys */
    const mn_bf16 *keys;      /* [2][n_head][n_key][rank][half]: normed */
    const float *core;        /* [n_core][n_head][rank][rank] */
    const uint32_t *shuffle;  /* [n_expand n_axis^2]: where a cell really is */
    const mn_bf16 *values;    /* [n_axis^2][value_width] */
    mn__matrix values_proj;   /* [width][n_expand value_width] */
} mn__step_memory;

/* A row that was found. */
typedef struct mn__step_hit {
    uint32_t row, block;
    float weight[MN__STEP_CORES];
} mn__step_hit;

/* Memory of one step; the caller's, for at most MN__STEP_ROWS rows. */
typedef struct mn__step_memory_work {
    float *raw, *query;  /* [B][2][half] */
    mn_bf16 *query_bf16; /* the same */
    float *score;        /* [B][2][n_head][n_key] */
    mn__step_hit *hit;   /* [B][n_head n_keep] */
    mn_bf16 *sum;        /* [B][n_expand value_width] */
    float *scratch;      /* [threads][mn__step_memory_scratch()] */
} mn__step_memory_work;
size_t mn__step_memory_scratch(const mn__step_memory *l);

/* y [B][width] is written. Barriers within; ends without one. */
void mn__step_memory_run(const mn__crew *crew, const mn__step_kern *k, const mn__step_memory *l,
                         const mn__step_rows *x, const mn__step_memory_work *w, float *y);

#endif
