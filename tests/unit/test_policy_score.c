/* test_policy_score.c: scores that have no golden values against their definitions, on ragged lanes
 * that have already lost tokens. */
#include "policy_fixture.h"

enum { FIRST = 60, SECOND = 7, ALL = FIRST + SECOND };

/* A lane of 40 of 60 tokens and 7 newer ones. */
static void ragged(struct pf *f, const char *spec)
{
    *f = pf_random(2);
    pf_open(f, spec, "40");
    pf_feed(f, FIRST);
    assert_int_equal(pf_evict(f, MN__EVENT_PROMPT_END), MN_OK);
    pf_feed(f, SECOND);
    assert_int_equal(mn__cache_lane(f->cache, 1, 1)->n, 40 + SECOND);
}

/* Output of head h for token t over the lane, without slot `without` (-1: with all). */
static void output(const struct pf *f, const mn__lane *l, size_t h, int64_t t, int64_t without,
                   double *o)
{
    double p[ALL], v[PF_DIM], sum = 0;
    pf_attention(f, 1, h, t, mn__lane_token(l), l->n, p);
    memset(o, 0, f->d * sizeof *o);
    for (size_t i = 0; i < l->n; i++) {
        if ((int64_t)i == without) continue;
        pf_row(f, f->v, 1, h / 2, mn__lane_token(l)[i], false, v);
        for (size_t c = 0; c < f->d; c++) o[c] += p[i] * v[c];
        sum += p[i];
    }
    for (size_t c = 0; c < f->d; c++) o[c] /= sum;
}

/* dropkv is what its formula stands for: drop a token, and see how far the outputs move. */
static void test_dropkv(void **state)
{
    (void)state;
    struct pf f;
    ragged(&f, "dropkv:window=5,sinks=0");
    const mn__lane *l = mn__cache_lane(f.cache, 1, 1);
    float score[ALL];
    pf_score(&f, 1, 1, score);
    for (size_t i = 0; i < l->n - 5; i++) {
        double want = 0, with[PF_DIM], without[PF_DIM];
        for (size_t h = 2; h < 4; h++)
            for (int64_t t = ALL - 5; t < ALL; t++) {
                output(&f, l, h, t, -1, with);
                output(&f, l, h, t, (int64_t)i, without);
                for (size_t c = 0; c < f.d; c++)
                    want += (with[c] - without[c]) * (with[c] - without[c]);
            }
        assert_true(fabs(score[i] - want) <= 1e-4 * want + 1e-9);
    }
    pf_close(&f);
}

/* Sum over all queries so far of (A e^g)^(1/tau), the noise replaced by its mean. */
static void test_keyformer(void **state)
{
    (void)state;
    static const double taus[] = {1, 1.5};
    static const char *const specs[] = {"keyformer:noise=mean,sinks=0",
                                        "keyformer:noise=mean,sinks=0,tau=1.5"};
    for (size_t k = 0; k < 2; k++) {
        struct pf f = pf_random(2);
        float score[FIRST];
        int32_t token[FIRST];
        double p[FIRST], want[FIRST] = {0};
        for (int32_t t = 0; t < FIRST; t++) token[t] = t;
        pf_open(&f, specs[k], "60");
        pf_feed(&f, FIRST);
        pf_score(&f, 1, 0, score);
        for (int64_t t = 0; t < FIRST; t++)
            for (size_t h = 0; h < 2; h++) {
                pf_attention(&f, 1, h, t, token, FIRST, p);
                for (size_t i = 0; i <= (size_t)t; i++)
                    want[i] += pow(p[i] * exp(0.5772156649), 1 / taus[k]) / 2;
            }
        for (size_t i = 0; i < FIRST; i++) assert_true(fabs(score[i] - want[i]) <= 1e-4 * want[i]);
        pf_close(&f);
    }
}

/* The temperature rises with every generated token up to its end; the prompt has the first one. */
static void test_keyformer_tau(void **state)
{
    (void)state;
    enum { PROMPT = 40, WRITTEN = 15, LAST = PROMPT + WRITTEN };
    struct pf f = pf_random(2);
    float score[LAST];
    int32_t token[LAST];
    double p[LAST], want[LAST] = {0};
    for (int32_t t = 0; t < LAST; t++) token[t] = t;
    pf_open(&f, "keyformer:noise=mean,sinks=0,tau=1.1,tau_delta=0.05,tau_end=1.5", "60");
    assert_true(f.policy->recent_share == 0.3);
    pf_feed(&f, PROMPT);
    for (size_t i = 0; i < WRITTEN; i++) pf_feed(&f, 1);
    pf_score(&f, 1, 1, score);
    for (int64_t t = 0; t < LAST; t++)
        for (size_t h = 2; h < 4; h++) {
            double tau = t < PROMPT ? 1.1 : fmin(1.1 + 0.05 * (double)(t - PROMPT + 1), 1.5);
            pf_attention(&f, 1, h, t, token, LAST, p);
            for (size_t i = 0; i <= (size_t)t; i++)
                want[i] += pow(p[i] * exp(0.5772156649), 1 / tau) / 2;
        }
    for (size_t i = 0; i < LAST; i++) assert_true(fabs(score[i] - want[i]) <= 1e-4 * want[i]);
    pf_close(&f);
}

/* The noise is a matter of seed, head and token, and has the mean it should have. */
static void test_keyformer_noise(void **state)
{
    (void)state;
    struct pf a = pf_random(2), b = pf_random(2), c = pf_random(2), h2o = pf_random(2);
    struct pf *f[] = {&a, &b, &c, &h2o};
    static const char *const specs[] = {"keyformer:seed=1", "keyformer:seed=1", "keyformer:seed=2",
                                        "h2o"};
    float score[4][FIRST];
    double sum = 0;
    for (size_t i = 0; i < 4; i++) {
        pf_open(f[i], specs[i], "60");
        pf_feed(f[i], FIRST);
        pf_score(f[i], 0, 0, score[i]);
        pf_close(f[i]);
    }
    assert_memory_equal(score[0], score[1], sizeof score[0]);
    for (size_t i = 0; i < FIRST; i++) {
        assert_true(score[0][i] != score[2][i]);
        sum += log((double)score[0][i] / (double)score[3][i]) / FIRST;
    }
    assert_true(sum > 0.3 &&
                sum < 1.6); /* two heads' noise: between the mean and log of the mean */
}

/* Sums go with their slots: observed after an eviction is what the queries really paid. */
static void test_observed_after_eviction(void **state)
{
    (void)state;
    struct pf f;
    ragged(&f, "observed:sinks=2");
    const mn__lane *l = mn__cache_lane(f.cache, 1, 1);
    int32_t all[FIRST];
    double p[ALL], want[ALL] = {0};
    float score[ALL];
    for (int32_t t = 0; t < FIRST; t++) all[t] = t;
    for (int64_t t = 0; t < ALL; t++)
        for (size_t h = 2; h < 4; h++) {
            bool early = t < FIRST;
            const int32_t *token = early ? all : mn__lane_token(l);
            size_t n = early ? FIRST : l->n;
            pf_attention(&f, 1, h, t, token, n, p);
            for (size_t i = 0; i < n; i++) want[token[i]] += p[i] / 2;
        }
    pf_score(&f, 1, 1, score);
    for (size_t i = 0; i < l->n; i++) {
        int32_t t = mn__lane_token(l)[i];
        assert_true(fabs(score[i] - want[t] / (ALL - t)) <= 1e-5);
    }
    pf_close(&f);
}

/* Old rows count less. */
static void test_scissorhands_decay(void **state)
{
    (void)state;
    struct pf f;
    ragged(&f, "scissorhands:history=9,decay=0.5,sinks=0");
    const mn__lane *l = mn__cache_lane(f.cache, 1, 0);
    float score[ALL];
    double p[ALL], want[ALL] = {0};
    for (int64_t t = ALL - 9; t < ALL; t++)
        for (size_t h = 0; h < 2; h++) {
            pf_attention(&f, 1, h, t, mn__lane_token(l), l->n, p);
            for (size_t i = 0; i < l->n; i++) want[i] += p[i] / 2 * pow(0.5, (double)(ALL - 1 - t));
        }
    pf_score(&f, 1, 0, score);
    for (size_t i = 0; i < l->n; i++) assert_true(fabs(score[i] - want[i]) <= 1e-5);
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropkv),
        cmocka_unit_test(test_keyformer),
        cmocka_unit_test(test_keyformer_tau),
        cmocka_unit_test(test_keyformer_noise),
        cmocka_unit_test(test_observed_after_eviction),
        cmocka_unit_test(test_scissorhands_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
