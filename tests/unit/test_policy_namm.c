/* test_policy_namm.c: what a NAMM's scores do to a cache: the three rules, when they act, scores
 * that are none, and options. */
#include "namm_fixture.h"

#include "mneme/policy.h"

enum { N = 128 };

static void open_namm(struct pf *f, const struct nf *n, const char *options, const char *budget,
                      int n_thread)
{
    *f = pf_random(2);
    f->n_thread = n_thread;
    pf_open(f, nf_spec(n, options), budget);
}

/* The opinion of two heads about one and the same token differs, and both signs are common. */
static void opinions(struct nf *n)
{
    nf_init(n, "age spectrum", 1);
    nf_use_bam(n, 8);
}

/* Scores as the lanes stand, and their tokens. */
struct before {
    float score[4][N];
    int32_t token[4][N];
    size_t n[4];
};

static void note(struct pf *f, struct before *b)
{
    for (size_t l = 0; l < 4; l++) {
        const mn__lane *lane = mn__cache_lane(f->cache, l / 2, l % 2);
        b->n[l] = lane->n;
        memcpy(b->token[l], lane->token.data, lane->n * sizeof(int32_t));
        pf_score(f, l / 2, l % 2, b->score[l]);
    }
}

/* ---- rules ---- */

/* Each head for itself; at every event all its tokens are judged again. */
static void test_threshold(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    struct before b;
    size_t fell_later = 0, lo = N, hi = 0;
    opinions(&n);
    open_namm(&f, &n, "sinks=2,recent=5", "", 1);
    for (int event = 0; event < 2; event++) {
        pf_feed(&f, 64);
        note(&f, &b);
        assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
        for (size_t l = 0; l < 4; l++) {
            const mn__lane *lane = mn__cache_lane(f.cache, l / 2, l % 2);
            size_t kept = 0;
            for (size_t i = 0; i < b.n[l]; i++) {
                bool stays = b.score[l][i] >= 0 || b.token[l][i] < 2 || i + 5 >= b.n[l];
                assert_int_equal(pf_has(&f, l / 2, l % 2, b.token[l][i]), stays);
                kept += stays;
                fell_later += event == 1 && !stays && b.token[l][i] < 64;
            }
            assert_int_equal(lane->n, kept);
            lo = kept < lo ? kept : lo;
            hi = kept > hi ? kept : hi;
        }
    }
    assert_true(fell_later > 0 && lo < hi && hi < N && lo > 7);
    pf_close(&f);
}

/* A budget is a cap for it. */
static void test_threshold_capped(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    opinions(&n);
    open_namm(&f, &n, "rule=threshold,recent=0,sinks=0", "12", 1);
    pf_feed(&f, 64);
    assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    size_t most = 0;
    for (size_t l = 0; l < 4; l++) {
        const mn__lane *lane = mn__cache_lane(f.cache, l / 2, l % 2);
        most = lane->n > most ? lane->n : most;
        assert_true(pf_has(&f, l / 2, l % 2, 63)); /* the newest, without recent= */
    }
    assert_int_equal(most, 12);
    pf_close(&f);
}

/* Place of slot i among its lane's scores, ties to the newer. */
static size_t rank_of(const struct before *b, size_t l, size_t i, size_t n_tail)
{
    size_t rank = 0;
    if (i + n_tail >= b->n[l]) return 0;
    for (size_t j = 0; j < b->n[l]; j++)
        rank += j + n_tail >= b->n[l] || b->score[l][j] > b->score[l][i] ||
                (j > i && b->score[l][j] == b->score[l][i]);
    return rank;
}

/* The paper's code: all heads of a layer keep as many as the one that wants most. */
static void hold_layer(const char *budget, size_t cap)
{
    struct nf n;
    struct pf f;
    struct before b;
    size_t n_keep[2] = {0}, count[4] = {0}, n_more = 0;
    opinions(&n);
    open_namm(&f, &n, "rule=layer,sinks=0,recent=1", budget, 2);
    pf_feed(&f, 64);
    note(&f, &b);
    assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    for (size_t l = 0; l < 4; l++) {
        for (size_t i = 0; i < b.n[l]; i++) count[l] += b.score[l][i] >= 0 || i + 1 == b.n[l];
        n_keep[l / 2] = count[l] > n_keep[l / 2] ? count[l] : n_keep[l / 2];
    }
    for (size_t l = 0; l < 4; l++) {
        n_more += count[l] < n_keep[l / 2]; /* keeps what scores below 0 */
        size_t keep = n_keep[l / 2] < cap ? n_keep[l / 2] : cap;
        assert_int_equal(mn__cache_lane(f.cache, l / 2, l % 2)->n, keep);
        for (size_t i = 0; i < b.n[l]; i++)
            assert_int_equal(pf_has(&f, l / 2, l % 2, b.token[l][i]), rank_of(&b, l, i, 1) < keep);
    }
    assert_true(n_more > 0 && n_keep[0] > 10 && n_keep[0] < 64);
    pf_close(&f);
}

static void test_layer(void **state)
{
    (void)state;
    hold_layer("", 64);
    hold_layer("10", 10);
}

/* With a budget the best stay, as under any policy. */
static void test_top_k(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    struct before b;
    opinions(&n);
    open_namm(&f, &n, "recent=4,sinks=0", "20", 1);
    pf_feed(&f, 64);
    note(&f, &b);
    assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    for (size_t l = 0; l < 4; l++)
        for (size_t i = 0; i < 64; i++)
            assert_int_equal(pf_has(&f, l / 2, l % 2, (int32_t)i), rank_of(&b, l, i, 4) < 20);
    pf_close(&f);
}

/* ---- lanes side by side ---- */

static size_t survivors(const char *groups, bool bam, const char *options, int n_thread,
                        int32_t token[4][N], size_t n_kept[4])
{
    struct nf n;
    struct pf f;
    size_t held;
    nf_init(&n, groups, 1);
    if (bam) nf_use_bam(&n, 8);
    open_namm(&f, &n, options, "30", n_thread);
    for (int event = 0; event < 2; event++) {
        pf_feed(&f, 64);
        assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    }
    held = pf_held(&f);
    for (size_t l = 0; l < 4; l++) {
        const mn__lane *lane = mn__cache_lane(f.cache, l / 2, l % 2);
        n_kept[l] = lane->n;
        memcpy(token[l], lane->token.data, lane->n * sizeof(int32_t));
    }
    pf_close(&f);
    return held;
}

/* How many threads there are does not matter, whatever is compared. */
static void test_threads(void **state)
{
    (void)state;
    static const char *const ways[][2] = {{"age spectrum w16.sp row.gp dc.s knorm", ""},
                                          {"age w16.g row.p", "alloc=global"},
                                          {"age spectrum dc", "rule=layer,recent=2"},
                                          {"recency w16.s observed vnorm", "rule=threshold"},
                                          {"row onorm w16.s", "scale=share,alloc=ada,mass=1"},
                                          {"row w16 age", "alloc=ada,share=layer,pool=3"}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int bam = 0; bam < 2; bam++) {
            int32_t want[4][N], got[4][N];
            size_t n_want[4], n_got[4],
                held = survivors(ways[i][0], bam, ways[i][1], 1, want, n_want);
            assert_true(held < 4 * N && held >= 4 * 16);
            for (int t = 2; t <= 3; t++) {
                assert_int_equal(survivors(ways[i][0], bam, ways[i][1], t, got, n_got), held);
                for (size_t l = 0; l < 4; l++) {
                    assert_int_equal(n_got[l], n_want[l]);
                    assert_memory_equal(got[l], want[l], n_want[l] * sizeof(int32_t));
                }
            }
        }
}

/* Shares of a lane leave the order in it as it is. */
static void test_shares(void **state)
{
    (void)state;
    int32_t raw[4][N], share[4][N];
    size_t n_raw[4], n_share[4];
    survivors("row knorm age", false, "", 1, raw, n_raw);
    survivors("row knorm age", false, "scale=share", 2, share, n_share);
    for (size_t l = 0; l < 4; l++)
        assert_memory_equal(raw[l], share[l], n_raw[l] * sizeof(int32_t));
    assert_memory_equal(n_raw, n_share, sizeof n_raw);
    survivors("row knorm age", false, "alloc=ada,alpha=0,scale=share", 1, share, n_share);
    assert_int_equal(n_raw[0] + n_raw[1], n_share[0] + n_share[1]);
}

/* One opinion for the layer leaves the same tokens in its heads. */
static void test_shared_inputs(void **state)
{
    (void)state;
    int32_t token[4][N];
    size_t n[4];
    survivors("w16.s row.gp age", false, "", 2, token, n);
    for (size_t l = 0; l < 4; l += 2) {
        assert_int_equal(n[l], n[l + 1]);
        assert_memory_equal(token[l], token[l + 1], n[l] * sizeof(int32_t));
    }
    survivors("w16 age", false, "", 2, token, n);
    assert_memory_not_equal(token[0], token[1], n[0] * sizeof(int32_t));
}

/* ---- scores that are none ---- */

static void hold_everything(const char *groups, const char *options, const char *budget)
{
    struct nf n;
    struct pf f;
    nf_init(&n, groups, 1);
    n.param[0] = NAN;
    open_namm(&f, &n, options, budget, 2);
    pf_feed(&f, 64);
    assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    assert_int_equal(pf_held(&f), 4 * 64);
    assert_int_equal(f.cache->n_nan, 4 * 64);
    assert_non_null(strstr(mn__policy_nan_rule(f.policy), "kept all they held"));
    pf_close(&f);
}

static void test_nan_keeps_everything(void **state)
{
    (void)state;
    hold_everything("age spectrum", "", "20");
    hold_everything("age spectrum", "", "");
    hold_everything("age w16.s", "alloc=global", "25%");
    hold_everything("age", "rule=layer,share=layer", "");
}

/* The other lanes go on as they would. */
static void test_nan_of_one_lane(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    opinions(&n);
    open_namm(&f, &n, "alloc=ada,sinks=0,recent=1", "20", 2);
    pf_feed(&f, 64);
    mn__lane *lane = mn__cache_lane(f.cache, 1, 0);
    memset(lane->state.data + 40 * f.shape.slot_bytes, 0xff, f.shape.slot_bytes);
    assert_int_equal(pf_evict(&f, MN__EVENT_CHUNK), MN_OK);
    assert_int_equal(lane->n, 64);
    assert_true(f.cache->n_nan > 0);
    assert_int_equal(mn__cache_lane(f.cache, 1, 1)->n, 20);
    assert_int_equal(mn__cache_lane(f.cache, 0, 0)->n + mn__cache_lane(f.cache, 0, 1)->n, 40);
    pf_close(&f);
}

/* ---- when ---- */

static void test_when(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    opinions(&n);
    open_namm(&f, &n, "", "", 1);
    pf_feed(&f, 63); /* shorter than one update */
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK));
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    pf_feed(&f, 1);
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK));
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE));
    assert_int_equal(mn__policy_chunk(f.policy), 64);
    pf_feed(&f, 5); /* no update: a threshold waits for the next one */
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK));
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    pf_close(&f);
    open_namm(&f, &n, "", "40", 1);
    pf_feed(&f, 63);
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    pf_feed(&f, 6); /* a budget holds when the answer begins */
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK));
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_int_equal(mn__cache_lane(f.cache, 0, 0)->n, 40);
    pf_close(&f);
    open_namm(&f, &n, "chunk=0,every=0", "", 1);
    pf_feed(&f, 64);
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_CHUNK));
    assert_false(mn__evict_due(f.policy, f.cache, MN__EVENT_DECODE));
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    pf_close(&f);
}

/* ---- options ---- */

static void hold_spec(const struct nf *n, const char *options, const char *part)
{
    struct pf f;
    open_namm(&f, n, options, "40", 1);
    const char *spec = mn__policy_spec(f.policy);
    if (!strstr(spec, part)) fail_msg("`%s` is not in `%s`", part, spec);
    pf_close(&f);
}

static void test_file_brings_options(void **state)
{
    (void)state;
    struct nf n;
    nf_init(&n, "age", 1);
    n.namm.options = (char[]){"recent=7,alloc=ada,chunk=32"};
    hold_spec(&n, "", "recent=7");
    hold_spec(&n, "", "alloc=ada");
    hold_spec(&n, "", "chunk=32");
    hold_spec(&n, "", "every=64");
    hold_spec(&n, "recent=2", "recent=2");
    hold_spec(&n, "chunk=128", "chunk=128");
    hold_spec(&n, "chunk=15,every=1", "chunk=15"); /* sees no frames */
}

static void refuse(const char *spec, const char *budget, mn_status want, const char *sentence)
{
    struct pf f = pf_random(2);
    mn_status st = pf_try(&f, spec, budget);
    if (st != want || !strstr(f.diag.text, sentence))
        fail_msg("%s: status %d, `%s`", spec, (int)st, f.diag.text);
    pf_close(&f);
}

static void test_refused(void **state)
{
    (void)state;
    struct nf n;
    mn_diag diag = {""};
    nf_init(&n, "age", 1);
    n.namm.options = (char[]){"recend=7"};
    refuse(nf_spec(&n, ""), "", MN_EINPUT, ": policy namm has no option `recend`");
    n.namm.options = (char[]){""};
    refuse(nf_spec(&n, "rule=paper"), "", MN_EUSAGE, "rule is one of");
    refuse(nf_spec(&n, "rule=topk"), "", MN_EUSAGE, "needs a budget");
    /* shares are above 0: a threshold there would drop none */
    refuse(nf_spec(&n, "scale=share"), "", MN_EUSAGE, "needs a budget: tokens (2048)");
    refuse(nf_spec(&n, "scale=share,rule=layer"), "", MN_EUSAGE, "no score is below 0");
    refuse(nf_spec(&n, "scale=share,threshold=-1"), "", MN_EUSAGE, "needs a budget");
    refuse(nf_spec(&n, "scale=share,rule=threshold"), "50%", MN_EUSAGE, "a threshold above 0");
    refuse(nf_spec(&n, "scale=share,rule=topk"), "50%", MN_OK, "");
    refuse(nf_spec(&n, "scale=share,threshold=0.001"), "", MN_OK, "");
    refuse(nf_spec(&n, "state=q8"), "", MN_EUSAGE, "bf16, f32");
    nf_init(&n, "spectrum", 1);
    refuse(nf_spec(&n, "chunk=15"), "", MN_EUSAGE,
           "policy namm: chunk is 0 or a multiple of the NAMM's hop (16), 15 found");
    refuse(nf_spec(&n, "block=40"), "", MN_EUSAGE, "chunk is 0 or a multiple");
    refuse(nf_spec(&n, "every=1"), "", MN_EUSAGE, "every is 0 or a multiple");
    n.namm.options = (char[]){"chunk=24"};
    refuse(nf_spec(&n, ""), "", MN_EUSAGE, "chunk is 0 or a multiple");
    nf_init(&n, "age", 1);
    refuse("namm", "", MN_EUSAGE, "file=FILE");
    refuse("namm:file=/nowhere/x.gguf", "", MN_EIO, "/nowhere/x.gguf");
    snprintf(n.namm.group[0], MN__NAMM_NAME, "ages");
    assert_int_equal(mn__namm_write(&n.namm, tiny_model_path("test.namm.gguf"), &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "test.namm.gguf: unknown input `ages`: `age`?"));
    assert_int_equal(mn_policy_check("namm:file=x.gguf,rule=layer", &diag), MN_OK);
    assert_int_equal(mn_policy_check("namm:rule=other", &diag), MN_EUSAGE);
}

/* A NAMM from memory does as its file does, under a wrapper too. */
static void test_from_memory(void **state)
{
    (void)state;
    struct nf n;
    struct pf f;
    mn__policy *p = NULL;
    const mn__budget budget = {.kind = MN__BUDGET_TOKENS, .amount = 30};
    opinions(&n);
    open_namm(&f, &n, "", "30", 1);
    assert_int_equal(mn__policy_new_of(&p, "adakv:base=namm", &n.namm, &budget, &f.shape, &f.diag),
                     MN_OK);
    assert_int_equal(mn__policy_scorer(p)->slot_bytes, f.shape.slot_bytes);
    assert_int_equal(mn__policy_chunk(p), 64);
    assert_non_null(strstr(mn__policy_spec(p), "alloc=ada"));
    mn__policy_free(p);
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_threshold_capped),
        cmocka_unit_test(test_layer),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_shared_inputs),
        cmocka_unit_test(test_nan_keeps_everything),
        cmocka_unit_test(test_nan_of_one_lane),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_file_brings_options),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_from_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
