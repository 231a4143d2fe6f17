/* test_session_memory.c: a session whose memory is refused says so, loses nothing and leaks
 * nothing; a step asks for none at all. */
#include "session_fixture.h"

#include <stdatomic.h>

/* ---- every malloc of the process, counted ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0 /* sanitizers bring their own */
#elif defined(__has_feature)
#define COUNTS (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define COUNTS 1
#endif

#if COUNTS
#include <errno.h>
#include <malloc.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static atomic_size_t n_malloc;

void *malloc(size_t bytes)
{
    n_malloc++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t size)
{
    n_malloc++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t bytes)
{
    n_malloc++;
    return __libc_realloc(p, bytes);
}

void *memalign(size_t align, size_t bytes)
{
    n_malloc++;
    return __libc_memalign(align, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    n_malloc++;
    return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
    n_malloc++;
    *out = __libc_memalign(align, bytes);
    return *out ? 0 : ENOMEM;
}

static void hold_step(const mn_model *m, const char *policy, const char *budget, int n_thread)
{
    const float *logits;
    mn_session_params p = fix_params(policy, budget);
    mn_session_info info;
    p.n_thread = n_thread;
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 200, true);
    size_t before = n_malloc;
    for (size_t i = 200; i < 300; i++)
        if (mn_session_step(s, fix_text()[i], &logits, NULL) != MN_OK) fail();
    size_t after = n_malloc;
    if (after != before) fail_msg("%s: %zu allocations in 100 steps", policy, after - before);
    mn_session_get_info(s, &info);
    if ((info.kept_share < 0.9) != (*budget != 0)) /* there were evictions */
        fail_msg("%s: %g kept", policy, info.kept_share);
    mn_session_free(s);
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    const char *const policies[][2] = {{"full", ""},
                                       {"streaming", "70"},
                                       {"h2o", "70"},
                                       {"snapkv:every=8", "70"},
                                       {"adakv:every=8", "70"},
                                       {"expected:every=8", "70"},
                                       {"critical:every=8", "70"},
                                       {"tova", "70"},
                                       {"h2o", "80K"},
                                       {"h2o:merge=similar", "70"},
                                       {"h2o:every=8,merge=later", "70"},
                                       {"critical:every=8,norm=l2", "70"},
                                       {"adakv:every=8,mass=1,merge=similar", "70"},
                                       {"random:every=8,threshold=0.3,recent=20", "90"}};
    mn_model *m = fix_model("gemma3");
    size_t before = n_malloc;
    void *volatile block = malloc(1); /* the count counts */
    free(block);
    assert_true(n_malloc > before);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        hold_step(m, policies[i][0], policies[i][1], i % 2 ? 2 : 1);
    mn_model_free(m);
}
#else
static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    skip();
}
#endif

/* ---- the n-th allocation of the library fails ---- */

static atomic_size_t n_asked, n_live;
static size_t fail_at = SIZE_MAX;

static void *give(size_t bytes, void *ctx)
{
    (void)ctx;
    void *p = NULL;
    if (n_asked++ == fail_at || posix_memalign(&p, 64, bytes) != 0) return NULL;
    n_live++;
    return p;
}

static void take_back(void *p, void *ctx)
{
    (void)ctx;
    n_live--;
    free(p);
}

/* Everything from file to answer and back to a file. */
static mn_status whole_life(const char *path, const mn_session_params *p, mn_diag *diag)
{
    mn_status st;
    const float *logits;
    const char *saved = tiny_model_path("life.session");
    mn_model *m = NULL;
    mn_session *s = NULL, *fork = NULL, *back = NULL;
    mn_batch *batch = NULL;
    int32_t token[2] = {7, 8};
    st = mn_model_open(&m, path, NULL, diag);
    if (st == MN_OK) st = mn_session_new(&s, m, p, diag);
    if (st == MN_OK) st = mn_session_read(s, fix_text(), 70, true, &logits, NULL, NULL, diag);
    if (st == MN_OK) st = mn_session_step(s, 5, &logits, diag);
    if (st == MN_OK) st = mn_session_fork(&fork, s, diag);
    if (st == MN_OK) st = mn_batch_new(&batch, m, p, 2, diag);
    if (st == MN_OK)
        st = mn_batch_step(batch, (mn_session *const[]){s, fork}, token, 2,
                           (const float *[]){NULL, NULL}, diag);
    if (st == MN_OK) st = mn_session_save(fork, saved, diag);
    if (st == MN_OK) st = mn_session_load(&back, m, p, saved, diag);
    if (st == MN_OK) st = mn_session_step(back, 9, &logits, diag);
    mn_batch_free(batch);
    mn_session_free(back);
    mn_session_free(fork);
    mn_session_free(s);
    mn_model_free(m);
    remove(saved);
    return st;
}

static void test_nth_allocation_fails(void **state)
{
    (void)state;
    const char *path = tiny_model_path("life.gguf");
    const mn_pin pin = {8, 9};
    tiny_model_params tp;
    size_t n_failed = 0, n_fine = 0, base = fix_total(), live = n_live;
    tiny_model_default(&tp, "llama");
    tp.n_layer = 1;
    assert_true(tiny_model_write(path, &tp));
    mn_session_params p = fix_params("h2o", "40");
    p.positions = MN_POSITIONS_COMPACT;
    p.pin = &pin;
    p.n_pin = 1;
    for (size_t n = 0;; n++) {
        mn_diag diag = {""};
        n_asked = 0;
        fail_at = n;
        mn_status st = whole_life(path, &p, &diag);
        fail_at = SIZE_MAX;
        assert_int_equal(n_live, live);
        assert_int_equal(fix_total(), base);
        if (n_asked <= n) { /* it was never reached */
            assert_int_equal(st, MN_OK);
            break;
        }
        if (st != MN_OK && (st != MN_ENOMEM || strlen(diag.text) < 10))
            fail_msg("allocation %zu: %s: '%s'", n, mn_status_text(st), diag.text);
        n_failed += st != MN_OK;
        n_fine += st == MN_OK; /* a packed copy is done without */
    }
    assert_true(n_failed > 40 && n_fine < n_failed);
    remove(path);
}

/* Pages and spans are mapped, not allocated: there the limit says no. */
static void test_limit_while_reading(void **state)
{
    (void)state;
    mn_diag diag = {""};
    const float *logits;
    mn_model_info info;
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("h2o", "90");
    mn_session *s = fix_session(m, &p), *straight = fix_session(m, &p);
    mn_model_get_info(m, &info);
    fix_read(straight, 0, 192, true);
    float *want = fix_keep(m, fix_write(straight, 192, 70));
    size_t n_refused = 0;
    for (size_t at = 0; at < 192; at += 64)
        for (size_t room = 0;; room += 12000) {
            mn_mem_stats before, after;
            mn_mem_get_stats(&before);
            mn_mem_set_limit(before.total_now - info.file_bytes + room);
            mn_status st =
                mn_session_read(s, fix_text() + at, 64, false, &logits, NULL, NULL, &diag);
            mn_mem_set_limit(0);
            if (st == MN_OK) break;
            assert_int_equal(st, MN_ENOMEM);
            assert_non_null(strstr(diag.text, "no memory for 64 more tokens"));
            mn_mem_get_stats(&after);
            assert_int_equal(after.now[MN_MEM_KV], before.now[MN_MEM_KV]);
            n_refused++;
        }
    assert_true(n_refused > 6);
    if (mn_session_evict(s, &diag) != MN_OK) fail_msg("%s", diag.text);
    fix_same(m, want, fix_write(s, 192, 70), "after refusals");
    free(want);
    mn_session_free(s);
    mn_session_free(straight);
    mn_model_free(m);
}

/* An event that there was no memory for may be tried again: its queries are still there. */
static void test_event_again(void **state)
{
    (void)state;
    const float *logits;
    const int32_t *token;
    mn_diag diag = {""};
    mn_mem_stats stats;
    mn_model_info info;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("window:share=layer,window=16", "25%");
    mn_session *s = fix_session(m, &p), *straight = fix_session(m, &p);
    mn_model_get_info(m, &info);
    fix_read(straight, 0, 400, true);
    fix_read(s, 0, 400, false);
    mn_mem_get_stats(&stats);
    mn_mem_set_limit(stats.total_now - info.file_bytes + 4096);
    assert_int_equal(mn_session_evict(s, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn_session_kept(s, 1, 0, &token), 400);
    if (mn_session_evict(s, &diag) != MN_OK) fail_msg("%s", diag.text);
    const size_t n = mn_session_kept(straight, 1, 0, &token);
    assert_int_equal(n, 100);
    const int32_t *again;
    assert_int_equal(mn_session_kept(s, 1, 0, &again), n);
    assert_memory_equal(token, again, n * sizeof *token);
    /* A read that fails at once is none. */
    mn_mem_get_stats(&stats);
    mn_mem_set_limit(stats.total_now - info.file_bytes + 65536);
    assert_int_equal(mn_session_read(s, fix_text() + 400, 600, false, &logits, NULL, NULL, &diag),
                     MN_ENOMEM);
    mn_mem_set_limit(0);
    const size_t held = mn_session_kept(s, 1, 0, &again);
    if (mn_session_evict(s, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (held == n) assert_int_equal(mn_session_kept(s, 1, 0, &again), n);
    mn_session_free(s);
    mn_session_free(straight);
    mn_model_free(m);
}

int main(void)
{
    mn_mem_set_allocator(give, take_back, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nth_allocation_fails),
        cmocka_unit_test(test_limit_while_reading),
        cmocka_unit_test(test_event_again),
        cmocka_unit_test(test_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
