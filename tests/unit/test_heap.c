/* test_heap.c: alignment, tags, checked sizes, and a replaced allocator that fails when told to. */
#include "base/heap.h"
#include "base/heap_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mn_mem_stats stats(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s;
}

static void test_blocks_are_aligned_and_counted(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 1000003};
    mn_mem_stats before = stats();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *p = mn__alloc(MN_MEM_KV, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xa5, sizes[i]);
        assert_int_equal(stats().now[MN_MEM_KV], before.now[MN_MEM_KV] + sizes[i]);
        assert_int_equal(stats().total_now, before.total_now + sizes[i]);
        mn__free(p);
        assert_int_equal(stats().now[MN_MEM_KV], before.now[MN_MEM_KV]);
    }
    assert_true(stats().peak[MN_MEM_KV] >= 1000003);
    mn__free(NULL);
}

static void test_zero_and_array(void **state)
{
    (void)state;
    uint8_t *dirty = mn__alloc(MN_MEM_OTHER, 4000);
    memset(dirty, 0xff, 4000);
    mn__free(dirty);
    uint8_t *p = mn__alloc_zero(MN_MEM_OTHER, 4000);
    for (int i = 0; i < 4000; i++) assert_int_equal(p[i], 0);
    mn__free(p);
    mn_mem_stats before = stats();
    double *d = mn__alloc_array(MN_MEM_GRAD, 100, sizeof *d);
    assert_int_equal(stats().now[MN_MEM_GRAD], before.now[MN_MEM_GRAD] + 800);
    mn__free(d);
}

static void test_impossible_sizes_are_refused(void **state)
{
    (void)state;
    mn_mem_stats before = stats();
    assert_null(mn__alloc(MN_MEM_OTHER, SIZE_MAX));
    assert_null(mn__alloc(MN_MEM_OTHER, SIZE_MAX - 63));
    assert_null(mn__alloc_array(MN_MEM_OTHER, SIZE_MAX / 4, 8));
    assert_null(mn__alloc_array(MN_MEM_OTHER, (size_t)1 << 33, (size_t)1 << 33));
    assert_int_equal(stats().total_now, before.total_now);
}

static void test_checked_arithmetic(void **state)
{
    (void)state;
    size_t out = 0;
    assert_true(mn__mul_size(SIZE_MAX / 2, 2, &out));
    assert_true(out == SIZE_MAX - 1);
    assert_false(mn__mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(mn__add_size(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(mn__add_size(SIZE_MAX, 1, &out));
}

static void test_strdup(void **state)
{
    (void)state;
    const char *text = "a policy";
    char *copy = mn__strdup(text);
    assert_string_equal(copy, text);
    assert_true(copy != text);
    mn__free(copy);
}

struct counter {
    int n_alloc, n_release, fail_at;
};

static void *counting_alloc(size_t bytes, void *ctx)
{
    struct counter *c = ctx;
    void *p;
    if (++c->n_alloc == c->fail_at) return NULL;
    return posix_memalign(&p, 64, bytes) == 0 ? p : NULL;
}

static void counting_release(void *p, void *ctx)
{
    struct counter *c = ctx;
    c->n_release++;
    free(p);
}

static void test_replaced_allocator(void **state)
{
    (void)state;
    struct counter c = {.fail_at = 2};
    mn_mem_stats before = stats();
    mn_mem_set_allocator(counting_alloc, counting_release, &c);
    void *first = mn__alloc(MN_MEM_OTHER, 100);
    void *second = mn__alloc(MN_MEM_OTHER, 100);
    assert_non_null(first);
    assert_null(second);
    assert_int_equal(stats().total_now, before.total_now + 100); /* the failed one is not counted */
    mn__free(first);
    mn_mem_set_allocator(NULL, NULL, NULL);
    assert_int_equal(c.n_alloc, 2);
    assert_int_equal(c.n_release, 1);
    void *third = mn__alloc(MN_MEM_OTHER, 100);
    assert_non_null(third);
    mn__free(third);
    assert_int_equal(c.n_alloc, 2);
}

static void test_grow(void **state)
{
    (void)state;
    struct counter c = {.fail_at = 3};
    double *list = NULL;
    size_t n = 0, cap = 0;
    mn_mem_stats before = stats();
    mn_mem_set_allocator(counting_alloc, counting_release, &c);
    while (MN__GROW(list, n, cap) == MN_OK) list[n] = (double)n * 0.5, n++;
    mn_mem_set_allocator(NULL, NULL, NULL);
    assert_true(c.n_alloc == 3 && n == cap && n > 1); /* twice, and refused: what was there stays */
    assert_int_equal(stats().now[MN_MEM_OTHER], before.now[MN_MEM_OTHER] + cap * sizeof *list);
    for (size_t i = 0; i < n; i++) assert_true(list[i] == (double)i * 0.5);
    mn__free(list);
}

/* Only the address sanitizer knows red zones; elsewhere there is nothing to see. */
static void test_red_zones(void **state)
{
    (void)state;
#ifdef MN__ASAN
    uint8_t *p = mn__alloc(MN_MEM_OTHER, 24);
    assert_true(__asan_address_is_poisoned(p - 1));
    assert_false(__asan_address_is_poisoned(p));
    assert_false(__asan_address_is_poisoned(p + 23));
    assert_true(__asan_address_is_poisoned(p + 24));
    mn__free(p);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_and_counted),
        cmocka_unit_test(test_zero_and_array),
        cmocka_unit_test(test_impossible_sizes_are_refused),
        cmocka_unit_test(test_checked_arithmetic),
        cmocka_unit_test(test_strdup),
        cmocka_unit_test(test_replaced_allocator),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_red_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
