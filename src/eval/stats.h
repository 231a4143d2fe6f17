/* stats.h: what a number in a table is worth: means with bootstrap intervals, a paired test of two
 * policies, and the correction for having made many tests.
 *
 * Rows are prompts, or the answer tokens of prompts. Tokens of one prompt resemble each other, so a
 * prompt is drawn or flipped as a whole: a cluster. The mean is over rows: a long answer weighs
 * more. Random numbers are named (seed, resample, draw) and sums run in a fixed order: the same
 * rows and seed give the same figures on every machine and with any number of threads. */
#ifndef MN_EVAL_STATS_H
#define MN_EVAL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct mn__sample {
    const double *a;         /* [n] finite */
    const double *b;         /* [n] the same rows under another policy, finite; NULL: zeros */
    const uint32_t *cluster; /* [n] any numbers, in any order; NULL: each row is its own */
    size_t n;                /* below 2^32 */
} mn__sample;

typedef struct mn__resampling {
    uint64_t seed;
    uint32_t n_resample; /* 99 to 10^6; one less than a round number makes the ranks exact */
    double level;        /* of the interval, between 0 and 1, as 0.95 */
} mn__resampling;

/* Seed 0, 9,999 resamples, 95%. */
void mn__resampling_default(mn__resampling *how);

typedef struct mn__interval {
    double mean;   /* of a - b over rows */
    double lo, hi; /* of the mean; NAN when there is one cluster alone */
    size_t n_cluster;
} mn__interval;

typedef struct mn__paired {
    double difference; /* mean of a - b over rows */
    double p;          /* two-sided; 1 when a and b are the same */
    size_t n_cluster;
    bool exact; /* every assignment of signs was counted, none drawn */
} mn__paired;

typedef struct mn__correlation {
    double rho;    /* -1 to 1; NAN: all of a side are equal */
    double lo, hi; /* NAN: rho is, or most of what is drawn has no rho */
} mn__correlation;

/* All of them: MN_ERANGE for no rows, a row that is not finite, or a setting out of range;
 * MN_ENOMEM. Memory: 32 bytes a row and 8 a resample, while it runs. Any thread. Cost: n_resample *
 * clusters additions. */

/* The BCa interval of the mean of each of n samples; out[n] is untouched on failure. Those with as
 * many clusters share their draws: less than half the time of n calls. */
mn_status mn__bootstrap_intervals(mn__interval *out, const mn__sample *s, size_t n_sample,
                                  const mn__resampling *how, mn_diag *diag);
/* Were the labels a and b given to each prompt by the toss of a coin, how often would the means lie
 * as far apart as they do? All assignments up to 20 prompts that differ, else how->n_resample drawn
 * ones and the one observed, so that p is never 0. */
mn_status mn__sign_flip_test(mn__paired *out, const mn__sample *s, const mn__resampling *how,
                             mn_diag *diag);
/* Spearman's rank correlation of a and b [n] and its BCa interval over rows: equal values have the
 * mean of their ranks, infinite ones are first or last. Rows drawn so that all of a side are equal
 * have no correlation and are left out. MN_ERANGE also for NAN. Cost: n_resample * n log n. */
mn_status mn__rank_correlation(mn__correlation *out, const double *a, const double *b, size_t n,
                               const mn__resampling *how, mn_diag *diag);
/* p[n] of several tests become p adjusted by Holm's steps: those below a level are then false with
 * at most that probability all together. NAN: no test; it stays and does not count. */
mn_status mn__holm(double *p, size_t n, mn_diag *diag);

#endif
