/* cma.c: drawing from a distribution and learning from ranks.
 *
 *   y_w   = sum_{i<=mu} w_i y_i                      mean += sigma y_w
 *   p_s   = (1-c_s) p_s + sqrt(c_s (2-c_s) mu_eff) C^-1/2 y_w
 *   h     = |p_s| / sqrt(1-(1-c_s)^2g) < (1.4 + 2/(n+1)) E|N(0,I)|
 *   p_c   = (1-c_c) p_c + h sqrt(c_c (2-c_c) mu_eff) y_w
 *   C     = (1 + c_1 (1-h) c_c (2-c_c) - c_1 - c_mu sum w) C + c_1 p_c p_c' + c_mu sum w_i y_i y_i'
 *           with w_i n / |C^-1/2 y_i|^2 for negative w_i
 *   sigma = sigma exp((c_s/d_s) (|p_s| / E|N(0,I)| - 1))
 *
 * Ref: arXiv 1604.00772. Separable keeps the diagonal of C, isotropic no C at all. Low rank is
 * LM-MA-ES, I. Loshchilov, T. Glasmachers, H.-G. Beyer, arXiv 1705.06693: C is the product of
 * (1-c_d) I + c_d m m' over paths m of growing memory. Deviations: C^-1/2 is that of the C which
 * was drawn from, which may lag (as in the tutorial's section B.2) unless the plan is exact; sigma
 * grows by at most e a generation, again unless exact. */
#include "evolve/cma.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

/* ---- life ---- */

static bool has_c(mn_covariance c)
{
    return c == MN_COVARIANCE_FULL || c == MN_COVARIANCE_SEPARABLE;
}

static double *take(size_t n, size_t m)
{
    size_t count;
    if (!mn__mul_size(n, m, &count)) return NULL;
    double *x = mn__alloc_array(MN_MEM_OPT, count, sizeof *x);
    if (x) memset(x, 0, count * sizeof *x);
    return x;
}

static mn_status take_all(mn__cma *c, mn_diag *diag)
{
    size_t n = c->plan.n, square = c->plan.covariance == MN_COVARIANCE_FULL ? n : 0;
    size_t diagonal = has_c(c->plan.covariance) ? n : 0;
    c->mean = take(n, 1);
    c->p_s = take(n, 1);
    c->p_c = take(diagonal, 1);
    c->c = take(diagonal, square ? n : 1);
    c->basis = take(square, n);
    c->scale = take(diagonal, 1);
    c->path = take(c->plan.covariance == MN_COVARIANCE_LOW_RANK ? c->plan.rank : 0, n);
    c->work = take(2 * n + (square ? mn__eigen_work(n) + c->plan.lambda : 0), 1);
    if (c->mean && c->p_s && c->p_c && c->c && c->basis && c->scale && c->path && c->work)
        return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory for a %s covariance of %zu variables",
                    mn_covariance_name(c->plan.covariance), n);
}

static mn_status decompose(mn__cma *c, mn_diag *diag)
{
    size_t n = c->plan.n;
    c->g_of = c->g;
    if (c->plan.covariance == MN_COVARIANCE_SEPARABLE)
        for (size_t i = 0; i < n; i++) c->scale[i] = sqrt(c->c[i]);
    if (c->plan.covariance != MN_COVARIANCE_FULL) return MN_OK;
    memcpy(c->basis, c->c, n * n * sizeof *c->c);
    for (size_t i = 0; c->g == 0 && i < n * n; i++) c->basis[i] += 1e-6;
    return mn__eigen(c->basis, n, c->scale, c->work + 2 * n, diag);
}

mn_status mn__cma_init(mn__cma *c, const mn__cma_plan *plan, const double *mean, mn_diag *diag)
{
    mn_status st;
    *c = (mn__cma){.plan = *plan, .sigma = plan->sigma};
    MN_TRY(mn__cma_rates_init(&c->rates, plan, diag));
    MN_TRY(take_all(c, diag));
    memcpy(c->mean, mean, plan->n * sizeof *mean);
    for (size_t i = 0; has_c(plan->covariance) && i < plan->n; i++) {
        bool is_full = plan->covariance == MN_COVARIANCE_FULL;
        c->c[is_full ? i * plan->n + i : i] = 1;
        if (is_full) c->basis[i * plan->n + i] = 1;
        c->scale[i] = 1;
    }
    if (plan->is_exact) MN_TRY(decompose(c, diag));
    return MN_OK;
done:
    mn__cma_fini(c);
    return st;
}

void mn__cma_fini(mn__cma *c)
{
    mn__cma_rates_fini(&c->rates);
    mn__free(c->mean);
    mn__free(c->p_s);
    mn__free(c->p_c);
    mn__free(c->c);
    mn__free(c->basis);
    mn__free(c->scale);
    mn__free(c->path);
    mn__free(c->work);
    *c = (mn__cma){0};
}

/* ---- drawing ---- */

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void add(double *to, double factor, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += factor * x[i];
}

/* B x: rows of basis are columns of B. */
static void turn(const mn__cma *c, const double *x, const double *scale, double *out)
{
    size_t n = c->plan.n;
    memset(out, 0, n * sizeof *out);
    for (size_t k = 0; k < n; k++) add(out, scale ? x[k] * scale[k] : x[k], c->basis + k * n, n);
}

/* Newer paths act first, as in the paper: those that were updated so far. */
static void shape_low_rank(const mn__cma *c, double *y)
{
    size_t n = c->plan.n;
    double share = 1 / (double)n;
    for (size_t j = 0; j < c->plan.rank && j < c->g; j++, share /= 1.5) {
        const double *m = c->path + j * n;
        double along = share * dot(m, y, n);
        for (size_t i = 0; i < n; i++) y[i] = (1 - share) * y[i] + along * m[i];
    }
}

void mn__cma_shape(const mn__cma *c, const double *z, double *y)
{
    size_t n = c->plan.n;
    if (c->plan.covariance == MN_COVARIANCE_FULL) {
        turn(c, z, c->scale, y);
        return;
    }
    memcpy(y, z, n * sizeof *y);
    if (c->plan.covariance == MN_COVARIANCE_LOW_RANK) shape_low_rank(c, y);
    for (size_t i = 0; c->plan.covariance == MN_COVARIANCE_SEPARABLE && i < n; i++)
        y[i] *= c->scale[i];
}

void mn__cma_whiten(const mn__cma *c, const double *y, double *z)
{
    size_t n = c->plan.n;
    for (size_t i = 0; i < n; i++) {
        bool is_full = c->plan.covariance == MN_COVARIANCE_FULL;
        z[i] = is_full ? dot(c->basis + i * n, y, n) : y[i];
        if (has_c(c->plan.covariance)) z[i] /= c->scale[i];
    }
}

/* ---- learning ---- */

/* What a generation says: all arrays [lambda][n]. */
typedef struct lesson {
    const double *y, *z;
    const size_t *order;
} lesson;

/* Weighted sum of the best mu rows. */
static void recombine(const mn__cma *c, const lesson *l, const double *rows, double *out)
{
    size_t n = c->plan.n;
    memset(out, 0, n * sizeof *out);
    for (size_t k = 0; k < c->rates.mu; k++)
        add(out, c->rates.weight[k], rows + l->order[k] * n, n);
}

static void follow(double *path, double rate, double mu_eff, const double *step, size_t n)
{
    double gain = sqrt(rate * (2 - rate) * mu_eff);
    for (size_t i = 0; i < n; i++) path[i] = (1 - rate) * path[i] + gain * step[i];
}

/* Weight of the k-th best in C. */
static double weight_in_c(const mn__cma *c, const lesson *l, size_t k)
{
    size_t n = c->plan.n;
    const double *z = l->z + l->order[k] * n;
    double w = c->rates.weight[k];
    if (w < 0) w *= (double)n / (dot(z, z, n) + 1e-20);
    return c->rates.c_mu * w;
}

/* Row by row up to the diagonal, then mirrored: exactly symmetric. */
static void learn_full(mn__cma *c, const lesson *l, double keep, double *weight)
{
    const mn__cma_rates *r = &c->rates;
    size_t n = c->plan.n;
    for (size_t k = 0; k < r->lambda; k++) weight[k] = weight_in_c(c, l, k);
    for (size_t i = 0; i < n; i++) {
        double *row = c->c + i * n;
        for (size_t j = 0; j <= i; j++) row[j] *= keep;
        add(row, r->c_1 * c->p_c[i], c->p_c, i + 1);
        for (size_t k = 0; k < r->lambda; k++) {
            const double *y = l->y + l->order[k] * n;
            add(row, weight[k] * y[i], y, i + 1);
        }
        for (size_t j = 0; j < i; j++) c->c[j * n + i] = row[j];
    }
}

static void learn_diagonal(mn__cma *c, const lesson *l, double keep)
{
    const mn__cma_rates *r = &c->rates;
    size_t n = c->plan.n;
    for (size_t i = 0; i < n; i++) c->c[i] = keep * c->c[i] + r->c_1 * c->p_c[i] * c->p_c[i];
    for (size_t k = 0; k < r->lambda; k++) {
        const double *y = l->y + l->order[k] * n;
        double w = weight_in_c(c, l, k);
        for (size_t i = 0; i < n; i++) c->c[i] += w * y[i] * y[i];
    }
}

static void learn_low_rank(mn__cma *c, const double *z_w)
{
    double rate = (double)c->rates.lambda / (double)c->plan.n;
    for (size_t j = 0; j < c->plan.rank; j++, rate /= 4)
        follow(c->path + j * c->plan.n, fmin(rate, 1), c->rates.mu_eff, z_w, c->plan.n);
}

static void learn_sigma(mn__cma *c)
{
    const mn__cma_rates *r = &c->rates;
    double square = dot(c->p_s, c->p_s, c->plan.n), n = (double)c->plan.n;
    bool is_low = c->plan.covariance == MN_COVARIANCE_LOW_RANK;
    double excess = is_low ? square / n - 1 : sqrt(square) / r->e_norm - 1;
    double power = r->c_s / r->d_s * excess;
    c->sigma *= exp(c->plan.is_exact ? power : fmin(power, 1));
}

static double may_follow(const mn__cma *c)
{
    const mn__cma_rates *r = &c->rates;
    double known = sqrt(1 - pow(1 - r->c_s, 2 * (double)c->g)), n = (double)c->plan.n;
    double length = sqrt(dot(c->p_s, c->p_s, c->plan.n));
    return length / known < (1.4 + 2 / (n + 1)) * r->e_norm ? 1 : 0;
}

static bool is_due(const mn__cma *c)
{
    double lag = 1 / (10 * (double)c->plan.n * (c->rates.c_1 + c->rates.c_mu));
    return c->plan.is_exact || c->plan.covariance == MN_COVARIANCE_SEPARABLE ||
           (double)(c->g - c->g_of) > lag;
}

/* p_c and C, from the mean step in y. */
static void learn_shape(mn__cma *c, const lesson *l, const double *step)
{
    const mn__cma_rates *r = &c->rates;
    double h = may_follow(c), left = r->c_c * (2 - r->c_c);
    double keep = 1 + r->c_1 * (1 - h) * left - r->c_1 - r->c_mu * r->weight_sum;
    for (size_t i = 0; i < c->plan.n; i++)
        c->p_c[i] = (1 - r->c_c) * c->p_c[i] + h * sqrt(left * r->mu_eff) * step[i];
    if (c->plan.covariance == MN_COVARIANCE_FULL)
        learn_full(c, l, keep, c->work + 2 * c->plan.n);
    else
        learn_diagonal(c, l, keep);
}

mn_status mn__cma_update(mn__cma *c, const double *y, const double *z, const size_t *order,
                         mn_diag *diag)
{
    const mn__cma_rates *r = &c->rates;
    size_t n = c->plan.n;
    double *step = c->work, *even = c->work + n; /* in y, in z */
    const lesson l = {.y = y, .z = z, .order = order};
    c->g++;
    recombine(c, &l, z, even);
    if (c->plan.covariance == MN_COVARIANCE_LOW_RANK) learn_low_rank(c, even);
    if (c->plan.covariance == MN_COVARIANCE_FULL) { /* C^-1/2 y = B z */
        turn(c, even, NULL, step);
        memcpy(even, step, n * sizeof *even);
    }
    follow(c->p_s, r->c_s, r->mu_eff, even, n);
    recombine(c, &l, y, step);
    add(c->mean, c->sigma, step, n);
    if (has_c(c->plan.covariance)) learn_shape(c, &l, step);
    learn_sigma(c);
    return has_c(c->plan.covariance) && is_due(c) ? decompose(c, diag) : MN_OK;
}

/* ---- what it looks like ---- */

double mn__cma_deviation(const mn__cma *c, size_t i)
{
    size_t n = c->plan.n;
    if (c->plan.covariance == MN_COVARIANCE_FULL) return c->sigma * sqrt(c->c[i * n + i]);
    return c->plan.covariance == MN_COVARIANCE_SEPARABLE ? c->sigma * sqrt(c->c[i]) : c->sigma;
}

double mn__cma_path(const mn__cma *c, size_t i)
{
    return has_c(c->plan.covariance) ? c->sigma * fabs(c->p_c[i]) : 0;
}

double mn__cma_axis_ratio(const mn__cma *c)
{
    if (!has_c(c->plan.covariance)) return 1;
    double low = c->scale[0], high = c->scale[0];
    for (size_t i = 1; i < c->plan.n; i++) {
        low = fmin(low, c->scale[i]);
        high = fmax(high, c->scale[i]);
    }
    return high / low;
}
