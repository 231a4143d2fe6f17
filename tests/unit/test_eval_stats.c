/* test_eval_stats.c: intervals, sign flips and Holm's steps against cases worked out by hand, and
 * against what they promise on data whose distribution is known. */
#include "eval/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static mn__resampling how(uint32_t n_resample, double level, uint64_t seed)
{
    return (mn__resampling){.seed = seed, .n_resample = n_resample, .level = level};
}

static mn__interval interval(const double *a, const double *b, const uint32_t *cluster, size_t n,
                             mn__resampling r)
{
    mn__interval out = {0};
    mn__sample s = {.a = a, .b = b, .cluster = cluster, .n = n};
    assert_int_equal(mn__bootstrap_intervals(&out, &s, 1, &r, NULL), MN_OK);
    return out;
}

static mn__paired flips(const double *a, const double *b, const uint32_t *cluster, size_t n,
                        mn__resampling r)
{
    mn__paired out = {0};
    mn__sample s = {.a = a, .b = b, .cluster = cluster, .n = n};
    assert_int_equal(mn__sign_flip_test(&out, &s, &r, NULL), MN_OK);
    return out;
}

/* ---- intervals ---- */

/* Of 0, 0, 1 the resampled mean is 0, 1/3, 2/3, 1 with 8, 12, 6, 1 chances of 27. Bias: the normal
 * score of (8 + 6) / 27, 0.0464. Acceleration: leaving one out gives 1/2, 1/2, 0, so
 * (1/36) / (6 * (1/6)^1.5) = 0.0680. At 90% the upper end lies where 0.0464 + 1.6913 / (1 - 0.1151)
 * = 1.958 does, at 97.5% of the means: 1, as those up to 2/3 make 96.3%. Percentiles would say 2/3.
 * At 80%: 0.0464 + 1.3279 / (1 - 0.0904) = 1.506, 93.4%: 2/3. The lower end at 95%: 0.0464 - 1.9136
 * / 1.1302 = -1.647, 5.0% : 0, which makes 29.6%. */
static void test_three_values(void **state)
{
    (void)state;
    const double v[] = {0, 0, 1};
    mn__interval at90 = interval(v, NULL, NULL, 3, how(99999, 0.90, 1));
    CLOSE(at90.mean, 1.0 / 3);
    CLOSE(at90.lo, 0);
    CLOSE(at90.hi, 1);
    assert_int_equal(at90.n_cluster, 3);
    CLOSE(interval(v, NULL, NULL, 3, how(99999, 0.80, 1)).hi, 2.0 / 3);
    CLOSE(interval(v, NULL, NULL, 3, how(99999, 0.95, 1)).lo, 0);
}

/* Clusters {1, 3} and {8}: the mean over rows is 4; drawn twice, the first gives 2, the second 8,
 * both 12 / 3 rows = 4. Were clusters averaged first, the mean would be 5. */
static void test_means_are_over_rows(void **state)
{
    (void)state;
    const double v[] = {8, 1, 3};
    const uint32_t cluster[] = {7, 2, 2};
    mn__interval x = interval(v, NULL, cluster, 3, how(999, 0.95, 1));
    CLOSE(x.mean, 4);
    CLOSE(x.lo, 2);
    CLOSE(x.hi, 8);
    assert_int_equal(x.n_cluster, 2);
}

static void test_nothing_to_resample(void **state)
{
    (void)state;
    const double v[] = {2, 4}, same[] = {3, 3, 3};
    const uint32_t one[] = {5, 5};
    mn__interval x = interval(v, NULL, one, 2, how(999, 0.95, 1));
    CLOSE(x.mean, 3);
    assert_true(isnan(x.lo) && isnan(x.hi));
    x = interval(same, NULL, NULL, 3, how(999, 0.95, 1));
    CLOSE(x.lo, 3);
    CLOSE(x.hi, 3);
    x = interval(v, v, NULL, 2, how(999, 0.95, 1));
    assert_true(x.mean == 0 && x.lo == 0 && x.hi == 0);
}

/* Many at once, of several sizes: each as it is alone. */
static void test_many_at_once(void **state)
{
    (void)state;
    double v[20];
    uint32_t pairs[20];
    for (uint32_t i = 0; i < 20; i++) {
        v[i] = mn__rng_normal(3, 9, 0, i);
        pairs[i] = i / 2;
    }
    const mn__sample s[] = {{.a = v, .n = 20},
                            {.a = v, .n = 10},
                            {.a = v + 5, .n = 10},
                            {.a = v, .n = 1},
                            {.a = v, .cluster = pairs, .n = 20},
                            {.a = v, .b = v + 10, .n = 10},
                            {.a = v + 1, .n = 1}};
    enum { N_SAMPLE = sizeof s / sizeof *s };
    mn__resampling r = how(499, 0.9, 11);
    mn__interval many[N_SAMPLE], alone;
    assert_int_equal(mn__bootstrap_intervals(many, s, N_SAMPLE, &r, NULL), MN_OK);
    for (size_t i = 0; i < N_SAMPLE; i++) {
        assert_int_equal(mn__bootstrap_intervals(&alone, &s[i], 1, &r, NULL), MN_OK);
        assert_memory_equal(&many[i].mean, &alone.mean, sizeof alone.mean);
        assert_memory_equal(&many[i].lo, &alone.lo, sizeof alone.lo);
        assert_memory_equal(&many[i].hi, &alone.hi, sizeof alone.hi);
        assert_int_equal(many[i].n_cluster, alone.n_cluster);
        assert_int_equal(isnan(many[i].lo), s[i].n == 1);
    }
    const mn__sample bad[] = {{.a = v, .n = 4}, {.a = v, .n = 0}};
    many[0].mean = 77;
    assert_int_equal(mn__bootstrap_intervals(many, bad, 2, &r, NULL), MN_ERANGE);
    assert_true(many[0].mean == 77);
    assert_int_equal(mn__bootstrap_intervals(many, NULL, 0, &r, NULL), MN_OK);
}

enum { N = 60 };

static void fill(double *v, uint32_t stream, uint32_t repeat, size_t n)
{
    for (size_t i = 0; i < n; i++) v[i] = mn__rng_normal(20240601, stream, repeat, (uint32_t)i);
}

static void test_symmetry_and_order(void **state)
{
    (void)state;
    double a[N], b[N], a2[N], b2[N];
    uint32_t cluster[N], cluster2[N];
    fill(a, 1, 0, N);
    fill(b, 2, 0, N);
    for (uint32_t i = 0; i < N; i++) {
        a[i] = exp(a[i]);
        cluster[i] = i / 3;
    }
    for (uint32_t i = 0; i < N; i++) { /* other prompts first, their rows in order */
        uint32_t from = (N - 3 - i / 3 * 3) + i % 3;
        a2[i] = a[from];
        b2[i] = b[from];
        cluster2[i] = cluster[from];
    }
    mn__resampling r = how(999, 0.95, 3);
    mn__interval x = interval(a, b, cluster, N, r), y = interval(b, a, cluster, N, r);
    assert_true(x.lo < x.mean && x.mean < x.hi);
    assert_true(y.mean == -x.mean && y.lo == -x.hi && y.hi == -x.lo);
    y = interval(a2, b2, cluster2, N, r);
    assert_true(y.mean == x.mean && y.lo == x.lo && y.hi == x.hi);
    assert_true(flips(a, b, cluster, N, r).p == flips(b, a, cluster, N, r).p);
    y = interval(a, b, cluster, N, how(999, 0.95, 4)); /* the seed does something, but not much */
    assert_true(y.lo != x.lo && fabs(y.lo - x.lo) < 0.25 * (x.hi - x.lo));
    assert_true(interval(a, b, cluster, N, how(999, 0.5, 3)).lo > x.lo);
}

/* The figures of one sample, to the last bit, from a second implementation in Python: another
 * machine or compiler must give the same. Values are dyadic, so that sums do not round. */
static void test_same_everywhere(void **state)
{
    (void)state;
    double v[40];
    uint32_t cluster[40];
    for (uint32_t i = 0; i < 40; i++) {
        v[i] = (double)(i * i % 37) / 8;
        cluster[i] = i / 2;
    }
    mn__interval x = interval(v, NULL, cluster, 40, how(9999, 0.95, 42));
    assert_true(x.mean == 671.0 / 8 / 40);
    assert_true(x.lo == 60.25 / 40 && x.hi == 105.25 / 40);
    for (uint32_t i = 0; i < 40; i++) v[i] -= 2;
    mn__paired p = flips(v, NULL, NULL, 40, how(9999, 0.95, 42));
    assert_false(p.exact);
    assert_true(p.p == 7075 / 1e4);
}

/* Of 2,000 samples, how many intervals hold the true mean 0. Rows of a cluster share a part of
 * their value when `shared` is not 0. */
static double coverage(size_t n, uint32_t n_cluster, double shared, bool clustered)
{
    double *v = malloc(n * sizeof *v);
    uint32_t *cluster = malloc(n * sizeof *cluster);
    int held = 0;
    assert_true(v && cluster);
    for (uint32_t repeat = 0; repeat < 2000; repeat++) {
        fill(v, 3, repeat, n);
        for (size_t i = 0; i < n; i++) { /* clusters of uneven sizes */
            cluster[i] = (uint32_t)(sqrt((double)i / (double)n) * n_cluster);
            v[i] += shared * mn__rng_normal(5, 4, repeat, cluster[i]);
        }
        mn__interval x =
            interval(v, NULL, clustered ? cluster : NULL, n, how(499, 0.95, repeat + 1));
        held += x.lo <= 0 && 0 <= x.hi;
    }
    free(v);
    free(cluster);
    return held / 2000.0;
}

static void test_coverage(void **state)
{
    (void)state;
    double plain = coverage(N, N, 0, false);
    assert_true(plain >= 0.93 && plain <= 0.97);
    double clustered = coverage(150, 50, 1, true);
    assert_true(clustered >= 0.93 && clustered <= 0.97);
    assert_true(coverage(150, 50, 1, false) < 0.85); /* rows taken for independent promise more */
}

/* ---- rank correlation ---- */

static mn__correlation correlation(const double *a, const double *b, size_t n, mn__resampling r)
{
    mn__correlation out = {0};
    assert_int_equal(mn__rank_correlation(&out, a, b, n, &r, NULL), MN_OK);
    return out;
}

static void test_ranks_by_hand(void **state)
{
    (void)state;
    mn__resampling r = how(999, 0.95, 1);
    const double a[] = {10, 20, 30, 40, 50}, b[] = {1, 3, 2, 5, 4}, down[] = {9, 8, 7, 3, 1};
    CLOSE(correlation(a, b, 5, r).rho, 0.8); /* 1 - 6 * 4 / (5 * 24) */
    CLOSE(correlation(a, down, 5, r).rho, -1);
    /* Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5). */
    const double ties[] = {1, 2, 2, 3}, far[] = {-INFINITY, 5, INFINITY, INFINITY};
    CLOSE(correlation(ties, a, 4, r).rho, sqrt(0.9));
    /* Ranks 1, 2.5, 2.5, 4 and 1, 2, 3.5, 3.5: 4.5 - 0.75 / sqrt(4.5 * 4.5) */
    CLOSE(correlation(ties, far, 4, r).rho, 3.75 / 4.5);
    const double same[] = {3, 3, 3};
    mn__correlation x = correlation(a, same, 3, r);
    assert_true(isnan(x.rho) && isnan(x.lo) && isnan(x.hi));
    x = correlation(a, a, 5, r);
    assert_true(x.rho == 1 && x.lo == 1 && x.hi == 1);
    x = correlation(a, a, 1, r);
    assert_true(isnan(x.rho) && isnan(x.lo));
}

/* Rows 1, 2, 3 against 1, 3, 2: rho 1/2. Of 27 draws 6 are all rows (1/2), 3 one row alone (none),
 * 12 two rows in order (1), 6 two that are not (-1): of 24, a quarter, a quarter, a half. Bias: the
 * normal score of (6 + 3) / 24, -0.3186. Acceleration: leaving one out gives -1, 1, 1, so (48/27) /
 * (6 * (24/9)^1.5) = 0.0680. At 50% the upper end lies where -0.3186 + 0.3559 / (1 - 0.0242) =
 * 0.0460 does, at 51.8%: 1, at 40% at 45.6%: 1/2. The lower end at 50%: -0.3186 - 0.9931 / 1.0676,
 * 10.6%: -1. */
static void test_ranks_of_three(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3}, b[] = {1, 3, 2};
    mn__correlation x = correlation(a, b, 3, how(99999, 0.5, 1));
    CLOSE(x.rho, 0.5);
    CLOSE(x.lo, -1);
    CLOSE(x.hi, 1);
    CLOSE(correlation(a, b, 3, how(99999, 0.4, 1)).hi, 0.5);
}

/* Only ranks count, sides may change places. */
static void test_ranks_alone_count(void **state)
{
    (void)state;
    double a[N], b[N], c[N];
    fill(a, 1, 0, N);
    fill(b, 2, 0, N);
    for (int i = 0; i < N; i++) {
        b[i] += a[i];
        c[i] = exp(3 * b[i]);
    }
    mn__resampling r = how(999, 0.95, 3);
    mn__correlation x = correlation(a, b, N, r), y = correlation(a, c, N, r),
                    z = correlation(b, a, N, r);
    assert_true(-1 < x.lo && x.lo < x.rho && x.rho < x.hi && x.hi < 1);
    assert_memory_equal(&x, &y, sizeof x);
    assert_memory_equal(&x, &z, sizeof x);
    assert_true(correlation(a, b, N, how(999, 0.5, 3)).lo > x.lo);
}

/* Of normal numbers with correlation 0.6 that of ranks is 6 / pi * asin(0.3): how many intervals of
 * 64 rows hold it. */
static void test_ranks_coverage(void **state)
{
    enum { N_ROW = 64, N_REPEAT = 1000 };
    (void)state;
    double a[N_ROW], b[N_ROW];
    const double truth = 6 / acos(-1) * asin(0.3);
    int held = 0;
    for (uint32_t repeat = 0; repeat < N_REPEAT; repeat++) {
        fill(a, 9, repeat, N_ROW);
        fill(b, 10, repeat, N_ROW);
        for (int i = 0; i < N_ROW; i++) b[i] = 0.6 * a[i] + 0.8 * b[i];
        mn__correlation x = correlation(a, b, N_ROW, how(299, 0.95, repeat));
        held += x.lo <= truth && truth <= x.hi;
    }
    assert_in_range(held, 930, 970);
}

/* ---- sign flips ---- */

static void test_flips_by_hand(void **state)
{
    (void)state;
    mn__resampling r = how(99, 0.95, 1);
    const double up[] = {1, 2, 3};
    mn__paired p = flips(up, NULL, NULL, 3, r); /* 6 and -6 of 8 */
    CLOSE(p.difference, 2);
    CLOSE(p.p, 2.0 / 8);
    assert_true(p.exact);
    const double mixed[] = {1, -2, 3, 4}; /* 6: negative ones add up to 0, 1, 2 or 8, 9, 10 */
    CLOSE(flips(mixed, NULL, NULL, 4, r).p, 6.0 / 16);
    const double zeros[] = {0, 1, 0, 2, 3, 0}; /* what does not differ changes nothing */
    p = flips(zeros, NULL, NULL, 6, r);
    CLOSE(p.p, 2.0 / 8);
    CLOSE(p.difference, 1);
    const double a[] = {5, 7, 9}, b[] = {4, 5, 6};
    CLOSE(flips(a, b, NULL, 3, r).p, 2.0 / 8);
    CLOSE(flips(a, a, NULL, 3, r).p, 1);
    const uint32_t cluster[] = {9, 1, 9, 1}; /* 1 + 3 = 4, -2 + 4 = 2: 6 and -6 of 4 */
    p = flips(mixed, NULL, cluster, 4, r);
    CLOSE(p.p, 2.0 / 4);
    assert_int_equal(p.n_cluster, 2);
    const double tenths[] = {0.1, 0.2, -0.3}; /* 0: as far out as anything */
    CLOSE(flips(tenths, NULL, NULL, 3, r).p, 1);
}

/* Twenty equal differences: 2 of 2^20 are as far out. One more is drawn: the observed one and,
 * rarely, none of the 99. */
static void test_exact_and_sampled(void **state)
{
    (void)state;
    double one[21];
    for (int i = 0; i < 21; i++) one[i] = 1;
    mn__paired p = flips(one, NULL, NULL, 20, how(99, 0.95, 1));
    assert_true(p.exact);
    CLOSE(p.p * (1 << 20), 2);
    p = flips(one, NULL, NULL, 21, how(99, 0.95, 1));
    assert_false(p.exact);
    CLOSE(p.p, 0.01);
    /* The drawn p is near the exact one: 24 values, 4 of them 0 make 20 and 24 to flip. */
    double v[24];
    fill(v, 5, 0, 24);
    for (int i = 0; i < 20; i++) v[i] += 0.2;
    for (int i = 20; i < 24; i++) v[i] = 0;
    double exact = flips(v, NULL, NULL, 24, how(99, 0.95, 1)).p;
    for (int i = 20; i < 24; i++) v[i] = 1e-9; /* too small to matter, but they differ */
    p = flips(v, NULL, NULL, 24, how(99999, 0.95, 1));
    assert_false(p.exact);
    assert_true(exact > 0.01 && exact < 0.9);
    assert_true(fabs(p.p - exact) < 4 * sqrt(exact * (1 - exact) / 1e5));
}

/* Without a difference p is below any level as often as the level says: within four standard
 * deviations of 2,000 repeats. */
static void test_flips_uniform(void **state)
{
    (void)state;
    const double level[] = {0.05, 0.1, 0.25, 0.5, 0.75, 0.9};
    for (int exact = 0; exact < 2; exact++) {
        int below[6] = {0};
        double v[40];
        size_t n = exact ? 10 : 40;
        for (uint32_t repeat = 0; repeat < 2000; repeat++) {
            fill(v, 6 + (uint32_t)exact, repeat, n);
            mn__paired p = flips(v, NULL, NULL, n, how(199, 0.95, repeat));
            assert_int_equal(p.exact, exact);
            for (int k = 0; k < 6; k++) below[k] += p.p <= level[k] + 1e-9;
        }
        for (int k = 0; k < 6; k++) {
            double share = below[k] / 2000.0, width = sqrt(level[k] * (1 - level[k]) / 2000);
            /* of 512 possible values an exact p below 0.05 has 25 */
            assert_true(fabs(share - level[k]) < 4 * width + (exact ? 1.0 / 512 : 0));
        }
    }
}

static void test_flips_see_a_difference(void **state)
{
    (void)state;
    int below = 0;
    double v[40];
    for (uint32_t repeat = 0; repeat < 200; repeat++) {
        fill(v, 8, repeat, 40);
        for (int i = 0; i < 40; i++) v[i] += 0.6;
        below += flips(v, NULL, NULL, 40, how(199, 0.95, repeat)).p <= 0.05;
    }
    assert_true(below > 180); /* a t-test finds 96% */
}

/* ---- Holm, errors ---- */

static void test_holm(void **state)
{
    (void)state;
    double p[] = {0.01, 0.04, NAN, 0.03, 0.005};
    assert_int_equal(mn__holm(p, 5, NULL), MN_OK);
    CLOSE(p[0], 0.03); /* 0.01 * 3 */
    CLOSE(p[1], 0.06); /* 0.04 * 1, but not below the one before it */
    assert_true(isnan(p[2]));
    CLOSE(p[3], 0.06); /* 0.03 * 2 */
    CLOSE(p[4], 0.02); /* 0.005 * 4 */
    double large[] = {0.6, 0.7};
    assert_int_equal(mn__holm(large, 2, NULL), MN_OK);
    assert_true(large[0] == 1 && large[1] == 1);
    assert_int_equal(mn__holm(NULL, 0, NULL), MN_OK);
}

static void expect_refused(mn__sample s, mn__resampling r, const char *says)
{
    mn_diag diag = {""};
    mn__interval x = {.mean = 77};
    mn__paired p = {.p = 77};
    assert_int_equal(mn__bootstrap_intervals(&x, &s, 1, &r, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, says));
    assert_int_equal(mn__sign_flip_test(&p, &s, &r, &diag), MN_ERANGE);
    assert_true(x.mean == 77 && p.p == 77);
    if (s.b) return; /* infinite numbers have ranks */
    mn__correlation c = {.rho = 77};
    assert_int_equal(mn__rank_correlation(&c, s.a, s.a, s.n, &r, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, says));
    assert_true(c.rho == 77);
}

static void test_refused(void **state)
{
    (void)state;
    const double fine[] = {1, 2}, bad[] = {1, NAN}, far[] = {INFINITY, 1};
    mn__resampling r;
    mn__resampling_default(&r);
    assert_true(r.n_resample == 9999 && r.level == 0.95 && r.seed == 0);
    expect_refused((mn__sample){.a = fine, .n = 0}, r, "0 rows");
    expect_refused((mn__sample){.a = bad, .n = 2}, r, "row 1 of 2");
    expect_refused((mn__sample){.a = fine, .b = far, .n = 2}, r, "row 0 of 2");
    expect_refused((mn__sample){.a = fine, .n = 2}, how(98, 0.95, 0), "98 resamples");
    expect_refused((mn__sample){.a = fine, .n = 2}, how(1000001, 0.95, 0), "1000001");
    expect_refused((mn__sample){.a = fine, .n = 2}, how(999, 1, 0), "level 1");
    expect_refused((mn__sample){.a = fine, .n = 2}, how(999, NAN, 0), "level");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_values),
        cmocka_unit_test(test_means_are_over_rows),
        cmocka_unit_test(test_nothing_to_resample),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_symmetry_and_order),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_ranks_by_hand),
        cmocka_unit_test(test_ranks_of_three),
        cmocka_unit_test(test_ranks_alone_count),
        cmocka_unit_test(test_ranks_coverage),
        cmocka_unit_test(test_flips_by_hand),
        cmocka_unit_test(test_exact_and_sampled),
        cmocka_unit_test(test_flips_uniform),
        cmocka_unit_test(test_flips_see_a_difference),
        cmocka_unit_test(test_holm),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
