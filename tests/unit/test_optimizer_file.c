/* test_optimizer_file.c: checkpoints: what comes back goes on to the same bits; what is cut,
 * damaged or of other options is refused or replaced by the one before, and said so. */
#include <stdio.h>
#include <unistd.h>

#include "mneme/mem.h"
#include "optimizer_fixture.h"
#include "tiny_model.h"

static const char *path;
static char previous[1024];

static int set_up(void **state)
{
    (void)state;
    path = tiny_model_path("optimizer.gguf");
    snprintf(previous, sizeof previous, "%s.1", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove(path);
    remove(previous);
    return 0;
}

static void save(mn_optimizer *o, const char *note)
{
    mn_diag diag = {{0}};
    if (mn_optimizer_save(o, path, note, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static mn_optimizer *load(const mn_optimizer_params *p)
{
    mn_optimizer *o = NULL;
    mn_diag diag = {{0}}, warning = {{0}};
    if (mn_optimizer_load(&o, path, p, &warning, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_string_equal(warning.text, "");
    return o;
}

static void steps(mn_optimizer *o, int n, fix_fn f)
{
    for (int i = 0; i < n; i++) fix_step(o, f);
}

/* Away at every generation, and after 3, against never away. */
static void go_on(const mn_optimizer_params *p, fix_fn f, int n)
{
    mn_optimizer *whole = fix_new(p), *parts = fix_new(p);
    for (int g = 0; g < n; g++) {
        fix_step(whole, f);
        fix_step(parts, f);
        save(parts, "here");
        mn_optimizer_free(parts);
        parts = load(g % 2 ? p : NULL);
        fix_same(whole, parts);
    }
    mn_optimizer_info a = fix_info(whole), b = fix_info(parts);
    assert_true(a.best == b.best && a.noise == b.noise && a.effort == b.effort);
    assert_memory_equal(a.best_x, b.best_x, p->n * sizeof *a.best_x);
    assert_int_equal(a.evaluations, b.evaluations);
    assert_int_equal(a.n_restart, b.n_restart);
    assert_string_equal(b.note, "here");
    mn_optimizer_free(whole);
    mn_optimizer_free(parts);
}

static double flat(const double *x, size_t n)
{
    return x[0] > 100 ? (double)n : 1;
}

static void test_goes_on(void **state)
{
    (void)state;
    for (int c = 0; c < MN_COVARIANCE_COUNT; c++) {
        mn_optimizer_params p = fix_params(6, (mn_covariance)c);
        go_on(&p, fix_ellipsoid, 25);
    }
    mn_optimizer_params p = fix_params(5, MN_COVARIANCE_FULL);
    p.is_exact = true;
    p.population = 9;
    p.elite_ratio = 0.4;
    p.mean = (const double[]){1, 2, 3, 4, 5};
    go_on(&p, fix_ellipsoid, 10);
    p = fix_params(4, MN_COVARIANCE_SEPARABLE);
    p.restart = MN_RESTART_BIPOP;
    p.has_noise = true;
    p.effort_max = 3;
    go_on(&p, flat, 45); /* through some restarts */
    p.restart = MN_RESTART_NONE;
    p.is_max = true;
    go_on(&p, fix_rastrigin, 20);
    /* Covariances whose basis lags behind. */
    p = fix_params(60, MN_COVARIANCE_FULL);
    p.population = 4;
    go_on(&p, fix_ellipsoid, 12);
}

static void refuse(mn_optimizer_params p, const char *words)
{
    mn_optimizer *o = (mn_optimizer *)&p;
    mn_diag diag = {{0}};
    assert_int_equal(mn_optimizer_load(&o, path, &p, NULL, &diag), MN_EUSAGE);
    assert_null(o);
    if (!strstr(diag.text, words) || !strstr(diag.text, path))
        fail_msg("'%s' wanted in: %s", words, diag.text);
}

static void test_other_options(void **state)
{
    (void)state;
    const mn_optimizer_params good = fix_params(4, MN_COVARIANCE_FULL);
    mn_optimizer *o = fix_new(&good);
    steps(o, 5, fix_sphere);
    save(o, NULL);
    mn_optimizer_params p = good;
    p.sigma = 0.5;
    refuse(p, "sigma 0.5 wanted, 1 found");
    p = good;
    p.seed = 8;
    refuse(p, "seed 8 wanted, 7 found");
    p = good;
    p.covariance = MN_COVARIANCE_ISOTROPIC;
    refuse(p, "covariance isotropic wanted, full found");
    p = good;
    p.population = 20;
    refuse(p, "population 20 wanted, 8 found");
    p = good;
    p.n = 5;
    refuse(p, "n 5 wanted, 4 found");
    p = good;
    p.is_max = true;
    refuse(p, "is_max yes wanted, none found");
    p = good;
    p.mean = (const double[]){0, 0, 0.25, 0};
    refuse(p, "mean[2] 0.25 wanted, 0 found");
    mn_optimizer_free(o);
}

/* Limits may be others: a search that was over goes on, and one that goes on can be over. */
static void test_other_limits(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(4, MN_COVARIANCE_FULL);
    p.max_evaluations = 100;
    mn_optimizer *o = fix_new(&p);
    assert_int_equal(fix_run(o, fix_sphere).stop, MN_END_EVALUATIONS);
    save(o, NULL);
    mn_optimizer_free(o);
    p.max_evaluations = 200;
    o = load(&p);
    assert_int_equal(fix_info(o).stop, MN_END_NONE);
    assert_true(fix_run(o, fix_sphere).evaluations >= 200);
    mn_optimizer_free(o);
    p.target = 1e9;
    o = load(&p);
    assert_int_equal(fix_info(o).stop, MN_END_TARGET);
    mn_optimizer_free(o);
}

/* A search whose restarts are used up goes on under more, as if it had had them. */
static void test_more_restarts(void **state)
{
    (void)state;
    mn_optimizer_params p = fix_params(3, MN_COVARIANCE_FULL);
    p.population = 8;
    p.restart = MN_RESTART_BIPOP;
    p.max_restarts = 3;
    mn_optimizer *whole = fix_new(&p);
    p.max_restarts = 1;
    mn_optimizer *parts = fix_new(&p);
    while (fix_info(parts).stop == MN_END_NONE) {
        fix_step(parts, flat);
        fix_step(whole, flat);
    }
    assert_int_equal(fix_info(parts).stop, MN_END_RESTARTS);
    save(parts, NULL);
    mn_optimizer_free(parts);
    p.max_restarts = 3;
    parts = load(&p);
    fix_same(whole, parts);
    steps(parts, 5, flat);
    steps(whole, 5, flat);
    fix_same(whole, parts);
    assert_int_equal(fix_info(parts).n_restart, 2);
    mn_optimizer_free(whole);
    mn_optimizer_free(parts);
}

/* ---- damage ---- */

static size_t read_all(const char *name, unsigned char *out, size_t cap)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

static void write_all(const char *name, const unsigned char *data, size_t n)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static unsigned char whole[1 << 16], broken[1 << 16];

static void test_cut_file(void **state)
{
    (void)state;
    const mn_optimizer_params p = fix_params(4, MN_COVARIANCE_FULL);
    mn_optimizer *o = fix_new(&p), *back = NULL;
    mn_diag diag = {{0}}, warning = {{0}};
    steps(o, 7, fix_sphere);
    save(o, "seven");
    steps(o, 1, fix_sphere);
    save(o, "eight");
    size_t n = read_all(path, whole, sizeof whole);
    assert_true(n > 1000 && n < sizeof whole);
    write_all(path, whole, n / 2);
    assert_int_equal(mn_optimizer_load(&back, path, &p, &warning, &diag), MN_OK);
    assert_non_null(strstr(warning.text, "the checkpoint before it is used"));
    assert_int_equal(fix_info(back).generation, 7);
    assert_string_equal(fix_info(back).note, "seven");
    steps(back, 1, fix_sphere);
    fix_same(back, o);
    /* The cut file must not take the place of the whole one before. */
    mn_optimizer_free(o);
    save(back, "eight again");
    write_all(path, whole, n / 2);
    assert_int_equal(mn_optimizer_load(&o, path, NULL, NULL, &diag), MN_OK);
    assert_int_equal(fix_info(o).generation, 7);
    mn_optimizer_free(o);
    mn_optimizer_free(back);
    /* Both cut. */
    write_all(previous, whole, n / 3);
    assert_int_equal(mn_optimizer_load(&o, path, NULL, &warning, &diag), MN_EINPUT);
    assert_null(o);
    assert_non_null(strstr(diag.text, "no better"));
}

/* Any byte changed, any length: refused, nothing lost, and never taken for good. Padding may be
 * changed unnoticed; then what comes back is what was written. */
static void test_damage(void **state)
{
    (void)state;
    const mn_optimizer_params p = fix_params(3, MN_COVARIANCE_FULL);
    mn_optimizer *o = fix_new(&p), *back;
    mn_mem_stats before, after;
    mn_diag diag;
    steps(o, 4, fix_sphere);
    save(o, "n");
    remove(previous);
    size_t n = read_all(path, whole, sizeof whole), n_refused = 0;
    mn_mem_get_stats(&before);
    for (size_t i = 0; i < n; i += 3) {
        memcpy(broken, whole, n);
        broken[i] ^= (unsigned char)(1u << i % 8);
        write_all(path, broken, n);
        mn_status st = mn_optimizer_load(&back, path, NULL, NULL, &diag);
        n_refused += st != MN_OK;
        if (st == MN_OK) fix_same(o, back);
        if (st == MN_OK) mn_optimizer_free(back);
        write_all(path, whole, i);
        assert_int_not_equal(mn_optimizer_load(&back, path, NULL, NULL, &diag), MN_OK);
        assert_null(back);
    }
    assert_true(n_refused > n / 3 * 8 / 10);
    mn_mem_get_stats(&after);
    assert_int_equal(before.total_now, after.total_now);
    mn_optimizer_free(o);
}

static void test_no_checkpoint(void **state)
{
    (void)state;
    mn_optimizer *o;
    mn_diag diag = {{0}};
    const mn_optimizer_params p = fix_params(3, MN_COVARIANCE_FULL);
    assert_int_equal(mn_optimizer_load(&o, path, &p, NULL, &diag), MN_EIO);
    write_all(path, (const unsigned char *)"not a checkpoint at all, only text", 34);
    assert_int_equal(mn_optimizer_load(&o, path, &p, NULL, &diag), MN_EINPUT);
    o = fix_new(&p);
    assert_int_equal(mn_optimizer_save(o, "nowhere/at/all.gguf", NULL, &diag), MN_EIO);
    mn_optimizer_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_checkpoint, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
