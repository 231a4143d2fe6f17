/* test_onlook.c: an onlooker is told every token that goes, sees the attention that the model pays,
 * and changes nothing. */
#include "session_fixture.h"

#include "infer/session_internal.h"
#include "mneme/watch.h"

enum { N_READ = 300, N_STEP = 70, MAX_LANE = 32 };

/* ---- what is told is what the session holds ---- */

typedef struct ledger {
    size_t n_kv_head;
    bool gone[MAX_LANE][FIX_TOKENS];
    uint64_t n_event, n_lane, n_cut, n_not_held, n_disorder;
    int64_t n_seen;
    mn_watch_when last;
} ledger;

static void note_lane(const mn_watch_lane *lane, void *ctx)
{
    ledger *l = ctx;
    bool *gone = l->gone[lane->layer * l->n_kv_head + lane->head];
    l->n_lane++;
    l->n_disorder += lane->event != l->n_event;
    for (size_t i = 0, k = 0; i < lane->n; i++) {
        l->n_not_held += gone[lane->token[i]];
        l->n_disorder += i && lane->token[i] <= lane->token[i - 1];
        if (!lane->keep) continue;
        if (k < lane->n_keep && lane->keep[k] == i)
            k++;
        else
            gone[lane->token[i]] = true;
        /* what is protected stays */
        l->n_disorder += gone[lane->token[i]] && (lane->mark[i] & 1);
    }
    l->n_cut += lane->keep != NULL;
}

static void note_event(const mn_watch_event *event, void *ctx)
{
    ledger *l = ctx;
    l->n_disorder += event->event != l->n_event || event->n_seen < l->n_seen;
    l->n_event++;
    l->n_seen = event->n_seen;
    l->last = event->when;
}

static void hold_ledger(const mn_session *s, const mn_model *m, const ledger *l, const char *policy)
{
    mn_model_info info;
    mn_session_info si;
    mn_model_get_info(m, &info);
    mn_session_get_info(s, &si);
    for (size_t i = 0; i < info.n_layer * info.n_kv_head; i++) {
        const int32_t *token;
        size_t n, at = 0;
        if (info.window[i / info.n_kv_head]) continue;
        n = mn_session_kept(s, i / info.n_kv_head, i % info.n_kv_head, &token);
        for (int64_t t = 0; t < si.n_seen; t++) {
            if (l->gone[i][t]) continue;
            if (at >= n || token[at] != t)
                fail_msg("%s: lane %zu holds %d where %d was told", policy, i,
                         at < n ? token[at] : -1, (int)t);
            at++;
        }
        assert_int_equal(at, n);
    }
    if (l->n_not_held || l->n_disorder)
        fail_msg("%s: %d tokens told twice, %d things out of order", policy, (int)l->n_not_held,
                 (int)l->n_disorder);
}

static void hold_events(const mn_model *m, const char *policy, const char *budget, bool decodes)
{
    static ledger l;
    mn_model_info info;
    mn_session_params p = fix_params(policy, budget);
    mn_session *s = fix_session(m, &p);
    mn_model_get_info(m, &info);
    l = (ledger){.n_kv_head = info.n_kv_head};
    mn_session_watch(s, &(mn_onlooker){.lane = note_lane, .event = note_event, .ctx = &l});
    fix_read(s, 0, N_READ, true);
    hold_ledger(s, m, &l, policy);
    if (!l.n_event || !l.n_cut) fail_msg("%s: %d events were told", policy, (int)l.n_event);
    uint64_t n_before = l.n_event;
    for (size_t i = 0; i < N_STEP; i++) {
        fix_write(s, N_READ + i, 1);
        hold_ledger(s, m, &l, policy);
    }
    if (decodes && (l.n_event == n_before || l.last != MN_WATCH_DECODE))
        fail_msg("%s: no event while writing", policy);
    mn_session_watch(s, NULL);
    n_before = l.n_event;
    fix_write(s, N_READ + N_STEP, 1);
    assert_true(l.n_event == n_before);
    mn_session_free(s);
}

static void test_events(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *budget;
        bool decodes;
    } all[] = {
        {"streaming", "64", true},
        {"h2o:chunk=64,every=16", "30%", true},
        {"tova:every=1,chunk=64", "100", true},
        {"snapkv", "25%", false},
        {"adakv:base=snapkv", "25%", false},
        {"observed:threshold=0.004,chunk=64", "80%", false},
        {"knorm:share=layer,pool=5,skip_layers=none", "50%", false},
        {"keydiff", "120", false},
        {"random:merge=similar", "50%", false},
    };
    static const char *const arch[] = {"llama", "gemma3"};
    for (size_t a = 0; a < 2; a++) {
        mn_model *m = fix_model(arch[a]);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            hold_events(m, all[i].policy, all[i].budget, all[i].decodes);
        mn_model_free(m);
    }
}

/* ---- nothing changes ---- */

static void look_away(const mn_watch_attention *rows, void *ctx)
{
    (void)rows;
    __atomic_add_fetch((size_t *)ctx, 1, __ATOMIC_RELAXED);
}

static void test_changes_nothing(void **state)
{
    (void)state;
    static const char *const policy[] = {
        "full", "knorm:skip_layers=none", "h2o:chunk=64", "keyformer", "expected", "snapkv"};
    mn_model *m = fix_model("llama");
    for (size_t i = 0; i < sizeof policy / sizeof *policy; i++) {
        size_t n = 0;
        mn_session_params p = fix_params(policy[i], i ? "40%" : "");
        mn_session *plain = fix_session(m, &p), *watched = fix_session(m, &p);
        p.n_thread = 3;
        mn_session_watch(watched, &(mn_onlooker){.attention = look_away, .ctx = &n});
        float *want = fix_keep(m, fix_read(plain, 0, N_READ, true)),
              *got = fix_keep(m, fix_read(watched, 0, N_READ, true));
        fix_same(m, want, got, policy[i]);
        free(got);
        free(want);
        want = fix_keep(m, fix_write(plain, N_READ, 20));
        got = fix_keep(m, fix_write(watched, N_READ, 20));
        fix_same(m, want, got, policy[i]);
        assert_true(n > 100);
        free(got);
        free(want);
        mn_session_free(plain);
        mn_session_free(watched);
    }
    mn_model_free(m);
}

/* ---- attention ---- */

enum { N_SHOWN = 300, RING = 40 };

typedef struct seen {
    size_t n_kv_head;
    float p[MAX_LANE][N_SHOWN + 8][N_SHOWN + 8]; /* mean over the group: [lane][query][token] */
} seen;

static void note_attention(const mn_watch_attention *a, void *ctx)
{
    seen *s = ctx;
    size_t lane = a->layer * s->n_kv_head + a->head;
    for (size_t r = 0; r < a->n_query; r++)
        for (size_t j = 0; j < a->n; j++)
            s->p[lane][a->query + (int64_t)r][a->token[j]] +=
                a->p[r * a->ld + j] / (float)a->n_group;
}

/* Attention of query head h to the lane's first `n` slots, in double, from the session's own
 * queries and keys. */
static void direct_row(const mn_session *s, size_t layer, size_t h, int64_t query, size_t n,
                       const float *k, double *p)
{
    const mn__cache *c = s->cache;
    size_t D = c->shape.head_dim, W = c->shape.n_query_ring;
    const float *q = (const float *)c->query_ring.data +
                     ((layer * W + (size_t)query % W) * c->shape.n_head + h) * D;
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        p[i] = 0;
        for (size_t d = 0; d < D; d++) p[i] += (double)q[d] * (double)k[i * D + d];
        p[i] *= (double)s->env.softmax_scale;
        most = fmax(most, p[i]);
    }
    for (size_t i = 0; i < n; i++) sum += p[i] = exp(p[i] - most);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

static void hold_lane(const mn_session *s, const seen *got, size_t layer, size_t head)
{
    const mn__cache *c = s->cache;
    const mn__lane *lane = mn__cache_lane(c, layer, head);
    size_t D = c->shape.head_dim, G = c->shape.n_head / c->shape.n_kv_head;
    float *k = malloc(lane->n * D * sizeof *k);
    double p[N_SHOWN], mean[N_SHOWN];
    mn__lane_read(c, lane, 0, lane->n, k, NULL);
    for (int64_t t = N_SHOWN - RING; t < N_SHOWN; t++) {
        memset(mean, 0, sizeof mean);
        for (size_t g = 0; g < G; g++) {
            direct_row(s, layer, head * G + g, t, (size_t)t + 1, k, p);
            for (int64_t i = 0; i <= t; i++) mean[i] += p[i] / (double)G;
        }
        for (int64_t i = 0; i < N_SHOWN; i++) {
            double want = i <= t ? mean[i] : 0,
                   found = (double)got->p[layer * c->shape.n_kv_head + head][t][i];
            if (fabs(found - want) > 1e-6 + 1e-4 * want)
                fail_msg("layer %zu head %zu: query %d pays token %d %g, %g wanted", layer, head,
                         (int)t, (int)i, found, want);
        }
    }
    free(k);
}

static void test_attention(void **state)
{
    (void)state;
    static seen got;
    mn_model_info info;
    char policy[40];
    mn_model *m = fix_model("llama");
    mn_model_get_info(m, &info);
    assert_true(info.n_head > info.n_kv_head);
    snprintf(policy, sizeof policy, "snapkv:window=%d", RING);
    mn_session_params p = fix_params(policy, "50%");
    p.kv_type = MN_KV_F32;
    p.n_thread = 2;
    mn_session *s = fix_session(m, &p);
    got = (seen){.n_kv_head = info.n_kv_head};
    mn_session_watch(s, &(mn_onlooker){.attention = note_attention, .ctx = &got});
    fix_read(s, 0, N_SHOWN, false); /* nothing is dropped yet */
    for (size_t l = 0; l < info.n_layer; l++)
        for (size_t h = 0; h < info.n_kv_head; h++) hold_lane(s, &got, l, h);
    mn_session_free(s);
    mn_model_free(m);
}

/* A policy's own sums are those of what an onlooker saw, with or without one. */
static void test_sums(void **state)
{
    (void)state;
    static seen got;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("observed", "50%");
    p.n_thread = 2;
    mn_session *s[2] = {fix_session(m, &p), fix_session(m, &p)};
    const mn__cache *c = s[0]->cache;
    got = (seen){.n_kv_head = c->shape.n_kv_head};
    assert_true(c->shape.n_head > c->shape.n_kv_head && c->shape.slot_bytes == sizeof(float));
    mn_session_watch(s[0], &(mn_onlooker){.attention = note_attention, .ctx = &got});
    for (size_t k = 0; k < 2; k++) {
        fix_read(s[k], 0, N_SHOWN, false);
        for (size_t l = 0; l < c->shape.n_layer * c->shape.n_kv_head; l++) {
            const float *sum = (const float *)(const void *)s[k]->cache->lane[l].state.data;
            for (size_t i = 0; i < N_SHOWN; i++) {
                double want = 0;
                for (size_t t = i; t < N_SHOWN; t++) want += (double)got.p[l][t][i];
                assert_true(fabs((double)sum[i] - want) <= 1e-5 * want);
            }
        }
    }
    mn_session_free(s[0]);
    mn_session_free(s[1]);
    mn_model_free(m);
}

/* Rows of generated tokens are spread over what is held, and over nothing else. */
static void test_attention_after_cut(void **state)
{
    (void)state;
    static seen got;
    mn_diag diag;
    mn_model *m = fix_model("llama");
    mn_session_params p = fix_params("knorm:skip_layers=none", "40%");
    mn_session *s = fix_session(m, &p);
    got = (seen){.n_kv_head = s->cache->shape.n_kv_head};
    fix_read(s, 0, N_SHOWN, false);
    assert_int_equal(mn_session_evict(s, &diag), MN_OK);
    mn_session_watch(s, &(mn_onlooker){.attention = note_attention, .ctx = &got});
    fix_write(s, N_SHOWN, 1);
    for (size_t l = 0; l < s->cache->shape.n_layer * got.n_kv_head; l++) {
        const mn__lane *lane = &s->cache->lane[l];
        double held = 0, all = 0;
        assert_true(lane->n < N_SHOWN);
        for (size_t i = 0; i < lane->n; i++)
            held += (double)got.p[l][N_SHOWN][mn__lane_token(lane)[i]];
        for (size_t t = 0; t <= N_SHOWN; t++) all += (double)got.p[l][N_SHOWN][t];
        assert_true(fabs(held - 1) < 1e-3 && fabs(all - held) < 1e-6);
    }
    mn_session_free(s);
    mn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),    cmocka_unit_test(test_changes_nothing),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_attention_after_cut),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
