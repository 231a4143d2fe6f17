/* test_fork_under.c: one reading for many policies: a fork that goes on under another policy holds
 * and says what a session does that read the text under that policy itself, bit for bit. */
#include "session_fixture.h"

enum { N_READ = 300, N_STEP = 9 };

static const char *const all[] = {
    "full",
    "streaming:chunk=0",
    "random",
    "knorm",
    "keydiff:chunk=0",
    "lagkv:lag=16,chunk=0",
    "tova",
    "tova:pool=7",
    "window:share=layer,pool=7",
    "snapkv",
    "snapkv:window=20",
    "pyramidkv",
    "adakv:base=snapkv",
    "h2o",
    "observed",
    "observed:pool=3",
    "scissorhands",
    "keyformer",
    "expected",
    "expected:sinks=0",
    "critical:base=observed",
    "critical:base=snapkv,norm=l2",
};
enum { N_ALL = sizeof all / sizeof *all };

static void hold_same_lanes(const mn_session *a, const mn_session *b, const char *policy)
{
    mn_session_info x, y;
    mn_session_get_info(a, &x);
    mn_session_get_info(b, &y);
    assert_true(x.n_seen == y.n_seen);
    if (x.kept_share != y.kept_share || x.kv_bytes != y.kv_bytes)
        fail_msg("%s: keeps %g and %zu bytes, %g and %zu wanted", policy, y.kept_share, y.kv_bytes,
                 x.kept_share, x.kv_bytes);
}

static void hold_policy(const mn_model *m, const mn_session *base, const char *policy,
                        const char *budget)
{
    mn_diag diag = {""};
    mn_session *fork = NULL;
    const float *want = NULL, *got = NULL;
    mn_session_params p = fix_params(policy, budget);
    mn_session *own = fix_session(m, &p);
    fix_read(own, 0, N_READ, true);
    if (mn_session_fork_under(&fork, base, policy, budget, &diag) != MN_OK)
        fail_msg("%s: %s", policy, diag.text);
    if (strcmp(policy, "full")) assert_int_equal(mn_session_evict(fork, &diag), MN_OK);
    hold_same_lanes(own, fork, policy);
    for (size_t i = 0; i < N_STEP; i++) {
        assert_int_equal(mn_session_step(own, fix_text()[N_READ + i], &want, &diag), MN_OK);
        assert_int_equal(mn_session_step(fork, fix_text()[N_READ + i], &got, &diag), MN_OK);
        if (memcmp(want, got, 64 * sizeof *want))
            fail_msg("%s@%s: step %zu says something else", policy, budget, i);
    }
    hold_same_lanes(own, fork, policy);
    mn_session_free(fork);
    mn_session_free(own);
}

/* Under a sanitizer each policy is held at one of the budgets, by turns. */
static void hold_arch(const char *arch)
{
#ifdef MN_TEST_SANITIZED
    const bool both = false;
#else
    const bool both = true;
#endif
    tiny_model_params tp;
    tiny_model_default(&tp, arch);
    tp.n_ctx = FIX_TOKENS;
    tp.n_layer = 6; /* knorm spares two */
    mn_model *m = fix_open(&tp);
    mn_session_params p = fix_params("full", "");
    p.also = all;
    p.n_also = N_ALL;
    mn_session *base = fix_session(m, &p);
    fix_read(base, 0, N_READ, true);
    for (size_t i = 0; i < N_ALL; i++) {
        if (both || i % 2) hold_policy(m, base, all[i], "60%");
        if (both || i % 2 == 0) hold_policy(m, base, all[i], "200");
    }
    mn_session_free(base);
    mn_model_free(m);
}

static void test_same_as_own_reading(void **state)
{
    (void)state;
    hold_arch("llama");
    hold_arch("gemma3");
}

/* A fork without a policy of its own is the full cache, and what was gathered stays behind. */
static void test_plain_fork(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_session *fork, *again = NULL;
    mn_session_info a, b;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    p.also = all;
    p.n_also = N_ALL;
    mn_session *base = fix_session(m, &p);
    fix_read(base, 0, N_READ, true);
    assert_int_equal(mn_session_fork(&fork, base, &diag), MN_OK);
    mn_session_get_info(base, &a);
    mn_session_get_info(fork, &b);
    assert_true(a.policy_bytes > 0 && b.policy_bytes == 0 && a.kv_bytes == b.kv_bytes);
    assert_int_equal(mn_session_fork_under(&again, fork, "knorm", "50%", &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "did not gather"));
    mn_session_free(fork);
    mn_session_free(base);
    mn_model_free(m);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const few[] = {"knorm", "h2o"}, *const bad[] = {"knorn"};
    static const struct {
        const char *policy, *budget, *says;
    } wrong[] = {
        {"tova", "25%", "did not gather"},
        {"h2o:pool=3", "25%", "did not gather"},
        {"knorm:chunk=64", "25%", "reads for itself"},
        {"knorm", "1M", "reads for itself"},
        {"knorn", "25%", "knorm"},
        {"knorm", "", "budget"},
    };
    mn_diag diag = {""};
    mn_session *s = NULL;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    p.also = bad;
    p.n_also = 1;
    assert_int_equal(mn_session_new(&s, m, &p, &diag), MN_EUSAGE);
    p.also = few;
    p.n_also = 2;
    p.policy = "random";
    p.budget = "50%";
    assert_int_equal(mn_session_new(&s, m, &p, &diag), MN_EUSAGE);
    p = fix_params("full", "");
    p.also = few;
    p.n_also = 2;
    mn_session *base = fix_session(m, &p);
    fix_read(base, 0, 100, true);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mn_status st = mn_session_fork_under(&s, base, wrong[i].policy, wrong[i].budget, &diag);
        if (st != MN_EUSAGE || !strstr(diag.text, wrong[i].says))
            fail_msg("%s@%s: %s", wrong[i].policy, wrong[i].budget, diag.text);
        assert_null(s);
    }
    mn_session_free(base);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_own_reading),
        cmocka_unit_test(test_plain_fork),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
