/* test_namm_session.c: sessions under a NAMM: pieces, threads, files, forks, and the bytes that it
 * costs. */
#include "namm_fixture.h"
#include "session_fixture.h"
#include "infer/session_internal.h"
#include "mneme/watch.h"

/* Everything at once; attention that shows, and scores of both signs. */
static void some_namm(struct nf *n)
{
    nf_init(n, "age spectrum dc.sp w16.s row.gp observed", 0.5);
    nf_use_bam(n, 8);
}

/* One that looks at a part of the attention. */
static void strided_namm(struct nf *n)
{
    nf_init(n, "recency observed observed.sp w64.s", 0.5);
    n->namm.stride = 2;
}

static mn_session *open_session(const mn_model *m, const struct nf *n, const char *options,
                                const char *budget, size_t chunk, int n_thread)
{
    mn_session_params p = fix_params(nf_spec(n, options), budget);
    p.chunk = chunk;
    p.n_thread = n_thread;
    return fix_session(m, &p);
}

static void same_kept(const mn_model *m, const mn_session *a, const mn_session *b)
{
    mn_model_info info;
    mn_model_get_info(m, &info);
    for (size_t l = 0; l < info.n_layer; l++)
        for (size_t h = 0; h < info.n_kv_head; h++) {
            const int32_t *x, *y;
            size_t n = mn_session_kept(a, l, h, &x);
            assert_int_equal(n, mn_session_kept(b, l, h, &y));
            assert_memory_equal(x, y, n * sizeof *x);
        }
}

static double kept_share(const mn_session *s)
{
    mn_session_info info;
    mn_session_get_info(s, &info);
    return info.kept_share;
}

/* The text in other pieces, or by more threads, leaves the same tokens; threads alone, the same
 * bits. */
static void pieces_and_threads(void (*make)(struct nf *n))
{
    struct nf n;
    mn_model *m = fix_model("llama");
    make(&n);
    mn_session *a = open_session(m, &n, "", "40%", 64, 1);
    float *want = fix_keep(m, fix_read(a, 0, 300, true));
    assert_true(kept_share(a) > 0.3 && kept_share(a) < 0.7);
    static const size_t chunks[] = {13, 32, 200};
    for (size_t i = 0; i < 3; i++) {
        mn_session *b = open_session(m, &n, "", "40%", chunks[i], 1 + (int)i);
        fix_read(b, 0, 300, true);
        same_kept(m, a, b);
        mn_session_free(b);
    }
    mn_session *b = open_session(m, &n, "", "40%", 64, 3);
    fix_same(m, want, fix_read(b, 0, 300, true), "three threads");
    free(want);
    want = fix_keep(m, fix_write(a, 300, 150)); /* events while writing */
    fix_same(m, want, fix_write(b, 300, 150), "three threads");
    same_kept(m, a, b);
    free(want);
    mn_session_free(a);
    mn_session_free(b);
    mn_model_free(m);
}

static void test_pieces_and_threads(void **state)
{
    (void)state;
    pieces_and_threads(some_namm);
    pieces_and_threads(strided_namm);
}

/* Attention that layer 0's first query head pays, by query. */
static void note_rows(const mn_watch_attention *a, void *ctx)
{
    double *paid = ctx;
    if (a->layer || a->head || a->i_group) return;
    for (size_t r = 0; r < a->n_query; r++)
        for (size_t i = 0; i < a->n; i++)
            paid[a->query + (int64_t)r] += (double)a->p[r * a->ld + i];
}

/* An onlooker sees every row, also those that the NAMM passes over, and changes nothing. */
static void test_watched(void **state)
{
    (void)state;
    enum { N = 300 };
    struct nf n;
    double paid[N] = {0};
    mn_model *m = fix_model("llama");
    strided_namm(&n);
    mn_session *plain = open_session(m, &n, "", "40%", 64, 1),
               *watched = open_session(m, &n, "", "40%", 64, 1);
    mn_session_watch(watched, &(mn_onlooker){.attention = note_rows, .ctx = paid});
    float *want = fix_keep(m, fix_read(plain, 0, N, true));
    fix_same(m, want, fix_read(watched, 0, N, true), "watched");
    same_kept(m, plain, watched);
    for (size_t t = 0; t < N; t++)
        if (fabs(paid[t] - 1) > 1e-3) fail_msg("query %zu was seen to pay %g", t, paid[t]);
    free(want);
    mn_session_free(plain);
    mn_session_free(watched);
    mn_model_free(m);
}

/* A saved session and a fork go on as the one that was never away. */
static void test_saved_and_forked(void **state)
{
    (void)state;
    struct nf n;
    mn_diag diag = {""};
    mn_session *loaded = NULL, *fork = NULL;
    mn_model *m = fix_model("gemma3");
    some_namm(&n);
    mn_session_params p = fix_params(nf_spec(&n, ""), "40%");
    mn_session *a = fix_session(m, &p);
    fix_read(a, 0, 200, true); /* in the middle of a hop */
    const char *path = tiny_model_path("namm.session");
    assert_int_equal(mn_session_save(a, path, &diag), MN_OK);
    if (mn_session_load(&loaded, m, &p, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn_session_fork(&fork, a, &diag), MN_OK);
    float *want = fix_keep(m, fix_write(a, 200, 130));
    fix_same(m, want, fix_write(loaded, 200, 130), "loaded");
    fix_same(m, want, fix_write(fork, 200, 130), "forked");
    same_kept(m, a, loaded);
    same_kept(m, a, fork);
    assert_true(kept_share(a) < 0.8);
    free(want);
    mn_session_free(a);
    mn_session_free(loaded);
    mn_session_free(fork);
    mn_model_free(m);
}

/* A fork scores with the parameters that were set, not with the file's. */
static void test_forked_with_params(void **state)
{
    (void)state;
    struct nf n;
    mn_diag diag = {""};
    mn_session *fork = NULL;
    mn_model *m = fix_model("llama");
    some_namm(&n);
    const size_t n_param = mn__namm_net_params(&n.namm.net);
    double *x = malloc(n_param * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n_param; i++) x[i] = mn__rng_normal(18, 3, i, 0);
    mn_session *a = open_session(m, &n, "", "40%", 64, 1),
               *file = open_session(m, &n, "", "40%", 64, 1);
    assert_int_equal(mn__policy_set_params(a->policy, x, n_param, &diag), MN_OK);
    fix_read(a, 0, 200, true);
    fix_read(file, 0, 200, true);
    assert_int_equal(mn_session_fork(&fork, a, &diag), MN_OK);
    float *want = fix_keep(m, fix_write(a, 200, 130)); /* events while writing */
    fix_same(m, want, fix_write(fork, 200, 130), "forked");
    same_kept(m, a, fork);
    assert_true(memcmp(want, fix_write(file, 200, 130), fix_vocab(m) * sizeof *want) != 0);
    mn_session_free(fork);
    fork = NULL;
    assert_int_equal(mn_session_fork(&fork, a, &diag), MN_OK); /* and a fork of what has gone on */
    free(want);
    want = fix_keep(m, fix_write(a, 330, 70));
    fix_same(m, want, fix_write(fork, 330, 70), "forked again");
    free(want);
    free(x);
    mn_session_free(a);
    mn_session_free(file);
    mn_session_free(fork);
    mn_model_free(m);
}

/* One reading gathers for it beside others, where it acts at the prompt's end. */
static void gathered(void (*make)(struct nf *n))
{
    struct nf n;
    char spec[1024];
    mn_diag diag = {""};
    mn_session *fork = NULL;
    mn_model *m = fix_model("llama");
    make(&n);
    snprintf(spec, sizeof spec, "%s", nf_spec(&n, "chunk=0"));
    const char *const also[] = {"keyformer", spec, "h2o"};
    mn_session_params p = fix_params("full", "");
    p.also = also;
    p.n_also = 3;
    mn_session *base = fix_session(m, &p);
    fix_read(base, 0, 200, true);
    if (mn_session_fork_under(&fork, base, spec, "30%", &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn_session_evict(fork, &diag), MN_OK);
    p = fix_params(spec, "30%");
    mn_session *own = fix_session(m, &p);
    fix_read(own, 0, 200, true);
    same_kept(m, own, fork);
    float *want = fix_keep(m, fix_write(own, 200, 70));
    fix_same(m, want, fix_write(fork, 200, 70), "forked under");
    assert_true(kept_share(own) < 0.8);
    free(want);
    mn_session_free(own);
    mn_session_free(fork);
    mn_session_free(base);
    mn_model_free(m);
}

static void test_gathered(void **state)
{
    (void)state;
    gathered(some_namm);
    gathered(strided_namm);
}

/* Shorter than one update (64 tokens). */
static void test_short_prompt(void **state)
{
    (void)state;
    struct nf n;
    mn_model *m = fix_model("llama");
    some_namm(&n);
    mn_session *s = open_session(m, &n, "", "10%", 64, 1);
    fix_read(s, 0, 63, true);
    assert_true(kept_share(s) == 1);
    fix_write(s, 63, 1);
    assert_true(kept_share(s) < 0.5);
    mn_session_free(s);
    s = open_session(m, &n, "chunk=0", "10%", 64, 1); /* at the prompt's end, however short */
    fix_read(s, 0, 63, true);
    assert_true(kept_share(s) < 0.5);
    mn_session_free(s);
    s = open_session(m, &n, "chunk=0,rule=threshold", "", 64, 1);
    fix_read(s, 0, 63, true);
    assert_true(kept_share(s) < 1);
    mn_session_free(s);
    mn_model_free(m);
}

/* What it keeps per token stands in the ledger, and goes with the tokens. */
static void test_policy_bytes(void **state)
{
    (void)state;
    struct nf n;
    mn_session_info many, few;
    mn_model_info info;
    mn_model *m = fix_model("llama");
    mn_model_get_info(m, &info);
    nf_init(&n, "spectrum", 1);
    mn_session *s = open_session(m, &n, "chunk=0", "10%", 64, 1);
    fix_read(s, 0, 1000, false);
    mn_session_get_info(s, &many);
    size_t lanes = info.n_layer * info.n_kv_head, want = lanes * 1000 * 98;
    assert_true(many.policy_bytes >= want && many.policy_bytes < want + lanes * 4096 + 4096);
    mn_mem_stats mem;
    mn_mem_get_stats(&mem);
    assert_true(mem.now[MN_MEM_POLICY] >= many.policy_bytes);
    const size_t beside = mem.now[MN_MEM_POLICY] - many.policy_bytes;
    mn_diag diag = {""};
    assert_int_equal(mn_session_evict(s, &diag), MN_OK);
    mn_session_get_info(s, &few);
    assert_true(few.policy_bytes < many.policy_bytes / 4);
    mn_mem_get_stats(&mem); /* what it took to score went back */
    assert_int_equal(mem.now[MN_MEM_POLICY], few.policy_bytes + beside);
    mn_session_free(s);
    mn_model_free(m);
}

/* A budget that nothing exceeds changes no bit. */
static void test_unlimited(void **state)
{
    (void)state;
    struct nf n;
    mn_model *m = fix_model("qwen3");
    some_namm(&n);
    mn_session_params p = fix_params("full", "");
    mn_session *full = fix_session(m, &p), *s = open_session(m, &n, "", "100000", 64, 1);
    float *want = fix_keep(m, fix_read(full, 0, 300, true));
    fix_same(m, want, fix_read(s, 0, 300, true), "unlimited");
    assert_true(kept_share(s) == 1);
    free(want);
    mn_session_free(full);
    mn_session_free(s);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_and_threads), cmocka_unit_test(test_watched),
        cmocka_unit_test(test_saved_and_forked),   cmocka_unit_test(test_forked_with_params),
        cmocka_unit_test(test_gathered),           cmocka_unit_test(test_short_prompt),
        cmocka_unit_test(test_policy_bytes),       cmocka_unit_test(test_unlimited)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
