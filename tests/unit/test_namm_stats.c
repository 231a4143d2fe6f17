/* test_namm_stats.c: parts merged are the whole, in whatever order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/rng.h"
#include "policy/namm_stats.h"

enum { ROWS = 200, COLS = 3, LD = 5 };

static float x[ROWS * LD];
static uint8_t valid[ROWS];

static void draw(void)
{
    for (size_t i = 0; i < ROWS * LD; i++)
        x[i] = (float)(1000 + mn__rng_normal(4, 1, i, 0) * (double)(1 + i % LD));
    for (size_t i = 0; i < ROWS; i++) valid[i] = i % 7 != 3;
}

static void hold(const mn__namm_stats *s)
{
    for (size_t c = 0; c < COLS; c++) {
        double n = 0, mean = 0, var = 0;
        for (size_t r = 0; r < ROWS; r++) {
            n += valid[r];
            mean += valid[r] ? (double)x[r * LD + c] : 0;
        }
        mean /= n;
        for (size_t r = 0; r < ROWS; r++)
            var += valid[r] ? pow((double)x[r * LD + c] - mean, 2) / n : 0;
        assert_true(s->count == n && n > 100);
        assert_true(fabs(s->mean[c] - mean) < 1e-9 * mean);
        assert_true(fabs(s->var[c] - var) < 1e-9 * var);
        assert_true(fabs(mn__namm_stats_deviation(s, c) - sqrt(var)) < 1e-9);
    }
}

static void test_parts_are_the_whole(void **state)
{
    static const size_t cuts[][3] = {{200, 0, 0}, {1, 100, 99}, {0, 3, 197}};
    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        double mean[COLS] = {0}, var[COLS] = {0}, spare[2 * COLS];
        mn__namm_stats all = {.n_col = COLS, .mean = mean, .var = var};
        for (size_t k = 0, at = 0; k < 3; at += cuts[i][k++])
            mn__namm_stats_add(&all, x + at * LD, LD, cuts[i][k], valid + at, spare);
        hold(&all);
    }
}

static void test_merge(void **state)
{
    double mean[2][COLS] = {{0}}, var[2][COLS] = {{0}}, spare[2 * COLS];
    mn__namm_stats a = {.n_col = COLS, .mean = mean[0], .var = var[0]},
                   b = {.n_col = COLS, .mean = mean[1], .var = var[1]};
    (void)state;
    mn__namm_stats_merge(&a, &b); /* nothing and nothing */
    assert_true(a.count == 0 && a.mean[0] == 0);
    mn__namm_stats_add(&a, x, LD, 50, valid, spare);
    mn__namm_stats_add(&b, x + 50 * LD, LD, 150, valid + 50, spare);
    mn__namm_stats_merge(&a, &b);
    hold(&a);
}

static void test_constant(void **state)
{
    double mean = 0, var = 0, spare[2];
    mn__namm_stats s = {.n_col = 1, .mean = &mean, .var = &var};
    const float same[] = {2, 2, 2};
    (void)state;
    mn__namm_stats_add(&s, same, 1, 3, NULL, spare);
    assert_true(mean == 2 && var == 0 && mn__namm_stats_deviation(&s, 0) == 1e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts_are_the_whole),
                                       cmocka_unit_test(test_merge),
                                       cmocka_unit_test(test_constant)};
    draw();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
