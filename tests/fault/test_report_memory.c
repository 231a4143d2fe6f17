/* test_report_memory.c: a report for which memory ends at any allocation says so, leaves nothing
 * behind, and is the same once there is memory again. */
#include "eval/report.h"
#include "mneme/eval.h"
#include "mneme/mem.h"

#include <limits.h>
#include <stdatomic.h>

#include "unit/eval_store_fixture.h"

/* Threads of a report allocate too: counts are atomic. */
static atomic_long n_left, n_open;

static void *take(size_t bytes, void *ctx)
{
    void *p = NULL;
    (void)ctx;
    if (atomic_fetch_sub(&n_left, 1) <= 0 || posix_memalign(&p, 64, bytes)) return NULL;
    atomic_fetch_add(&n_open, 1);
    return p;
}

static void give(void *p, void *ctx)
{
    (void)ctx;
    if (p) atomic_fetch_sub(&n_open, 1);
    free(p);
}

static void make_records(const char *path, uint32_t from, uint32_t to)
{
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, from, to);
    mn__store_close(s);
}

static void test_every_allocation(void **state)
{
    (void)state;
    mn_report_params p;
    mn_report_params_default(&p);
    p.n_resample = 99;
    p.n_thread = 2;
    char library[320];
    snprintf(library, sizeof library, "%s", store_path("lib.js"));
    p.chart_js = p.d3_js = library;
    FILE *f = fopen(p.chart_js, "w");
    assert_non_null(f);
    fputs("var library;", f);
    assert_int_equal(fclose(f), 0);
    make_records(store_path("results.sqlite"), 0, 5);
    make_records(store_path("results-1.sqlite"), 3, 8);
    long n_open_before = atomic_load(&n_open), n = 0;
    mn_status st = MN_ENOMEM;
    for (; st != MN_OK; n++) {
        mn_diag diag = {""};
        atomic_store(&n_left, n);
        st = mn_report_write(store_folder, &p, NULL, &diag);
        atomic_store(&n_left, LONG_MAX / 2);
        assert_int_equal(atomic_load(&n_open), n_open_before);
        if (st == MN_OK) break;
        if (st != MN_ENOMEM) print_error("%ld: %d %s\n", n, st, diag.text);
        assert_int_equal(st, MN_ENOMEM);
        assert_true(*diag.text);
        assert_int_equal(access(store_path("report.html"), F_OK), -1);
        assert_true(n < 100000);
    }
    assert_true(n > 100);
    assert_int_equal(access(store_path("report.html"), F_OK), 0);
    mn__store *s = store_open(store_path("results.sqlite"), MN_STORE_READ);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), 20);
    mn__store_close(s);
}

int main(void)
{
    atomic_store(&n_left, LONG_MAX / 2);
    mn_mem_set_allocator(take, give, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
