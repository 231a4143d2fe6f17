/* test_policy_merge.c: values of dropped tokens in survivors (merge=) against their formulas in
 * double, for every kind of cache; what is kept, keys, and forks are as without. */
#include "policy_fixture.h"

enum { N = 150, MERGE_PURPOSE = 0x6d657267 };

/* A lane as it was before an event. */
struct before {
    size_t n;
    int32_t token[N];
    float k[N][PF_DIM], v[N][PF_DIM], score[N];
    bool stays[N];
    size_t slot[N], n_kept; /* of survivors */
};

static void remember(struct pf *f, size_t layer, size_t head, struct before *b)
{
    const mn__lane *l = mn__cache_lane(f->cache, layer, head);
    b->n = l->n;
    memcpy(b->token, mn__lane_token(l), l->n * sizeof *b->token);
    mn__lane_read(f->cache, l, 0, l->n, b->k[0], b->v[0]);
    pf_score(f, layer, head, b->score);
}

static void see_kept(const struct pf *f, size_t layer, size_t head, struct before *b)
{
    b->n_kept = 0;
    for (size_t i = 0; i < b->n; i++) {
        b->stays[i] = pf_has(f, layer, head, b->token[i]);
        if (b->stays[i]) b->slot[b->n_kept++] = i;
    }
}

static double length(const float *x)
{
    double sum = 0;
    for (size_t c = 0; c < PF_DIM; c++) sum += (double)x[c] * (double)x[c];
    return sqrt(sum);
}

static double cosine(const float *x, const float *y)
{
    double dot = 0;
    for (size_t c = 0; c < PF_DIM; c++) dot += (double)x[c] * (double)y[c];
    return dot / (length(x) * length(y));
}

/* The rule of merge=similar: new values of survivors; returns how many change. */
static size_t similar(const struct before *b, double least, double want[N][PF_DIM])
{
    static double sum[N][PF_DIM], weight[N];
    size_t n_changed = 0;
    memset(sum, 0, sizeof sum);
    memset(weight, 0, sizeof weight);
    for (size_t e = 0; e < b->n; e++) {
        double best = -2, second = -2;
        size_t to = 0;
        for (size_t j = 0; j < b->n_kept && !b->stays[e]; j++) {
            double c = cosine(b->k[e], b->k[b->slot[j]]);
            if (c > second) second = c;
            if (c <= best) continue;
            second = best;
            best = c;
            to = j;
        }
        if (b->stays[e] || best <= 0 || best < least) continue;
        assert_true(best - second > 1e-6); /* or the choice would be a matter of rounding */
        double own = length(b->v[e]), other = length(b->v[b->slot[to]]);
        double w = best * own / (own + other + 1e-6);
        weight[to] += w;
        for (size_t c = 0; c < PF_DIM; c++) sum[to][c] += w * (double)b->v[e][c];
    }
    for (size_t j = 0; j < b->n_kept; j++) {
        n_changed += weight[j] > 0;
        for (size_t c = 0; c < PF_DIM; c++)
            want[j][c] = ((double)b->v[b->slot[j]][c] + sum[j][c]) / (1 + weight[j]);
    }
    return n_changed;
}

/* The rule of merge=later. */
static size_t later(const struct before *b, size_t layer, size_t head, size_t reach,
                    double want[N][PF_DIM])
{
    double low = 0;
    size_t n_folded = 0;
    for (size_t i = 0; i < b->n; i++) low = fmin(low, (double)b->score[i]);
    for (size_t j = 0; j < b->n_kept; j++)
        for (size_t c = 0; c < PF_DIM; c++) want[j][c] = (double)b->v[b->slot[j]][c];
    for (size_t e = 0; e < b->n; e++) {
        size_t first = 0, m;
        double mean = 0;
        if (b->stays[e]) continue;
        while (first < b->n_kept && b->slot[first] < e) first++;
        m = b->n_kept - first < reach ? b->n_kept - first : reach;
        for (size_t j = first; j < first + m; j++)
            mean += ((double)b->score[b->slot[j]] - low) / (double)m;
        double chance = ((double)b->score[e] - low) / mean;
        double u =
            mn__rng_uniform(1, MERGE_PURPOSE, (uint64_t)layer << 32 | head, (uint32_t)b->token[e]);
        if (m == 0 || !(u < chance)) continue;
        n_folded++;
        for (size_t j = first; j < first + m; j++)
            for (size_t c = 0; c < PF_DIM; c++) want[j][c] += (double)b->v[e][c] / (double)m;
    }
    return n_folded;
}

static void assert_values(const struct pf *f, const char *spec, const mn__lane *l,
                          double want[N][PF_DIM])
{
    for (size_t j = 0; j < l->n; j++) {
        float v[PF_DIM];
        double top = 0;
        mn__lane_read(f->cache, l, j, 1, NULL, v);
        for (size_t c = 0; c < PF_DIM; c++) top = fmax(top, fabs(want[j][c]));
        double off = f->type == MN__KV_F32    ? 1e-5 * top
                     : f->type == MN__KV_BF16 ? top / 256
                                              : 0.51 * top / 127;
        for (size_t c = 0; c < PF_DIM; c++)
            if (!(fabs((double)v[c] - want[j][c]) <= off))
                fail_msg("%s: slot %zu channel %zu: %g wanted, %g found", spec, j, c, want[j][c],
                         (double)v[c]);
    }
}

struct rule {
    const char *spec, *without;
    double least;
    size_t reach; /* 0: similar */
};

static const struct rule rules[] = {
    {"random:merge=similar", "random", 0, 0},
    {"random:merge=similar,merge_min=0.8", "random", 0.8, 0},
    {"h2o:merge=similar,recent=20", "h2o:recent=20", 0, 0},
    {"random:merge=later", "random", 0, 32},
    {"h2o:merge=later,merge_reach=5,recent=20", "h2o:recent=20", 0, 5},
    {"knorm:merge=later,skip_layers=none,recent=3", "knorm:skip_layers=none,recent=3", 0, 32},
    {"adakv:base=h2o,merge=later,recent=20", "adakv:base=h2o,recent=20", 0, 32},
};
enum { N_RULE = sizeof rules / sizeof rules[0] };

/* One event, then another on what the first one left. */
static void hold_rule(const struct rule *r, mn__kv_type type, bool compact)
{
    static struct before b[2][2];
    static double want[N][PF_DIM];
    struct pf f = pf_random(2);
    size_t n_changed = 0;
    f.type = type;
    f.compact = compact;
    pf_open(&f, r->spec, "60");
    for (size_t event = 0; event < 2; event++) {
        pf_feed(&f, event ? 40 : 110);
        for (size_t i = 0; i < 4; i++) remember(&f, i / 2, i % 2, &b[i / 2][i % 2]);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        for (size_t i = 0; i < 4; i++) {
            see_kept(&f, i / 2, i % 2, &b[i / 2][i % 2]);
            size_t n = r->reach ? later(&b[i / 2][i % 2], i / 2, i % 2, r->reach, want)
                                : similar(&b[i / 2][i % 2], r->least, want);
            n_changed += n;
            assert_values(&f, r->spec, mn__cache_lane(f.cache, i / 2, i % 2), want);
        }
    }
    if (n_changed < 40) fail_msg("%s: %zu values merged", r->spec, n_changed);
    pf_close(&f);
}

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RULE; i++)
        for (int type = 0; type < 3; type++)
            for (int compact = 0; compact < 2; compact++)
                hold_rule(&rules[i], (mn__kv_type)type, compact);
}

static void feed_all(struct pf *f)
{
    pf_feed(f, 100);
    pf_feed(f, N - 100);
}

/* The same tokens and keys as without merging, bit for bit; with compact positions too. */
static void test_keys_and_tokens_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RULE * 6; i++) {
        const struct rule *r = &rules[i / 6];
        struct pf f = pf_random(2), plain = pf_random(2);
        f.type = plain.type = (mn__kv_type)(i % 3);
        f.compact = plain.compact = i % 6 < 3;
        pf_open(&f, r->spec, "60");
        pf_open(&plain, r->without, "60");
        feed_all(&f);
        feed_all(&plain);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        assert_int_equal(pf_evict(&plain, MN__EVENT_PROMPT_END), MN_OK);
        for (size_t l = 0; l < 4; l++) {
            const mn__lane *a = &f.cache->lane[l], *b = &plain.cache->lane[l];
            float ka[N][PF_DIM], kb[N][PF_DIM];
            assert_int_equal(a->n, b->n);
            assert_memory_equal(mn__lane_token(a), mn__lane_token(b), a->n * 4);
            assert_memory_equal(mn__lane_pos(a), mn__lane_pos(b), a->n * 4);
            mn__lane_read(f.cache, a, 0, a->n, ka[0], NULL);
            mn__lane_read(plain.cache, b, 0, b->n, kb[0], NULL);
            assert_memory_equal(ka, kb, a->n * sizeof ka[0]);
        }
        pf_close(&f);
        pf_close(&plain);
    }
}

/* All K and V of a cache, in order; returns the floats. */
static size_t rows_of(const mn__cache *c, float *out)
{
    size_t n = 0;
    for (size_t l = 0; l < 4; l++) {
        const mn__lane *lane = &c->lane[l];
        mn__lane_read(c, lane, 0, lane->n, out + n, out + n + lane->n * PF_DIM);
        n += 2 * lane->n * PF_DIM;
    }
    return n;
}

/* A fork that shares the pages does not change; when its turn comes, it comes to the same. */
static void test_forks_do_not_change(void **state)
{
    (void)state;
    static float before[4 * 2 * N * PF_DIM], after[4 * 2 * N * PF_DIM], merged[4 * 2 * N * PF_DIM];
    for (size_t i = 0; i < N_RULE * 6; i++) {
        struct pf f = pf_random(2);
        mn__cache *child, *own;
        f.type = (mn__kv_type)(i % 3);
        f.compact = i % 6 < 3;
        pf_open(&f, rules[i / 6].spec, "60");
        feed_all(&f);
        size_t n = rows_of(f.cache, before);
        assert_int_equal(mn__cache_fork(&child, f.cache, NULL), MN_OK);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        assert_int_equal(rows_of(child, after), n);
        assert_memory_equal(before, after, n * sizeof *before);
        size_t n_merged = rows_of(f.cache, merged);
        own = f.cache;
        f.cache = child; /* its pages are its own by now, or shared with nobody who holds them */
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        assert_int_equal(rows_of(child, after), n_merged);
        assert_memory_equal(merged, after, n_merged * sizeof *merged);
        f.cache = own;
        mn__cache_free(child);
        pf_close(&f);
    }
}

static void test_threads_and_levels(void **state)
{
    (void)state;
    static float one[4 * 2 * N * PF_DIM], other[4 * 2 * N * PF_DIM];
    for (size_t i = 0; i < N_RULE; i++)
        for (int n_thread = 1; n_thread <= 4; n_thread++) {
            struct pf f = pf_random(2);
            size_t n = 0;
            f.n_thread = n_thread;
            pf_open(&f, rules[i].spec, "60");
            feed_all(&f);
            if (n_thread == 4) mn__kern_init(&f.kern, (int)mn__cpu_best());
            assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
            n = rows_of(f.cache, n_thread == 1 ? one : other);
            for (size_t k = 0; k < n && n_thread > 1; k++)
                assert_true(n_thread < 4 ? one[k] == other[k]
                                         : fabsf(one[k] - other[k]) <= 1e-5f * (1 + fabsf(one[k])));
            pf_close(&f);
        }
}

/* Equal, infinite and NaN scores and rows: nothing but numbers comes of numbers. */
static double odd_value(size_t l, size_t h, int64_t i, size_t c)
{
    return i % 10 == 3 ? (c == 2 ? NAN : 1) : i % 10 == 7 ? 0 : pf_random_v(l, h, i, c);
}

static double odd_key(size_t l, size_t h, int64_t i, size_t c)
{
    return i % 10 == 5 ? 0 : i % 10 == 6 ? NAN : pf_random_k(l, h, i, c);
}

static void odd_score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0, -1, 2, 1e30f};
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = odd[(size_t)v->token[i] % 7];
}

static void test_odd_numbers(void **state)
{
    (void)state;
    static const struct mn__scorer_ops ops = {.name = "odd", .score = odd_score};
    static const char *const specs[] = {"random:merge=similar", "random:merge=later"};
    mn__scorer odd = {.ops = &ops};
    for (size_t i = 0; i < 4; i++) {
        struct pf f = pf_random(2);
        f.v = odd_value;
        f.k = odd_key;
        pf_open(&f, specs[i % 2], "60");
        mn__scorer *own = f.policy->scorer;
        if (i >= 2) f.policy->scorer = &odd;
        feed_all(&f);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        for (size_t l = 0; l < 4; l++) {
            const mn__lane *lane = &f.cache->lane[l];
            for (size_t j = 0; j < lane->n && i % 2 == 0; j++) {
                float v[PF_DIM];
                mn__lane_read(f.cache, lane, j, 1, NULL, v);
                if (mn__lane_token(lane)[j] % 10 != 3)
                    for (size_t c = 0; c < PF_DIM; c++) assert_true(isfinite(v[c]));
            }
        }
        f.policy->scorer = own;
        pf_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_keys_and_tokens_stay),
        cmocka_unit_test(test_forks_do_not_change),
        cmocka_unit_test(test_threads_and_levels),
        cmocka_unit_test(test_odd_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
