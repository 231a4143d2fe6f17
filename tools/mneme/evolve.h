/* evolve.h: what all searches of `mneme evolve` share: options, lines of a generation, progress,
 * runs in a folder. */
#ifndef MNEME_TOOLS_EVOLVE_H
#define MNEME_TOOLS_EVOLVE_H

#include "mneme/namm.h"
#include "ranks.h"
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

/* ---- --out: a run in a folder ---- */

enum { EVOLVE_STAGE_MAX = 64 };

typedef struct evolve_run {
    const args *a;
    ranks ranks;
    mn_evolve_params p;
    mn_evolve_stage stage[EVOLVE_STAGE_MAX];
    progress bar;
    mn_evolve_line last; /* the last generation that ended */
    json_int_t first;    /* generation of this start, from 1; 0: not known yet */
    uint64_t n_rated;    /* of the rating under way */
    double rated_s;      /* when that was */
} evolve_run;

/* Meet the other ranks. Whatever it returns, evolve_run_end follows. */
mn_status evolve_run_begin(evolve_run *r, const args *a, mn_diag *diag);
/* mn_evolve_params.option_name: as options.def calls it. */
void evolve_option_name(const char *key, char out[64]);
/* r->p with the options of all runs: --out, --stage, --generations, --prompts, --statistic,
 * --held-out, --validate, --goal, --max-seconds, --threads, --log-candidates; what is told goes to
 * the terminal, the best mean to DIR/best.json. The first stage is --function's, where
 * there is one. */
mn_status evolve_run_options(evolve_run *r, const args *a, const mn_optimizer_params *search,
                             mn_diag *diag);
/* mn_evolve_namm_params.read, with the run as ctx. */
void evolve_run_read(uint64_t done, uint64_t total, void *run);
/* DIR/report.html, where its chart library is, and a sentence about how the run ended. */
mn_status evolve_run_report(evolve_run *r, const mn_evolve_result *result, mn_diag *diag);
/* After a failure the other ranks are ended too. Fine for a run of zeros. */
void evolve_run_end(evolve_run *r, mn_status st, const mn_diag *diag);

/* --function: the optimiser on functions whose minimum is known. */
mn_status evolve_function(const args *a, mn_diag *diag);
/* --stage: a NAMM on evaluation tasks. */
mn_status evolve_namm(const args *a, mn_diag *diag);
/* --compare: ways to rate that NAMM's candidates, in the same folder. */
mn_status evolve_compare(evolve_run *folder, const mn_evolve_namm_params *p, const mn_model *m,
                         mn_diag *diag);

#endif
