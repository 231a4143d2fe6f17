/* optimizer_noise.c: how much of a ranking is noise, and what to do about it. Some candidates are
 * rated twice; when their ranks move more than a tenth of all moves that are possible would, noise
 * decides too much: ratings should take longer, and once they take as long as they may, sigma
 * grows. Ref: N. Hansen, A. Niederberger, L. Guzzella, P. Koumoutsakos, "A method for handling
 * uncertainty in evolutionary optimization", IEEE TEC 13(1), 2009. Deviations: the same candidate
 * is rated again, not one beside it; the measure is averaged with weight 0.3. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "evolve/optimizer_internal.h"

static const double tolerance = 0.2, averaging = 0.3, effort_step = 1.5;

size_t mn__noise_repeats(const mn_optimizer *o)
{
    if (!o->p.has_noise) return 0;
    double wanted = fmax(0.1 * (double)o->population, 2), whole = floor(wanted);
    double u = mn__rng_uniform(o->p.seed, MN__RNG_REPEAT, o->generation, 0);
    return (size_t)whole + (u < wanted - whole);
}

/* The share tolerance / 2 of the moves from rank r to ranks 1 ... n_rank - 1 is no longer than. */
static double usual_move(double r, size_t n_rank)
{
    double wanted = tolerance / 2 * (double)(n_rank - 1), last = (double)(n_rank - 1), d = 0;
    for (; d < last; d++) {
        double low = fmax(1, r - d), high = fmin(last, r + d);
        if (high - low + 1 >= wanted) break;
    }
    return d;
}

/* Mean over repeated candidates: 2|delta| minus what is usual from either rank. rank: [2 lambda] of
 * first ratings and of second ones, from 1. */
static double measure(const double *rank, size_t lambda, size_t n_repeat)
{
    double sum = 0;
    for (size_t i = 0; i < n_repeat; i++) {
        double first = rank[i], second = rank[lambda + i],
               delta = fmax(0, fabs(second - first) - 1);
        sum += 2 * delta - usual_move(second - (second > first), 2 * lambda) -
               usual_move(first - (first > second), 2 * lambda);
    }
    return sum / (double)n_repeat;
}

/* Equal ratings, and failures, share their mean rank: that they are told apart by number is no
 * noise. */
static bool are_equal(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b;
}

void mn__noise_judge(mn_optimizer *o)
{
    size_t lambda = (size_t)o->population, n_repeat = mn__noise_repeats(o);
    double *both = o->rating + 2 * lambda, *rank = both + 2 * lambda;
    memcpy(both, o->rating, lambda * sizeof *both);
    memcpy(both + lambda, o->rating, lambda * sizeof *both);
    memcpy(both + lambda, o->rating + lambda, n_repeat * sizeof *both);
    mn__rank(both, 2 * lambda, o->order, o->order + 2 * lambda);
    for (size_t i = 0, end; i < 2 * lambda; i = end) {
        for (end = i + 1; end < 2 * lambda && are_equal(both[o->order[i]], both[o->order[end]]);)
            end++;
        for (size_t k = i; k < end; k++) rank[o->order[k]] = (double)(i + 1 + end) / 2;
    }
    o->noise = (1 - averaging) * o->noise + averaging * measure(rank, lambda, n_repeat);
    /* Sums of both ranks; where these are equal, the one that moved less. */
    for (size_t i = 0; i < lambda; i++) {
        double first = rank[i], second = rank[lambda + i];
        bool failed = isnan(both[i]) && isnan(both[lambda + i]);
        o->judged[i] = failed ? NAN : first + second + fabs(second - first) / (4 * (double)lambda);
    }
}

void mn__noise_treat(mn_optimizer *o)
{
    if (o->noise <= 0) {
        o->effort = fmax(1, o->effort / effort_step);
    } else if (o->effort < o->p.effort_max) {
        o->effort = fmin(o->p.effort_max, o->effort * effort_step);
    } else {
        o->dist.sigma *= 1 + 2 / ((double)o->p.n + 10);
    }
}
