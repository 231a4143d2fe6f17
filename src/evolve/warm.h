/* warm.h: a NAMM that has seen prompts before evolution begins: statistics of its inputs, and on
 * wish parameters fitted to later attention (capture.h, regress.h). */
#ifndef MN_EVOLVE_WARM_H
#define MN_EVOLVE_WARM_H

#include "evolve/capture.h"

typedef struct mn__warm_params {
    mn__capture_params capture; /* policy is filled in */
    mn__regress_params regress; /* n_step 0: statistics alone */
} mn__warm_params;

/* namm, whose statistics are 0 and 1, becomes standardised (ages stay as they are) and fitted;
 * `path` is a file of it that the policy can read, written anew at the end. *seen (or NULL) is what
 * was captured, standardised, for raters without the model; the caller's (mn__capture_fini). */
mn_status mn__warm_start(mn__namm *namm, const char *path, const mn__warm_params *params,
                         mn__capture *seen, double *loss, mn_diag *diag);

#endif
