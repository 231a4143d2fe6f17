/* rater_retained.h: candidates without the model: what share of later attention lies on the tokens
 * that a candidate would keep, over captured lanes (fidelity a). A screen and a place to start
 * from: more of it was measured not to make better answers by itself. */
#ifndef MN_EVOLVE_RATER_RETAINED_H
#define MN_EVOLVE_RATER_RETAINED_H

#include "evolve/capture.h"
#include "evolve/rater.h"

typedef struct mn__retained_params {
    const mn__namm_net *net;
    const struct mn__kern *kern;
    const mn__capture *capture; /* its deck's prompts are the items */
    const double *share;        /* [n_share] kept, of a lane's tokens; the mean over them counts */
    size_t n_share, n_worker;
    size_t n_lane; /* of a prompt, drawn, the same whenever it comes; 0: all that were captured */
    uint64_t seed; /* of the draw */
} mn__retained_params;

/* Loss: 1 - the share of the target, over what may be dropped, that is kept; mean over a prompt's
 * lanes. MN_ERANGE: a prompt without lanes. Everything in params is borrowed until the rater is
 * freed. */
mn_status mn__retained_rater_new(mn__rater *out, const mn__retained_params *params, mn_diag *diag);

#endif
