/* cma_rates.c: constants of CMA-ES. Ref: N. Hansen, "The CMA evolution strategy: a tutorial",
 * arXiv 1604.00772, table 1, with negative weights (49)-(58). c_mu has the 1/4 of the 2023
 * revision, which exact plans, made like the NAMM paper's runs, do without. Separable: R. Ros, N.
 * Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", 2008:
 * learning n numbers instead of n^2/2 goes (n+2)/3 times faster. Deviations: n counts as at most
 * 40,000 in c_1, c_mu and the last term of e_norm, as in the NAMM paper's runs; where another share
 * than half moves the mean (mu), weights beyond it are 0 or negative, which exact plans do without
 * too. */
#include <math.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/cma.h"

enum { N_MOST = 40000 };

/* Of weights [begin, end): (sum w)^2 / sum w^2; 0 for none. */
static double effective(const double *w, size_t begin, size_t end)
{
    double sum = 0, squares = 0;
    for (size_t i = begin; i < end; i++) {
        sum += w[i];
        squares += w[i] * w[i];
    }
    return squares > 0 ? sum * sum / squares : 0;
}

static void learning_rates(mn__cma_rates *r, const mn__cma_plan *plan)
{
    double n = (double)r->n, m = fmin(n, N_MOST), mu = r->mu_eff, faster = 1;
    double offset = plan->is_exact ? 2 : 1.75;
    if (plan->covariance == MN_COVARIANCE_SEPARABLE) faster = (m + 2) / 3;
    r->c_1 = fmin(faster * 2 / ((m + 1.3) * (m + 1.3) + mu), 0.5);
    r->c_mu =
        fmin(1 - r->c_1 - 1e-8, faster * 2 * (mu - offset + 1 / mu) / ((m + 2) * (m + 2) + mu));
    r->c_s = (mu + 2) / (n + mu + 5);
    r->d_s = 1 + 2 * fmax(0, sqrt((mu - 1) / (n + 1)) - 1) + r->c_s;
    r->c_c = (4 + mu / n) / (n + 4 + 2 * mu / n);
    r->e_norm = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * m * m));
}

/* Positive ones sum to 1; negative ones to what keeps C positive definite. */
static void scale_weights(mn__cma_rates *r, const mn__cma_plan *plan)
{
    double plus = 0, minus = 0, mu_minus = effective(r->weight, r->mu, r->lambda);
    for (size_t i = 0; i < r->lambda; i++) *(r->weight[i] < 0 ? &minus : &plus) += r->weight[i];
    double most = fmin(1 + r->c_1 / r->c_mu, 1 + 2 * mu_minus / (r->mu_eff + 2));
    most = fmin(most, (1 - r->c_1 - r->c_mu) / ((double)r->n * r->c_mu));
    if (plan->is_passive) most = 0;
    r->weight_sum = 0;
    for (size_t i = 0; i < r->lambda; i++) {
        r->weight[i] *= r->weight[i] < 0 ? most / -minus : 1 / plus;
        r->weight_sum += r->weight[i];
    }
}

/* LM-MA-ES has steps of its own: arXiv 1705.06693, algorithm 3. The paper means large n: for small
 * ones the rate of the step size, 2 lambda / n, would pass 1. */
static void low_rank_rates(mn__cma_rates *r)
{
    r->c_s = fmin(2 * (double)r->lambda / (double)r->n, 0.5);
    r->d_s = 2;
}

mn_status mn__cma_rates_init(mn__cma_rates *r, const mn__cma_plan *plan, mn_diag *diag)
{
    size_t mu = (size_t)((double)plan->lambda * plan->elite_ratio);
    *r = (mn__cma_rates){.n = plan->n, .lambda = plan->lambda, .mu = mu ? mu : 1};
    r->weight = mn__alloc_array(MN_MEM_OPT, r->lambda, sizeof *r->weight);
    if (!r->weight) return mn__fail(diag, MN_ENOMEM, "no memory for %zu weights", r->lambda);
    double middle = log(((double)r->lambda + 1) / 2);
    for (size_t i = 0; i < r->lambda; i++) r->weight[i] = middle - log((double)i + 1);
    for (size_t i = r->mu; i < r->lambda && !plan->is_exact; i++)
        r->weight[i] = fmin(r->weight[i], 0);
    r->mu_eff = effective(r->weight, 0, r->mu);
    learning_rates(r, plan);
    scale_weights(r, plan);
    if (plan->covariance == MN_COVARIANCE_LOW_RANK) low_rank_rates(r);
    return MN_OK;
}

void mn__cma_rates_fini(mn__cma_rates *r)
{
    mn__free(r->weight);
    *r = (mn__cma_rates){0};
}
