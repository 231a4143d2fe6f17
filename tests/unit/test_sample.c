/* test_sample.c: samples without replacement: different, in range, rising, each number as often as
 * any other, and around what is held out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "evolve/sample.h"

static void expect_set(const uint64_t *x, size_t k, uint64_t n)
{
    for (size_t i = 0; i < k; i++) {
        assert_true(x[i] < n);
        if (i) assert_true(x[i - 1] < x[i]);
    }
}

static void test_sets(void **state)
{
    (void)state;
    uint64_t x[64], again[64];
    mn__sample_name name = {7, 3, MN__RNG_PROMPT};
    mn__sample_draw(&name, 10, 10, x);
    for (size_t i = 0; i < 10; i++) assert_int_equal(x[i], i);
    mn__sample_draw(&name, (uint64_t)1 << 52, 64, x);
    expect_set(x, 64, (uint64_t)1 << 52);
    assert_true(x[63] > (uint64_t)1 << 50);
    mn__sample_draw(&name, (uint64_t)1 << 52, 64, again);
    assert_memory_equal(x, again, sizeof x);
    name.number++;
    mn__sample_draw(&name, (uint64_t)1 << 52, 64, again);
    assert_memory_not_equal(x, again, sizeof x);
    mn__sample_draw(&name, 1, 1, x);
    assert_int_equal(x[0], 0);
    mn__sample_draw(&name, 5, 0, x);
}

/* 3 of 7 in 7000 draws: each number 3000 times, each pair 1000 times, but for chance (6 standard
 * deviations are 250 and 180). */
static void test_even(void **state)
{
    (void)state;
    int count[7] = {0}, pair[7][7] = {{0}};
    for (uint64_t g = 0; g < 7000; g++) {
        uint64_t x[3];
        const mn__sample_name name = {1, g, MN__RNG_PROMPT};
        mn__sample_draw(&name, 7, 3, x);
        expect_set(x, 3, 7);
        for (size_t i = 0; i < 3; i++) {
            count[x[i]]++;
            for (size_t k = i + 1; k < 3; k++) pair[x[i]][x[k]]++;
        }
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(count[i], 2750, 3250);
        for (size_t k = i + 1; k < 7; k++) assert_in_range(pair[i][k], 820, 1180);
    }
}

static void test_around(void **state)
{
    (void)state;
    const uint64_t held[] = {0, 1, 4, 8}, wanted[] = {2, 3, 5, 6, 7, 9};
    uint64_t x[6] = {0, 1, 2, 3, 4, 5};
    mn__sample_around(held, 4, x, 6);
    assert_memory_equal(x, wanted, sizeof x);
    mn__sample_around(held, 0, x, 6);
    assert_memory_equal(x, wanted, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_even),
        cmocka_unit_test(test_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
