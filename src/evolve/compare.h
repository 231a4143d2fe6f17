/* compare.h: where a comparison of fidelities stands, and its file: all ratings that are known, so
 * that it goes on there, and in the end what follows from them. */
#ifndef MN_EVOLVE_COMPARE_H
#define MN_EVOLVE_COMPARE_H

#include <jansson.h>
#include "evolve/rater.h"
#include "mneme/namm.h"

typedef struct mn__compare {
    const char *path;
    const mn_evolve_compare_params *p;
    const mn_evolve_params *run;       /* with the resolved search and options */
    uint64_t n_item;                   /* prompts there are; 0: not known yet */
    uint64_t rows;                     /* what they are (mn__rater); 0: not known */
    uint64_t *item;                    /* [n_prompt] those that count */
    mn__rating *rating;                /* [n_side][n_prompt][n_candidate] */
    bool *left;                        /* [n_side][n_prompt] */
    size_t n_done[MN_EVOLVE_SIDE_MAX]; /* prompts rated */
    double begin_s[MN_EVOLVE_SIDE_MAX], rate_s[MN_EVOLVE_SIDE_MAX];
} mn__compare;

/* Room for ratings. */
mn_status mn__compare_init(mn__compare *c, mn_diag *diag);
void mn__compare_fini(mn__compare *c);
/* Nothing there: nothing is read. MN_EUSAGE: another comparison; MN_EINPUT: damaged. */
mn_status mn__compare_read(mn__compare *c, mn_diag *diag);
/* Atomic. result: NULL while it goes on; with it loss and kept [n_side][n_candidate]. */
mn_status mn__compare_write(const mn__compare *c, const mn_evolve_comparison *result,
                            const double *loss, const double *kept, mn_diag *diag);

#endif
