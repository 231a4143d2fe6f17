/* asker.h: questions of a run, put to all its ranks: rank 0 decides what is asked, the others
 * follow. Nothing but questions and answers passes between them, so that a rank needs no state. */
#ifndef MN_EVOLVE_ASKER_H
#define MN_EVOLVE_ASKER_H

#include "evolve/population.h"
#include "evolve/rater.h"

typedef struct mn__asker {
    const mn_evolve_params *p;
    const mn__rater_maker *maker;
    mn__population population;
    mn__rater rater;
    size_t stage; /* that the rater is of; SIZE_MAX: none yet */
} mn__asker;

/* p and maker are borrowed. */
void mn__asker_init(mn__asker *a, const mn_evolve_params *p, const mn__rater_maker *maker);
void mn__asker_fini(mn__asker *a);

/* Rank 0: the rater of a stage, in place of the one before, here and everywhere. MN_ERANGE: it has
 * no prompts, or too many; what the maker returned. */
mn_status mn__asker_begin(mn__asker *a, size_t stage, mn_diag *diag);

typedef struct mn__question {
    const uint64_t *item; /* [n_item] */
    size_t n_item;
    const double *x; /* [n][search.n] */
    size_t n;
} mn__question;

/* Rank 0: what each candidate got on each prompt, [n_item][n], and which prompts were left out
 * [n_item]. Errors as mn__population_rate. */
mn_status mn__asker_ask(mn__asker *a, const mn__question *q, mn__rating *rating, bool *left,
                        mn_diag *diag);
/* Rank 0: losses [n] and kept shares [n] over the prompts, by p->statistic, and how many prompts
 * were left out. MN_EINPUT: all of them; else as mn__population_rate. */
mn_status mn__asker_rate(mn__asker *a, const mn__question *q, double *loss, double *kept,
                         size_t *n_left, mn_diag *diag);
/* Rank 0: there are no more questions. */
mn_status mn__asker_end(mn__asker *a, mn_diag *diag);
/* Other ranks: work until there are none. */
mn_status mn__asker_follow(mn__asker *a, mn_diag *diag);

#endif
