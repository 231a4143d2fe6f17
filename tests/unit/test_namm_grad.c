/* test_namm_grad.c: derivatives of a NAMM's networks against finite differences in double, and
 * their forward pass against the one that runs. */
#include "evolve/namm_grad.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"

enum { N = 37, E = 7, PARAM_MAX = 2048 };

static const mn__namm_net nets[] = {
    {.head = MN__NAMM_LINEAR, .n_in = E},
    {.head = MN__NAMM_MLP, .n_in = E, .depth = 1},
    {.head = MN__NAMM_MLP, .n_in = E, .hidden = 9, .depth = 2, .bias = true},
    {.head = MN__NAMM_MLP,
     .n_in = E,
     .hidden = 7,
     .depth = 2,
     .bias = true,
     .residual_first = true},
    {.head = MN__NAMM_MLP,
     .n_in = E,
     .hidden = 7,
     .depth = 5,
     .bias = true,
     .residual = true,
     .residual_first = true},
    {.head = MN__NAMM_MLP, .n_in = E, .hidden = 6, .depth = 4, .residual = true},
    {.head = MN__NAMM_BAM, .n_in = E, .hidden = 8, .n_head = 1, .bias = true, .mult = true},
    {.head = MN__NAMM_BAM, .n_in = E, .hidden = 8, .n_head = 2, .bias = true, .mult = true},
    {.head = MN__NAMM_BAM, .n_in = E, .hidden = 6, .n_head = 3, .mult = false},
    {.head = MN__NAMM_MIX, .n_in = E, .n_part = 2},
    {.head = MN__NAMM_MIX, .n_in = E, .n_part = 5},
};

typedef struct problem {
    const mn__namm_net *net;
    size_t n_param;
    double param[PARAM_MAX], x[N * E], d_score[N], score[N], grad[PARAM_MAX];
    double *work;
} problem;

static void draw(problem *p, const mn__namm_net *net, uint64_t seed)
{
    *p = (problem){.net = net, .n_param = mn__namm_net_params(net)};
    assert_true(p->n_param <= PARAM_MAX);
    p->work = calloc(mn__namm_grad_doubles(net, N), sizeof *p->work);
    assert_non_null(p->work);
    for (size_t i = 0; i < p->n_param; i++) p->param[i] = 0.4 * mn__rng_normal(seed, 1, i, 0);
    for (size_t i = 0; i < N * E; i++) p->x[i] = mn__rng_normal(seed, 2, i, 0);
    for (size_t i = 0; i < N; i++) p->d_score[i] = mn__rng_normal(seed, 3, i, 0);
}

static double value(problem *p)
{
    double sum = 0;
    mn__namm_forward(p->net, p->param, p->x, N, p->score, p->work);
    for (size_t i = 0; i < N; i++) sum += p->d_score[i] * p->score[i];
    return sum;
}

static void test_differences(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        problem p;
        const double h = 1e-6;
        draw(&p, &nets[k], k);
        value(&p);
        mn__namm_backward(p.net, p.param, p.x, N, p.d_score, p.grad, p.work);
        double largest = 0;
        for (size_t i = 0; i < p.n_param; i++) largest = fmax(largest, fabs(p.grad[i]));
        assert_true(largest > 0.1);
        for (size_t i = 0; i < p.n_param; i++) {
            const double at = p.param[i];
            p.param[i] = at + h;
            const double up = value(&p);
            p.param[i] = at - h;
            const double down = value(&p), slope = (up - down) / (2 * h);
            p.param[i] = at;
            if (fabs(slope - p.grad[i]) > 1e-7 * (largest + fabs(up) / (h * 1e9)))
                fail_msg("net %zu, parameter %zu: %g by differences, %g found", k, i, slope,
                         p.grad[i]);
        }
        free(p.work);
    }
}

/* Gradients add to what is there. */
static void test_adds(void **state)
{
    (void)state;
    problem p;
    draw(&p, &nets[7], 5);
    value(&p);
    mn__namm_backward(p.net, p.param, p.x, N, p.d_score, p.grad, p.work);
    const double once = p.grad[3];
    mn__namm_backward(p.net, p.param, p.x, N, p.d_score, p.grad, p.work);
    assert_true(once != 0);
    assert_float_equal(p.grad[3], 2 * once, 1e-12);
    free(p.work);
}

static void test_same_as_run(void **state)
{
    (void)state;
    struct mn__kern kern;
    mn__kern_init(&kern, MN__CPU_REF);
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        problem p;
        float param[PARAM_MAX], x[N * E], score[N];
        mn__namm_net net = nets[k];
        net.exact = true;
        draw(&p, &nets[k], 40 + k);
        for (size_t i = 0; i < p.n_param; i++) p.param[i] = param[i] = (float)p.param[i];
        for (size_t i = 0; i < N * E; i++) p.x[i] = x[i] = (float)p.x[i];
        value(&p);
        float *scratch = aligned_alloc(64, (mn__namm_net_scratch(&net, N) * 4 + 63) / 64 * 64);
        assert_non_null(scratch);
        mn__namm_net_run(&net, &kern, param, x, N, NULL, score, NULL, scratch);
        for (size_t i = 0; i < N; i++)
            if (fabs((double)score[i] - p.score[i]) > 2e-5 * (1 + fabs(p.score[i])))
                fail_msg("net %zu, token %zu: %g wanted, %g found", k, i, p.score[i],
                         (double)score[i]);
        free(scratch);
        free(p.work);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_same_as_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
