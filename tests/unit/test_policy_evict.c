/* test_policy_evict.c: what holds for every policy at every event: unlimited budgets change
 * nothing, threads and chunks change nothing, sums are exact, protected tokens stay, windows of
 * sliding layers are left alone. */
#include "policy_fixture.h"

static const char *const all_specs[] = {
    "streaming",
    "random",
    "knorm:skip_layers=0,recent=8",
    "keydiff",
    "lagkv:lag=16",
    "tova",
    "tova:pool=7",
    "h2o",
    "observed",
    "keyformer",
    "keyformer:tau=1.5,noise=mean",
    "scissorhands:history=40",
    "snapkv",
    "snapkv:preset=kvpress,window=16",
    "pyramidkv",
    "adakv",
    "adakv:base=h2o,floor=mix,alpha=0.5",
    "adakv:base=pyramidkv,alloc=pyramid+ada",
    "critical",
    "critical:base=expected,vnorm=0,ada=1",
    "expected:future=64",
    "finch",
    "window:share=layer,pool=7",
    "window:share=all",
    "h2o:alloc=global",
    "dropkv",
    "cur",
    "keydiff:group=5",
    "observed:chunks=32",
    "random:merge=similar",
    "h2o:merge=later",
    "keydiff:merge=similar,merge_min=0.5,group=5",
    "adakv:base=h2o,mass=1",
    "h2o:alloc=ada,skip=1,floor=mix",
    "h2o:alloc=global,skip=1,mass=1",
    "critical:norm=l2",
    "critical:base=h2o,norm=l2,ada=1,merge=later",
    "keyformer:tau_delta=0.1,noise=mean",
};
enum { N_SPEC = sizeof all_specs / sizeof all_specs[0] };

/* Tokens of all lanes, one after the other. */
static size_t tokens_of(const struct pf *f, int32_t *out)
{
    size_t n = 0;
    for (size_t l = 0; l < f->n_layer; l++)
        for (size_t h = 0; h < f->n_kv_head; h++) {
            const mn__lane *lane = mn__cache_lane(f->cache, l, h);
            out[n++] = (int32_t)lane->n;
            memcpy(out + n, mn__lane_token(lane), lane->n * sizeof *out);
            n += lane->n;
        }
    return n;
}

static void test_unlimited_changes_nothing(void **state)
{
    (void)state;
    static int32_t before[20000], after[20000];
    for (size_t i = 0; i < N_SPEC; i++) {
        struct pf f = pf_random(2);
        pf_open(&f, all_specs[i], i % 2 ? "100%" : "128");
        pf_feed(&f, 128);
        size_t n = tokens_of(&f, before);
        mn_mem_stats m;
        mn_mem_get_stats(&m);
        size_t policy_bytes = m.now[MN_MEM_POLICY];
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        assert_int_equal(tokens_of(&f, after), n);
        assert_memory_equal(before, after, n * sizeof *before);
        mn_mem_get_stats(&m);
        assert_int_equal(m.now[MN_MEM_POLICY], policy_bytes); /* nothing was even scored */
        pf_close(&f);
    }
}

/* A prompt in pieces, two events, some generated tokens. Returns the tokens kept. */
static size_t run(const char *spec, int n_thread, size_t chunk, int32_t *out)
{
    struct pf f = pf_random(3);
    f.n_thread = n_thread;
    f.window[1] = 40;
    pf_open(&f, spec, "70");
    for (size_t done = 0; done < 120; done += chunk) pf_feed(&f, chunk);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    for (size_t i = 0; i < 12; i++) {
        pf_feed(&f, 1);
        if (i == 7 || mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE))
            assert_int_equal(pf_evict(&f, MN__EVENT_DECODE), MN_OK);
    }
    assert_true(pf_held(&f) <= 4 * 70 + 4 * 12);
    for (size_t h = 0; h < 2; h++) assert_true(mn__cache_lane(f.cache, 1, h)->n >= 40);
    size_t n = tokens_of(&f, out);
    pf_close(&f);
    return n;
}

static void test_threads_and_chunks_change_nothing(void **state)
{
    (void)state;
    static int32_t one[4000], other[4000];
    for (size_t i = 0; i < N_SPEC; i++) {
        size_t n = run(all_specs[i], 1, 120, one);
        static const struct {
            int n_thread;
            size_t chunk;
        } as[] = {{2, 120}, {3, 120}, {1, 20}, {2, 8}};
        for (size_t j = 0; j < sizeof as / sizeof as[0]; j++) {
            size_t m = run(all_specs[i], as[j].n_thread, as[j].chunk, other);
            if (m != n || memcmp(one, other, n * sizeof *one) != 0)
                fail_msg("%s: %d threads, chunks of %zu differ", all_specs[i], as[j].n_thread,
                         as[j].chunk);
        }
    }
}

static void test_sums_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SPEC; i++) {
        struct pf f = pf_random(4);
        f.window[3] = 30;
        pf_open(&f, all_specs[i], "61");
        bool group = f.policy->group != 0, global = f.policy->alloc == MN__ALLOC_GLOBAL;
        bool uneven = f.policy->alloc == MN__ALLOC_PYRAMID ||
                      f.policy->alloc == MN__ALLOC_PYRAMID_ADA || f.policy->n_skip;
        bool ada = f.policy->alloc == MN__ALLOC_ADA, ragged = false;
        pf_feed(&f, 128);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        size_t total = 0;
        for (size_t l = 0; l < 3; l++) {
            size_t a = mn__cache_lane(f.cache, l, 0)->n, b = mn__cache_lane(f.cache, l, 1)->n;
            total += a + b;
            ragged |= a != b;
            if (ada) assert_int_equal(a + b, 122);
            if (!ada && !uneven && !global && !group) assert_true(a == 61 && b == 61);
        }
        if (group)
            assert_in_range(total, 6 * 55, 6 * 61);
        else
            assert_int_equal(total, 6 * 61);
        if (ada || global) assert_true(ragged);
        pf_close(&f);
    }
}

static void test_spared_layers_are_paid_for(void **state)
{
    (void)state;
    struct pf f = pf_random(4);
    pf_open(&f, "knorm:skip_layers=0+2,recent=4", "70%");
    pf_feed(&f, 100);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    for (size_t h = 0; h < 2; h++) {
        assert_int_equal(mn__cache_lane(f.cache, 0, h)->n, 100);
        assert_int_equal(mn__cache_lane(f.cache, 2, h)->n, 100);
        assert_int_equal(mn__cache_lane(f.cache, 1, h)->n, 40);
        assert_int_equal(mn__cache_lane(f.cache, 3, h)->n, 40);
    }
    pf_close(&f);
}

static void test_pyramid_falls(void **state)
{
    (void)state;
    struct pf f = pf_random(4);
    pf_open(&f, "pyramidkv:window=8,sinks=0", "40");
    pf_feed(&f, 128);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    /* c = 32: 62.4 + 8 down to 1.6 + 8 */
    static const size_t want[] = {70, 50, 30, 10};
    for (size_t l = 0; l < 4; l++) assert_int_equal(mn__cache_lane(f.cache, l, 0)->n, want[l]);
    pf_close(&f);
}

static void open_duo(struct pf *f, const char *options, const char *budget)
{
    char spec[512];
    *f = pf_random(3);
    snprintf(spec, sizeof spec, "duo:sinks=2,recent=8,profile=%s%s",
             pf_write_file("0.1 0.9\n0.5 1\n0 0.7\n"), options);
    pf_open(f, spec, budget);
    pf_feed(f, 110);
    assert_int_equal(pf_evict(f, MN__EVENT_PROMPT_END), MN_OK);
}

static void assert_lanes(const struct pf *f, const size_t *want)
{
    for (size_t l = 0; l < 3; l++)
        for (size_t h = 0; h < 2; h++)
            assert_int_equal(mn__cache_lane(f->cache, l, h)->n, want[2 * l + h]);
}

static void test_duo(void **state)
{
    (void)state;
    struct pf f;
    open_duo(&f, ",full=0.5", ""); /* best three whole, the others what is protected */
    assert_lanes(&f, (const size_t[]){10, 110, 10, 110, 10, 110});
    for (int32_t t = 0; t < 110; t++) assert_int_equal(pf_has(&f, 0, 0, t), t < 2 || t >= 102);
    pf_close(&f);
    open_duo(&f, "", "50"); /* 300: two whole and 20 for each of the others */
    assert_lanes(&f, (const size_t[]){20, 110, 20, 110, 20, 20});
    pf_close(&f);
    open_duo(&f, ",full=0.5", "70"); /* 420: three whole, 30 for each of the others */
    assert_lanes(&f, (const size_t[]){30, 110, 30, 110, 30, 110});
    pf_close(&f);
}

/* Sharing: a layer, or all, drops the same tokens. */
static void test_shared_tokens_leave_together(void **state)
{
    (void)state;
    static const char *const specs[] = {"tova", "window:share=all,pool=3",
                                        "knorm:group=7,skip_layers=none,recent=0"};
    for (size_t i = 0; i < 3; i++) {
        struct pf f = pf_random(2);
        pf_open(&f, specs[i], "40");
        pf_feed(&f, 100);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        for (size_t l = 0; l < 2; l++)
            for (size_t h = 0; h < 2; h++)
                for (int32_t t = 0; t < 100; t++)
                    assert_int_equal(pf_has(&f, l, h, t), pf_has(&f, i == 1 ? 0 : l, 0, t));
        pf_close(&f);
    }
}

static void test_threshold(void **state)
{
    (void)state;
    struct pf f = pf_random(2);
    pf_open(&f, "random:threshold=0.75,recent=10", "");
    pf_feed(&f, 128);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_in_range(pf_held(&f), 4 * 14 + 60, 4 * 14 + 170); /* a quarter of 4 * 114 */
    float score[128];
    pf_score(&f, 1, 1, score);
    const mn__lane *l = mn__cache_lane(f.cache, 1, 1);
    for (size_t i = 0; i < l->n; i++) {
        int32_t t = mn__lane_token(l)[i];
        assert_true(t < 4 || t >= 118 || score[i] >= 0.75f);
    }
    pf_close(&f);
    f = pf_random(2); /* the budget stays a cap */
    pf_open(&f, "random:threshold=0.1,recent=10", "30");
    pf_feed(&f, 128);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_int_equal(pf_held(&f), 4 * 30);
    pf_close(&f);
}

/* What a token scores at this moment: 1 for odd ones, 0 for even ones, or the other way round. */
static bool is_turned;
static void parity_score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = (v->token[i] % 2 != 0) != is_turned;
}

/* Judged when it has left the window, never again; every 64 tokens while writing. A fork remembers
 * what was judged. */
static void test_threshold_judges_once(void **state)
{
    (void)state;
    static const struct mn__scorer_ops ops = {.name = "parity", .score = parity_score};
    for (int forked = 0; forked < 2; forked++) {
        struct pf f = pf_random(2);
        mn__cache *child = NULL, *own;
        pf_open(&f, "random:threshold=0.5,recent=20", "");
        mn__scorer parity = *f.policy->scorer, *was = f.policy->scorer;
        parity.ops = &ops;
        f.policy->scorer = &parity;
        assert_int_equal(f.policy->every, 64);
        is_turned = false;
        pf_feed(&f, 100);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        own = f.cache;
        if (forked) assert_int_equal(mn__cache_fork(&child, f.cache, &f.diag), MN_OK);
        if (forked) f.cache = child;
        is_turned = true;
        while (f.cache->n_seen < 128) pf_feed(&f, 1);
        assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE));
        assert_int_equal(pf_evict(&f, MN__EVENT_DECODE), MN_OK);
        for (int32_t t = 0; t < 128; t++) {
            bool stays = t < 4 || t >= 108 || (t < 80 ? t % 2 != 0 : t % 2 == 0);
            for (size_t l = 0; l < 4; l++) assert_int_equal(pf_has(&f, l / 2, l % 2, t), stays);
        }
        f.cache = own;
        f.policy->scorer = was;
        mn__cache_free(child);
        pf_close(&f);
    }
}

static void test_when(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        bool chunk, decode;
    } want[] = {{"snapkv:window=4", false, false}, {"snapkv:window=4,every=1", false, true},
                {"keydiff", true, false},          {"tova:every=1", false, true},
                {"streaming:every=1", true, true}, {"h2o:chunk=32,every=3", true, false}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct pf f = pf_random(1);
        pf_open(&f, want[i].spec, "20");
        pf_feed(&f, 20);
        for (int e = MN__EVENT_PROMPT_END; e <= MN__EVENT_DECODE; e++)
            assert_false(mn__evict_due(f.policy, f.cache, (mn__event)e));
        pf_feed(&f, 2);
        assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
        assert_int_equal(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK), want[i].chunk);
        assert_int_equal(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE), want[i].decode);
        pf_close(&f);
    }
}

/* h2o step by step against its definition: sums carried along, heavy ones among all but the recent.
 */
static void test_h2o_steps(void **state)
{
    (void)state;
    enum { B = 20, RECENT = 10, STEPS = 30 };
    struct pf f = pf_random(1);
    double sum[2][128] = {{0}};
    pf_open(&f, "h2o:sinks=0,every=1", "20");
    for (size_t s = 0; s < STEPS; s++) {
        size_t n_new = s ? 1 : 40;
        for (size_t g = 0; g < 2; g++) {
            const mn__lane *l = mn__cache_lane(f.cache, 0, g);
            int32_t token[128];
            double p[128];
            size_t n = l->n;
            memcpy(token, l->token.data, n * 4);
            for (size_t i = 0; i < n_new; i++) token[n++] = (int32_t)(f.cache->n_seen + (int64_t)i);
            for (size_t i = 0; i < n_new; i++)
                for (size_t h = 0; h < 2; h++) {
                    pf_attention(&f, 0, 2 * g + h, f.cache->n_seen + (int64_t)i, token, n, p);
                    for (size_t j = 0; j < n; j++) sum[g][token[j]] += p[j] / 2;
                }
        }
        pf_feed(&f, n_new);
        int32_t held[2][128];
        size_t n_held = mn__cache_lane(f.cache, 0, 0)->n;
        for (size_t g = 0; g < 2; g++)
            memcpy(held[g], mn__lane_token(mn__cache_lane(f.cache, 0, g)), n_held * 4);
        assert_int_equal(pf_evict(&f, s ? MN__EVENT_DECODE : MN__EVENT_PROMPT_END), MN_OK);
        for (size_t g = 0; g < 2; g++) {
            assert_int_equal(mn__cache_lane(f.cache, 0, g)->n, B);
            for (size_t i = 0; i < n_held; i++) {
                size_t above = 0;
                for (size_t j = 0; j < n_held - RECENT; j++)
                    above += sum[g][held[g][j]] > sum[g][held[g][i]];
                bool stays = i >= n_held - RECENT || above < B - RECENT;
                assert_int_equal(pf_has(&f, 0, g, held[g][i]), stays);
            }
        }
    }
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unlimited_changes_nothing),
        cmocka_unit_test(test_threads_and_chunks_change_nothing),
        cmocka_unit_test(test_sums_are_exact),
        cmocka_unit_test(test_spared_layers_are_paid_for),
        cmocka_unit_test(test_pyramid_falls),
        cmocka_unit_test(test_duo),
        cmocka_unit_test(test_shared_tokens_leave_together),
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_threshold_judges_once),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_h2o_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
