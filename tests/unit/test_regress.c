/* test_regress.c: networks fitted to targets that are known. */
#include "evolve/regress.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

enum { N_LANE = 40, N = 60, E = 5, BEGIN = 4, END = N - 6 };

static float x[N_LANE][N * E], target[N_LANE][N];
static mn__lane_sample lane[N_LANE];
static const double truth[E] = {1.0, -0.5, 0, 2.0, 0.25};

/* target = softmax of a linear function: what a linear network can reach. Outside of what may be
 * dropped stands what would lead astray. */
static int set_up(void **state)
{
    (void)state;
    for (size_t l = 0; l < N_LANE; l++) {
        for (size_t i = 0; i < N; i++) {
            double s = 0;
            for (size_t c = 0; c < E; c++) {
                x[l][i * E + c] = (float)mn__rng_normal(3, 1, l * N + i, (uint32_t)c);
                s += truth[c] * (double)x[l][i * E + c];
            }
            target[l][i] = i >= BEGIN && i < END ? (float)exp(s) : 1e6f;
        }
        lane[l] =
            (mn__lane_sample){.n = N, .begin = BEGIN, .end = END, .x = x[l], .target = target[l]};
    }
    return 0;
}

static double fit(const mn__namm_net *net, const mn__regress_params *p, float *param)
{
    double loss;
    mn_diag diag = {""};
    if (mn__regress(net, lane, N_LANE, p, param, &loss, &diag) != MN_OK) fail_msg("%s", diag.text);
    return loss;
}

/* Entropy of the targets: no loss is below it. */
static double floor_of(void)
{
    double sum = 0;
    for (size_t l = 0; l < N_LANE; l++) {
        double mass = 0, h = 0;
        for (size_t i = BEGIN; i < END; i++) mass += (double)target[l][i];
        for (size_t i = BEGIN; i < END; i++) {
            const double p = (double)target[l][i] / mass;
            h -= p * log(p);
        }
        sum += h / N_LANE;
    }
    return sum;
}

static void test_finds_truth(void **state)
{
    (void)state;
    float param[E + 1] = {0};
    const mn__namm_net net = {.head = MN__NAMM_LINEAR, .n_in = E};
    mn__regress_params p;
    mn__regress_params_default(&p);
    p.n_step = 800;
    p.rate = 0.02;
    p.batch = 16;
    const double loss = fit(&net, &p, param), least = floor_of();
    for (size_t c = 0; c < E; c++) assert_float_equal((double)param[c], truth[c], 0.02);
    assert_true(loss < least + 0.1 && loss > least - 0.3); /* of a few batches */
}

static void test_other_heads(void **state)
{
    (void)state;
    const mn__namm_net nets[] = {
        {.head = MN__NAMM_MLP, .n_in = E, .hidden = 8, .depth = 2, .bias = true},
        {.head = MN__NAMM_BAM, .n_in = E, .hidden = 4, .n_head = 1, .bias = true, .mult = true}};
    for (size_t k = 0; k < 2; k++) {
        const size_t n = mn__namm_net_params(&nets[k]);
        float *param = calloc(n, sizeof *param);
        mn__regress_params p;
        mn__regress_params_default(&p);
        p.rate = 0.02;
        p.n_step = 300;
        p.batch = 8;
        for (size_t i = 0; i < n; i++) param[i] = (float)(0.3 * mn__rng_normal(9, 2, i, 0));
        assert_true(fit(&nets[k], &p, param) < floor_of() + 0.25);
        free(param);
    }
}

/* Tokens matter for one of two reasons, which exclude each other: a line through both finds
 * neither, two components, drawn as shape.h draws them, become one each. */
static void test_mix_specialises(void **state)
{
    (void)state;
    float one[E + 1] = {0}, two[2 * E + 2] = {0};
    const mn__namm_net line = {.head = MN__NAMM_LINEAR, .n_in = E},
                       mix = {.head = MN__NAMM_MIX, .n_in = E, .n_part = 2};
    mn__regress_params p;
    mn__regress_params_default(&p);
    p.n_step = 600;
    p.rate = 0.02;
    p.batch = 16;
    for (size_t l = 0; l < N_LANE; l++)
        for (size_t i = BEGIN; i < END; i++) {
            const float *row = &x[l][i * E];
            target[l][i] = expf(3 * row[0] - 3 * row[1]) + expf(3 * row[1] - 3 * row[0]);
        }
    for (size_t i = 0; i < 2 * E; i++) two[i] = (float)(0.1 * mn__rng_normal(9, 4, i, 0));
    const double least = floor_of();
    assert_true(fit(&line, &p, one) > least + 0.5);
    assert_true(fit(&mix, &p, two) < least + 0.1);
    assert_true(two[0] * two[E] < -4); /* one each */
    set_up(NULL);
}

static void test_threads(void **state)
{
    (void)state;
    float a[E + 1] = {0}, b[E + 1] = {0};
    const mn__namm_net net = {.head = MN__NAMM_LINEAR, .n_in = E};
    mn__regress_params p;
    mn__regress_params_default(&p);
    p.n_step = 30;
    fit(&net, &p, a);
    p.n_thread = 3;
    fit(&net, &p, b);
    assert_memory_equal(a, b, sizeof a);
    p.seed = 1;
    memset(b, 0, sizeof b);
    fit(&net, &p, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_refused(void **state)
{
    (void)state;
    float param[E + 1] = {0}, none[N] = {0};
    mn_diag diag = {""};
    mn__regress_params p;
    const mn__namm_net net = {.head = MN__NAMM_LINEAR, .n_in = E};
    const mn__lane_sample empty = {.n = N, .begin = BEGIN, .end = END, .x = x[0], .target = none};
    mn__regress_params_default(&p);
    assert_int_equal(mn__regress(&net, &empty, 1, &p, param, NULL, &diag), MN_EINPUT);
    p.n_step = p.n_warmup;
    assert_int_equal(mn__regress(&net, lane, 1, &p, param, NULL, &diag), MN_EUSAGE);
    x[0][BEGIN * E] = NAN;
    p.n_step = 40;
    assert_int_equal(mn__regress(&net, lane, 1, &p, param, NULL, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "no number"));
    assert_true(param[0] == 0);
    set_up(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_truth),     cmocka_unit_test(test_other_heads),
        cmocka_unit_test(test_mix_specialises), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
