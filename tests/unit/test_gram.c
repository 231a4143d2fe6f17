/* test_gram.c: critical:norm=l2: norms through the Gram matrix against the projection itself, what
 * is kept by them against the rule written out, and what the matrices cost. */
#include "policy_fixture.h"

enum { N = 100 };

/* |Wo[h] v|_2, mean over the group, without a Gram matrix. */
static double direct(const struct pf *f, size_t head, const float *v)
{
    size_t n_group = f->n_head / f->n_kv_head;
    double sum = 0;
    for (size_t g = 0; g < n_group; g++) {
        double square = 0;
        for (size_t a = 0; a < 16; a++) {
            double dot = 0;
            for (size_t c = 0; c < f->d; c++)
                dot += pf_output(f, head * n_group + g, a, c) * (double)v[c];
            square += dot * dot;
        }
        sum += sqrt(square);
    }
    return sum / (double)n_group;
}

static void test_norms(void **state)
{
    (void)state;
    enum { ROWS = 64 };
    for (int level = MN__CPU_REF; level < 2; level++)
        for (size_t d = 4; d <= 8; d += 4) {
            struct pf f = d == 4 ? pf_golden() : pf_random(3);
            float v[ROWS * PF_DIM], out[ROWS], work[64 * 64];
            if (level) f.window[1] = 20; /* has no matrix */
            pf_open(&f, "critical:norm=l2,window=3", "30");
            mn__kern_init(&f.kern, level ? (int)mn__cpu_best() : MN__CPU_REF);
            assert_true(mn__gram_floats(d) <= sizeof work / sizeof work[0]);
            for (size_t i = 0; i < ROWS * d; i++) v[i] = (float)mn__rng_normal(9, 1, i, 0);
            for (size_t head = 0; head < 2; head++) {
                size_t layer = f.n_layer - 1;
                mn__gram_norms(f.gram, &f.kern, layer, head, v, ROWS, work, out);
                for (size_t r = 0; r < ROWS; r++) {
                    double want = direct(&f, head, v + r * d);
                    assert_true(want > 0.05);
                    assert_true(fabs((double)out[r] - want) <= 2e-4 * want);
                }
            }
            pf_close(&f);
        }
}

/* Heads of other sizes than blocks and pages, on both levels. */
enum { OUTPUTS = 40, MAX_D = 136 };

static double output(size_t d, size_t h, size_t a, size_t c)
{
    return mn__rng_normal(d, 2, h, (uint32_t)(a * MAX_D + c));
}

static void output_gram(const void *hook, size_t layer, size_t h, float *gram)
{
    size_t d = *(const size_t *)hook;
    (void)layer;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++) {
            double sum = 0;
            for (size_t a = 0; a < OUTPUTS; a++) sum += output(d, h, a, i) * output(d, h, a, j);
            gram[i * d + j] = (float)sum;
        }
}

static double direct_of(size_t d, size_t head, const float *v)
{
    double sum = 0;
    for (size_t h = 2 * head; h < 2 * head + 2; h++) {
        double square = 0;
        for (size_t a = 0; a < OUTPUTS; a++) {
            double dot = 0;
            for (size_t c = 0; c < d; c++) dot += output(d, h, a, c) * (double)v[c];
            square += dot * dot;
        }
        sum += sqrt(square);
    }
    return sum / 2;
}

static void hold_size(size_t d, struct mn__kern *kern)
{
    enum { ROWS = 5 };
    static float v[ROWS * MAX_D], out[ROWS], work[64 * 192];
    const mn__cache_shape shape = {
        .n_layer = 1, .n_head = 4, .n_kv_head = 2, .head_dim = d, .max_slots = 100, .max_step = 10};
    const mn__budget budget = {.kind = MN__BUDGET_TOKENS, .amount = 60};
    mn__evict_env env = {.model_hook = &d, .output_gram = output_gram};
    mn__policy *p;
    mn__gram *g;
    mn__team *team = mn__team_new(3);
    assert_int_equal(mn__policy_new(&p, "critical:norm=l2", &budget, &shape, NULL), MN_OK);
    assert_int_equal(mn__gram_new(&g, p, &shape, &env, team, NULL), MN_OK);
    for (size_t i = 0; i < ROWS * d; i++) v[i] = (float)mn__rng_normal(9, 1, i, 0);
    for (size_t head = 0; head < 2; head++) {
        mn__gram_norms(g, kern, 0, head, v, ROWS, work, out);
        for (size_t r = 0; r < ROWS; r++) {
            double want = direct_of(d, head, v + r * d);
            assert_true(fabs((double)out[r] - want) <= 2e-4 * want);
        }
    }
    mn__gram_free(g);
    mn__policy_free(p);
    mn__team_free(team);
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 24, 64, 72, 136};
    for (int level = 0; level < 2; level++) {
        struct mn__kern kern;
        mn__kern_init(&kern, level ? (int)mn__cpu_best() : MN__CPU_REF);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) hold_size(sizes[i], &kern);
    }
}

/* Half of what is free by S, the rest by (S + 1e-4) |Wo v|_2. */
static void expect(struct pf *f, size_t lane, bool *stays)
{
    enum { FREE = 40 - 4 - 8 };
    float s[N], v[N][PF_DIM];
    pf_score(f, lane / 2, lane % 2, s);
    mn__lane_read(f->cache, &f->cache->lane[lane], 0, N, NULL, v[0]);
    for (size_t i = 0; i < N; i++) stays[i] = i < 4 || i >= N - 8;
    for (size_t k = 0; k < FREE; k++) {
        size_t best = N;
        double top = -1;
        for (size_t i = 0; i < N; i++) {
            double x =
                k < FREE / 2 ? (double)s[i] : ((double)s[i] + 1e-4) * direct(f, lane % 2, v[i]);
            if (stays[i] || x <= top) continue;
            top = x;
            best = i;
        }
        stays[best] = true;
    }
}

static void test_what_is_kept(void **state)
{
    (void)state;
    struct pf f = pf_random(2), base = pf_random(2);
    bool stays[4][N];
    size_t n_other = 0;
    pf_open(&f, "critical:base=h2o,norm=l2,recent=8", "40");
    pf_open(&base, "h2o:recent=8", "40");
    pf_feed(&f, N);
    pf_feed(&base, N);
    for (size_t l = 0; l < 4; l++) expect(&f, l, stays[l]);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_int_equal(pf_evict(&base, MN__EVENT_PROMPT_END), MN_OK);
    for (size_t l = 0; l < 4; l++)
        for (int32_t i = 0; i < N; i++) {
            assert_int_equal(pf_has(&f, l / 2, l % 2, i), stays[l][i]);
            n_other += pf_has(&base, l / 2, l % 2, i) != stays[l][i];
        }
    assert_true(n_other > 0); /* the values matter */
    pf_close(&f);
    pf_close(&base);
}

/* Nobody else pays for matrices; what is said to be taken is taken. */
static void test_bytes(void **state)
{
    (void)state;
    struct pf f = pf_random(3);
    mn_mem_stats before, after;
    pf_open(&f, "critical", "60");
    assert_null(f.gram);
    assert_int_equal(mn__gram_bytes(f.policy, &f.shape), 0);
    pf_close(&f);
    f = pf_random(3);
    f.window[0] = 20;
    pf_open(&f, "critical:norm=l2", "60");
    mn_mem_get_stats(&before);
    mn__gram_free(f.gram);
    f.gram = NULL;
    mn_mem_get_stats(&after);
    size_t bytes = before.now[MN_MEM_POLICY] - after.now[MN_MEM_POLICY];
    assert_int_equal(bytes, mn__gram_bytes(f.policy, &f.shape));
    assert_true(bytes >= 2 * 4 * 16 * 8 * sizeof(float));
    f.env.gram = NULL;
    pf_feed(&f, 90);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_EFAIL);
    f.env.output_gram = NULL;
    assert_int_equal(mn__gram_new(&f.gram, f.policy, &f.shape, &f.env, f.team, &f.diag), MN_EFAIL);
    assert_non_null(strstr(f.diag.text, "output projection"));
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
