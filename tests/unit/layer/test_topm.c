/* test_topm.c: selection against a plain sort; hits by row against a plain search. */
#include "layer/topm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rng.h"
#include "layer/hits.h"

enum { N_MAX = 3000 };

static mn__real score[N_MAX];

/* Best first, smaller indices before larger ones; NaN last, as the lowest. */
static int compare(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    mn__real x = score[i] == score[i] ? score[i] : -(mn__real)INFINITY,
             y = score[j] == score[j] ? score[j] : -(mn__real)INFINITY;
    if (x < y || x > y) return x > y ? -1 : 1;
    return i < j ? -1 : 1;
}

static void check(size_t n, size_t m)
{
    static uint32_t want[N_MAX], index[N_MAX];
    static mn__real value[N_MAX], work[N_MAX];
    for (size_t i = 0; i < n; i++) want[i] = (uint32_t)i;
    qsort(want, n, sizeof *want, compare);
    mn__topm(score, n, m, index, value, work);
    for (size_t i = 0; i < m; i++) {
        if (index[i] != want[i])
            fail_msg("%zu of %zu, place %zu: %u wanted, %u found", m, n, i, want[i], index[i]);
        mn__real x = score[want[i]] == score[want[i]] ? score[want[i]] : -(mn__real)INFINITY;
        assert_true(value[i] >= x && value[i] <= x);
    }
}

static void test_normal(void **state)
{
    static const size_t sizes[][2] = {{1, 1},     {2, 1},      {15, 15},  {16, 3},
                                      {17, 2},    {33, 33},    {64, 4},   {65, 5},
                                      {1616, 80}, {3000, 128}, {3000, 1}, {513, 32}};
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (uint32_t seed = 0; seed < 4; seed++) {
            for (size_t i = 0; i < sizes[k][0]; i++)
                score[i] = (mn__real)mn__rng_normal(k, seed, i, 0);
            check(sizes[k][0], sizes[k][1]);
        }
}

/* Few distinct values; sorted either way; infinite and NaN. */
static void test_ties(void **state)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1, 1, -1};
    (void)state;
    for (size_t n = 1; n < 200; n += 13)
        for (size_t m = 1; m <= n; m += 1 + n / 5) {
            for (size_t i = 0; i < n; i++)
                score[i] = (mn__real)odd[(size_t)(8 * mn__rng_uniform(n, 7, i, 0))];
            check(n, m);
            for (size_t i = 0; i < n; i++) score[i] = (mn__real)i;
            check(n, m);
            for (size_t i = 0; i < n; i++) score[i] = -(mn__real)(i / 3);
            check(n, m);
            for (size_t i = 0; i < n; i++) score[i] = (mn__real)NAN;
            check(n, m);
        }
}

typedef struct batch {
    const uint32_t *row;
    size_t n, bound;
    mn__hits hits;
} batch;

static void sort(const mn__env *env, void *arg)
{
    batch *b = arg;
    mn__hits_sort(env, b->row, b->n, b->bound, &b->hits);
}

static void check_hits(size_t n, size_t bound, uint64_t seed)
{
    static uint32_t row[N_MAX];
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    batch b = {.row = row, .n = n, .bound = bound};
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        row[i] = (uint32_t)((double)bound * mn__rng_uniform(seed, 3, i, 0));
    assert_int_equal(mn__env_plan(&env, sort, &b, NULL), MN_OK);
    sort(&env, &b);
    assert_int_equal(b.hits.first[0], 0);
    assert_int_equal(b.hits.first[b.hits.n_row], n);
    for (size_t r = 0; r < b.hits.n_row; r++) {
        assert_true(b.hits.first[r] < b.hits.first[r + 1]);
        for (; at < b.hits.first[r + 1]; at++) {
            uint32_t hit = b.hits.order[at];
            assert_int_equal(row[hit], row[b.hits.order[b.hits.first[r]]]);
            if (at > b.hits.first[r]) assert_true(b.hits.order[at - 1] < hit);
        }
        if (r)
            assert_true(row[b.hits.order[b.hits.first[r - 1]]] <
                        row[b.hits.order[b.hits.first[r]]]);
    }
    mn__tape_fini(&tape);
}

static void test_hits(void **state)
{
    (void)state;
    check_hits(1, 1, 1);
    check_hits(50, 1, 2);
    check_hits(700, 40, 3);
    check_hits(3000, 2048, 4);
    check_hits(3000, 2049, 5);
    check_hits(3000, 5000000, 6);
    check_hits(3000, UINT32_MAX, 7);
}

typedef struct counter {
    mn__row_hook hook; /* first */
    uint32_t count[64];
} counter;

static void count(mn__row_hook *hook, size_t row)
{
    ((counter *)hook)->count[row]++;
}

static void test_touch(void **state)
{
    static uint32_t row[100];
    counter c = {.hook = {count}};
    const mn__param table = {.dim = {64, 3}, .n_dim = 2, .row = 3, .hook = &c.hook};
    uint8_t block[4096] __attribute__((aligned(64)));
    mn__tape tape = {.data = block, .size = sizeof block};
    const mn__env env = {.tape = &tape};
    (void)state;
    for (uint32_t i = 0; i < 100; i++) row[i] = i * 7 % 50;
    mn__hits_touch(&env, &table, row, 100);
    for (size_t r = 0; r < 64; r++) assert_int_equal(c.count[r], r < 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_touch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
