/* test_optimizer.c: ask and tell: what a search must not depend on, what it reaches, why it ends.
 */
#include "mneme/mem.h"
#include "optimizer_fixture.h"

/* ---- what must not matter ---- */

static double cubed(const double *x, size_t n)
{
    double f = fix_ellipsoid(x, n);
    return f * f * f - 1e9;
}

static double negated(const double *x, size_t n)
{
    return -fix_ellipsoid(x, n);
}

static void test_monotone_transforms(void **state)
{
    (void)state;
    for (int c = 0; c < MN_COVARIANCE_COUNT; c++) {
        mn_optimizer_params p = fix_params(6, (mn_covariance)c);
        p.is_endless = true;
        mn_optimizer *plain = fix_new(&p), *other = fix_new(&p);
        p.is_max = true;
        mn_optimizer *highest = fix_new(&p);
        for (int g = 0; g < 80; g++) {
            fix_step(plain, fix_ellipsoid);
            fix_step(other, cubed);
            fix_step(highest, negated);
        }
        fix_same(plain, other);
        fix_same(plain, highest);
        assert_true(fix_info(highest).best == -fix_info(plain).best);
        assert_true(fix_info(plain).sigma != 1);
        mn_optimizer_free(plain);
        mn_optimizer_free(other);
        mn_optimizer_free(highest);
    }
}

/* Candidates by number, whoever asks, in whatever order, how often. */
static void test_order_of_asking(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(5, MN_COVARIANCE_FULL);
    mn_optimizer *a = fix_new(&p), *b = fix_new(&p);
    double first[5], again[5], other[5];
    for (int g = 0; g < 20; g++) {
        size_t n = fix_info(a).n_ask;
        for (size_t i = n; i-- > 0;) mn_optimizer_ask(b, i, other);
        mn_optimizer_ask(a, 2, first);
        mn_optimizer_ask(a, 0, other);
        mn_optimizer_ask(a, 2, again);
        assert_memory_equal(first, again, sizeof first);
        assert_memory_not_equal(first, other, sizeof first);
        fix_step(a, fix_ellipsoid);
        fix_step(b, fix_ellipsoid);
        fix_same(a, b);
    }
    mn_optimizer_free(b);
    p.seed++;
    b = fix_new(&p);
    mn_optimizer_ask(a, 0, first);
    mn_optimizer_ask(b, 0, other);
    assert_memory_not_equal(first, other, sizeof first);
    mn_optimizer_free(a);
    mn_optimizer_free(b);
}

/* A basis that mixes all variables: Householder's reflection. */
static double turned_ellipsoid(const double *x, size_t n)
{
    double y[FIX_N_MOST], along = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        along += (1 + (double)i) * x[i];
        length += (1 + (double)i) * (1 + (double)i);
    }
    for (size_t i = 0; i < n; i++) y[i] = x[i] - 2 * along / length * (1 + (double)i);
    return fix_ellipsoid(y, n);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median evaluations of 15 runs; they start at 0, which every rotation leaves where it is. */
static double median_evaluations(fix_fn f, mn_covariance c)
{
    double spent[15];
    for (int i = 0; i < 15; i++) {
        mn_optimizer_params p = fix_params(8, c);
        p.spread = 0;
        p.seed = (uint64_t)i;
        p.target = 1e-8;
        p.max_evaluations = 60000;
        mn_optimizer *o = fix_new(&p);
        spent[i] = (double)fix_run(o, f).evaluations;
        mn_optimizer_free(o);
    }
    qsort(spent, 15, sizeof *spent, by_value);
    return spent[7];
}

static void test_rotation(void **state)
{
    (void)state;
    double plain = median_evaluations(fix_ellipsoid, MN_COVARIANCE_FULL),
           turned = median_evaluations(turned_ellipsoid, MN_COVARIANCE_FULL);
    if (fabs(turned / plain - 1) > 0.15) fail_msg("%g and %g evaluations", plain, turned);
    double separable = median_evaluations(turned_ellipsoid, MN_COVARIANCE_SEPARABLE);
    if (separable < 3 * turned) fail_msg("turned, separable: %g evaluations", separable);
}

/* ---- failed and equal candidates ---- */

static void test_failed_candidates(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(4, MN_COVARIANCE_FULL);
    mn_optimizer *a = fix_new(&p), *b = fix_new(&p);
    double x[4], with_nan[64], with_huge[64];
    size_t n = fix_info(a).n_ask, n_failed = 0;
    for (size_t g = 0; g < 30; g++) {
        for (size_t i = 0; i < n; i++) {
            mn_optimizer_ask(a, i, x);
            with_nan[i] = with_huge[i] = fix_sphere(x, 4);
            if (i != g % n) continue;
            with_nan[i] = NAN;
            with_huge[i] = 1e300;
            n_failed++;
        }
        fix_tell(a, with_nan);
        fix_tell(b, with_huge);
    }
    fix_same(a, b);
    assert_int_equal(fix_info(a).n_failed, n_failed);
    assert_true(isfinite(fix_info(a).best));
    mn_optimizer_free(a);
    mn_optimizer_free(b);
}

static void test_all_failed(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(4, MN_COVARIANCE_FULL);
    mn_optimizer *o = fix_new(&p);
    double rating[64], before[4], first[4], second[4];
    for (int i = 0; i < 64; i++) rating[i] = NAN;
    memcpy(before, fix_info(o).mean, sizeof before);
    mn_optimizer_ask(o, 0, first);
    fix_tell(o, rating);
    mn_optimizer_ask(o, 0, second);
    assert_memory_equal(before, fix_info(o).mean, sizeof before);
    assert_memory_not_equal(first, second, sizeof first); /* others are tried */
    assert_true(isnan(fix_info(o).best));
    for (int g = 1; g < 10; g++) fix_tell(o, rating);
    assert_int_equal(fix_info(o).stop, MN_END_FLAT);
    mn_optimizer_free(o);
}

static void test_ties_by_number(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(4, MN_COVARIANCE_SEPARABLE);
    mn_optimizer *a = fix_new(&p), *b = fix_new(&p);
    double equal[64] = {0}, rising[64];
    for (int i = 0; i < 64; i++) rising[i] = i;
    fix_tell(a, equal);
    fix_tell(b, rising);
    fix_same(a, b);
    mn_optimizer_free(a);
    mn_optimizer_free(b);
}

/* ---- what is reached ---- */

static void reaches(mn_optimizer_params p, fix_fn f, uint64_t most)
{
    p.target = 1e-9;
    p.max_evaluations = 10 * most;
    mn_optimizer *o = fix_new(&p);
    mn_optimizer_info info = fix_run(o, f);
    if (info.stop != MN_END_TARGET || info.evaluations > most)
        fail_msg("%s of %zu: %s after %llu evaluations, %llu at most wanted",
                 mn_covariance_name(p.covariance), p.n, mn_search_end_text(info.stop),
                 (unsigned long long)info.evaluations, (unsigned long long)most);
    assert_true(f(info.best_x, p.n) == info.best);
    mn_optimizer_free(o);
}

static void test_reaches(void **state)
{
    (void)state;
    reaches(fix_params(20, MN_COVARIANCE_FULL), fix_ellipsoid, 20000);
    reaches(fix_params(20, MN_COVARIANCE_FULL), turned_ellipsoid, 20000);
    reaches(fix_params(20, MN_COVARIANCE_SEPARABLE), fix_ellipsoid, 8000);
    reaches(fix_params(60, MN_COVARIANCE_LOW_RANK), fix_sphere, 12000);
    reaches(fix_params(60, MN_COVARIANCE_ISOTROPIC), fix_sphere, 14000);
    reaches(fix_params(1, MN_COVARIANCE_FULL), fix_sphere, 400);
    reaches(fix_params(1, MN_COVARIANCE_ISOTROPIC), fix_sphere, 1000);
    mn_optimizer_params p = fix_params(3, MN_COVARIANCE_FULL);
    p.population = 2;
    reaches(p, fix_sphere, 3000);
    p.population = 100;
    p.is_exact = true;
    reaches(p, fix_ellipsoid, 12000);
    p.is_passive = true;
    reaches(p, fix_ellipsoid, 12000);
}

/* A long axis that low rank learns and one scale for all cannot. */
static double cigar(const double *x, size_t n)
{
    return x[0] * x[0] + 1e4 * fix_sphere(x + 1, n - 1);
}

static void test_low_rank_learns(void **state)
{
    (void)state;
    uint64_t spent[2];
    const mn_covariance kinds[] = {MN_COVARIANCE_LOW_RANK, MN_COVARIANCE_ISOTROPIC};
    for (int i = 0; i < 2; i++) {
        mn_optimizer_params p = fix_params(50, kinds[i]);
        p.target = 1e-6;
        p.max_evaluations = 150000;
        mn_optimizer *o = fix_new(&p);
        mn_optimizer_info info = fix_run(o, cigar);
        spent[i] = info.stop == MN_END_TARGET ? info.evaluations : p.max_evaluations;
        mn_optimizer_free(o);
    }
    if (spent[0] * 3 > spent[1])
        fail_msg("low rank %llu, isotropic %llu evaluations", (unsigned long long)spent[0],
                 (unsigned long long)spent[1]);
}

/* ---- restarts ---- */

static void test_restarts(void **state)
{
    (void)state;
    const mn_restart kinds[] = {MN_RESTART_IPOP, MN_RESTART_BIPOP};
    for (int i = 0; i < 2; i++) {
        mn_optimizer_params p = fix_params(5, MN_COVARIANCE_FULL);
        p.restart = kinds[i];
        p.target = 1e-8;
        p.max_evaluations = 200000;
        p.seed = 1;
        mn_optimizer *o = fix_new(&p);
        mn_optimizer_info info = fix_run(o, fix_rastrigin);
        assert_int_equal(info.stop, MN_END_TARGET);
        assert_true(info.n_restart > 0 && info.last_stop != MN_END_NONE);
        mn_optimizer_free(o);
    }
}

static double flat(const double *x, size_t n)
{
    (void)x;
    (void)n;
    return 1;
}

/* Populations of starts in turn; the mean is drawn anew. */
static void test_population_of_restarts(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(3, MN_COVARIANCE_FULL);
    p.population = 8;
    p.restart = MN_RESTART_IPOP;
    p.max_restarts = 3;
    mn_optimizer *o = fix_new(&p);
    double mean = fix_info(o).mean[0];
    size_t wanted = 8;
    for (size_t i = 0; i <= 3; i++, wanted *= 2) {
        assert_int_equal(fix_info(o).population, wanted);
        assert_true(i == 0 || fabs(fix_info(o).mean[0] - mean) > 1e-6);
        mean = fix_info(o).mean[0];
        assert_true(mean >= -3 && mean <= 3);
        for (int g = 0; g < 10; g++) fix_step(o, flat);
    }
    assert_int_equal(fix_info(o).stop, MN_END_RESTARTS);
    assert_int_equal(fix_info(o).last_stop, MN_END_FLAT);
    mn_optimizer_free(o);
    p.restart = MN_RESTART_BIPOP;
    p.max_restarts = 30;
    size_t n_small = 0, n_large = 0;
    o = fix_new(&p);
    for (uint64_t n = 0; fix_info(o).stop == MN_END_NONE;) {
        fix_step(o, flat);
        mn_optimizer_info info = fix_info(o);
        if (info.n_restart == n) continue;
        n = info.n_restart;
        *(info.sigma < 1 ? &n_small : &n_large) += 1;
        assert_true(info.sigma >= 0.01 && info.sigma <= 1);
    }
    assert_true(n_small > 3 && n_large > 1);
    mn_optimizer_free(o);
}

/* ---- why it ends ---- */

static double slope(const double *x, size_t n)
{
    (void)n;
    return x[0];
}

static double far_sphere(const double *x, size_t n)
{
    return 1e9 + fix_sphere(x, n);
}

static double drawn(const double *x, size_t n)
{
    double bits = sin(1e9 * (x[0] + 3 * x[n - 1]));
    return bits;
}

static mn_search_end end_of(fix_fn f, void (*change)(mn_optimizer_params *p))
{
    mn_optimizer_params p = fix_params(4, MN_COVARIANCE_FULL);
    p.max_evaluations = 100000;
    if (change) change(&p);
    mn_optimizer *o = fix_new(&p);
    mn_search_end end = fix_run(o, f).stop;
    mn_optimizer_free(o);
    return end;
}

static void no_tol_fun(mn_optimizer_params *p)
{
    p->tol_fun = 0;
    p->tol_x = 1e-3;
}

static void no_tolerance(mn_optimizer_params *p)
{
    static const double ones[] = {1, 1, 1, 1};
    p->tol_fun = p->tol_x = 0;
    p->mean = ones;
    p->spread = 0;
}

static void endless(mn_optimizer_params *p)
{
    p->is_endless = true;
}

static double beside_one(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs(x[i] - 1);
    return sum;
}

static void test_ends(void **state)
{
    (void)state;
    assert_int_equal(end_of(fix_sphere, NULL), MN_END_TOL_FUN);
    assert_int_equal(end_of(fix_sphere, no_tol_fun), MN_END_TOL_X);
    assert_int_equal(end_of(beside_one, no_tolerance), MN_END_NO_EFFECT);
    assert_int_equal(end_of(slope, NULL), MN_END_DIVERGED);
    assert_int_equal(end_of(flat, NULL), MN_END_FLAT);
    assert_int_equal(end_of(drawn, NULL), MN_END_STAGNATION);
    assert_int_equal(end_of(flat, endless), MN_END_EVALUATIONS);
    assert_int_equal(end_of(far_sphere, endless), MN_END_EVALUATIONS);
    for (int i = 0; i < MN_END_COUNT; i++) assert_true(*mn_search_end_text((mn_search_end)i) != 0);
}

/* ---- noise ---- */

static size_t n_rated;
static double noisy(const double *x, size_t n)
{
    n_rated++;
    return fix_sphere(x, n) + 0.1 * sin(12.9898 * (double)n_rated * (double)n_rated);
}

static void test_noise(void **state)
{
    (void)state;
    double first[6], repeat[6];
    mn_optimizer_params p = fix_params(6, MN_COVARIANCE_FULL);
    p.has_noise = p.is_endless = true;
    p.effort_max = 8;
    mn_optimizer *o = fix_new(&p);
    mn_optimizer_info info = fix_info(o);
    assert_true(info.n_ask >= info.population + 2);
    mn_optimizer_ask(o, 0, first);
    mn_optimizer_ask(o, info.population, repeat);
    assert_memory_equal(first, repeat, sizeof first);
    for (int g = 0; g < 60; g++) fix_step(o, fix_sphere);
    info = fix_info(o);
    assert_true(info.noise <= 0 && info.effort == 1 && info.best < 1e-3);
    for (int g = 0; g < 100; g++) fix_step(o, noisy);
    info = fix_info(o);
    assert_true(info.noise > 0 && info.effort > 4);
    mn_optimizer_free(o);
    /* Handled noise keeps sigma up. */
    double sigma[2];
    for (int i = 0; i < 2; i++) {
        p.has_noise = i;
        p.effort_max = 1;
        p.is_max = false;
        o = fix_new(&p);
        n_rated = 0;
        for (int g = 0; g < 400; g++) fix_step(o, noisy);
        sigma[i] = fix_info(o).sigma;
        mn_optimizer_free(o);
    }
    if (!(sigma[1] > 2 * sigma[0])) fail_msg("sigma %g without, %g with", sigma[0], sigma[1]);
}

/* Ties are broken by number, which is no noise; where all failed nothing is learned of it. */
static void test_noise_of_ties(void **state)
{
    (void)state;
    double rating[64] = {0};
    mn_optimizer_params p = fix_params(6, MN_COVARIANCE_FULL);
    p.has_noise = p.is_endless = true;
    mn_optimizer *o = fix_new(&p);
    for (int g = 0; g < 20; g++) fix_tell(o, rating);
    assert_true(fix_info(o).noise <= 0);
    mn_optimizer_free(o);
    o = fix_new(&p);
    for (int g = 0; g < 100; g++) fix_step(o, noisy);
    assert_true(fix_info(o).noise > 0);
    const double sigma = fix_info(o).sigma;
    for (int i = 0; i < 64; i++) rating[i] = NAN;
    fix_tell(o, rating);
    assert_true(fix_info(o).sigma == sigma);
    mn_optimizer_free(o);
}

/* ---- refusals, memory ---- */

static void refused(mn_optimizer_params p, const char *words)
{
    mn_diag diag = {{0}};
    mn_optimizer *o = (mn_optimizer *)&diag;
    assert_int_equal(mn_optimizer_new(&o, &p, &diag), MN_ERANGE);
    assert_null(o);
    if (!strstr(diag.text, words)) fail_msg("'%s' wanted in: %s", words, diag.text);
}

static void test_refusals(void **state)
{
    (void)state;
    const mn_optimizer_params good = fix_params(3, MN_COVARIANCE_FULL);
    mn_optimizer_params p = good;
    p.n = 0;
    refused(p, "variables: 1 to 8192 wanted with full covariance, 0 found");
    p.n = 8193;
    refused(p, "variables: ");
    p = good;
    p.population = 1;
    refused(p, "population: 2 to 1048576 wanted, 1 found");
    p = good;
    p.sigma = 0;
    refused(p, "sigma: ");
    p.sigma = NAN;
    refused(p, "sigma: ");
    p = good;
    p.mean = (const double[]){0, INFINITY, 0};
    refused(p, "mean[1]: a finite number wanted, inf found");
    p = good;
    p.is_exact = true;
    p.covariance = MN_COVARIANCE_SEPARABLE;
    refused(p, "full covariance");
    p.covariance = MN_COVARIANCE_COUNT;
    refused(p, "no such covariance");
    p = good;
    p.effort_max = 0.5;
    refused(p, "most effort: ");
    p = good;
    p.elite_ratio = 0.6;
    refused(p, "elite ratio: ");
    p.is_exact = true;
    p.elite_ratio = 1.5;
    refused(p, "elite ratio: ");
}

static void test_memory(void **state)
{
    (void)state;
    mn_mem_stats before, after;
    mn_mem_get_stats(&before);
    for (int c = 0; c < MN_COVARIANCE_COUNT; c++) {
        mn_optimizer_params p = fix_params(10, (mn_covariance)c);
        p.restart = MN_RESTART_BIPOP;
        mn_optimizer *o = fix_new(&p);
        for (int g = 0; g < 40; g++) fix_step(o, flat);
        assert_true(fix_info(o).n_restart > 2);
        mn_optimizer_free(o);
    }
    mn_mem_get_stats(&after);
    assert_int_equal(before.total_now, after.total_now);
    mn_optimizer_params p = fix_params(3000, MN_COVARIANCE_FULL);
    mn_optimizer *o;
    mn_diag diag = {{0}};
    mn_mem_set_limit(after.total_now + (50u << 20));
    assert_int_equal(mn_optimizer_new(&o, &p, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_non_null(strstr(diag.text, "no memory"));
    mn_mem_get_stats(&after);
    assert_int_equal(before.total_now, after.total_now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotone_transforms),
        cmocka_unit_test(test_order_of_asking),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_failed_candidates),
        cmocka_unit_test(test_all_failed),
        cmocka_unit_test(test_ties_by_number),
        cmocka_unit_test(test_reaches),
        cmocka_unit_test(test_low_rank_learns),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_population_of_restarts),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_noise_of_ties),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
