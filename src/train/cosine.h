/* cosine.h: a learning rate that warms up in a straight line and comes down in half a cosine. */
#ifndef MN_TRAIN_COSINE_H
#define MN_TRAIN_COSINE_H

typedef struct mn__cosine {
    double max, min;
    double n_warmup, n_step; /* steps, not always whole: 1% of 106,418 */
} mn__cosine;

/* rate(s) = max s / n_warmup below n_warmup, then min + (max - min) (1 + cos(pi u)) / 2 with u the
 * share of the rest that is done; min from n_step on. */
double mn__cosine_rate(const mn__cosine *c, double step);

#endif
