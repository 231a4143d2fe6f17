/* fitness.h: what a candidate's answers are worth beside the full cache's. */
#ifndef MN_FITNESS_H
#define MN_FITNESS_H

#include <stddef.h>

/* A task in one generation: the prompts that were drawn, how the candidate did on them, how the
 * full cache did on every prompt. Scores lie in [0,1]. */
typedef struct mn__fitness_task {
    const size_t *prompt;    /* [n] of them, indices into reference */
    const double *score;     /* [n] */
    const double *reference; /* by prompt */
    size_t n;
} mn__fitness_task;

/* Mean score in percent; NAN for no prompts. */
double mn__fitness_percent(const mn__fitness_task *t);
/* The same over that of the reference on these prompts: 1 is as good as the full cache. */
double mn__fitness_normalised(const mn__fitness_task *t);
/* Mean over tasks of the normalised scores; NAN for none. Higher is better. */
double mn__fitness(const mn__fitness_task *t, size_t n_task);

#endif
