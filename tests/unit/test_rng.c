/* test_rng.c: Philox against the known answers of its authors' distribution (Random123), and the
 * shape of what is drawn. */
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        mn__philox(cases[i].key, cases[i].ctr, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void test_every_part_of_the_name_counts(void **state)
{
    (void)state;
    double first = mn__rng_uniform(1, 2, 3, 4);
    assert_true(first == mn__rng_uniform(1, 2, 3, 4));
    assert_true(first != mn__rng_uniform(1 + ((uint64_t)1 << 32), 2, 3, 4));
    assert_true(first != mn__rng_uniform(2, 2, 3, 4));
    assert_true(first != mn__rng_uniform(1, 3, 3, 4));
    assert_true(first != mn__rng_uniform(1, 2, 4, 4));
    assert_true(first != mn__rng_uniform(1, 2, 3 + ((uint64_t)1 << 32), 4));
    assert_true(first != mn__rng_uniform(1, 2, 3, 5));
}

enum { N = 200000 };

static void test_uniform(void **state)
{
    (void)state;
    double sum = 0, squares = 0, low = 1, high = 0;
    int n_bucket[16] = {0};
    for (int i = 0; i < N; i++) {
        double x = mn__rng_uniform(7, 1, (uint64_t)i, 0);
        assert_true(x >= 0 && x < 1);
        sum += x;
        squares += x * x;
        low = fmin(low, x);
        high = fmax(high, x);
        n_bucket[(int)(x * 16)]++;
    }
    double mean = sum / N;
    assert_true(fabs(mean - 0.5) < 5 * 0.2887 / sqrt(N)); /* five standard errors */
    assert_true(fabs(squares / N - 1.0 / 3) < 5 * 0.2981 / sqrt(N));
    assert_true(low < 1e-4 && high > 1 - 1e-4);
    for (int i = 0; i < 16; i++) assert_true(fabs(n_bucket[i] - N / 16.0) < 5 * sqrt(N / 16.0));
}

static void test_normal(void **state)
{
    (void)state;
    double sum = 0, squares = 0, fourth = 0, product = 0, before = 0;
    for (int i = 0; i < N; i++) {
        double x = mn__rng_normal(7, 2, 5, (uint32_t)i);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        product += x * before;
        before = x;
    }
    assert_true(fabs(sum / N) < 5 / sqrt(N));
    assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
    assert_true(fabs(product / N) < 5 / sqrt(N)); /* neighbours are independent */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_every_part_of_the_name_counts),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
