/* test_policy_protect.c: sinks, newest and pinned tokens survive any scores whatever: ten thousand
 * seeds of random, equal, infinite and NaN scores under every way of sharing out and choosing. */
#include "policy_fixture.h"

enum { N = 48, SEEDS = 10000 };

/* A scorer in place of the policy's own: noise, all equal, all NaN, or noise with NaN among it. */
struct wild {
    mn__scorer scorer;
    uint64_t seed;
};

static void wild_score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    uint64_t seed = ((const struct wild *)s)->seed;
    for (size_t i = 0; i < v->n; i++) {
        double u = mn__rng_uniform(seed, 3, v->layer * 8 + v->head, (uint32_t)v->token[i]);
        switch (seed % 4) {
        case 0: out[i] = (float)u; break;
        case 1: out[i] = 0.5f; break;
        case 2: out[i] = NAN; break;
        default: out[i] = u < 0.3 ? NAN : u < 0.5 ? INFINITY : u < 0.6 ? -INFINITY : 1;
        }
    }
}

static const struct mn__scorer_ops wild_ops = {.name = "wild", .score = wild_score};

static double flat(size_t l, size_t h, int64_t i, size_t c)
{
    (void)l;
    return 0.01 * (double)((int64_t)(h + c) - i);
}

static const char *const rules[] = {"",
                                    ",alloc=ada",
                                    ",alloc=ada,floor=mix",
                                    ",alloc=global",
                                    ",share=all,pool=5",
                                    ",group=6",
                                    ",chunks=10",
                                    ",alloc=pyramid",
                                    ",share=layer,alloc=ada",
                                    ",merge=similar",
                                    ",merge=later,pool=3",
                                    ",alloc=ada,mass=1",
                                    ",alloc=global,skip=1,mass=1",
                                    ",threshold=0.4"};
enum { N_RULE = sizeof rules / sizeof rules[0] };

/* A lane's tokens are ascending, within the text, and hold every protected one. */
static void check_lane(const struct pf *f, const mn__lane *l, const bool *is_protected)
{
    size_t at = 0;
    for (int32_t t = 0; t < N; t++) {
        bool held = at < l->n && mn__lane_token(l)[at] == t;
        at += held;
        if (is_protected[t] && !held) fail_msg("%s: token %d is gone", f->policy->text, t);
    }
    assert_int_equal(at, l->n);
}

static void run_seed(struct pf *f, struct wild *wild, uint64_t seed, size_t *n_dropped)
{
    mn__pin pin[3];
    bool is_protected[N] = {false};
    wild->seed = seed;
    for (size_t i = 0; i < 3; i++) {
        pin[i].begin = (int64_t)(mn__rng_uniform(seed, 4, i, 0) * (N + 4)) - 2;
        pin[i].end = pin[i].begin + (int64_t)(mn__rng_uniform(seed, 4, i, 1) * 6);
    }
    f->env.pin = pin;
    f->env.n_pin = seed / 4 % 4;
    for (int64_t t = 0; t < N; t++) {
        is_protected[t] = t < 4 || t >= N - 5;
        for (size_t i = 0; i < f->env.n_pin; i++)
            is_protected[t] |= t >= pin[i].begin && t < pin[i].end;
    }
    uint64_t n_nan = f->cache->n_nan;
    pf_feed(f, N);
    if (pf_evict(f, MN__EVENT_PROMPT_END) != MN_OK)
        fail_msg("seed %d: %s", (int)seed, f->diag.text);
    size_t held = pf_held(f);
    if (f->policy->group == 0 && !f->policy->judge) assert_int_equal(held, 4 * 30);
    assert_true(held <= 4 * 30);
    if (!f->policy->judge) *n_dropped += 4 * N - held;
    for (size_t l = 0; l < 4; l++) check_lane(f, &f->cache->lane[l], is_protected);
    n_nan = f->cache->n_nan - n_nan;
    assert_in_range(n_nan, seed % 4 == 2 ? 2 * N : 0, seed % 4 < 2 ? 0 : 4 * N);
    mn__cache_clear(f->cache);
}

static void test_protected_stay(void **state)
{
    (void)state;
    size_t n_dropped = 0;
    for (size_t r = 0; r < N_RULE; r++) {
        struct pf f = pf_random(2);
        struct wild wild = {.scorer = {.ops = &wild_ops}};
        char spec[96];
        f.d = 2;
        f.q = f.k = f.v = flat;
        snprintf(spec, sizeof spec, "random:recent=5%s", rules[r]);
        pf_open(&f, spec, "30");
        mn__scorer *own = f.policy->scorer;
        f.policy->scorer = &wild.scorer;
        for (uint64_t seed = r; seed < SEEDS; seed += N_RULE) run_seed(&f, &wild, seed, &n_dropped);
        f.policy->scorer = own;
        pf_close(&f);
    }
    size_t n_exact = SEEDS / N_RULE * (N_RULE - 1); /* a threshold drops as many as it likes */
    assert_in_range(n_dropped / n_exact, 4 * (N - 30),
                    4 * (N - 30) + 4); /* groups drop a little more */
}

/* Equal scores: the newer token stays. */
static void test_ties_go_to_the_newer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 3; seed++) {
        struct pf f = pf_random(2);
        struct wild wild = {.scorer = {.ops = &wild_ops}, .seed = seed};
        pf_open(&f, "random:sinks=2", "10");
        mn__scorer *own = f.policy->scorer;
        f.policy->scorer = &wild.scorer;
        pf_feed(&f, N);
        assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
        for (int32_t t = 0; t < N; t++) assert_int_equal(pf_has(&f, 1, 1, t), t < 2 || t >= N - 8);
        f.policy->scorer = own;
        pf_close(&f);
    }
}

static void falling_score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = v->token[i] >= N - 5 ? 100 : (float)-v->token[i];
}

/* Pooling runs over the candidates: the protected newest do not lift their neighbours. */
static void test_the_newest_do_not_pool(void **state)
{
    (void)state;
    static const struct mn__scorer_ops ops = {.name = "falling", .score = falling_score};
    mn__scorer falling = {.ops = &ops};
    struct pf f = pf_random(1);
    pf_open(&f, "random:recent=5,sinks=0,pool=5", "15");
    mn__scorer *own = f.policy->scorer;
    f.policy->scorer = &falling;
    pf_feed(&f, N);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    for (int32_t t = 0; t < N; t++) assert_int_equal(pf_has(&f, 0, 0, t), t < 10 || t >= N - 5);
    f.policy->scorer = own;
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protected_stay),
        cmocka_unit_test(test_ties_go_to_the_newer),
        cmocka_unit_test(test_the_newest_do_not_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
