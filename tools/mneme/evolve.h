/* evolve.h: what all searches of `mneme evolve` share: options, lines of a generation, progress. */
#ifndef MNEME_TOOLS_EVOLVE_H
#define MNEME_TOOLS_EVOLVE_H

#include "ui.h"

/* --population, --elite, --sigma, --start, --covariance, --rank, --restart, --handle-noise,
 * --max-evaluations, --target, --seed over the defaults in `p`. */
mn_status evolve_params(const args *a, mn_optimizer_params *p, mn_diag *diag);

/* One generation, as a JSON line on standard output. */
typedef struct evolve_line {
    const char *fidelity; /* what rated the candidates */
    size_t run;           /* 0: there is one only */
    uint64_t generation;
    double best, mean, sigma, kept_share, seconds; /* of this generation's ratings; NAN: null */
} evolve_line;
void evolve_put_line(const evolve_line *line);

/* null where x is not finite. */
json_t *evolve_number(double x);

/* Where the search stands, on standard error when that is a terminal. */
void evolve_tick(progress *bar, const mn_optimizer_info *info);

/* --function: the optimiser on functions whose minimum is known. */
mn_status evolve_function(const args *a, mn_diag *diag);

#endif
