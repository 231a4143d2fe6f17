/* test_policy_spec.c: policies as words with options: what is understood, what is refused and with
 * which sentence. */
#include "mneme/policy.h"
#include "policy_fixture.h"

static void test_list(void **state)
{
    (void)state;
    static const char *const names[] = {
        "full",     "streaming", "random",    "knorm",        "keydiff", "lagkv",     "tova",
        "h2o",      "observed",  "keyformer", "scissorhands", "snapkv",  "pyramidkv", "adakv",
        "critical", "expected",  "finch",     "duo",          "window"};
    size_t n, n_found = 0;
    const mn_policy_info *info = mn_policy_list(&n);
    for (size_t i = 0; i < n; i++) {
        assert_true(info[i].name[0] && info[i].summary[0] && info[i].paper && info[i].options);
        assert_int_equal(mn_policy_check(info[i].name, NULL), MN_OK);
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            n_found += strcmp(names[j], info[i].name) == 0;
    }
    assert_int_equal(n_found, sizeof names / sizeof names[0]);
}

/* Every option that is a policy's own is explained, and nothing else is. */
static void test_own_options(void **state)
{
    (void)state;
    size_t n_policy, n_common, n_own, n_found = 0;
    const mn_policy_info *info = mn_policy_list(&n_policy);
    const mn_policy_option *common = mn_policy_option_list(&n_common);
    const mn_policy_own_option *own = mn_policy_own_option_list(&n_own);
    for (size_t i = 0; i < n_policy; i++)
        for (const char *at = info[i].options; *at; at += strcspn(at, " "), at += *at == ' ') {
            size_t n = strcspn(at, "="), n_meant = 0;
            bool is_own = true;
            for (size_t j = 0; j < n_common; j++)
                is_own &= strncmp(common[j].key, at, n) != 0 || common[j].key[n] != 0;
            is_own |= strncmp(info[i].name, "duo", 4) == 0 && strncmp(at, "profile", n) == 0;
            for (size_t j = 0; j < n_own; j++)
                n_meant += strcmp(own[j].policy, info[i].name) == 0 &&
                           strncmp(own[j].key, at, n) == 0 && own[j].key[n] == 0;
            if (n_meant != is_own) fail_msg("%s: %.*s", info[i].name, (int)n, at);
            n_found += n_meant;
        }
    assert_int_equal(n_found, n_own);
}

static void test_understood(void **state)
{
    (void)state;
    static const char *const good[] = {NULL,
                                       "",
                                       "full",
                                       "snapkv:window=32,kernel=7",
                                       "adakv:base=expected,eps=0.01",
                                       "tova:pool=7",
                                       "window:share=layer,pool=7",
                                       "adakv:preset=paper",
                                       "knorm:skip_layers=0/1/5",
                                       "keydiff:block=128",
                                       "critical:base=expected,vnorm=0,ada=1",
                                       "h2o:recent=20%,every=4",
                                       "random:threshold=0.5",
                                       "adakv:base=pyramidkv,alloc=pyramid+ada",
                                       "lagkv:lag=64,n_sink=16",
                                       "adakv:base=expected,merge=similar,merge_min=0.2",
                                       "tova:merge=later,merge_reach=8",
                                       "adakv:skip=2,mass=1,preset=paper",
                                       "critical:norm=l2,ada=1",
                                       "h2o:alloc=profile,profile=heads.txt",
                                       "keyformer:tau=1,tau_delta=0,noise=mean"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        mn_diag diag = {0};
        if (mn_policy_check(good[i], &diag) != MN_OK)
            fail_msg("%s: %s", good[i] ? good[i] : "NULL", diag.text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"snapk", "did you mean `snapkv`?"},
        {"snapkv:windw=3", "did you mean `window`?"},
        {"zzzzzzzz", "unknown policy `zzzzzzzz`"},
        {":window=3", "name"},
        {"snapkv:window", "key=value"},
        {"snapkv:=3", "key=value"},
        {"snapkv:window=3,", "after the last comma"},
        {"snapkv:window=3,window=4", "given twice"},
        {"snapkv:pool=3,kernel=5", "pool is given twice"},
        {"snapkv:window=0", "window is a whole number from 1"},
        {"snapkv:window=-1", "window is a whole number"},
        {"snapkv:window=3x", "`3x` found"},
        {"snapkv:pool=4", "odd number"},
        {"snapkv:poolmode=mean", "one of max, avg"},
        {"snapkv:preset=mine", "none, kvpress or paper"},
        {"cur:preset=paper", "has no preset `paper`"},
        {"snapkv:recent=120%", "recent"},
        {"snapkv:recent=", "recent"},
        {"random:recent=window", "recent"},
        {"knorm:skip_layers=0,1", "key=value"},
        {"knorm:skip_layers=a", "skip_layers"},
        {"adakv:base=full", "cannot wrap full"},
        {"adakv:base=critical", "cannot wrap critical"},
        {"adakv:base=snap", "did you mean `snapkv`?"},
        {"adakv:alpha=2", "alpha is a number from 0 to 1"},
        {"expected:eps=nan", "eps is a number"},
        {"knorm:group=4,chunks=8", "take one"},
        {"full:window=3", "full has no option `window`"},
        {"knorm:threshold=abc", "threshold"},
        {"adakv:group=4", "alloc=ada does not"},
        {"snapkv:alloc=profile,group=4", "alloc=profile does not"},
        {"snapkv:profile=heads.txt", "is read by alloc=profile, alloc=uniform found"},
        {"duo:alloc=profile", "by its own profile, not by alloc=profile"},
        {"random:merge=fold", "one of none, similar, later"},
        {"random:merge_min=1.5", "merge_min is a number from 0 to 1"},
        {"random:merge_reach=0", "merge_reach is a whole number from 1"},
        {"adakv:mass=2", "mass is a whole number from 0 to 1"},
        {"adakv:skip=-1", "skip is a whole number"},
        {"critical:norm=l3", "one of l1, l2"},
        {"snapkv:norm=l2", "has no option `norm`"},
        {"keyformer:tau_delta=-1", "tau_delta is a number from 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mn_diag diag = {0};
        mn_status st = mn_policy_check(bad[i][0], &diag);
        if (st != MN_EUSAGE || !strstr(diag.text, bad[i][1]))
            fail_msg("%s: status %d, `%s`", bad[i][0], st, diag.text);
    }
    char longer[800];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(mn_policy_check(longer, NULL), MN_EUSAGE);
    memcpy(longer, "duo:profile=", 12);
    assert_int_equal(mn_policy_check(longer, NULL), MN_EUSAGE);
}

/* The canonical text means the same as what it came from. */
static void test_canonical(void **state)
{
    (void)state;
    static const char *const specs[] = {"snapkv",
                                        "snapkv:preset=kvpress",
                                        "knorm:skip_layers=none,sinks=0",
                                        "adakv:preset=paper",
                                        "critical:base=expected,vnorm=0,ada=1",
                                        "tova:share=none",
                                        "h2o:of=seen",
                                        "random:threshold=0.5",
                                        "pyramidkv:rule=kvpress",
                                        "h2o:merge=later,merge_reach=7",
                                        "h2o:merge=similar,merge_min=0.25",
                                        "adakv:skip=1,mass=1",
                                        "critical:norm=l2",
                                        "keyformer"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct pf a = pf_random(3), b = pf_random(3);
        pf_open(&a, specs[i], "200");
        pf_open(&b, mn__policy_spec(a.policy), "200");
        assert_string_equal(mn__policy_spec(a.policy), mn__policy_spec(b.policy));
        const mn__policy *p = a.policy, *q = b.policy;
        assert_true(p->sinks == q->sinks && p->recent == q->recent && p->pool == q->pool &&
                    p->pool_avg == q->pool_avg && p->alloc == q->alloc && p->share == q->share &&
                    p->n_skip == q->n_skip && p->every == q->every &&
                    p->of_prompt == q->of_prompt && p->alpha == q->alpha &&
                    p->threshold == q->threshold && p->merge == q->merge &&
                    p->merge_min == q->merge_min && p->merge_reach == q->merge_reach &&
                    p->n_even == q->n_even && p->by_mass == q->by_mass &&
                    p->norm_l2 == q->norm_l2 && p->recent_share == q->recent_share &&
                    p->scorer->n_query_ring == q->scorer->n_query_ring);
        pf_close(&a);
        pf_close(&b);
    }
}

static void test_presets(void **state)
{
    (void)state;
    struct pf f = pf_random(3);
    pf_open(&f, "snapkv:preset=kvpress", "200");
    assert_true(f.policy->recent == 64 && f.policy->sinks == 0 && f.policy->pool == 1 &&
                f.policy->pool_avg);
    pf_close(&f);
    f = pf_random(3);
    pf_open(&f, "knorm:preset=kvpress,sinks=2", "200");
    assert_true(f.policy->n_skip == 0 && f.policy->sinks == 2 && f.policy->recent == 0);
    pf_close(&f);
    f = pf_random(3);
    pf_open(&f, "adakv:preset=paper", "200");
    assert_true(f.policy->floor_mix && f.policy->alpha == 0.5 && f.policy->alloc == MN__ALLOC_ADA &&
                f.policy->recent == 32);
    pf_close(&f);
}

static mn_status open_duo(const char *profile, mn_diag *diag)
{
    char spec[512];
    struct pf f = pf_random(3);
    snprintf(spec, sizeof spec, "duo:profile=%s", pf_write_file(profile));
    mn_status st = pf_try(&f, spec, "50%");
    *diag = f.diag;
    pf_close(&f);
    return st;
}

static void test_profile(void **state)
{
    (void)state;
    mn_diag diag;
    assert_int_equal(open_duo("# gates\n0.1 0.9\n\n0.5\t1 # two\r\n0 1e-3", &diag), MN_OK);
    static const char *const bad[][2] = {
        {"0.1 0.9\n0.5 1\n", "2 lines of numbers, the model has 3 layers"},
        {"0.1 0.9\n0.5 1\n0 0\n1 1\n", "4 lines"},
        {"0.1 0.9\n0.5\n0 0\n", "layer 1 has 1 numbers"},
        {"0.1 0.9 1\n0.5 1\n0 0\n", "layer 0 has 3 numbers"},
        {"0.1 1.5\n0.5 1\n0 0\n", "layer 0, head 1: a number from 0 to 1"},
        {"0.1 x\n0.5 1\n0 0\n", "layer 0, head 1"},
        {"0.1 nan\n0.5 1\n0 0\n", "layer 0, head 1"},
        {"kept 0.5\n1 1\n1 1\n1 1\n", "one table of gates wanted, 1 under `kept` found"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mn_status st = open_duo(bad[i][0], &diag);
        if (st != MN_EINPUT || !strstr(diag.text, bad[i][1]))
            fail_msg("`%s`: status %d, `%s`", bad[i][0], st, diag.text);
    }
    struct pf f = pf_random(3);
    assert_int_equal(pf_try(&f, "duo", "50%"), MN_EUSAGE);
    assert_non_null(strstr(f.diag.text, "profile=FILE"));
    pf_close(&f);
    f = pf_random(3);
    assert_int_equal(pf_try(&f, "h2o:alloc=profile", "50%"), MN_EUSAGE);
    assert_non_null(strstr(f.diag.text, "alloc=profile needs profile=FILE"));
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),       cmocka_unit_test(test_own_options),
        cmocka_unit_test(test_understood), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_canonical),  cmocka_unit_test(test_presets),
        cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
