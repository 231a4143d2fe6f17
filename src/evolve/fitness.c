/* fitness.c: fitness of the NAMM paper's runs, arXiv 2410.13166:
 *   mean over tasks of 100 mean(score) / (100 mean(reference on the same prompts) + 1e-7). */
#include "evolve/fitness.h"

#include <math.h>

double mn__fitness_percent(const mn__fitness_task *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += t->score[i];
    return t->n ? 100 * (sum / (double)t->n) : NAN;
}

double mn__fitness_normalised(const mn__fitness_task *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += t->reference[t->prompt[i]];
    return t->n ? mn__fitness_percent(t) / (100 * (sum / (double)t->n) + 1e-7) : NAN;
}

double mn__fitness(const mn__fitness_task *t, size_t n_task)
{
    double sum = 0;
    for (size_t i = 0; i < n_task; i++) sum += mn__fitness_normalised(&t[i]);
    return n_task ? sum / (double)n_task : NAN;
}
