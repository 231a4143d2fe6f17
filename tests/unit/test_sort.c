/* test_sort.c: order and middle of numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/sort.h"

static void test_order(void **state)
{
    (void)state;
    double x[] = {NAN, 3, -INFINITY, NAN, 1, INFINITY, 1};
    const double want[] = {-INFINITY, 1, 1, 3, INFINITY};
    mn__sort(x, 7);
    assert_memory_equal(x, want, sizeof want);
    assert_true(isnan(x[5]) && isnan(x[6]));
    mn__sort(NULL, 0);
}

static void test_median(void **state)
{
    (void)state;
    const double x[] = {1, 2, 10, 20};
    assert_true(mn__median(x, 1) == 1 && mn__median(x, 2) == 1.5);
    assert_true(mn__median(x, 3) == 2 && mn__median(x, 4) == 6);
    assert_true(isnan(mn__median(x, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_median)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
