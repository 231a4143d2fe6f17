/* test_metric_memory.c: every allocation of every metric refused in turn: MN_ENOMEM with a
 * sentence, the score untouched, nothing left behind. */
#include "metric_fixture.h"
#include "mneme/mem.h"

static size_t n_left; /* allocations until one is refused */
static bool refused;

static void *take(size_t bytes, void *ctx)
{
    (void)ctx;
    if (n_left == 0) {
        refused = true;
        return NULL;
    }
    n_left--;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void give(void *p, void *ctx)
{
    (void)ctx;
    free(p);
}

static void hold_nothing(size_t before)
{
    mn_mem_stats now;
    mn_mem_get_stats(&now);
    assert_int_equal(now.total_now, before);
}

typedef struct job {
    const char *name;
    mn__gold gold;
    const char *output;
} job;

/* Opens and scores with `n` allocations. */
static mn_status run(const job *j, size_t n, double *score, mn_diag *diag)
{
    mn__metric *m = NULL;
    bool zh = strstr(j->name, "f1_zh") || strstr(j->name, "l_zh");
    n_left = n;
    refused = false;
    mn_status st = mn__metric_open(&m, j->name, zh ? MN_TEST_DIR "/data/jieba_small" : NULL, diag);
    if (st == MN_OK) st = mn__metric_score(m, &j->gold, j->output, strlen(j->output), score, diag);
    n_left = SIZE_MAX;
    mn__metric_close(m);
    return st;
}

static void check(const job *j)
{
    mn_mem_stats before;
    mn_mem_get_stats(&before);
    for (size_t n = 0;; n++) {
        double score = 7;
        mn_diag diag = {""};
        mn_status st = run(j, n, &score, &diag);
        hold_nothing(before.total_now);
        if (st == MN_OK) {
            assert_false(refused);
            assert_true(n >= 2); /* the metric itself and a scratch */
            return;
        }
        if (!refused) { /* no dictionary on this machine */
            assert_int_equal(st, MN_EINPUT);
            print_message("%s\n", diag.text);
            return;
        }
        assert_int_equal(st, MN_ENOMEM);
        assert_non_null(strstr(diag.text, j->name));
        assert_true(score == 7);
    }
}

static void test_each(void **state)
{
    (void)state;
    enum { N = 30000 }; /* several blocks of the scratch */
    static char output[N + 1];
    for (size_t i = 0; i < N; i++) output[i] = "Paragraph 12 B. x = [1]\n"[i % 24];
    for (size_t i = 0; i < mn__metric_count(); i++) {
        const char *name = mn__metric_at(i)->name;
        const job j = {name, mf_any_gold(name), output};
        check(&j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each)};
    n_left = SIZE_MAX;
    mn_mem_set_allocator(take, give, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
