/* schedule.h: learning rates of steps: warm-up, cosine, and the rate of a memory's values, which
 * starts above the others' and comes down to it. */
#ifndef MN_TRAIN_SCHEDULE_H
#define MN_TRAIN_SCHEDULE_H

#include <stddef.h>

typedef struct mn__schedule {
    double rate;             /* peak */
    size_t n_warmup, n_step; /* warm-up rises linearly; the cosine (cosine.h) ends at n_step */
    double first, last;      /* rate of step 0 and from n_step on, as shares of the peak */
} mn__schedule;

/* How the values of a memory are treated: their peak is m(step) times the others',
 *   m(s) = 1 + (times - 1) max(0, 1 - s / (n_step share)).
 * Ref: arXiv 2411.12364 (times 10), the published scripts (4). times = 1: like all others. */
typedef struct mn__value_schedule {
    double times;
    double share;    /* of n_step, after which the rate is the others' */
    double constant; /* > 0: this rate at every step, as Memory+ of the OLMo code has it */
} mn__value_schedule;

double mn__schedule_rate(const mn__schedule *s, size_t step);
double mn__schedule_value_rate(const mn__schedule *s, const mn__value_schedule *v, size_t step);

#endif
