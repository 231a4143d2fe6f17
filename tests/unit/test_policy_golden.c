/* test_policy_golden.c: scores and kept sets of every policy on the closed-form rows of the
 * policies' specification, section 11, to 1e-5. */
#include "policy_fixture.h"

enum { N = 12 };
#define P 1e9 /* protected: no score to compare */

struct golden {
    const char *spec;
    double score[2][N];
};

static const struct golden golden[] = {
    {"knorm:preset=kvpress",
     {{-1.586940, -2.131285, -1.556500, -0.827765, -0.822879, -1.762873, -2.230834, -1.476618,
       -0.720631, -0.880768, -1.915594, -2.285479},
      {-1.883658, -1.663806, -1.061256, -0.792727, -1.501073, -2.025103, -1.569712, -0.901375,
       -0.823264, -1.691113, -2.141444, -1.478971}}},
    {"snapkv:window=3,kernel=3,poolmode=avg,sinks=0",
     {{0.068937, 0.093065, 0.084046, 0.078434, 0.089847, 0.101704, 0.106067, 0.098156, 0.059872, P,
       P, P},
      {0.057659, 0.083305, 0.081993, 0.090192, 0.113444, 0.121556, 0.110693, 0.088358, 0.052639, P,
       P, P}}},
    {"snapkv:window=3,kernel=3,poolmode=max,sinks=0,order=pool_first",
     {{0.106342, 0.106342, 0.106287, 0.101141, 0.140075, 0.138601, 0.136410, 0.136410, 0.096724, P,
       P, P},
      {0.106077, 0.106077, 0.111527, 0.118430, 0.146694, 0.146694, 0.146694, 0.107159, 0.085284, P,
       P, P}}},
    {"snapkv:window=3,kernel=3,poolmode=max,sinks=0",
     {{0.106342, 0.106342, 0.100470, 0.083634, 0.106626, 0.114851, 0.114851, 0.114851, 0.096724, P,
       P, P},
      {0.086760, 0.086760, 0.086218, 0.110815, 0.146694, 0.146694, 0.146694, 0.107159, 0.079690, P,
       P, P}}},
    {"tova:sinks=0",
     {{0.093182, 0.087726, 0.080302, 0.070934, 0.091412, 0.115976, 0.082143, 0.067233, 0.082052,
       0.070170, 0.064816, 0.094053},
      {0.093182, 0.087726, 0.080302, 0.070934, 0.091412, 0.115976, 0.082143, 0.067233, 0.082052,
       0.070170, 0.064816, 0.094053}}},
    {"h2o:sinks=0",
     {{3.274867, 2.184017, 1.471859, 1.180371, 0.914617, 0.812250, 0.788783, 0.549425, 0.353428,
       0.214746, 0.141377, 0.114260},
      {3.479240, 1.978090, 1.416093, 1.179974, 1.134277, 0.995983, 0.568241, 0.461705, 0.352366,
       0.260125, 0.100060, 0.073846}}},
    {"observed:sinks=0",
     {{0.272906, 0.198547, 0.147186, 0.131152, 0.114327, 0.116036, 0.131464, 0.109885, 0.088357,
       0.071582, 0.070688, 0.114260},
      {0.289937, 0.179826, 0.141609, 0.131108, 0.141785, 0.142283, 0.094707, 0.092341, 0.088091,
       0.086708, 0.050030, 0.073846}}},
    {"expected:sinks=2,future=4",
     {{P, P, 0.153013, 0.140166, 0.130339, 0.168471, 0.231615, 0.136542, 0.087949, 0.181713,
       0.201309, 0.274130},
      {P, P, 0.127977, 0.141521, 0.179564, 0.207439, 0.170049, 0.077235, 0.169792, 0.199250,
       0.225879, 0.174618}}},
    {"keydiff:sinks=0",
     {{-0.885832, -0.886374, -0.282417, -0.072686, -0.088818, 0.399268, 0.941181, 0.656181,
       -0.204087, -0.304667, -0.184470, -0.558593},
      {-0.844108, -0.158085, 0.020703, -0.080754, 0.350386, 0.950508, 0.619063, -0.281929,
       -0.361702, -0.214055, -0.598972, -0.990979}}},
    {"lagkv:sinks=2,lag=3,cross=1",
     {{P, P, 0.449953, 0.322152, 0.227895, 0.314606, 0.402076, 0.283318, P, P, P, P},
      {P, P, 0.355608, 0.352556, 0.291836, 0.589841, 0.284864, 0.125295, P, P, P, P}}},
    {"lagkv:sinks=2,lag=3", /* ranks of the above, over lag */
     {{P, P, 2. / 3, 1. / 3, 0, 1. / 3, 2. / 3, 0, P, P, P, P},
      {P, P, 2. / 3, 1. / 3, 0, 2. / 3, 1. / 3, 0, P, P, P, P}}},
    {"cur:window=4,sinks=2",
     {{P, P, 0.075343, 0.028317, 0.018991, 0.099552, 0.161719, 0.047154, 0.005362, 0.034022,
       0.112184, 0.197960},
      {P, P, 0.040132, 0.024875, 0.091525, 0.144335, 0.111563, 0.010241, 0.021724, 0.102447,
       0.133852, 0.060843}}},
    {"finch:window=3,sinks=0",
     {{1.056996, 1.029009, 0.730483, 0.779523, 0.832183, 1.058137, 1.105337, 0.944206, 0.826988, P,
       P, P},
      {0.862818, 0.843575, 0.770900, 0.831229, 1.108331, 1.454223, 1.079393, 0.787053, 0.796994, P,
       P, P}}},
};

/* The rules between the scorer and the selection, as an event applies them. */
static void share_and_pool(const struct pf *f, float score[2][N])
{
    const mn__policy *p = f->policy;
    float tmp[N];
    size_t n = N - p->recent;
    for (size_t i = 0; i < N && p->share == MN__SHARE_LAYER; i++)
        score[0][i] = score[1][i] = (score[0][i] + score[1][i]) / 2;
    for (size_t g = 0; g < 2; g++) mn__pool_scores(score[g], n, p->pool, p->pool_avg, tmp);
}

static void assert_scores(const struct golden *want, const size_t *step, struct pf f)
{
    float score[2][N];
    size_t n_checked = 0;
    pf_open(&f, want->spec, "12");
    for (; *step; step++) pf_feed(&f, *step);
    for (size_t g = 0; g < 2; g++) pf_score(&f, 0, g, score[g]);
    share_and_pool(&f, score);
    for (size_t g = 0; g < 2; g++)
        for (size_t i = 0; i < N; i++) {
            if (want->score[g][i] == P) continue;
            n_checked++;
            if (!(fabs(score[g][i] - want->score[g][i]) <= 1e-5))
                fail_msg("%s: head %zu token %zu: %.6f wanted, %.6f found", want->spec, g, i,
                         want->score[g][i], (double)score[g][i]);
        }
    assert_true(n_checked >= 12);
    pf_close(&f);
}

static void test_scores(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_scores(&golden[i], (const size_t[]){12, 0}, pf_golden());
}

/* The same when the text comes in pieces: sums and moments carry over. */
static void test_scores_in_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_scores(&golden[i], (const size_t[]){5, 1, 4, 1, 1, 0}, pf_golden());
}

/* Channels of a head in the order of models that rotate neighbours: no score may change. */
static size_t moved(size_t c)
{
    return c / 2 + c % 2 * 2;
}
static double moved_q(size_t l, size_t h, int64_t i, size_t c)
{
    return pf_golden_q(l, h, i, moved(c));
}
static double moved_k(size_t l, size_t h, int64_t i, size_t c)
{
    return pf_golden_k(l, h, i, moved(c));
}

static void test_scores_with_adjacent_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct pf f = pf_golden();
        f.adjacent = true;
        f.q = moved_q;
        f.k = moved_k;
        assert_scores(&golden[i], (const size_t[]){12, 0}, f);
    }
}

/* Token 9 of knorm's kept set turned to position 5. */
static void test_rotation(void **state)
{
    (void)state;
    static const double was[4] = {-0.190782, -0.092888, 0.743122, -0.422489};
    static const double want[4] = {-0.437693, -0.109708, -0.630121, -0.418436};
    struct pf f = pf_golden();
    float key[4], turn[4];
    pf_open(&f, "knorm:preset=kvpress", "12");
    pf_feed(&f, N);
    mn__lane_read(f.cache, mn__cache_lane(f.cache, 0, 0), 9, 1, key, NULL);
    for (size_t c = 0; c < 4; c++) assert_true(fabs((double)key[c] - was[c]) <= 1e-5);
    mn__rope_delta(&f.rope, 5 - 9, turn);
    f.kern.rope(key, turn, 4, 1);
    for (size_t c = 0; c < 4; c++) assert_true(fabs((double)key[c] - want[c]) <= 1e-5);
    pf_close(&f);
}

static void test_output_norm(void **state)
{
    (void)state;
    static const double want[2][N] = {
        {7.151464, 23.060414, 20.518872, 26.766071, 12.061144, 6.627379, 1.272591, 5.999508,
         6.297540, 9.373554, 1.765949, 7.434781},
        {17.578661, 22.885141, 22.094430, 23.807179, 8.021634, 10.108531, 1.098768, 0.820859,
         11.760109, 8.732964, 0.954843, 13.475123}};
    struct pf f = pf_golden();
    for (size_t g = 0; g < 2; g++)
        for (int64_t i = 0; i < N; i++) {
            float v[4], norm;
            for (size_t c = 0; c < 4; c++) v[c] = (float)pf_golden_v(0, g, i, c);
            pf_output_norm(&f, 0, g, v, 1, &norm);
            assert_true(fabs((double)norm - want[g][i]) <= 1e-5);
        }
}

static const struct kept {
    const char *spec;
    int n[2], token[2][6];
} kept[] = {
    {"streaming:sinks=2", {6, 6}, {{0, 1, 8, 9, 10, 11}, {0, 1, 8, 9, 10, 11}}},
    {"knorm:preset=kvpress", {6, 6}, {{2, 3, 4, 7, 8, 9}, {2, 3, 4, 7, 8, 11}}},
    {"snapkv:window=3,pool=3,poolmode=avg,sinks=0",
     {6, 6},
     {{5, 6, 7, 9, 10, 11}, {4, 5, 6, 9, 10, 11}}},
    {"snapkv:window=3,pool=3,sinks=0", {6, 6}, {{5, 6, 7, 9, 10, 11}, {4, 5, 6, 9, 10, 11}}},
    {"tova:sinks=0", {6, 6}, {{0, 1, 4, 5, 6, 11}, {0, 1, 4, 5, 6, 11}}},
    {"h2o:sinks=0", {6, 6}, {{0, 1, 2, 9, 10, 11}, {0, 1, 2, 9, 10, 11}}},
    {"observed:sinks=0", {6, 6}, {{0, 1, 2, 3, 5, 6}, {0, 1, 2, 3, 4, 5}}},
    {"expected:sinks=2,future=4", {6, 6}, {{0, 1, 6, 9, 10, 11}, {0, 1, 4, 5, 9, 10}}},
    {"keydiff:sinks=0", {6, 6}, {{3, 4, 5, 6, 7, 10}, {1, 2, 3, 4, 5, 6}}},
    {"critical:window=3,pool=3,poolmode=avg,sinks=0,stage=all",
     {6, 6},
     {{1, 2, 3, 9, 10, 11}, {1, 2, 3, 9, 10, 11}}},
    {"adakv:window=3,pool=3,poolmode=avg,sinks=0",
     {6, 6},
     {{5, 6, 7, 9, 10, 11}, {4, 5, 6, 9, 10, 11}}},
    {"knorm:preset=kvpress,group=5", {5, 5}, {{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}}},
};

static void assert_kept(const struct kept *want, const char *budget, int n_thread)
{
    struct pf f = pf_golden();
    f.n_thread = n_thread;
    pf_open(&f, want->spec, budget);
    pf_feed(&f, N);
    assert_true(mn__evict_due(f.policy, f.cache, MN__EVENT_PROMPT_END));
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    for (size_t g = 0; g < 2; g++) {
        const mn__lane *l = mn__cache_lane(f.cache, 0, g);
        if (l->n != (size_t)want->n[g])
            fail_msg("%s: head %zu keeps %zu tokens, %d wanted", want->spec, g, l->n, want->n[g]);
        for (size_t i = 0; i < l->n; i++)
            if (mn__lane_token(l)[i] != want->token[g][i])
                fail_msg("%s: head %zu keeps %d, %d wanted", want->spec, g, mn__lane_token(l)[i],
                         want->token[g][i]);
    }
    pf_close(&f);
}

static void test_kept_sets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_kept(&kept[i], "50%", 1);
        assert_kept(&kept[i], "6", 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_scores_in_steps),
        cmocka_unit_test(test_scores_with_adjacent_pairs),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_output_norm),
        cmocka_unit_test(test_kept_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
