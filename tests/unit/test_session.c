/* test_session.c: what holds for every session, whatever its model: a budget that is never reached
 * changes nothing; threads, batches, forks and rewinding do not change bits; chunks change the last
 * ones; what cannot go on says so and can be gone on with. */
#include "session_fixture.h"

#include "mneme/policy.h"
#include "model/model.h"

static const char *const archs[] = {"llama", "gemma3"};
enum { N_ARCH = sizeof archs / sizeof *archs };

/* Some reading and some writing; a copy of the last logits. */
static float *walk(const mn_model *m, const mn_session_params *p)
{
    mn_session *s = fix_session(m, p);
    fix_read(s, 0, 150, true);
    float *logits = fix_keep(m, fix_write(s, 150, 12));
    mn_session_free(s);
    return logits;
}

static void hold_unlimited(const mn_model *m, const char *policy, const char *budget,
                           const float *want)
{
    char what[128];
    mn_session_params p = fix_params(policy, budget);
    float *got = walk(m, &p);
    snprintf(what, sizeof what, "%s with %s", policy, budget);
    fix_same(m, want, got, what);
    free(got);
}

static void test_unlimited_budget_is_full(void **state)
{
    (void)state;
    size_t n_policy;
    char spec[64];
    const mn_policy_info *policy = mn_policy_list(&n_policy);
    assert_true(n_policy > 10);
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = fix_model(archs[a]);
        mn_session_params p = fix_params("full", "");
        float *want = walk(m, &p);
        for (size_t i = 0; i < n_policy; i++) {
            if (strcmp(policy[i].name, "duo") == 0 || strcmp(policy[i].name, "namm") == 0)
                continue; /* want files */
            hold_unlimited(m, policy[i].name, "100000", want);
            snprintf(spec, sizeof spec, "%s:of=seen", policy[i].name); /* not of the prompt alone */
            if (a == 0 && i > 0) hold_unlimited(m, spec, "100%", want);
        }
        free(want);
        mn_model_free(m);
    }
}

/* Products of prefill at levels without bf16 are oneDNN's, whose sums may be ordered otherwise. */
static void test_threads(void **state)
{
    (void)state;
    const char *const policies[][2] = {{"full", ""},
                                       {"h2o", "60"},
                                       {"snapkv:every=5", "60"},
                                       {"adakv", "50%"},
                                       {"streaming", "40"}};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        mn_model *m = fix_model(archs[i % N_ARCH]);
        mn_session_params p = fix_params(policies[i][0], policies[i][1]);
        float *one = walk(m, &p);
        for (p.n_thread = 2; p.n_thread <= 3; p.n_thread++) {
            float *more = walk(m, &p);
            if (mn__product_is_bf16(&m->kern))
                fix_same(m, one, more, p.policy);
            else
                assert_true(fix_distance(m, one, more) < 1e-3f);
            free(more);
        }
        free(one);
        mn_model_free(m);
    }
}

/* All tokens one by one: our own sums alone, at any level. */
static void test_threads_writing(void **state)
{
    (void)state;
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("h2o", "24");
    float *one = NULL;
    for (p.n_thread = 1; p.n_thread <= 3; p.n_thread++) {
        mn_session *s = fix_session(m, &p);
        float *now = fix_keep(m, fix_write(s, 0, 40));
        if (one) fix_same(m, one, now, "one by one");
        if (one)
            free(now);
        else
            one = now;
        mn_session_free(s);
    }
    free(one);
    mn_model_free(m);
}

static void test_chunks(void **state)
{
    (void)state;
    const size_t chunk[] = {64, 1, 7, 200};
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = fix_model(archs[a]);
        float *first = NULL;
        for (size_t i = 0; i < sizeof chunk / sizeof *chunk; i++) {
            mn_session_params p = fix_params("full", "");
            p.chunk = chunk[i];
            p.kv_type = MN_KV_F32;
            float *now = walk(m, &p);
            float limit = mn__product_is_bf16(&m->kern) ? 0.05f : 1e-3f;
            if (first && fix_distance(m, first, now) > limit)
                fail_msg("%s: chunks of %zu: off by %g", archs[a], chunk[i],
                         (double)fix_distance(m, first, now));
            if (first)
                free(now);
            else
                first = now;
        }
        free(first);
        mn_model_free(m);
    }
}

/* ---- several sessions ---- */

static void hold_forks(const mn_model *m, const char *policy, const char *budget)
{
    mn_session_params p = fix_params(policy, budget);
    mn_session *a = fix_session(m, &p), *b = NULL, *alone = fix_session(m, &p);
    mn_diag diag = {""};
    fix_read(a, 0, 100, true);
    if (mn_session_fork(&b, a, &diag) != MN_OK) fail_msg("%s", diag.text);
    float *left = fix_keep(m, fix_write(a, 100, 30)),
          *right = fix_keep(m, fix_read(b, 400, 90, true));
    right = (free(right), fix_keep(m, fix_write(b, 500, 10)));
    assert_true(fix_distance(m, left, right) > 0.1f);
    fix_read(alone, 0, 100, true);
    fix_same(m, left, fix_write(alone, 100, 30), policy);
    mn_session_free(a); /* the fork lives on */
    mn_session_clear(alone);
    fix_read(alone, 0, 100, true);
    fix_read(alone, 400, 90, true);
    fix_same(m, right, fix_write(alone, 500, 10), policy);
    fix_same(m, fix_write(b, 510, 5), fix_write(alone, 510, 5), policy);
    mn_session_free(b);
    mn_session_free(alone);
    free(left);
    free(right);
}

static void test_forks(void **state)
{
    (void)state;
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = fix_model(archs[a]);
        hold_forks(m, "full", "");
        hold_forks(m, "h2o", "48");
        hold_forks(m, "streaming:chunk=16", "48");
        hold_forks(m, "expected:every=4", "40");
        mn_model_free(m);
    }
}

enum { N_BATCH = 3 };

static void hold_batch(const mn_model *m, const char *policy, const char *budget, int n_thread)
{
    mn_batch *batch = NULL;
    mn_diag diag = {""};
    mn_session *s[N_BATCH], *alone[N_BATCH];
    const float *logits[N_BATCH];
    int32_t token[N_BATCH];
    mn_session_params p = fix_params(policy, budget);
    p.n_thread = n_thread;
    for (size_t i = 0; i < N_BATCH; i++) {
        s[i] = fix_session(m, &p);
        alone[i] = fix_session(m, &p);
        fix_read(s[i], 100 * i, 30 + 50 * i, true);
        fix_read(alone[i], 100 * i, 30 + 50 * i, true);
    }
    if (mn_batch_new(&batch, m, &p, N_BATCH, &diag) != MN_OK) fail_msg("%s", diag.text);
    for (size_t k = 0; k < 12; k++) {
        size_t n = k % 4 == 3 ? 2 : N_BATCH; /* a session may sit a step out */
        for (size_t i = 0; i < n; i++) token[i] = fix_text()[500 + 20 * i + k];
        if (mn_batch_step(batch, s, token, n, logits, &diag) != MN_OK) fail_msg("%s", diag.text);
        for (size_t i = 0; i < n; i++)
            fix_same(m, logits[i], fix_write(alone[i], 500 + 20 * i + k, 1), policy);
    }
    mn_batch_free(batch);
    for (size_t i = 0; i < N_BATCH; i++) {
        mn_session_free(s[i]);
        mn_session_free(alone[i]);
    }
}

static void test_batches(void **state)
{
    (void)state;
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = fix_model(archs[a]);
        hold_batch(m, "full", "", 1);
        hold_batch(m, "h2o", "40", 2);
        mn_model_free(m);
    }
}

/* A sliding window that is longer than the context: its lanes are the longest ones then. */
static void test_window_beyond_the_context(void **state)
{
    (void)state;
    tiny_model_params tp;
    tiny_model_default(&tp, "gemma3");
    tp.window = 1100;
    tp.n_ctx = FIX_TOKENS;
    mn_model *m = fix_open(&tp);
    mn_session_params p = fix_params("streaming:chunk=16,every=1", "40"), wide;
    p.positions = MN_POSITIONS_ABSOLUTE;
    wide = p;
    p.n_ctx = 64;
    p.chunk = wide.chunk = 16;
    wide.n_ctx = 8192;
    mn_session *s = fix_session(m, &p), *straight = fix_session(m, &wide);
    for (size_t i = 0; i < 2; i++) {
        fix_read(s, 0, 600, false);
        fix_read(straight, 0, 600, false);
    }
    fix_same(m, fix_write(s, 600, 3), fix_write(straight, 600, 3), "a window of 1100");
    mn_session_free(s);
    mn_session_free(straight);
    mn_model_free(m);
}

/* A model of which only the vocabulary is there has nothing to run. */
static void test_no_weights(void **state)
{
    (void)state;
    mn_model *m = NULL;
    mn_session *s = (mn_session *)1;
    mn_diag diag = {""};
    mn_model_params mp;
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    const char *path = tiny_model_path("session.gguf");
    assert_true(tiny_model_write(path, &tp));
    mn_model_params_default(&mp);
    mp.vocab_only = true;
    assert_int_equal(mn_model_open(&m, path, &mp, &diag), MN_OK);
    mn_session_params p = fix_params("full", "");
    assert_int_equal(mn_session_new(&s, m, &p, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "without weights"));
    assert_null(s);
    mn_model_free(m);
}

/* A bad token in a batch: no session moves. */
static void test_batch_is_whole(void **state)
{
    (void)state;
    mn_batch *batch = NULL;
    mn_diag diag = {""};
    mn_session_info info;
    const float *logits[2];
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    mn_session *s[2] = {fix_session(m, &p), fix_session(m, &p)};
    int32_t token[2] = {5, 1 << 20};
    assert_int_equal(mn_batch_new(&batch, m, &p, 2, &diag), MN_OK);
    assert_int_equal(mn_batch_step(batch, s, token, 2, logits, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "1048576"));
    mn_session_get_info(s[0], &info);
    assert_int_equal(info.n_seen, 0);
    token[1] = 6;
    mn_session *twice[2] = {s[0], s[0]}, *odd[2] = {s[0], NULL};
    assert_int_equal(mn_batch_step(batch, twice, token, 2, logits, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "session 1 stands there twice"));
    for (int i = 0; i < 2; i++) {
        mn_session_params other = p;
        if (i)
            other.kv_type = MN_KV_F32;
        else
            other.n_ctx = FIX_TOKENS + 1;
        odd[1] = fix_session(m, &other);
        assert_int_equal(mn_batch_step(batch, odd, token, 2, logits, &diag), MN_EUSAGE);
        assert_non_null(strstr(diag.text, i ? "another type" : "1025 tokens"));
        mn_session_free(odd[1]);
    }
    assert_int_equal(mn_batch_step(batch, s, token, 2, logits, &diag), MN_OK);
    mn_session_get_info(s[0], &info);
    assert_int_equal(info.n_seen, 1);
    mn_batch_free(batch);
    mn_session_free(s[0]);
    mn_session_free(s[1]);
    mn_model_free(m);
}

/* ---- there and back ---- */

static void test_rewind(void **state)
{
    (void)state;
    mn_diag diag = {""};
    for (size_t a = 0; a < N_ARCH; a++) {
        mn_model *m = fix_model(archs[a]);
        mn_session_params p = fix_params("full", "");
        mn_session *s = fix_session(m, &p), *straight = fix_session(m, &p);
        fix_read(straight, 0, 70, true);
        float *want = fix_keep(m, fix_read(straight, 70, 5, true));
        fix_read(s, 0, 70, true);
        fix_read(s, 300, 5, true); /* another way, as far as windows still hold */
        assert_int_equal(mn_session_rewind(s, 5, &diag), MN_OK);
        fix_same(m, want, fix_read(s, 70, 5, true), "read again");
        fix_write(s, 310, 3);
        assert_int_equal(mn_session_rewind(s, 3, &diag), MN_OK);
        fix_same(m, fix_write(straight, 75, 9), fix_write(s, 75, 9), "written again");
        assert_int_equal(mn_session_rewind(s, SIZE_MAX, &diag), MN_ERANGE);
        assert_int_equal(mn_session_rewind(s, 85, &diag), MN_ERANGE);
        assert_non_null(strstr(diag.text, "rewind by 85: only 84"));
        free(want);
        mn_session_free(s);
        mn_session_free(straight);
        mn_model_free(m);
    }
}

static int32_t last_of(const mn_session *s)
{
    mn_session_info info;
    mn_session_get_info(s, &info);
    return info.last_token;
}

static void test_last_token(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_batch *batch = NULL;
    const float *logits;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("streaming:chunk=32", "60");
    mn_session *s = fix_session(m, &p), *fork = NULL;
    assert_int_equal(last_of(s), -1);
    fix_read(s, 0, 130, true);
    assert_int_equal(last_of(s), fix_text()[129]);
    fix_write(s, 130, 2);
    assert_int_equal(last_of(s), fix_text()[131]);
    assert_int_equal(mn_session_fork(&fork, s, &diag), MN_OK);
    assert_int_equal(mn_batch_new(&batch, m, &p, 1, &diag), MN_OK);
    assert_int_equal(mn_batch_step(batch, &s, &(int32_t){7}, 1, &logits, &diag), MN_OK);
    assert_int_equal(last_of(s), 7);
    assert_int_equal(last_of(fork), fix_text()[131]);
    assert_int_equal(mn_session_step(s, -3, &logits, &diag), MN_ERANGE);
    assert_int_equal(mn_session_rewind(s, 0, &diag), MN_OK);
    assert_int_equal(last_of(s), 7);
    assert_int_equal(mn_session_rewind(s, 1, &diag), MN_OK);
    assert_int_equal(last_of(s), -1);
    mn_session_clear(fork);
    assert_int_equal(last_of(fork), -1);
    mn_batch_free(batch);
    mn_session_free(fork);
    mn_session_free(s);
    mn_model_free(m);
}

static void test_clear(void **state)
{
    (void)state;
    mn_session_info info;
    mn_model *m = fix_model("gemma3");
    mn_session_params p = fix_params("snapkv:every=4", "70");
    mn_session *s = fix_session(m, &p);
    fix_read(s, 300, 200, true);
    fix_write(s, 500, 20);
    mn_session_clear(s);
    mn_session_get_info(s, &info);
    assert_int_equal(info.n_seen, 0);
    assert_int_equal(info.kv_bytes + info.kv_window_bytes, 0);
    float *want = walk(m, &p);
    fix_read(s, 0, 150, true);
    fix_same(m, want, fix_write(s, 150, 12), "after another text");
    free(want);
    mn_session_free(s);
    mn_model_free(m);
}

static bool stop_at_128(size_t done, size_t total, void *ctx)
{
    size_t *n_call = ctx;
    assert_int_equal(total, 200);
    ++*n_call;
    return done >= 128;
}

static void test_cancel(void **state)
{
    (void)state;
    mn_session_info info;
    const float *logits;
    size_t n_call = 0;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    mn_session *s = fix_session(m, &p), *straight = fix_session(m, &p);
    assert_int_equal(mn_session_read(s, fix_text(), 200, true, &logits, stop_at_128, &n_call, NULL),
                     MN_ECANCEL);
    assert_int_equal(n_call, 2);
    mn_session_get_info(s, &info);
    assert_int_equal(info.n_seen, 128);
    float *want = fix_keep(m, fix_read(straight, 0, 200, true));
    fix_same(m, want, fix_read(s, 128, 72, true), "gone on with");
    free(want);
    mn_session_free(s);
    mn_session_free(straight);
    mn_model_free(m);
}

/* ---- likelihoods ---- */

typedef struct rows {
    size_t next, n_vocab;
    float *kept; /* row 99 */
} rows;

static void see_row(size_t i, const float *logits, void *ctx)
{
    rows *r = ctx;
    assert_int_equal(i, r->next++);
    if (i == 99) memcpy(r->kept, logits, r->n_vocab * sizeof *logits);
}

static void test_score(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_model *m = fix_model("gemma3");
    rows r = {.n_vocab = fix_vocab(m), .kept = malloc(fix_vocab(m) * sizeof(float))};
    mn_session_params p = fix_params("full", "");
    mn_session *a = fix_session(m, &p), *b = fix_session(m, &p);
    if (mn_session_score(a, fix_text(), 150, see_row, &r, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    assert_int_equal(r.next, 150);
    float *want = fix_keep(m, fix_read(b, 0, 100, false));
    assert_true(fix_distance(m, want, r.kept) < (mn__product_is_bf16(&m->kern) ? 0.05f : 1e-3f));
    free(r.kept);
    free(want);
    mn_session_free(a);
    mn_session_free(b);
    mn_model_free(m);
}

/* ---- what is cut, and what cannot go on ---- */

static void test_evict_now(void **state)
{
    (void)state;
    const int32_t *token;
    mn_session_info info;
    mn_diag diag = {""};
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("streaming:sinks=2,chunk=0,every=0", "20");
    p.positions = MN_POSITIONS_ABSOLUTE;
    mn_session *s = fix_session(m, &p);
    fix_read(s, 0, 100, false);
    assert_int_equal(mn_session_kept(s, 1, 1, &token), 100);
    if (mn_session_evict(s, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(mn_session_kept(s, 1, 1, &token), 20);
    assert_true(token[0] == 0 && token[1] == 1 && token[2] == 82 && token[19] == 99);
    mn_session_get_info(s, &info);
    assert_true(info.kept_share == 0.2);
    assert_true(info.kv_bytes < info.kv_peak_bytes && info.kv_peak_bytes == info.kv_full_bytes);
    assert_non_null(strstr(info.policy, "sinks=2"));
    mn_session_free(s);
    mn_model_free(m);
}

static size_t policy_bytes(const mn_session *s)
{
    mn_session_info info;
    mn_session_get_info(s, &info);
    return info.policy_bytes;
}

/* What acts at the end of prompts alone holds no queries while an answer is written, and looks back
 * on those of the prompt that it is at the end of. */
static void test_queries_of_a_prompt(void **state)
{
    (void)state;
    const float *logits;
    const int32_t *token;
    mn_model *m = fix_model("llama");
    mn_session_params once = fix_params("window:share=layer,window=16", "25%"),
                      ever = fix_params("window:share=layer,window=16,every=64", "25%");
    mn_session *s = fix_session(m, &once), *t = fix_session(m, &ever);
    assert_int_equal(policy_bytes(s), policy_bytes(t));
    fix_read(s, 0, 200, true);
    fix_read(t, 0, 200, true);
    assert_int_equal(policy_bytes(s), 0);
    assert_true(policy_bytes(t) > 0);
    const size_t kept = mn_session_kept(s, 0, 0, &token);
    assert_int_equal(kept, mn_session_kept(t, 0, 0, &token));
    for (int i = 0; i < 20; i++)
        if (mn_session_step(s, fix_text()[200 + i], &logits, NULL) != MN_OK) fail();
    assert_int_equal(policy_bytes(s), 0);
    /* It has looked at all that it will: what was written stays. */
    assert_int_equal(mn_session_evict(s, NULL), MN_OK);
    assert_int_equal(mn_session_kept(s, 0, 0, &token), kept + 20);
    fix_read(s, 220, 30, false);
    assert_int_equal(policy_bytes(s), policy_bytes(t));
    fix_read(s, 250, 30, true);
    assert_int_equal(policy_bytes(s), 0);
    assert_int_equal(mn_session_kept(s, 0, 0, &token), 70);
    mn_session_free(s);
    mn_session_free(t);
    mn_model_free(m);
}

static void test_longer_than_context(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_session_info info;
    const float *logits;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    p.n_ctx = 100;
    mn_session *s = fix_session(m, &p);
    assert_int_equal(mn_session_read(s, fix_text(), 120, true, &logits, NULL, NULL, &diag),
                     MN_EBUDGET);
    assert_non_null(strstr(diag.text, "token 101 does not fit: the context holds 100 tokens"));
    assert_non_null(strstr(diag.text, "'full'"));
    mn_session_get_info(s, &info);
    assert_int_equal(info.n_seen, 64); /* the chunk before is kept */
    fix_read(s, 64, 36, true);
    assert_int_equal(mn_session_step(s, 5, &logits, &diag), MN_EBUDGET);
    mn_session_free(s);
    p = fix_params("streaming:chunk=32", "60"); /* forgets in time */
    p.n_ctx = 100;
    s = fix_session(m, &p);
    fix_read(s, 0, 900, true);
    mn_session_get_info(s, &info);
    assert_int_equal(info.n_seen, 900);
    mn_session_free(s);
    mn_model_free(m);
}

static void test_bad_input(void **state)
{
    (void)state;
    mn_diag diag = {""};
    const float *logits;
    const int32_t bad[] = {5, -1, 5};
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("full", "");
    mn_session *s = fix_session(m, &p), *none = (mn_session *)1;
    assert_int_equal(mn_session_read(s, bad, 0, true, &logits, NULL, NULL, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "no tokens"));
    assert_int_equal(mn_session_read(s, bad, 3, true, &logits, NULL, NULL, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "token 1 is -1"));
    assert_int_equal(mn_session_step(s, 1 << 20, &logits, &diag), MN_ERANGE);
    fix_read(s, 0, 10, true); /* nothing has happened to it */
    mn_session_free(s);
    p = fix_params("h2q", "20");
    assert_int_equal(mn_session_new(&none, m, &p, &diag), MN_EUSAGE);
    assert_null(none);
    assert_non_null(strstr(diag.text, "h2o"));
    p = fix_params("snapkv", "10");
    assert_int_equal(mn_session_new(&none, m, &p, &diag), MN_EBUDGET);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unlimited_budget_is_full),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_writing),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_window_beyond_the_context),
        cmocka_unit_test(test_no_weights),
        cmocka_unit_test(test_batch_is_whole),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_last_token),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_score),
        cmocka_unit_test(test_evict_now),
        cmocka_unit_test(test_queries_of_a_prompt),
        cmocka_unit_test(test_longer_than_context),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
