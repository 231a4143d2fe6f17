/* test_export_memory.c: memory that ends at any allocation of an export, of opening the file, of a
 * session and of reading by it: each says so, and nothing stays behind. */
#include "mneme/mem.h"

#include <limits.h>
#include <stdatomic.h>

#include "unit/export_fixture.h"

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

static mn_status run(const exported *e, mn_diag *diag)
{
    const mn_export_params how = {.tables = MN_EXPORT_TABLES_INT8, .tokenizer = e->tokenizer};
    mn_model *m = NULL;
    mn_session *s = NULL;
    mn_session_params p;
    const float *logits;
    mn_session_params_default(&p);
    p.n_thread = 1;
    p.chunk = 8;
    mn_status st = mn_export(e->checkpoint, e->file, &how, NULL, diag);
    if (st == MN_OK) st = mn_model_open(&m, e->file, NULL, diag);
    if (st == MN_OK) st = mn_session_new(&s, m, &p, diag);
    if (st == MN_OK) st = mn_session_read(s, ef_text(), 9, true, &logits, NULL, NULL, diag);
    mn_session_free(s);
    mn_model_free(m);
    return st;
}

static void check(mn__arch_kind arch, const char *mixer)
{
    static exported e;
    small_config(&e.config, arch);
    set_option(&e.config, mixer);
    ef_make(&e);
    const long n_open_before = atomic_load(&n_open);
    mn_status st = MN_ENOMEM;
    long n = 0;
    for (; st != MN_OK; n++) {
        mn_diag diag = {{0}};
        atomic_store(&n_left, n);
        st = run(&e, &diag);
        atomic_store(&n_left, LONG_MAX / 2);
        assert_int_equal(atomic_load(&n_open), n_open_before);
        if (st != MN_OK && (st != MN_ENOMEM || !*diag.text))
            fail_msg("allocation %ld: %d, %s", n, st, diag.text);
        assert_true(n < 10000);
    }
    assert_true(n > 50);
    ef_free(&e);
}

static void test_every_allocation(void **state)
{
    (void)state;
    check(MN__ARCH_ULTRAMEM, "model.mixer=softmax");
    check(MN__ARCH_MOE, "model.mixer=linformer");
}

int main(void)
{
    atomic_store(&n_left, LONG_MAX / 2);
    mn_mem_set_allocator(take, give, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
