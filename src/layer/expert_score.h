/* expert_score.h: hits as experts of one unit: each has a row of its own that meets the token
 * before its value is weighed. Ref: PEER, arXiv 2407.04153; the pre-values of UltraMemV2,
 * arXiv 2508.18756. */
#ifndef MN_LAYER_EXPERT_SCORE_H
#define MN_LAYER_EXPERT_SCORE_H

#include "layer/layer.h"

/* One pass over n tokens; all borrowed. */
typedef struct mn__expert_score {
    size_t n_row, width;     /* table [n_row][width] */
    size_t n_hit;            /* of a token */
    bool gelu;               /* activation (erf); else none */
    const mn__real *table;   /* [n_row][width] */
    const mn__param *stored; /* the table as a file holds it, instead; NULL: none */
    const mn__real *z;       /* [n][width]: what stands for the token */
    const uint32_t *row;     /* [n][n_hit] */
    mn__real *raw;           /* [n][n_hit]: out, before the activation */
} mn__expert_score;

/* score[n][n_hit] = act(raw), raw = table[row] . z; score may be raw where there is no activation.
 */
void mn__expert_score_forward(const mn__expert_score *e, const mn__env *env, size_t n,
                              mn__real *score);
/* dscore[n][n_hit] becomes the gradient before the activation, in place. Writes dz[n][width], adds
 * to dtable[n_row][width] unless NULL. */
void mn__expert_score_backward(const mn__expert_score *e, const mn__env *env, size_t n,
                               mn__real *dscore, mn__real *dz, mn__real *dtable);

#endif
