/* test_runner_memory.c: a run for which memory ends at any allocation says so, and is completed
 * once there is memory again: nothing that failed is taken for something that cannot be. */
#include <limits.h>
#include <stdatomic.h>

#include "unit/runner_fixture.h"

/* One allocation fails, those behind it do not: that nothing came of it must not be forgotten. */
static atomic_long n_left;

static void *take(size_t bytes, void *ctx)
{
    void *p = NULL;
    (void)ctx;
    return atomic_fetch_sub(&n_left, 1) == 0 || posix_memalign(&p, 64, bytes) ? NULL : p;
}

static void give(void *p, void *ctx)
{
    (void)ctx;
    free(p);
}

static void test_allocations(void **state)
{
    (void)state;
    enum { RESUMED = 8 }; /* every so many are gone on with */
    runner_fixture f;
    mn_diag diag = {""};
    mn__runner_result r;
    run_make(&f, "llama", "qa_f1",
             "{\"context\":\"hello world\",\"input\":\"who?\",\"answers\":[\"sea\"]}\n");
    assert_int_equal(run_try(&f, &r, &diag), MN_OK);
    assert_int_equal(r.n_record, RUN_CASES);
    atomic_store(&n_left, LONG_MAX / 2);
    unlink(f.store);
    assert_int_equal(run_try(&f, &r, &diag), MN_OK);
    long n = LONG_MAX / 2 - atomic_load(&n_left), n_failed = 0;
    unlink(f.store);
    for (long at = 0; at < n; at++) {
        diag.text[0] = '\0';
        atomic_store(&n_left, at);
        mn_status st = run_try(&f, &r, &diag);
        atomic_store(&n_left, LONG_MAX / 2);
        if (st != MN_OK && st != MN_ENOMEM) fail_msg("%ld: %d %s", at, st, diag.text);
        if (st == MN_OK) assert_int_equal(r.n_record, RUN_CASES);
        if (st == MN_ENOMEM) assert_true(*diag.text && r.n_skipped == 0 && r.n_seen <= 1);
        n_failed += st == MN_ENOMEM;
        if (at % RESUMED) {
            unlink(f.store);
            continue;
        }
        assert_int_equal(run_try(&f, &r, &diag), MN_OK);
        assert_true(r.n_record + r.n_there == RUN_CASES && r.n_skipped == 0);
        assert_int_equal(run_count(&f, "SELECT count(*) FROM record WHERE status = 'ok'"),
                         RUN_CASES);
        unlink(f.store);
    }
    assert_true(n_failed > n / 2);
    run_drop(&f);
}

int main(void)
{
    atomic_store(&n_left, LONG_MAX / 2);
    mn_mem_set_allocator(take, give, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
