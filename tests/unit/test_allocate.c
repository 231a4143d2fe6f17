/* test_allocate.c: who keeps how many: shares from a file, and heads that compete with and without
 * Ada-KV's normalisation and even layers, against the rules written out. */
#include "policy_fixture.h"

enum { N = 120 };

static size_t held(const struct pf *f, size_t lane)
{
    return f->cache->lane[lane].n;
}

/* ---- alloc=profile ---- */

static void open_profile(struct pf *f, const char *options, const char *budget, const char *text)
{
    char spec[512];
    snprintf(spec, sizeof spec, "random:alloc=profile,profile=%s%s", pf_write_file(text), options);
    pf_open(f, spec, budget);
    pf_feed(f, 100);
    assert_int_equal(pf_evict(f, MN__EVENT_PROMPT_END), MN_OK);
}

static void assert_held(const struct pf *f, const size_t *want)
{
    for (size_t l = 0; l < f->n_layer * f->n_kv_head; l++)
        if (held(f, l) != want[l])
            fail_msg("lane %zu: %zu wanted, %zu held", l, want[l], held(f, l));
}

/* Shares are scaled to the budget, between what is protected (4) and what is held (100). */
static void test_shares(void **state)
{
    (void)state;
    struct pf f = pf_random(3);
    open_profile(&f, "", "40", "0.1 0.2\n0.3 0.4\n0.5 0.9\n");
    assert_held(&f, (const size_t[]){10, 20, 30, 40, 50, 90});
    for (size_t i = 0; i < 20; i++) pf_feed(&f, 1);
    /* as many tokens later: the same shares, not shares of shares */
    assert_int_equal(pf_evict(&f, MN__EVENT_DECODE), MN_OK);
    assert_held(&f, (const size_t[]){10, 20, 30, 40, 50, 90});
    pf_close(&f);
    f = pf_random(3);
    open_profile(&f, "", "20", "0.1 0.2\n0.3 0.4\n0.5 0.9\n"); /* 5 10 15 20 25 45 */
    assert_held(&f, (const size_t[]){5, 10, 15, 20, 25, 45});
    pf_close(&f);
    f = pf_random(3);
    open_profile(&f, "", "30", "0 0\n1 1\n0 0\n"); /* zeros keep what must stay */
    assert_held(&f, (const size_t[]){4, 4, 82, 82, 4, 4});
    pf_close(&f);
    f = pf_random(3);
    open_profile(&f, "", "60", "0 0\n1 1\n0 0\n"); /* and what is left over */
    assert_held(&f, (const size_t[]){40, 40, 100, 100, 40, 40});
    pf_close(&f);
}

static void test_shares_beside_windows_and_spared_layers(void **state)
{
    (void)state;
    struct pf f = pf_random(4);
    f.window[1] = 30;
    open_profile(&f, ",skip_layers=0", "60", "0.1 0.1\n1 1\n0.2 0.4\n0.2 0.4\n");
    assert_int_equal(held(&f, 0), 100);
    assert_int_equal(held(&f, 1), 100);
    static const size_t want[] = {27, 53, 27, 53}; /* 160 by 1 2 1 2 */
    for (size_t l = 0; l < 4; l++) assert_int_equal(held(&f, 4 + l), want[l]);
    pf_close(&f);
}

static const char *const curves = "kept 0.2\n0.3 0.1\n0.2 0.2\n"
                                  "kept 0.6\n0.5 0.7\n0.2 1\n";

/* The share kept names the place between the tables. */
static void test_curves(void **state)
{
    (void)state;
    static const struct {
        const char *budget;
        size_t want[4];
    } at[] = {{"20", {30, 10, 20, 20}},
              {"40", {40, 40, 20, 60}},
              {"60", {50, 70, 20, 100}},
              {"10", {15, 5, 10, 10}}};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        struct pf f = pf_random(2);
        open_profile(&f, "", at[i].budget, curves);
        assert_held(&f, at[i].want);
        pf_close(&f);
    }
}

/* The plan says what will be. */
static void test_forecast(void **state)
{
    (void)state;
    struct pf f = pf_random(2), g = pf_random(2);
    open_profile(&f, "", "33", curves);
    pf_open(&g, mn__policy_spec(f.policy), "33");
    pf_feed(&g, 100);
    assert_false(mn__policy_is_ragged(g.policy));
    mn__cache hollow = *g.cache;
    mn__lane lane[4];
    memcpy(lane, g.cache->lane, sizeof lane);
    hollow.lane = lane;
    assert_int_equal(mn__evict_forecast(g.policy, &hollow, MN__EVENT_PROMPT_END, &g.env, &g.diag),
                     MN_OK);
    for (size_t l = 0; l < 4; l++) assert_int_equal(lane[l].n, held(&f, l));
    pf_close(&f);
    pf_close(&g);
}

/* ---- competing heads ---- */

struct head {
    float score[N];
    bool is_candidate[N], wins[N];
    size_t n_candidate;
    double gain;
};

/* The m best candidates of some heads by score times gain get `wins`. */
static void choose(struct head *head, size_t n_head, size_t m)
{
    for (; m > 0; m--) {
        size_t best_h = n_head, best_i = 0;
        double best = -1e300;
        for (size_t h = 0; h < n_head; h++)
            for (size_t i = 0; i < N; i++) {
                double x = (double)head[h].score[i] * head[h].gain;
                if (!head[h].is_candidate[i] || head[h].wins[i] || x < best) continue;
                best = x;
                best_h = h;
                best_i = i;
            }
        assert_true(best_h < n_head);
        head[best_h].wins[best_i] = true;
    }
}

static size_t count_wins(const struct head *h)
{
    size_t n = 0;
    for (size_t i = 0; i < N; i++) n += h->wins[i];
    return n;
}

/* Mass of the best c over all. */
static double mass(const struct head *head, size_t c)
{
    struct head h = *head;
    double best = 0, all = 0;
    choose(&h, 1, c);
    for (size_t i = 0; i < N; i++) {
        all += h.is_candidate[i] ? (double)h.score[i] : 0;
        best += h.wins[i] ? (double)h.score[i] : 0;
    }
    return best / all;
}

struct contest {
    const char *spec;
    double reserve;
    bool by_mass, global;
    size_t skip;
};

/* What each lane keeps by the rule, for a budget of 40 with 4 first and 10 newest protected. */
static void expect(struct pf *f, const struct contest *c, size_t *want)
{
    enum { FREE = 40 - 14 };
    static struct head head[8];
    size_t n_lane = 2 * f->n_layer, first = 2 * c->skip, step = c->global ? n_lane - first : 2;
    memset(head, 0, sizeof head);
    for (size_t l = 0; l < n_lane; l++) {
        pf_score(f, l / 2, l % 2, head[l].score);
        for (size_t i = 4; i < N - 10; i++) head[l].is_candidate[i] = true;
        head[l].gain = 1;
        want[l] = 40;
    }
    for (size_t l = first; l < n_lane; l += step) {
        size_t pool = 0;
        for (size_t h = l; h < l + step; h++) {
            double gain = c->by_mass ? mass(&head[h], FREE) : 1;
            size_t reserved = (size_t)(FREE * c->reserve);
            choose(&head[h], 1, reserved);
            pool += FREE - reserved;
            head[h].gain = gain;
        }
        choose(head + l, step, pool);
        for (size_t h = l; h < l + step; h++) want[h] = 14 + count_wins(&head[h]);
    }
}

static void hold_contest(const struct contest *c, size_t *got)
{
    struct pf f = pf_random(4);
    size_t want[8];
    pf_open(&f, c->spec, "40");
    pf_feed(&f, N);
    expect(&f, c, want);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    assert_held(&f, want);
    for (size_t l = 0; l < 8; l++) got[l] = held(&f, l);
    pf_close(&f);
}

static void test_contests(void **state)
{
    (void)state;
    static const struct contest contests[] = {
        {"h2o:recent=10,alloc=ada,alpha=0", 0, false, false, 0},
        {"h2o:recent=10,alloc=ada,alpha=0,mass=1", 0, true, false, 0},
        {"h2o:recent=10,alloc=ada,alpha=0.3,mass=1", 0.3, true, false, 0},
        {"h2o:recent=10,alloc=ada,alpha=0.3,skip=2", 0.3, false, false, 2},
        {"h2o:recent=10,alloc=global,alpha=0.3", 0.3, false, true, 0},
        {"h2o:recent=10,alloc=global,alpha=0.3,mass=1,skip=1", 0.3, true, true, 1},
        {"h2o:recent=10,alloc=global,alpha=0.3,skip=9", 0.3, false, true, 4},
    };
    enum { N_CONTEST = sizeof contests / sizeof contests[0] };
    size_t got[N_CONTEST][8];
    for (size_t i = 0; i < N_CONTEST; i++) hold_contest(&contests[i], got[i]);
    assert_memory_not_equal(got[0], got[1], sizeof got[0]); /* the mass matters */
    for (size_t l = 0; l < 8; l++) assert_int_equal(got[6][l], 40);
    for (size_t l = 0; l < 4; l++) assert_int_equal(got[3][l], 40);
    assert_true(got[3][4] != 40 || got[3][6] != 40);
}

/* Within a head, scores choose as they are. */
static void test_mass_leaves_the_order_alone(void **state)
{
    (void)state;
    struct pf f = pf_random(2);
    float score[2][N];
    pf_open(&f, "h2o:recent=10,alloc=ada,mass=1", "40");
    pf_feed(&f, N);
    for (size_t h = 0; h < 2; h++) pf_score(&f, 1, h, score[h]);
    assert_int_equal(pf_evict(&f, MN__EVENT_PROMPT_END), MN_OK);
    for (size_t h = 0; h < 2; h++)
        for (int32_t a = 4; a < N - 10; a++)
            for (int32_t b = 4; b < N - 10; b++)
                if (pf_has(&f, 1, h, a) && !pf_has(&f, 1, h, b))
                    assert_true(score[h][a] >= score[h][b]);
    pf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_shares_beside_windows_and_spared_layers),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_contests),
        cmocka_unit_test(test_mass_leaves_the_order_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
