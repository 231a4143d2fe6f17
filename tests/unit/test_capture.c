/* test_capture.c: what is captured of prompts, and networks that begin from it. */
#include "evolve/capture.h"

#include "evolve/sample.h"
#include "evolve/warm.h"
#include "rater_fixture.h"

static mn__capture_params params_of(const ev_fixture *f, int n_thread)
{
    return (mn__capture_params){.model = f->m,
                                .session = ev_session(n_thread),
                                .policy = f->policy,
                                .deck = ev_deck(f),
                                .max_gold = 6,
                                .n_layer = 1,
                                .n_sink = 4,
                                .n_last = 16,
                                .seed = 2};
}

static mn__capture run(const mn__capture_params *p)
{
    mn__capture c;
    mn_diag diag = {""};
    if (mn__capture_run(&c, p, &diag) != MN_OK) fail_msg("%s", diag.text);
    return c;
}

static double mass(const mn__lane_sample *l, const float *t)
{
    double sum = 0;
    for (size_t i = l->begin; i < l->end; i++) sum += (double)t[i];
    return sum;
}

/* A layer of each prompt, all its heads; targets are shares. */
static void test_lanes(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn__capture_params p = params_of(f, 1);
    p.target = MN__TARGET_OWN;
    mn__capture c = run(&p);
    assert_int_equal(c.n_prompt, EV_PROMPTS);
    assert_int_equal(c.n_lane, EV_PROMPTS * 2);
    assert_int_equal(c.n_in, f->n_in);
    for (size_t l = 0; l < c.n_lane; l++) {
        const mn__lane_sample *s = &c.lane[l];
        assert_int_equal(c.prompt[l], l / 2);
        assert_int_equal(s->begin, 4);
        assert_int_equal(s->end, s->n - 16);
        assert_float_equal(mass(s, s->target), 1, 1e-5);
    }
    assert_memory_not_equal(c.lane[0].target, c.lane[1].target, c.lane[0].n * sizeof(float));
    mn__capture_fini(&c);
    ev_drop(f);
}

/* Half of the shared target is a head's own, half one for the layer: what heads differ by is half
 * of what their own shares differ by, and the neighbours of the token that the layer wants most are
 * wanted with it (the pooled half has a mass of at most 7 before it becomes a share). */
static void test_shared(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn__capture_params p = params_of(f, 1);
    p.n_layer = 0; /* all */
    mn__capture c = run(&p);
    assert_int_equal(c.n_lane, EV_PROMPTS * 4);
    for (size_t l = 0; l < c.n_lane; l += 2) {
        const mn__lane_sample *s = &c.lane[l];
        const float *t = s[0].target, *u = s[1].target;
        size_t top = s->begin;
        double apart = 0;
        assert_float_equal(mass(s, t), 1, 1e-5);
        assert_float_equal(mass(s, u), 1, 1e-5);
        for (size_t i = s->begin; i < s->end; i++) {
            apart += fabs((double)t[i] - (double)u[i]);
            if (t[i] + u[i] > t[top] + u[top]) top = i;
        }
        assert_true(apart > 0 && apart <= 1); /* of own shares alone up to 2 */
        for (size_t i = top < s->begin + 3 ? s->begin : top - 3; i < s->end && i <= top + 3; i++)
            assert_true(8.01f * (t[i] + u[i]) >= t[top] + u[top]);
    }
    mn__capture_fini(&c);
    ev_drop(f);
}

/* What a run holds out is not looked at: no lane is of it, and what others say does not change. */
static void test_held_out(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn__capture_params p = params_of(f, 1);
    mn_diag diag = {""};
    mn__capture all = run(&p), some;
    for (uint64_t seed = 0; seed < 3; seed++) {
        uint64_t held[2];
        p.n_held_out = 2;
        p.held_out_seed = seed;
        mn__sample_held_out(seed, 0, EV_PROMPTS, 2, held);
        some = run(&p);
        assert_int_equal(some.n_item, EV_PROMPTS); /* numbers stay the deck's */
        assert_int_equal(some.n_prompt, EV_PROMPTS - 2);
        assert_int_equal(some.n_lane, all.n_lane / 2);
        for (size_t l = 0; l < some.n_lane; l++) {
            const uint32_t prompt = some.prompt[l];
            const mn__lane_sample *a = &all.lane[2 * prompt + l % 2], *b = &some.lane[l];
            assert_true(prompt != held[0] && prompt != held[1]);
            assert_memory_equal(a->x, b->x, a->n * (all.n_in + 1) * sizeof(float));
        }
        assert_true(some.stats.mean[all.n_in - 1] != all.stats.mean[all.n_in - 1]);
        mn__capture_fini(&some);
    }
    p.n_held_out = EV_PROMPTS;
    assert_int_equal(mn__capture_run(&some, &p, &diag), MN_ERANGE);
    assert_string_equal(diag.text, "stage 1: 4 prompts held out wanted, 4 found in all");
    mn__capture_fini(&all);
    ev_drop(f);
}

/* Is it the statistics of what its lanes hold, and nothing else? */
static void expect_statistics(const mn__capture *c)
{
    double n = 0;
    for (size_t l = 0; l < c->n_lane; l++) n += (double)c->lane[l].n;
    assert_true(c->stats.count == n);
    for (size_t col = 0; col < c->n_in; col++) {
        double sum = 0;
        for (size_t l = 0; l < c->n_lane; l++)
            for (size_t i = 0; i < c->lane[l].n; i++)
                sum += (double)c->lane[l].x[i * c->n_in + col];
        assert_float_equal(c->stats.mean[col], sum / n, 1e-4 * (1 + fabs(sum / n)));
    }
}

/* Lanes of which nothing is dropped are not scored: there are no inputs of theirs. */
static void test_not_scored(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn__capture_params p = params_of(f, 1);
    mn_diag diag = {""};
    char policy[1200];
    tiny_model_params tp;
    tiny_model_default(&tp, "llama");
    tp.n_ctx = FIX_TOKENS;
    tp.n_layer = 4;
    mn_model_free(f->m);
    p.model = f->m = fix_open(&tp);
    p.n_layer = 0;
    p.policy = policy;
    snprintf(policy, sizeof policy, "%s,skip_layers=0", f->policy);
    mn__capture c = run(&p);
    assert_int_equal(c.n_lane, EV_PROMPTS * 6); /* three layers of two heads */
    assert_int_equal(c.n_prompt, EV_PROMPTS);
    expect_statistics(&c);
    mn__capture_fini(&c);

    FILE *file = fopen(f->rows, "a");
    assert_non_null(file);
    fputs("{\"context\":\"\",\"input\":\"a\",\"answers\":[\"the wide world\"]}\n", file);
    fclose(file);
    snprintf(policy, sizeof policy, "%s,recent=100", f->policy);
    c = run(&p);
    assert_int_equal(c.n_item, EV_PROMPTS + 1);
    assert_int_equal(c.n_prompt, EV_PROMPTS);
    assert_int_equal(c.n_uncut, 1);
    assert_int_equal(c.n_lane, EV_PROMPTS * 8);
    for (size_t l = 0; l < c.n_lane; l++) assert_int_equal(c.prompt[l], l / 8);
    expect_statistics(&c);
    mn__capture_fini(&c);

    snprintf(policy, sizeof policy, "%s,recent=5000", f->policy);
    assert_int_equal(mn__capture_run(&c, &p, &diag), MN_EINPUT);
    assert_string_equal(
        diag.text,
        "no prompt can be captured: nothing would be dropped of 5 of 5 (too short, or in "
        "layers that keep everything)");
    ev_drop(f);
}

static void test_threads(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn__capture_params p = params_of(f, 1), q = params_of(f, 3);
    mn__capture a = run(&p), b = run(&q);
    assert_int_equal(a.n_lane, b.n_lane);
    for (size_t l = 0; l < a.n_lane; l++)
        assert_memory_equal(a.lane[l].x, b.lane[l].x, a.lane[l].n * (a.n_in + 1) * sizeof(float));
    mn__capture_fini(&a);
    mn__capture_fini(&b);
    ev_drop(f);
}

/* After a warm start inputs have mean 0 and deviation 1, ages are as they were, and the fit is
 * better than what it started from. */
static void test_warm_start(void **state)
{
    (void)state;
    ev_fixture *f = ev_make("linear");
    mn_diag diag = {""};
    double first, last;
    mn__capture c;
    uint8_t fixed[64];
    mn__warm_params p = {.capture = params_of(f, 1)};
    p.capture.n_layer = 0;
    mn__regress_params_default(&p.regress);
    p.regress.n_step = 21;
    p.regress.rate = 0;
    assert_true(f->n_in <= 64);
    assert_int_equal(mn__warm_start(f->namm, f->file, &p, NULL, &first, &diag), MN_OK);
    mn__namm_free(f->namm);
    assert_int_equal(mn__shape_new(&f->namm, "linear", false, &diag), MN_OK);
    mn__regress_params_default(&p.regress);
    assert_int_equal(mn__warm_start(f->namm, f->file, &p, &c, &last, &diag), MN_OK);
    assert_true(last < first);
    mn__shape_fixed(f->namm, fixed);
    for (size_t col = 0; col < f->n_in; col++) {
        double sum = 0, square = 0, n = 0;
        for (size_t l = 0; l < c.n_lane; l++)
            for (size_t i = 0; i < c.lane[l].n; i++, n++) {
                const double x = (double)c.lane[l].x[i * f->n_in + col];
                sum += x;
                square += x * x;
            }
        if (fixed[col])
            assert_true(f->namm->mean[col] == 0 && f->namm->deviation[col] == 1);
        else if (f->namm->deviation[col] > 1e-6f)
            assert_float_equal(square / n - sum / n * (sum / n), 1, 1e-3);
        if (!fixed[col]) assert_float_equal(sum / n, 0, 1e-3);
    }
    mn__namm *read = NULL;
    assert_int_equal(mn__namm_read(&read, f->file, &diag), MN_OK);
    assert_memory_equal(read->param, f->namm->param, f->n_param * sizeof(float));
    mn__namm_free(read);
    mn__capture_fini(&c);
    ev_drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes),    cmocka_unit_test(test_shared),
        cmocka_unit_test(test_held_out), cmocka_unit_test(test_not_scored),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_warm_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
