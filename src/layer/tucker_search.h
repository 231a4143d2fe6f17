/* tucker_search.h: the searching half of both UltraMems: query, keys, cores, the shuffle of
 * addresses. Ref: arXiv 2411.12364, 2508.18756. */
#ifndef MN_LAYER_TUCKER_SEARCH_H
#define MN_LAYER_TUCKER_SEARCH_H

#include "layer/dense.h"
#include "layer/rms_norm.h"
#include "layer/tdqkr.h"

typedef enum mn__query_mode {
    MN__QUERY_SHARED,    /* one query for rows, one for columns */
    MN__QUERY_PER_RANK,  /* and one of each for every rank, as the second paper has it */
    MN__QUERY_PUBLISHED, /* projected per rank, of which its code uses the first rank * 2: the
                          * shared form; the other rows are dead */
} mn__query_mode;

typedef struct mn__tucker_search {
    /* Set before init. */
    size_t width, n_head, n_key, half, rank, n_core, n_keep; /* half: width of a half of a key */
    size_t n_cell; /* addresses behind the shuffle: at least n_key^2 */
    mn__query_mode mode;
    bool two_quadrant;
    mn__real norm_eps;
    double query_gain, key_gain; /* of the norms at first */
    double proj_std;             /* of the projection's first values */
    double balance;              /* coefficient of the balance loss; 0: none */
    double core, core_margin;    /* coefficient of the cores' loss, and the margin tau of it */
    double loss_share; /* of both losses that a pass counts: 1 / passes of a step; 0 is 1 */
    uint64_t shuffle_seed;
    bool bare; /* there is no shuffle: its sizes alone are asked for, no pass but dry ones */
    /* Its own. */
    mn__dense query_proj;              /* [2 half] or, not shared, [2 rank half] rows */
    mn__rms_norm query_norm, key_norm; /* [half] */
    mn__param keys;                    /* [n_head][2][n_key][rank][half] */
    mn__param cores[MN__CORES_MAX];    /* [n_head][rank][rank] */
    mn__param u, v;                    /* [n_head][rank], state */
    uint32_t *shuffle;                 /* [n_cell]: where a cell really is; of the seed */
} mn__tucker_search;

typedef struct mn__tucker_saved {
    const mn__real *x;     /* borrowed */
    mn__real *raw, *query; /* [n][2][half], per rank [n][2][rank][half] */
    mn__real *key;         /* normed */
    mn__rms_norm_saved query_norm, key_norm;
    mn__tdqkr_found found;
    uint32_t *address; /* [n][n_head n_keep]: shuffled cells */
    mn__real aux;      /* the losses, with their coefficients */
} mn__tucker_saved;

/* MN_ERANGE with a sentence where sizes cannot be; MN_ENOMEM. */
mn_status mn__tucker_search_init(mn__tucker_search *l, mn_diag *diag);
void mn__tucker_search_fini(mn__tucker_search *l);
void mn__tucker_search_declare(mn__tucker_search *l, mn__params *list, const char *prefix);
/* Brings u and v up to the cores: before every step of training, and after loading. */
void mn__tucker_search_refresh(const mn__tucker_search *l);
/* What is found is in *s, whose arrays are the tape's in training and at inference. u and v that
 * were never refreshed are refreshed here. */
void mn__tucker_search_forward(const mn__tucker_search *l, const mn__env *env, size_t n,
                               const mn__real *x, mn__tucker_saved *s, bool keep);
/* dweight [n][n_head n_keep][n_core]. */
void mn__tucker_search_backward(const mn__tucker_search *l, const mn__env *env, size_t n,
                                const mn__tucker_saved *s, const mn__real *dweight, mn__real *dx);

#endif
