/* optimizer.c: ask and tell around one distribution (cma.h). All candidates of a generation are
 * drawn when the one before has been told, so that asking changes nothing. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "evolve/optimizer_internal.h"

static const char *const covariance_word[] = {
#define X(name, word, n) word,
    MN_COVARIANCE_MAP(X)
#undef X
};

static const size_t covariance_most[] = {
#define X(name, word, n) n,
    MN_COVARIANCE_MAP(X)
#undef X
};

static const char *const restart_word[] = {
#define X(name, word) word,
    MN_RESTART_MAP(X)
#undef X
};

static const char *const stop_word[] = {
#define X(name, text) text,
    MN_END_MAP(X)
#undef X
};

const char *mn_covariance_name(mn_covariance c)
{
    return (unsigned)c < MN_COVARIANCE_COUNT ? covariance_word[c] : "unknown";
}

const char *mn_restart_name(mn_restart r)
{
    return (unsigned)r < MN_RESTART_COUNT ? restart_word[r] : "unknown";
}

const char *mn_search_end_text(mn_search_end stop)
{
    return (unsigned)stop < MN_END_COUNT ? stop_word[stop] : "unknown";
}

/* ---- parameters ---- */

void mn_optimizer_params_default(mn_optimizer_params *p)
{
    *p = (mn_optimizer_params){.elite_ratio = 0.5,
                               .sigma = 0.3,
                               .effort_max = 1,
                               .max_restarts = SIZE_MAX,
                               .target = NAN,
                               .tol_fun = 1e-12,
                               .tol_x = 1e-12};
}

/* Number: within [lo, hi]? NaN is not. */
static mn_status within(const char *name, double x, double lo, double hi, mn_diag *diag)
{
    if (x >= lo && x <= hi) return MN_OK;
    return mn__fail(diag, MN_ERANGE, "%s: %g to %g wanted, %g found", name, lo, hi, x);
}

static mn_status check_sizes(const mn_optimizer_params *p, mn_diag *diag)
{
    if ((unsigned)p->covariance >= MN_COVARIANCE_COUNT || (unsigned)p->restart >= MN_RESTART_COUNT)
        return mn__fail(diag, MN_ERANGE, "no such covariance (%d) or restart (%d)",
                        (int)p->covariance, (int)p->restart);
    size_t most = covariance_most[p->covariance];
    if (p->n < 1 || p->n > most)
        return mn__fail(diag, MN_ERANGE, "variables: 1 to %zu wanted with %s covariance, %zu found",
                        most, mn_covariance_name(p->covariance), p->n);
    if (p->population == 1 || p->population > 1u << 20)
        return mn__fail(diag, MN_ERANGE, "population: 2 to 1048576 wanted, %zu found",
                        p->population);
    if (p->rank > 1024)
        return mn__fail(diag, MN_ERANGE, "rank: 1 to 1024 wanted, %zu found", p->rank);
    if (p->is_exact && p->covariance != MN_COVARIANCE_FULL)
        return mn__fail(diag, MN_ERANGE,
                        "the exact order of operations is that of full covariance");
    return MN_OK;
}

mn_status mn__optimizer_check(const mn_optimizer_params *p, mn_diag *diag)
{
    mn_status st;
    MN_TRY(check_sizes(p, diag));
    /* Behind the better half weights are negative: only the paper's order of operations lets them
     * move the mean. */
    MN_TRY(within("elite ratio", p->elite_ratio, 1e-6, p->is_exact ? 1 : 0.5, diag));
    MN_TRY(within("sigma", p->sigma, 1e-100, 1e100, diag));
    MN_TRY(within("spread", p->spread, 0, 1e100, diag));
    MN_TRY(within("most effort", p->effort_max, 1, 1e6, diag));
    MN_TRY(within("tol_fun", p->tol_fun, 0, HUGE_VAL, diag));
    MN_TRY(within("tol_x", p->tol_x, 0, HUGE_VAL, diag));
    for (size_t i = 0; p->mean && i < p->n; i++)
        if (!isfinite(p->mean[i]))
            MN_TRY(mn__fail(diag, MN_ERANGE, "mean[%zu]: a finite number wanted, %g found", i,
                            p->mean[i]));
done:
    return st;
}

/* ---- life ---- */

mn_status mn__optimizer_alloc(mn_optimizer **out, const mn_optimizer_params *p, mn_diag *diag)
{
    mn_optimizer *o = mn__alloc_zero(MN_MEM_OPT, sizeof *o);
    *out = o;
    if (!o) return mn__fail(diag, MN_ENOMEM, "no memory for an optimizer");
    double few = 4 + floor(3 * log((double)p->n));
    double *mean = mn__alloc_array(MN_MEM_OPT, p->n, sizeof *mean);
    o->p = *p;
    o->p.mean = mean;
    if (!o->p.population) o->p.population = (size_t)few;
    if (!o->p.rank) o->p.rank = (size_t)few;
    if (p->covariance != MN_COVARIANCE_LOW_RANK) o->p.rank = 0;
    o->best_x = mn__alloc_array(MN_MEM_OPT, p->n, sizeof *o->best_x);
    o->history_best = mn__alloc_array(MN_MEM_OPT, MN__HISTORY_MAX, sizeof *o->history_best);
    o->history_median = mn__alloc_array(MN_MEM_OPT, MN__HISTORY_MAX, sizeof *o->history_median);
    o->history_room = mn__alloc_array(MN_MEM_OPT, MN__HISTORY_MAX, sizeof *o->history_room);
    o->note = mn__strdup("");
    if (!mean || !o->best_x || !o->history_best || !o->history_median || !o->history_room ||
        !o->note)
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu variables", p->n);
    for (size_t i = 0; i < p->n; i++) {
        mean[i] = p->mean ? p->mean[i] : 0;
        o->best_x[i] = mean[i];
    }
    o->best = NAN;
    o->effort = 1;
    o->population = o->p.population;
    o->sigma_begin = o->p.sigma;
    return MN_OK;
}

static void free_generation(mn_optimizer *o)
{
    mn__cma_fini(&o->dist);
    mn__free(o->z);
    mn__free(o->y);
    mn__free(o->rating);
    mn__free(o->judged);
    mn__free(o->order);
    o->z = o->y = o->rating = o->judged = NULL;
    o->order = NULL;
}

mn_status mn__optimizer_begin(mn_optimizer *o, const double *mean, mn_diag *diag)
{
    size_t lambda = (size_t)o->population, cell, n = o->p.n;
    free_generation(o);
    if (!mn__mul_size(lambda, n, &cell)) return mn__fail(diag, MN_ENOMEM, "no memory");
    o->z = mn__alloc_array(MN_MEM_OPT, cell, sizeof *o->z);
    o->y = mn__alloc_array(MN_MEM_OPT, cell, sizeof *o->y);
    o->rating = mn__alloc_array(MN_MEM_OPT, 6 * lambda, sizeof *o->rating);
    o->judged = mn__alloc_array(MN_MEM_OPT, lambda, sizeof *o->judged);
    o->order = mn__alloc_array(MN_MEM_OPT, 4 * lambda, sizeof *o->order);
    if (!o->z || !o->y || !o->rating || !o->judged || !o->order)
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu candidates of %zu variables", lambda,
                        n);
    const mn__cma_plan plan = {.n = n,
                               .lambda = lambda,
                               .rank = o->p.rank,
                               .elite_ratio = o->p.elite_ratio,
                               .sigma = o->sigma_begin,
                               .covariance = o->p.covariance,
                               .is_passive = o->p.is_passive,
                               .is_exact = o->p.is_exact};
    return mn__cma_init(&o->dist, &plan, mean, diag);
}

void mn__optimizer_draw(mn_optimizer *o)
{
    size_t n = o->p.n;
    for (size_t i = 0; i < o->population; i++) {
        double *z = o->z + i * n;
        uint64_t name = o->generation << 32 | i;
        for (size_t j = 0; j < n; j++)
            z[j] = mn__rng_normal(o->p.seed, MN__RNG_CANDIDATE, name, (uint32_t)j);
        mn__cma_shape(&o->dist, z, o->y + i * n);
    }
}

mn_status mn_optimizer_new(mn_optimizer **out, const mn_optimizer_params *p, mn_diag *diag)
{
    mn_status st;
    mn_optimizer *o = NULL;
    *out = NULL;
    MN_TRY(mn__optimizer_check(p, diag));
    MN_TRY(mn__optimizer_alloc(&o, p, diag));
    mn__optimizer_start_point(o, o->best_x);
    MN_TRY(mn__optimizer_begin(o, o->best_x, diag));
    mn__optimizer_draw(o);
    *out = o;
    o = NULL;
done:
    mn_optimizer_free(o);
    return st;
}

void mn_optimizer_free(mn_optimizer *o)
{
    if (!o) return;
    free_generation(o);
    mn__free((void *)(uintptr_t)o->p.mean);
    mn__free(o->best_x);
    mn__free(o->last_mean);
    mn__free(o->history_best);
    mn__free(o->history_median);
    mn__free(o->history_room);
    mn__free(o->note);
    mn__free(o);
}

/* ---- ask ---- */

size_t mn__optimizer_n_ask(const mn_optimizer *o)
{
    return (size_t)o->population + mn__noise_repeats(o);
}

void mn_optimizer_ask(const mn_optimizer *o, size_t i, double *x)
{
    const double *y = o->y + i % o->population * o->p.n;
    for (size_t j = 0; j < o->p.n; j++) x[j] = o->dist.mean[j] + o->dist.sigma * y[j];
}

/* ---- tell ---- */

static bool is_better(double a, double b)
{
    return a < b || (isnan(b) && !isnan(a));
}

/* Merge sort from the bottom: stable. */
void mn__rank(const double *rating, size_t n, size_t *order, size_t *room)
{
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t middle = begin + width < n ? begin + width : n;
            size_t end = middle + width < n ? middle + width : n, a = begin, b = middle;
            for (size_t k = begin; k < end; k++) {
                bool second =
                    a == middle || (b < end && is_better(rating[order[b]], rating[order[a]]));
                room[k] = order[second ? b++ : a++];
            }
        }
        memcpy(order, room, n * sizeof *order);
    }
}

/* Ratings so that smaller is better, and the best ever. */
static void take_ratings(mn_optimizer *o, const double *fitness)
{
    size_t n_ask = mn__optimizer_n_ask(o), best = n_ask;
    for (size_t i = 0; i < n_ask; i++) {
        double x = o->rating[i] = o->p.is_max ? -fitness[i] : fitness[i];
        if (isnan(x)) o->n_failed++;
        if (is_better(x, best < n_ask ? o->rating[best] : o->best)) best = i;
    }
    o->evaluations += n_ask;
    if (best == n_ask) return;
    o->best = o->rating[best];
    mn_optimizer_ask(o, best, o->best_x);
}

/* Why all of it ends, whatever the distribution says. */
static mn_search_end why_over(const mn_optimizer *o)
{
    double target = o->p.is_max ? -o->p.target : o->p.target;
    if (o->best <= target) return MN_END_TARGET;
    if (o->p.max_evaluations && o->evaluations >= o->p.max_evaluations) return MN_END_EVALUATIONS;
    return MN_END_NONE;
}

mn_status mn__optimizer_limit(mn_optimizer *o, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn_search_end over = why_over(o);
    const bool was_limit = o->stop == MN_END_TARGET || o->stop == MN_END_EVALUATIONS,
               restarts = o->stop == MN_END_RESTARTS && o->n_restart < o->p.max_restarts;
    if (over != MN_END_NONE || was_limit || restarts) o->stop = (uint64_t)over;
    if (over != MN_END_NONE || !restarts) return MN_OK;
    MN_TRY(mn__optimizer_restart(o, diag));
    mn__optimizer_draw(o);
done:
    return st;
}

static mn_status go_on(mn_optimizer *o, mn_diag *diag)
{
    mn_search_end local = mn__optimizer_watch(o), over = why_over(o);
    if (local == MN_END_NONE && o->allowance && o->evaluations - o->begin >= o->allowance)
        local = MN_END_EVALUATIONS;
    o->stop = (uint64_t)over;
    if (over != MN_END_NONE || local == MN_END_NONE) return MN_OK;
    if (o->p.restart == MN_RESTART_NONE) {
        o->stop = (uint64_t)local;
    } else if (o->n_restart >= o->p.max_restarts) {
        o->last_stop = (uint64_t)local;
        o->stop = MN_END_RESTARTS;
    } else {
        o->last_stop = (uint64_t)local;
        return mn__optimizer_restart(o, diag);
    }
    return MN_OK;
}

mn_status mn_optimizer_tell(mn_optimizer *o, const double *fitness, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t lambda = (size_t)o->population;
    take_ratings(o, fitness);
    memcpy(o->judged, o->rating, lambda * sizeof *o->judged);
    if (o->p.has_noise) mn__noise_judge(o);
    mn__rank(o->judged, lambda, o->order, o->order + lambda);
    /* Where all failed there is nothing to learn. */
    if (!isnan(o->judged[o->order[0]])) {
        MN_TRY(mn__cma_update(&o->dist, o->y, o->z, o->order, diag));
        if (o->p.has_noise) mn__noise_treat(o);
    }
    o->generation++;
    MN_TRY(go_on(o, diag));
    mn__optimizer_draw(o);
done:
    return st;
}

void mn_optimizer_get_info(const mn_optimizer *o, mn_optimizer_info *out)
{
    *out = (mn_optimizer_info){.n = o->p.n,
                               .population = (size_t)o->population,
                               .n_ask = mn__optimizer_n_ask(o),
                               .generation = o->generation,
                               .evaluations = o->evaluations,
                               .n_failed = o->n_failed,
                               .n_restart = (size_t)o->n_restart,
                               .stop = (mn_search_end)o->stop,
                               .last_stop = (mn_search_end)o->last_stop,
                               .sigma = o->dist.sigma,
                               .axis_ratio = mn__cma_axis_ratio(&o->dist),
                               .best = o->p.is_max ? -o->best : o->best,
                               .best_x = o->best_x,
                               .mean = o->dist.mean,
                               .last_mean = o->last_mean,
                               .noise = o->noise,
                               .effort = o->effort,
                               .note = o->note};
}
