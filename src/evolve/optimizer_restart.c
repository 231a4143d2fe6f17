/* optimizer_restart.c: where and how wide a search begins, and begins again.
 * Refs: A. Auger, N. Hansen, "A restart CMA evolution strategy with increasing population size",
 * CEC 2005: twice the candidates each time. N. Hansen, "Benchmarking a bi-population CMA-ES", GECCO
 * 2009: such starts in turn with small ones, whichever kind has used fewer evaluations; a small one
 * has sigma 10^(-2u) of the first and lambda_0 (lambda_large / 2 lambda_0)^(u'^2) candidates, and
 * at most half the evaluations of the last large one. Deviations: the population stays below 2^20.
 */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "evolve/optimizer_internal.h"

enum { POPULATION_MAX = 1 << 20 };

void mn__optimizer_start_point(const mn_optimizer *o, double *out)
{
    for (size_t j = 0; j < o->p.n; j++) {
        double u = mn__rng_uniform(o->p.seed, MN__RNG_START, o->n_restart, (uint32_t)j);
        out[j] = o->p.mean[j] + o->p.spread * (2 * u - 1);
    }
}

static void grow(mn_optimizer *o)
{
    o->n_large++;
    o->allowance = 0;
    o->sigma_begin = o->p.sigma;
    double wanted = ldexp((double)o->p.population, (int)(o->n_large < 60 ? o->n_large : 60));
    o->population = wanted < POPULATION_MAX ? (uint64_t)wanted : POPULATION_MAX;
}

static void shrink(mn_optimizer *o, uint64_t last_large)
{
    double u = mn__rng_uniform(o->p.seed, MN__RNG_REGIME, o->n_restart, 0);
    double v = mn__rng_uniform(o->p.seed, MN__RNG_REGIME, o->n_restart, 1);
    double least = (double)o->p.population;
    double large = fmin(ldexp(least, (int)(o->n_large < 60 ? o->n_large : 60)), POPULATION_MAX);
    o->sigma_begin = o->p.sigma * pow(10, -2 * u);
    o->population = (uint64_t)(least * pow(fmax(0.5 * large / least, 1), v * v));
    o->allowance = last_large / 2 + 1;
}

mn_status mn__optimizer_restart(mn_optimizer *o, mn_diag *diag)
{
    const size_t bytes = o->p.n * sizeof *o->last_mean;
    uint64_t spent = o->evaluations - o->begin;
    bool was_small = o->allowance > 0;
    if (was_small)
        o->spent_small += spent;
    else if (o->n_restart > 0) /* the first start is of neither kind */
        o->spent_large += spent;
    if (!was_small) o->last_large = spent;
    o->n_restart++;
    o->begin = o->evaluations;
    o->n_flat = o->n_history = 0;
    if (o->p.restart == MN_RESTART_BIPOP && o->n_large > 0 && o->spent_small < o->spent_large)
        shrink(o, o->last_large);
    else
        grow(o);
    double *mean = mn__alloc_array(MN_MEM_OPT, o->p.n, sizeof *mean);
    if (!mean) return mn__fail(diag, MN_ENOMEM, "no memory for %zu variables", o->p.n);
    if (!o->last_mean) o->last_mean = mn__alloc(MN_MEM_OPT, bytes);
    if (o->last_mean) memcpy(o->last_mean, o->dist.mean, bytes);
    mn__optimizer_start_point(o, mean);
    mn_status st = o->last_mean ? mn__optimizer_begin(o, mean, diag)
                                : mn__fail(diag, MN_ENOMEM, "no memory for a mean");
    mn__free(mean);
    return st;
}
