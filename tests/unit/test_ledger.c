/* test_ledger.c: counting by tag, peaks, the limit, mapped files beside it, and many threads at
 * once. */
#include "base/heap.h"
#include "base/heap_internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static mn_mem_stats stats(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s;
}

static void test_peaks(void **state)
{
    (void)state;
    mn_mem_reset_peak();
    mn_mem_stats before = stats();
    assert_int_equal(before.total_peak, before.total_now);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1000), MN_OK);
    mn__ledger_give(MN_MEM_KV, 1000);
    assert_int_equal(mn__ledger_take(MN_MEM_POLICY, 300), MN_OK);
    mn_mem_stats after = stats();
    assert_int_equal(after.peak[MN_MEM_KV], before.now[MN_MEM_KV] + 1000);
    assert_int_equal(after.peak[MN_MEM_POLICY], before.now[MN_MEM_POLICY] + 300);
    assert_int_equal(after.total_peak, before.total_now + 1000);
    assert_int_equal(after.total_now, before.total_now + 300);
    mn__ledger_give(MN_MEM_POLICY, 300);
}

static void test_limit(void **state)
{
    (void)state;
    size_t held = stats().total_now;
    mn_mem_set_limit(held + 1000);
    assert_int_equal(mn_mem_get_limit(), held + 1000);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1001), MN_ENOMEM);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, SIZE_MAX), MN_ENOMEM);
    assert_null(mn__alloc(MN_MEM_KV, 1001));
    assert_int_equal(stats().total_now, held);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1000), MN_OK);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1), MN_ENOMEM);
    mn_mem_set_limit(1); /* below what is held: refuses, and does not wrap around */
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1), MN_OK);
    mn__ledger_give(MN_MEM_KV, 1001);
    assert_int_equal(stats().total_now, held);
}

static void test_mapped_files_stand_beside_the_limit(void **state)
{
    (void)state;
    size_t held = stats().total_now, weights = stats().now[MN_MEM_WEIGHTS];
    mn_mem_set_limit(held + 1000);
    mn__ledger_map(50000);
    assert_int_equal(stats().now[MN_MEM_WEIGHTS], weights + 50000);
    assert_int_equal(stats().total_now, held + 50000);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1000), MN_OK);
    assert_int_equal(mn__ledger_take(MN_MEM_KV, 1), MN_ENOMEM);
    mn__ledger_give(MN_MEM_KV, 1000);
    mn__ledger_unmap(50000);
    mn_mem_set_limit(0);
    assert_int_equal(stats().total_now, held);
}

enum { N_THREAD = 4, N_TURN = 2000 };

static void *take_and_give(void *arg)
{
    size_t *n_refused = arg;
    for (int i = 0; i < N_TURN; i++) {
        void *p = mn__alloc(MN_MEM_SCRATCH, 100);
        if (!p) (*n_refused)++;
        mn__free(p);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[N_THREAD];
    size_t n_refused[N_THREAD] = {0};
    mn_mem_reset_peak();
    size_t held = stats().total_now, scratch = stats().now[MN_MEM_SCRATCH];
    mn_mem_set_limit(held + 200); /* room for two of the four */
    for (int i = 0; i < N_THREAD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &n_refused[i]), 0);
    size_t refused = 0;
    for (int i = 0; i < N_THREAD; i++) {
        pthread_join(threads[i], NULL);
        refused += n_refused[i];
    }
    mn_mem_set_limit(0);
    assert_true(refused < (size_t)N_THREAD * N_TURN);
    assert_int_equal(stats().total_now, held);
    assert_true(stats().peak[MN_MEM_SCRATCH] >= scratch + 100);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(mn_mem_tag_name(MN_MEM_KV), "kv");
    assert_string_equal(mn_mem_tag_name(MN_MEM_OTHER), "other");
    assert_string_equal(mn_mem_tag_name(MN_MEM_COUNT), "unknown");
}

static void test_resident(void **state)
{
    (void)state;
    const size_t bytes = (size_t)32 << 20;
    size_t before = mn_mem_resident();
    uint8_t *p = mn__alloc(MN_MEM_OTHER, bytes);
    memset(p, 1, bytes);
    size_t during = mn_mem_resident();
    assert_true(before > 0);
    assert_true(during >= before + bytes / 10 * 9);
    assert_true(mn_mem_resident_peak() >= bytes);
    mn__free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peaks),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_mapped_files_stand_beside_the_limit),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_resident),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
