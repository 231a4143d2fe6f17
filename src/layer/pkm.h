/* pkm.h: product-key memory: the best cells of a large table for each token, weighed and summed.
 * Ref: arXiv 1907.05242; with the options, the memory inside Memory+ (arXiv 2412.09764). */
#ifndef MN_LAYER_PKM_H
#define MN_LAYER_PKM_H

#include "layer/batch_norm.h"
#include "layer/dense.h"
#include "layer/expert_score.h"
#include "layer/row_sum.h"
#include "layer/product_key.h"
#include "layer/rms_norm.h"

typedef enum mn__pkm_norm { /* of queries */
                            MN__PKM_RAW,
                            MN__PKM_BATCH, /* over the batch, as the paper recommends */
                            MN__PKM_RMS,   /* each half of each head, one gain for all */
} mn__pkm_norm;

typedef struct mn__pkm {
    /* Sizes and options, set before it is declared. */
    size_t width, value_width, n_head, n_key, half, n_keep;
    mn__pkm_norm norm;
    mn__real norm_eps, momentum; /* momentum: of batch statistics */
    bool query_bias;
    bool norm_keys; /* RMS of keys too, as Memory+ is written; its published code drops it */
    bool peer;      /* values are experts of one unit, arXiv 2407.04153: each has a row [width] that
                     * meets the token, through GELU */
    bool as_meta;   /* first values: keys bounded by the whole width of a key, queries by Xavier;
                     * else as XLM: by the half, and by the width of the input */
    mn__param *values, *experts; /* [n_key^2][value_width], [n_key^2][width]: another layer's, to
                                  * share; NULL: its own */
    /* Its own. */
    mn__dense query_proj;
    mn__batch_norm batch_norm;
    mn__rms_norm query_norm, key_norm;
    mn__param keys;         /* [n_head][2][n_key][half] */
    const mn__real *normed; /* inference: keys behind their norm; NULL: made at each pass */
    mn__param own_values, own_experts;
} mn__pkm;

typedef struct mn__pkm_saved {
    const mn__real *x;      /* borrowed */
    mn__real *raw, *query;  /* [n][n_head][2][half]: before and after the norm */
    const mn__real *key;    /* as used */
    mn__real *expert_raw;   /* [n][n_head n_keep] */
    mn__real *expert_score; /* the same, after GELU */
    mn__real *weight;       /* the same: what values are weighed with */
    mn__product_key_found found;
    mn__row_sum_far far;
    mn__batch_norm_saved batch;
    mn__rms_norm_saved query_norm, key_norm;
} mn__pkm_saved;

/* Whether these sizes are a memory: MN_ERANGE with a sentence. */
mn_status mn__pkm_check(const mn__pkm *l, mn_diag *diag);
void mn__pkm_declare(mn__pkm *l, mn__params *list, const char *prefix);
/* As mn__tucker_search_settle. */
size_t mn__pkm_settle(mn__pkm *l, const mn__env *env, mn__real *out);
/* x [n][width], y [n][value_width]. */
void mn__pkm_forward(const mn__pkm *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y,
                     mn__pkm_saved *saved);
void mn__pkm_backward(const mn__pkm *l, const mn__env *env, size_t n, const mn__pkm_saved *saved,
                      const mn__real *dy, mn__real *dx);

#endif
