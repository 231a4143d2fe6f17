/* optimizer_stop.c: when a search is over. Ref: arXiv 1604.00772, B.3. Deviations: equal ratings
 * must be seen in 10 generations in a row; stagnation is looked for now and then. */
#include <math.h>
#include <string.h>

#include "base/sort.h"
#include "evolve/optimizer_internal.h"

enum {
    FLAT_MOST = 10,
    LOOK_MOST = MN__HISTORY_MAX - MN__HISTORY_MAX / 20,
    FORGET = MN__HISTORY_MAX / 20
};

/* ---- ratings ---- */

static void remember(mn_optimizer *o)
{
    if (o->n_history == MN__HISTORY_MAX) {
        o->n_history -= FORGET; /* many at once: it costs a move of all */
        size_t bytes = (size_t)o->n_history * sizeof(double);
        memmove(o->history_best, o->history_best + FORGET, bytes);
        memmove(o->history_median, o->history_median + FORGET, bytes);
    }
    o->history_best[o->n_history] = o->rating[o->order[0]];
    o->history_median[o->n_history++] = o->rating[o->order[o->population / 2]];
}

/* Best and (1 + lambda/4)-th best are equal, or nothing was rated at all. */
static bool is_flat(mn_optimizer *o)
{
    size_t lambda = (size_t)o->population, k = (size_t)ceil(0.1 + (double)lambda / 4);
    double best = o->rating[o->order[0]], other = o->rating[o->order[k < lambda ? k : lambda - 1]];
    o->n_flat = isnan(best) || best == other ? o->n_flat + 1 : 0;
    return o->n_flat >= FLAT_MOST;
}

/* All of this generation, and the best of the last ones, lie within tol_fun. */
static bool is_narrow(const mn_optimizer *o)
{
    size_t look = 10 + (size_t)ceil(30 * (double)o->p.n / (double)o->population);
    double low = HUGE_VAL, high = -HUGE_VAL;
    if (o->n_history < look || o->p.tol_fun <= 0) return false;
    for (size_t i = 0; i < o->population; i++) {
        low = fmin(low, o->rating[i]);
        high = fmax(high, o->rating[i]);
    }
    for (size_t i = o->n_history - look; i < o->n_history; i++) {
        low = fmin(low, o->history_best[i]);
        high = fmax(high, o->history_best[i]);
    }
    return high - low < o->p.tol_fun;
}

/* Generations half of which failed have NAN for a median: worse than any number. */
static double median_of(const double *x, size_t n, double *room)
{
    memcpy(room, x, n * sizeof *x);
    mn__sort(room, n);
    const double median = mn__median(room, n);
    return isnan(median) ? HUGE_VAL : median;
}

/* Neither in best nor in median are the newest 30% of a long stretch better than its oldest 30%. */
static bool is_stagnant(const mn_optimizer *o)
{
    size_t least = 120 + (size_t)(30 * (double)o->p.n / (double)o->population);
    size_t look = (size_t)(0.2 * (double)o->dist.g);
    if (look < least) look = least;
    if (look > LOOK_MOST) look = LOOK_MOST;
    if (o->n_history < look || o->dist.g % (look / 20) != 0) return false;
    size_t part = look * 3 / 10, first = (size_t)o->n_history - look,
           last = (size_t)o->n_history - part;
    const double *all[] = {o->history_best, o->history_median};
    for (int i = 0; i < 2; i++)
        if (median_of(all[i] + last, part, o->history_room) <
            median_of(all[i] + first, part, o->history_room))
            return false;
    return true;
}

/* ---- the distribution ---- */

static bool is_small(const mn_optimizer *o)
{
    double limit = o->p.tol_x * o->sigma_begin;
    for (size_t i = 0; i < o->p.n; i++) {
        double path = mn__cma_path(&o->dist, i);
        if (!(mn__cma_deviation(&o->dist, i) < limit) || !(path < limit)) return false;
    }
    return true;
}

static bool has_diverged(const mn_optimizer *o)
{
    for (size_t i = 0; i < o->p.n; i++)
        if (!(mn__cma_deviation(&o->dist, i) <= 1e4 * o->sigma_begin)) return true;
    return false;
}

/* A tenth of one axis, another in each generation, or a fifth of a variable's deviation is lost in
 * rounding. */
static bool has_no_effect(const mn_optimizer *o)
{
    const mn__cma *c = &o->dist;
    size_t n = o->p.n, k = (size_t)(c->g % n), n_moved = 0;
    for (size_t i = 0; i < n; i++) {
        double m = c->mean[i];
        if (m + 0.2 * mn__cma_deviation(c, i) == m) return true;
        double axis =
            c->plan.covariance == MN_COVARIANCE_FULL ? c->scale[k] * c->basis[k * n + i] : 1;
        n_moved += m + 0.1 * c->sigma * axis != m;
    }
    return n_moved == 0;
}

mn_search_end mn__optimizer_watch(mn_optimizer *o)
{
    if (o->p.is_endless) return MN_END_NONE;
    remember(o);
    if (has_diverged(o)) return MN_END_DIVERGED;
    if (is_flat(o)) return MN_END_FLAT;
    if (is_narrow(o)) return MN_END_TOL_FUN;
    if (is_small(o)) return MN_END_TOL_X;
    if (mn__cma_axis_ratio(&o->dist) > 1e7) return MN_END_CONDITION;
    if (has_no_effect(o)) return MN_END_NO_EFFECT;
    if (is_stagnant(o)) return MN_END_STAGNATION;
    return MN_END_NONE;
}
