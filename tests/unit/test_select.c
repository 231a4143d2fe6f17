/* test_select.c: selection against a plain sort, spread and grouped selection, sharing, pooling,
 * and the rounding of budgets, on random and degenerate values. */
#include "policy_fixture.h"

enum { MAX_N = 300, MAX_LANES = 4 };

struct lanes {
    float score[MAX_LANES][MAX_N], spare[MAX_N];
    int32_t token[MAX_LANES][MAX_N];
    uint8_t mask[MAX_LANES][MAX_N];
    mn__quota q[MAX_LANES];
};

static double uniform(uint64_t seed, uint32_t what, size_t l, size_t i)
{
    return mn__rng_uniform(seed, what, l, (uint32_t)i);
}

/* Scores of few distinct values, some infinite or NaN, tokens with holes. */
static void fill(struct lanes *x, uint64_t seed, size_t n_lane, size_t n)
{
    static const float odd[] = {NAN, -INFINITY, INFINITY, 0.0f, -0.0f, 1e-40f};
    for (size_t l = 0; l < n_lane; l++) {
        int32_t token = 0;
        for (size_t i = 0; i < n; i++) {
            double u = uniform(seed, 0, l, i);
            token += 1 + (int32_t)(3 * uniform(seed, 1, l, i));
            x->token[l][i] = token;
            x->score[l][i] = u < 0.2   ? odd[(size_t)(u * 30)]
                             : u < 0.5 ? (float)(int)(u * 10)
                                       : (float)(u - 0.7) * 100;
            x->mask[l][i] = uniform(seed, 2, l, i) < 0.15;
        }
        x->q[l] = (mn__quota){
            .n = n, .token = x->token[l], .score = x->score[l], .gain = 1, .mask = x->mask[l]};
    }
}

struct candidate {
    double score;
    int32_t token;
    size_t lane, slot;
};

/* Best first: the rule as it is written down. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->token != y->token) return x->token > y->token ? -1 : 1;
    return x->lane < y->lane ? -1 : 1;
}

static size_t sorted(const struct lanes *x, size_t n_lane, struct candidate *out)
{
    size_t n = 0;
    for (size_t l = 0; l < n_lane; l++)
        for (size_t i = 0; i < x->q[l].n; i++)
            if (!x->mask[l][i]) {
                float s = x->score[l][i];
                out[n++] =
                    (struct candidate){isnan(s) ? -INFINITY : (double)s, x->token[l][i], l, i};
            }
    qsort(out, n, sizeof *out, compare);
    return n;
}

static void test_pick_is_a_sort(void **state)
{
    (void)state;
    static struct lanes x;
    static struct candidate want[MAX_LANES * MAX_N];
    for (uint64_t seed = 0; seed < 300; seed++) {
        size_t n_lane = 1 + seed % MAX_LANES, n = 1 + (size_t)(uniform(seed, 9, 0, 0) * MAX_N);
        fill(&x, seed, n_lane, n);
        size_t n_cand = sorted(&x, n_lane, want),
               m = (size_t)(uniform(seed, 9, 0, 1) * (double)(n_cand + 1));
        mn__pick pick = mn__pick_best(x.q, n_lane, m);
        for (size_t l = 0; l < n_lane; l++)
            pick.n_equal -= mn__pick_mark(&x.q[l], &pick, true, MN__MASK_CHOSEN);
        size_t n_chosen = 0;
        for (size_t l = 0; l < n_lane; l++)
            for (size_t i = 0; i < n; i++) n_chosen += x.mask[l][i] == MN__MASK_CHOSEN;
        assert_int_equal(n_chosen, m);
        for (size_t i = 0; i < m; i++)
            assert_int_equal(x.mask[want[i].lane][want[i].slot], MN__MASK_CHOSEN);
    }
}

static void test_key_order(void **state)
{
    (void)state;
    static const float rising[] = {-INFINITY, -3, -1e-40f, 0, 1e-40f, 2, INFINITY};
    for (size_t i = 1; i < sizeof rising / sizeof rising[0]; i++)
        assert_true(mn__pick_key(rising[i - 1], 9) < mn__pick_key(rising[i], 1));
    assert_true(mn__pick_key(-0.0f, 4) == mn__pick_key(0.0f, 4));
    assert_true(mn__pick_key(NAN, 4) == mn__pick_key(-INFINITY, 4));
    assert_true(mn__pick_key(1, 4) < mn__pick_key(1, 5));
}

static size_t select_lane(struct lanes *x, const mn__policy *p, size_t keep, uint32_t *out)
{
    mn__quota *q = &x->q[0];
    q->protect = 0;
    for (size_t i = 0; i < q->n; i++) q->protect += x->mask[0][i] != 0;
    q->keep = keep < q->protect ? q->protect : keep;
    return mn__select(p, q, NULL, x->spare, out);
}

static void test_chunks_are_thinned_alike(void **state)
{
    (void)state;
    static struct lanes x;
    uint32_t keep[MAX_N];
    const mn__policy p = {.chunks = 32, .pool = 1};
    for (uint64_t seed = 0; seed < 100; seed++) {
        fill(&x, seed, 1, 256);
        memset(x.mask[0], 0, 256);
        size_t target = 8 + seed % 200, count[8] = {0};
        assert_int_equal(select_lane(&x, &p, target, keep), target);
        for (size_t i = 0; i < target; i++) count[keep[i] / 32]++;
        for (size_t c = 0; c < 8; c++) assert_in_range(count[c], target / 8, target / 8 + 1);
    }
    fill(&x, 1, 1, 250); /* fewer than chunks: still the exact number */
    memset(x.mask[0], 0, 250);
    assert_int_equal(select_lane(&x, &p, 3, keep), 3);
}

static void test_chunks_with_protected(void **state)
{
    (void)state;
    static struct lanes x;
    uint32_t keep[MAX_N];
    const mn__policy p = {.chunks = 7, .pool = 1};
    for (uint64_t seed = 0; seed < 200; seed++) {
        fill(&x, seed, 1, 100);
        size_t n = select_lane(&x, &p, 20 + seed % 70, keep);
        assert_int_equal(n, x.q[0].keep);
        for (size_t i = 0, j = 0; i < 100; i++)
            if (x.mask[0][i] == MN__MASK_PROTECTED) {
                while (j < n && keep[j] < i) j++;
                assert_true(j < n && keep[j] == i);
            }
    }
}

static void test_groups_stay_whole(void **state)
{
    (void)state;
    static struct lanes x;
    uint32_t keep[MAX_N];
    const mn__policy p = {.group = 10, .pool = 1};
    fill(&x, 3, 1, 100);
    memset(x.mask[0], 0, 100);
    for (size_t i = 0; i < 100; i++)
        x.score[0][i] = (float)((i / 10 * 7) % 10); /* best groups: 7, 4, 1 */
    assert_int_equal(select_lane(&x, &p, 35, keep), 30);
    for (size_t i = 0; i < 30; i++) {
        size_t group = keep[i] / 10;
        assert_true(group == 1 || group == 4 || group == 7);
    }
}

static void test_share_ragged(void **state)
{
    (void)state;
    static struct lanes x;
    static float was[MAX_LANES][MAX_N];
    for (uint64_t seed = 0; seed < 50; seed++) {
        fill(&x, seed, 4, 40 + seed);
        x.q[1].n -= 20; /* lengths and tokens differ */
        x.q[2].spared = seed % 2;
        for (size_t l = 0; l < 4; l++)
            for (size_t i = 0; i < x.q[l].n; i++)
                was[l][i] = x.score[l][i] = (float)uniform(seed, 5, l, i);
        mn__share_mean(x.q, 4);
        for (size_t l = 0; l < 4; l++)
            for (size_t i = 0; i < x.q[l].n; i++) {
                double sum = 0, count = 0;
                for (size_t m = 0; m < 4; m++)
                    for (size_t j = 0; j < x.q[m].n && !x.q[m].spared; j++)
                        if (x.token[m][j] == x.token[l][i]) {
                            sum += was[m][j];
                            count++;
                        }
                double want = x.q[l].spared ? was[l][i] : sum / count;
                assert_true(fabs(x.score[l][i] - want) < 1e-6);
            }
    }
}

/* The short way for equal tokens gives the same bits as walking side by side. */
static void test_share_aligned(void **state)
{
    (void)state;
    static struct lanes x, y;
    fill(&x, 1, 4, 100);
    for (size_t l = 0; l < 4; l++)
        for (size_t i = 0; i < 100; i++) {
            x.token[l][i] = (int32_t)i;
            x.score[l][i] = (float)uniform(1, 5, l, i);
        }
    y = x;
    for (size_t l = 0; l < 4; l++) {
        y.q[l].token = y.token[l];
        y.q[l].score = y.score[l];
        y.q[l].mask = y.mask[l];
    }
    y.token[3][99] = 1000; /* one token of its own */
    mn__share_mean(x.q, 4);
    mn__share_mean(y.q, 4);
    for (size_t l = 0; l < 4; l++) assert_memory_equal(x.score[l], y.score[l], 99 * sizeof(float));
    assert_true(x.score[3][99] != y.score[3][99]);
}

static void test_pool(void **state)
{
    (void)state;
    float tmp[6], avg[6] = {3, 0, 0, 6, 0, 3}, max[6] = {3, 0, 1, -6, 0, 3}, one[1] = {2};
    static const float want_avg[6] = {1, 1, 2, 2, 3, 1}, want_max[6] = {3, 3, 1, 1, 3, 3};
    mn__pool_scores(avg, 6, 3, true, tmp);
    mn__pool_scores(max, 6, 3, false, tmp);
    mn__pool_scores(one, 1, 255, false, tmp);
    for (size_t i = 0; i < 6; i++) {
        assert_true(fabsf(avg[i] - want_avg[i]) < 1e-6f);
        assert_true(max[i] == want_max[i]);
    }
    assert_true(one[0] == 2);
}

static size_t low(const mn__quota *q)
{
    return q->protect;
}

static size_t high(const mn__quota *q)
{
    return q->n;
}

static void test_apportion_is_exact(void **state)
{
    (void)state;
    mn__quota q[60];
    for (uint64_t seed = 0; seed < 500; seed++) {
        size_t n = 1 + seed % 60, least = 0, most = 0;
        for (size_t l = 0; l < n; l++) {
            q[l] = (mn__quota){.n = (size_t)(uniform(seed, 0, l, 0) * 1000)};
            q[l].protect = (size_t)(uniform(seed, 0, l, 1) * (double)(q[l].n + 1));
            q[l].want = 0.001 + uniform(seed, 0, l, 2) * (seed % 3 ? 1 : 1e6);
            least += q[l].protect;
            most += q[l].n;
        }
        size_t total = least + (size_t)(uniform(seed, 1, 0, 0) * (double)(most - least + 1)),
               sum = 0;
        mn__apportion(q, n, total, low, high);
        for (size_t l = 0; l < n; l++) {
            assert_in_range(q[l].keep, q[l].protect, q[l].n);
            sum += q[l].keep;
        }
        assert_int_equal(sum, total);
    }
}

/* The kvpress rule on the specification's numbers, and the exact sum. */
static void assert_pyramid(double r, size_t first, size_t second, size_t last, size_t total)
{
    const mn__policy p = {.pyramid_kvpress = true, .beta = 20};
    mn__quota q[32] = {0};
    size_t mean = (size_t)(4096 * (1 - r)), sum = 0;
    for (size_t l = 0; l < 32; l++)
        q[l] = (mn__quota){.n = 4096, .want = mn__pyramid_layer(&p, l, 32, 4096, 64, (double)mean)};
    mn__apportion(q, 32, 32 * mean, low, high);
    for (size_t l = 0; l < 32; l++) sum += q[l].keep;
    assert_int_equal(q[0].keep, first);
    assert_int_equal(q[1].keep, second);
    assert_int_equal(q[31].keep, last);
    assert_int_equal(sum, total);
}

static void test_pyramid(void **state)
{
    (void)state;
    assert_pyramid(0.5, 3994, 3868, 102, 65536);
    assert_pyramid(0.25, 4032, 3970, 2112, 98304);
    assert_pyramid(0.75, 1024, 1024, 1024, 32768);
    /* ours: the window on top, no falling back to an even split */
    const mn__policy p = {.beta = 20};
    double sum = 0;
    for (size_t l = 0; l < 32; l++) sum += mn__pyramid_layer(&p, l, 32, 4096, 64, 1024);
    assert_true(fabs(sum - 32 * 1024) < 1e-6);
    assert_true(fabs(mn__pyramid_layer(&p, 31, 32, 4096, 64, 1024) - (960 / 20. + 64)) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pick_is_a_sort),
        cmocka_unit_test(test_key_order),
        cmocka_unit_test(test_chunks_are_thinned_alike),
        cmocka_unit_test(test_chunks_with_protected),
        cmocka_unit_test(test_groups_stay_whole),
        cmocka_unit_test(test_share_ragged),
        cmocka_unit_test(test_share_aligned),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_apportion_is_exact),
        cmocka_unit_test(test_pyramid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
