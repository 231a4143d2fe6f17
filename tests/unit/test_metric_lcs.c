/* test_metric_lcs.c: subsequences by 64 cells at once against the table filled cell by cell. */
#include "eval/lcs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX = 700 };
static uint16_t table[MAX + 1][MAX + 1];

static void fill(mn__ids a, mn__ids b)
{
    for (size_t i = 1; i <= a.n; i++) {
        for (size_t j = 1; j <= b.n; j++) {
            uint16_t above = table[i - 1][j], left = table[i][j - 1];
            table[i][j] = a.id[i - 1] == b.id[j - 1] ? (uint16_t)(table[i - 1][j - 1] + 1)
                          : above > left             ? above
                                                     : left;
        }
    }
}

/* The way back of rouge_score (an element of a is given up in a draw) and of rouge (one of b). */
static void walk(mn__ids a, mn__ids b, mn__lcs_tie tie, bool *in)
{
    for (size_t i = a.n, j = b.n; i > 0 && j > 0;) {
        uint16_t above = table[i - 1][j], left = table[i][j - 1];
        if (a.id[i - 1] == b.id[j - 1]) {
            in[--i] = true;
            j--;
        } else if (left > above || (left == above && tie == MN__LCS_BACK_IN_B)) {
            j--;
        } else {
            i--;
        }
    }
}

static void fill_random(uint32_t *id, size_t n, uint32_t n_id, uint32_t *x)
{
    for (size_t i = 0; i < n; i++) {
        *x = *x * 1664525 + 1013904223;
        id[i] = (*x >> 8) % n_id;
    }
}

static void compare(mn__lcs *l, mn__ids a, mn__ids b)
{
    bool in[MAX], want[MAX];
    fill(a, b);
    mn__lcs_set_b(l, b);
    assert_int_equal(mn__lcs_length(l, a), table[a.n][b.n]);
    for (mn__lcs_tie tie = MN__LCS_BACK_IN_A; tie <= MN__LCS_BACK_IN_B; tie++) {
        memset(in, 0, sizeof in);
        memset(want, 0, sizeof want);
        mn__lcs_trace(l, a, tie, in);
        walk(a, b, tie, want);
        assert_memory_equal(in, want, sizeof in);
    }
}

/* One mn__lcs for all sizes, as the metrics use it: nothing of an earlier b is left. */
static void test_random(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 5, 31, 63, 64, 65, 127, 128, 129, 300, MAX};
    static const uint32_t n_ids[] = {1, 2, 4, 30, 500};
    enum { N_SIZE = sizeof sizes / sizeof sizes[0] };
    static uint32_t a[MAX], both[2][MAX]; /* b is borrowed until the next one is set */
    uint32_t x = 11;
    mn__scratch s = {0};
    mn__lcs l;
    assert_int_equal(mn__lcs_init(&l, &s, 500, MAX, MAX), MN_OK);
    for (size_t k = 0; k < 5 * N_SIZE * N_SIZE; k++) {
        uint32_t *b = both[k % 2];
        mn__ids ids_a = {a, sizes[k % N_SIZE]}, ids_b = {b, sizes[k / N_SIZE % N_SIZE]};
        uint32_t n_id = n_ids[k / N_SIZE / N_SIZE];
        fill_random(a, ids_a.n, n_id, &x);
        fill_random(b, ids_b.n, n_id, &x);
        compare(&l, ids_a, ids_b);
    }
    mn__scratch_free(&s);
}

/* Equal, reversed and nested sequences, whose answers are known. */
static void test_known(void **state)
{
    (void)state;
    static uint32_t up[MAX], down[MAX], even[MAX / 2];
    bool in[MAX] = {false};
    mn__scratch s = {0};
    mn__lcs l;
    for (uint32_t i = 0; i < MAX; i++) up[i] = down[MAX - 1 - i] = i;
    for (uint32_t i = 0; i < MAX / 2; i++) even[i] = 2 * i;
    assert_int_equal(mn__lcs_init(&l, &s, MAX, MAX, MAX), MN_OK);
    mn__lcs_set_b(&l, (mn__ids){up, MAX});
    assert_int_equal(mn__lcs_length(&l, (mn__ids){up, MAX}), MAX);
    assert_int_equal(mn__lcs_length(&l, (mn__ids){down, MAX}), 1);
    assert_int_equal(mn__lcs_length(&l, (mn__ids){even, MAX / 2}), MAX / 2);
    mn__lcs_set_b(&l, (mn__ids){even, MAX / 2});
    mn__lcs_trace(&l, (mn__ids){up, MAX}, MN__LCS_BACK_IN_A, in);
    for (size_t i = 0; i < MAX; i++) assert_int_equal(in[i], i % 2 == 0);
    mn__scratch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
