/* test_budget.c: budgets as written, shares in the literature's arithmetic, bytes as a cap at every
 * moment. */
#include "policy_fixture.h"

static void test_parse(void **state)
{
    (void)state;
    mn__budget b;
    assert_int_equal(mn__budget_parse("2048", &b, NULL), MN_OK);
    assert_true(b.kind == MN__BUDGET_TOKENS && b.amount == 2048);
    assert_int_equal(mn__budget_parse("12.5%", &b, NULL), MN_OK);
    assert_true(b.kind == MN__BUDGET_SHARE && b.share == 0.125);
    static const struct {
        const char *text;
        size_t amount;
    } bytes[] = {{"512M", 512u << 20},
                 {"512MB", 512u << 20},
                 {"3k", 3072},
                 {"2G", (size_t)2 << 30},
                 {"700B", 700}};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        assert_int_equal(mn__budget_parse(bytes[i].text, &b, NULL), MN_OK);
        assert_true(b.kind == MN__BUDGET_BYTES && b.amount == bytes[i].amount);
    }
    assert_int_equal(mn__budget_parse("", &b, NULL), MN_OK);
    assert_true(b.kind == MN__BUDGET_NONE);
    assert_int_equal(mn__budget_parse(NULL, &b, NULL), MN_OK);
    assert_true(b.kind == MN__BUDGET_NONE);
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"0",
                                      "-5",
                                      "0%",
                                      "101%",
                                      "nan%",
                                      "12x",
                                      "%",
                                      "5%%",
                                      "1.5",
                                      "99999999999999999999",
                                      "99999999999G",
                                      " 5",
                                      "5 M",
                                      "M",
                                      "0x10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mn__budget b = {.amount = 77};
        mn_diag diag = {0};
        if (mn__budget_parse(bad[i], &b, &diag) != MN_EUSAGE) fail_msg("`%s` was taken", bad[i]);
        assert_non_null(strstr(diag.text, bad[i]));
        assert_int_equal(b.amount, 77);
    }
}

/* n_kept = (size_t)(n * (1.0 - r)) in doubles. */
static void test_share_is_literal(void **state)
{
    (void)state;
    static const struct {
        const char *share;
        int64_t n;
        size_t kept;
    } want[] = {{"10%", 100, 9},     {"10%", 1000, 99}, {"10%", 4096, 409}, {"50%", 12, 6},
                {"25%", 4099, 1024}, {"100%", 55, 55},  {"1%", 10, 1}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct pf f = pf_golden();
        pf_open(&f, "random:sinks=0", want[i].share);
        f.cache->n_seen = want[i].n;
        assert_int_equal(mn__budget_slots(f.policy, f.cache, MN__EVENT_PROMPT_END, &f.env),
                         2 * want[i].kept);
        f.cache->n_seen = 0;
        pf_close(&f);
    }
}

static void test_share_of_prompt(void **state)
{
    (void)state;
    struct pf f = pf_golden();
    pf_open(&f, "h2o:sinks=0", "50%");
    f.env.n_prompt = 100;
    f.cache->n_seen = 300;
    assert_int_equal(mn__budget_slots(f.policy, f.cache, MN__EVENT_DECODE, &f.env), 2 * 50);
    f.cache->n_seen = 0;
    pf_close(&f);
}

static void assert_refused(const char *spec, const char *budget, mn_status want, const char *word)
{
    struct pf f = pf_random(3);
    mn_status st = pf_try(&f, spec, budget);
    if (st != want || !strstr(f.diag.text, word))
        fail_msg("%s, %s: status %d, `%s`", spec, budget, st, f.diag.text);
    assert_null(f.policy);
    pf_close(&f);
}

static void test_too_small(void **state)
{
    (void)state;
    assert_refused("snapkv", "35", MN_EBUDGET, "36 are protected");
    assert_refused("lagkv:lag=20", "40", MN_EBUDGET, "44 are protected");
    assert_refused("snapkv", "", MN_EUSAGE, "needs a budget");
    assert_refused("streaming", "1000B", MN_EBUDGET, "are the least");
    assert_refused("snapkv:window=64,sinks=0", "110K", MN_EBUDGET, "protected");
}

/* Pinned tokens and spared layers may exceed a budget only when the text is there. */
static void test_too_small_at_event(void **state)
{
    (void)state;
    struct pf f = pf_random(2);
    const mn__pin pin[] = {{10, 40}, {30, 60}};
    pf_open(&f, "random", "40");
    f.env.pin = pin;
    f.env.n_pin = 2;
    pf_feed(&f, 100);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_EBUDGET);
    assert_non_null(strstr(f.diag.text, "216 must stay")); /* 4 lanes of 4 first and 50 pinned */
    assert_int_equal(pf_held(&f), 400);
    pf_close(&f);
    f = pf_random(3);
    pf_open(&f, "knorm:skip_layers=0+1,recent=0", "20%");
    pf_feed(&f, 100);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_EBUDGET);
    assert_non_null(strstr(f.diag.text, "layers or heads that keep everything"));
    pf_close(&f);
}

static void test_short_text_keeps_what_is_protected(void **state)
{
    (void)state;
    struct pf f = pf_random(2);
    pf_open(&f, "window:window=16", "25%");
    pf_feed(&f, 40);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_int_equal(pf_held(&f), 4 * 20);
    pf_close(&f);
}

static void assert_capped(const struct pf *f)
{
    mn__cache_bytes b;
    mn__cache_get_bytes(f->cache, &b);
    if (b.kv > f->policy->budget.amount)
        fail_msg("%s: %zu bytes held, %zu allowed", f->policy->text, b.kv,
                 f->policy->budget.amount);
}

static void step(struct pf *f, size_t n, mn__event event)
{
    assert_int_equal(mn__cache_reserve(f->cache, n, NULL), MN_OK);
    assert_capped(f); /* the step's own tokens included */
    for (size_t l = 0; l < f->n_layer; l++) {
        for (size_t i = 0; i < n; i++) pf_write(f, l, i);
        pf_observe(f, l, n);
    }
    mn__cache_commit(f->cache);
    if (!mn__evict_due(f->policy, f->cache, event)) return;
    if (pf_evict(f, event) != MN_OK) fail_msg("%s", f->diag.text);
}

static void run_capped(const char *spec, const char *budget, mn__kv_type type)
{
    struct pf f = pf_random(4);
    f.type = type;
    f.window[2] = 50;
    pf_open(&f, spec, budget);
    size_t chunk = mn__policy_chunk(f.policy), most = 0;
    assert_in_range(chunk, 1, 128);
    for (size_t done = 0; done < 500; done += chunk) step(&f, chunk, MN__EVENT_CHUNK);
    step(&f, 1, MN__EVENT_PROMPT_END);
    for (size_t i = 0; i < 150; i++) {
        step(&f, 1, MN__EVENT_DECODE);
        mn__cache_bytes b;
        mn__cache_get_bytes(f.cache, &b);
        most = b.kv > most ? b.kv : most;
    }
    assert_true(most > f.policy->budget.amount / 3); /* the cap is used */
    assert_true(pf_held(&f) < 3 * 2 * 500);          /* of 650 seen */
    pf_close(&f);
}

static void test_bytes_are_a_cap(void **state)
{
    (void)state;
    run_capped("streaming", "200K", MN__KV_F32);
    run_capped("window:share=layer,pool=7", "200K", MN__KV_BF16);
    run_capped("adakv:base=keydiff", "350K", MN__KV_BF16);
    run_capped("h2o:alloc=global", "350K", MN__KV_Q8);
}

static void test_full_under_a_cap(void **state)
{
    (void)state;
    struct pf f = pf_random(2);
    pf_open(&f, "full", "100K");
    pf_feed(&f, 100);
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE));
    for (size_t i = 0; i < 3; i++) pf_feed(&f, 128);
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE));
    assert_int_equal(pf_evict(&f, MN__EVENT_DECODE), MN_EBUDGET);
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_share_is_literal),
        cmocka_unit_test(test_share_of_prompt),
        cmocka_unit_test(test_too_small),
        cmocka_unit_test(test_too_small_at_event),
        cmocka_unit_test(test_short_text_keeps_what_is_protected),
        cmocka_unit_test(test_bytes_are_a_cap),
        cmocka_unit_test(test_full_under_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
