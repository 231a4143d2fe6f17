/* test_namm_net.c: the networks of a NAMM against plain twins in double: linear, MLP, mix, and BAM
 * in both precisions at sizes around tiles, pages and blocks; masks, NaN, shapes that are none. */
#include "policy/namm_net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "kern/ref/number_ref.h"

enum { N_MAX = 600, E_MAX = 40, HIDDEN_MAX = 64 };

static struct mn__kern kern;

static int set_up(void **state)
{
    mn__cpu_level level = MN__CPU_REF;
    const char *name = getenv("MN_TEST_CPU");
    (void)state;
    if (mn__cpu_level_parse(name ? name : "auto", &level, NULL) != MN_OK) return -1;
    mn__kern_init(&kern, (int)level);
    return 0;
}

/* ---- twins ---- */

/* y = x W + b of layer l, one row. */
static void map_twin(const mn__namm_layer *l, const float *param, const double *x, double *y)
{
    for (size_t o = 0; o < l->n_out; o++) {
        double sum = l->bias ? (double)param[l->at + l->n_in * l->n_out + o] : 0;
        for (size_t i = 0; i < l->n_in; i++) sum += x[i] * (double)param[l->at + i * l->n_out + o];
        y[o] = sum;
    }
}

static double mlp_twin(const mn__namm_net *net, const float *param, const float *x)
{
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    double h[HIDDEN_MAX], y[HIDDEN_MAX];
    size_t n = mn__namm_layers(net, layer);
    for (size_t i = 0; i < net->n_in; i++) h[i] = (double)x[i];
    for (size_t l = 0; l < n; l++) {
        map_twin(&layer[l], param, h, y);
        bool add = l ? net->residual : net->residual_first;
        for (size_t c = 0; c < layer[l].n_out; c++)
            h[c] = l + 1 == n ? y[c] : fmax(y[c], 0) + (add ? h[c] : 0);
    }
    return h[0];
}

static double mix_twin(const mn__namm_net *net, const float *param, const float *x)
{
    double sum = 0;
    for (size_t k = 0; k < net->n_part; k++) {
        double y = (double)param[net->n_part * net->n_in + k];
        for (size_t c = 0; c < net->n_in; c++) y += (double)x[c] * (double)param[k * net->n_in + c];
        sum += exp(y);
    }
    return log(sum);
}

/* q, k, v of a token, rounded as the bf16 form stores them. */
static void project_twin(const mn__namm_net *net, const mn__namm_layer *l, const float *param,
                         const float *x, double *qkv)
{
    double row[E_MAX];
    for (size_t c = 0; c < net->n_in; c++) row[c] = (double)x[c];
    map_twin(l, param, row, qkv);
    for (size_t c = 0; c < l->n_out && !net->exact; c++)
        qkv[c] = (double)mn__bf16_widen(mn__bf16_round((float)qkv[c]));
}

/* o of one token: plain softmax over itself and the newer keys; size: the same of |v|. */
static void attend_twin(const mn__namm_net *net, const double *qkv, size_t n, size_t i,
                        const uint8_t *valid, double *o, double *size)
{
    size_t d = net->hidden, dh = d / net->n_head;
    static double w[N_MAX];
    for (size_t h = 0; h < net->n_head; h++) {
        double top = -INFINITY, sum = 0;
        for (size_t j = i; j < n; j++) {
            double dot = 0;
            for (size_t c = 0; c < dh; c++)
                dot += qkv[i * 3 * d + h * dh + c] * qkv[j * 3 * d + d + h * dh + c];
            w[j] = valid && !valid[j] ? -INFINITY : dot / sqrt((double)dh);
            top = fmax(top, w[j]);
        }
        for (size_t c = h * dh; c < (h + 1) * dh; c++) o[c] = size[c] = 0;
        for (size_t j = i; j < n && top > -INFINITY; j++) sum += w[j] = exp(w[j] - top);
        for (size_t j = i; j < n && top > -INFINITY; j++)
            for (size_t c = h * dh; c < (h + 1) * dh; c++) {
                double v = qkv[j * 3 * d + 2 * d + c];
                o[c] += w[j] / sum * v;
                size[c] += w[j] / sum * fabs(v);
            }
    }
}

/* What is wanted, and what a relative error of all probabilities makes of each element at most. */
typedef struct result {
    double *score, *attention, *score_size, *attention_size;
} result;

static void bam_twin(const mn__namm_net *net, const float *param, const float *x, size_t n,
                     const uint8_t *valid, const result *want)
{
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    static double qkv[N_MAX * 3 * HIDDEN_MAX];
    size_t E = net->n_in;
    mn__namm_layers(net, layer);
    const mn__namm_layer *out = &layer[1], *head = &layer[2];
    for (size_t i = 0; i < n; i++)
        project_twin(net, &layer[0], param, x + i * E, qkv + i * 3 * net->hidden);
    for (size_t i = 0; i < n; i++) {
        double o[HIDDEN_MAX], o_size[HIDDEN_MAX], row[E_MAX];
        double *r = want->attention + i * out->n_out, *size = want->attention_size + i * out->n_out;
        attend_twin(net, qkv, n, i, valid, o, o_size);
        map_twin(out, param, o, r);
        for (size_t c = 0; c < out->n_out; c++)
            for (size_t k = 0; k < net->hidden; k++)
                size[c] += o_size[k] * fabs((double)param[out->at + k * out->n_out + c]);
        for (size_t c = 0; c < E; c++) {
            double from = (double)x[i * E + c], weight = fabs((double)param[head->at + c]);
            row[c] = from + (net->mult ? from * r[E + c] : 0) + r[c];
            want->score_size[i] += weight * ((net->mult ? fabs(from) * size[E + c] : 0) + size[c]);
        }
        map_twin(head, param, row, &want->score[i]);
    }
}

/* ---- a network with drawn parameters and rows ---- */

typedef struct sample {
    mn__namm_net net;
    size_t n, n_out; /* rows; columns of the attention's output */
    float *param, *x, *score, *attention;
    result want;
    uint8_t valid[N_MAX];
} sample;

static float *draw(uint32_t purpose, size_t n, double size)
{
    float *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(size * mn__rng_normal(11, purpose, i, 0));
    return x;
}

static sample make(const mn__namm_net *net, size_t n)
{
    sample s = {.net = *net, .n = n, .n_out = net->mult ? 2 * net->n_in : net->n_in};
    mn_diag diag = {""};
    if (mn__namm_net_check(net, &diag) != MN_OK) fail_msg("%s", diag.text);
    s.param = draw(1, mn__namm_net_params(net), 0.3);
    s.x = draw(2, n * net->n_in, 1);
    s.score = calloc(n + 1, sizeof *s.score);
    s.attention = calloc(n * s.n_out + 1, sizeof *s.attention);
    s.want = (result){calloc(n + 1, sizeof(double)), calloc(n * s.n_out + 1, sizeof(double)),
                      calloc(n + 1, sizeof(double)), calloc(n * s.n_out + 1, sizeof(double))};
    for (size_t i = 0; i < n; i++) s.valid[i] = mn__rng_uniform(11, 3, i, 0) < 0.8;
    return s;
}

static void drop(sample *s)
{
    free(s->param);
    free(s->x);
    free(s->score);
    free(s->attention);
    free(s->want.score);
    free(s->want.attention);
    free(s->want.score_size);
    free(s->want.attention_size);
}

/* Exactly the scratch that was asked for, so that sanitizers see what reaches beyond. */
static void run(sample *s, const uint8_t *valid)
{
    size_t bytes = mn__namm_net_scratch(&s->net, s->n) * sizeof(float);
    float *scratch = mn__alloc(MN_MEM_OTHER, bytes);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes); /* NaN */
    mn__namm_net_run(&s->net, &kern, s->param, s->x, s->n, valid, s->score,
                     s->net.head == MN__NAMM_BAM ? s->attention : NULL, scratch);
    mn__free(scratch);
}

/* Within 2e-5, or 1e-5 of the value, and `relative` of `size` (NULL: exact). */
static void near(const char *what, const double *want, const float *found, size_t n,
                 const double *size, double relative)
{
    for (size_t i = 0; i < n; i++) {
        double tolerance = fmax(2e-5, 1e-5 * fabs(want[i])) + (size ? relative * size[i] : 0);
        if (!(fabs((double)found[i] - want[i]) <= tolerance))
            fail_msg("%s %zu of %zu: %g wanted, %g found, tolerance %g", what, i, n, want[i],
                     (double)found[i], tolerance);
    }
}

/* ---- linear, MLP ---- */

static void test_layers(void **state)
{
    (void)state;
    const mn__namm_net nets[] = {
        {.head = MN__NAMM_LINEAR, .n_in = 27},
        {.head = MN__NAMM_MLP, .n_in = 25, .depth = 1},
        {.head = MN__NAMM_MLP, .n_in = 9, .hidden = 12, .depth = 2, .bias = true, .residual = true},
        {.head = MN__NAMM_MLP, .n_in = 26, .hidden = 64, .depth = 4, .bias = true},
        {.head = MN__NAMM_MLP, .n_in = 17, .hidden = 17, .depth = 3, .residual_first = true},
        {.head = MN__NAMM_MLP,
         .n_in = 16,
         .hidden = 16,
         .depth = 5,
         .bias = true,
         .residual_first = true,
         .residual = true},
    };
    static const size_t params[] = {28,           25,          133, 26 * 64 + 64 + 2 * 65 * 64 + 65,
                                    2 * 289 + 17, 4 * 272 + 17};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        static const size_t sizes[] = {0, 1, 31, 32, 33, 100};
        assert_int_equal(mn__namm_net_params(&nets[i]), params[i]);
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            sample s = make(&nets[i], sizes[j]);
            run(&s, NULL);
            for (size_t t = 0; t < s.n; t++)
                s.want.score[t] = mlp_twin(&s.net, s.param, s.x + t * s.net.n_in);
            near("score", s.want.score, s.score, s.n, NULL, 0);
            drop(&s);
        }
    }
}

/* ---- mix ---- */

static void test_mix(void **state)
{
    (void)state;
    const mn__namm_net nets[] = {{.head = MN__NAMM_MIX, .n_in = 30, .n_part = 4},
                                 {.head = MN__NAMM_MIX, .n_in = 1, .n_part = 2},
                                 {.head = MN__NAMM_MIX, .n_in = 17, .n_part = 16},
                                 {.head = MN__NAMM_MIX, .n_in = 40, .n_part = 7}};
    static const size_t params[] = {124, 4, 288, 287};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        static const size_t n_row[] = {0, 1, 31, 32, 33, 100};
        assert_int_equal(mn__namm_net_params(&nets[i]), params[i]);
        for (size_t j = 0; j < sizeof n_row / sizeof *n_row; j++) {
            sample s = make(&nets[i], n_row[j]);
            run(&s, NULL);
            for (size_t t = 0; t < s.n; t++)
                s.want.score[t] = mix_twin(&s.net, s.param, s.x + t * s.net.n_in);
            near("score", s.want.score, s.score, s.n, NULL, 0);
            drop(&s);
        }
    }
}

/* Where exponentials by themselves are zero or infinite, what is much the largest decides alone. */
static void test_mix_far(void **state)
{
    (void)state;
    const mn__namm_net net = {.head = MN__NAMM_MIX, .n_in = 1, .n_part = 3};
    static const struct {
        float b[3], want;
    } cases[] = {{{1000, -1000, 0}, 1000},
                 {{-5000, -4000, -6000}, -4000},
                 {{500, 500, -500}, 500.693147f},
                 {{1e30f, 0, 0}, 1e30f},
                 {{-INFINITY, 3, -INFINITY}, 3},
                 {{INFINITY, 3, 0}, INFINITY},
                 {{-INFINITY, -INFINITY, -INFINITY}, -INFINITY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sample s = make(&net, 33);
        memset(s.param, 0, 3 * sizeof *s.param);
        memcpy(s.param + 3, cases[i].b, sizeof cases[i].b);
        run(&s, NULL);
        for (size_t t = 0; t < s.n; t++)
            if (!(s.score[t] == cases[i].want ||
                  fabsf(s.score[t] - cases[i].want) <= 1e-5f * fabsf(cases[i].want)))
                fail_msg("case %zu: %g wanted, %g found", i, (double)cases[i].want,
                         (double)s.score[t]);
        drop(&s);
    }
}

/* ---- BAM ---- */

static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 64, 255, 256, 257, 600};

/* The bf16 form rounds probabilities (2^-8), and f32 may round a value of q, k or v to the other
 * side than double does (as much again, for all that one row sees). */
static const double rounding = 1.0 / 128;

static void compare(const mn__namm_net *net, size_t n, bool masked)
{
    sample s = make(net, n);
    const uint8_t *valid = masked ? s.valid : NULL;
    char shape[96], what[128];
    double relative = net->exact ? 0 : rounding;
    run(&s, valid);
    bam_twin(net, s.param, s.x, n, valid, &s.want);
    snprintf(shape, sizeof shape, "%zu inputs, %zu/%zu, %s, n %zu", net->n_in, net->hidden,
             net->n_head, net->exact ? "f32" : "bf16", n);
    snprintf(what, sizeof what, "%s: attention", shape);
    near(what, s.want.attention, s.attention, n * s.n_out, s.want.attention_size, relative);
    snprintf(what, sizeof what, "%s: score", shape);
    near(what, s.want.score, s.score, n, s.want.score_size, relative);
    drop(&s);
}

static void compare_all(bool exact)
{
    static const struct {
        size_t n_in, hidden, n_head;
        bool bias, mult;
    } shapes[] = {
        {25, 32, 1, true, true}, {25, 32, 2, true, true},  {9, 64, 4, false, false},
        {7, 12, 4, true, false}, {26, 16, 1, false, true}, {3, 40, 1, true, true},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
            for (int masked = 0; masked < 2; masked++) {
                const mn__namm_net net = {.head = MN__NAMM_BAM,
                                          .n_in = shapes[i].n_in,
                                          .hidden = shapes[i].hidden,
                                          .n_head = shapes[i].n_head,
                                          .bias = shapes[i].bias,
                                          .mult = shapes[i].mult,
                                          .exact = exact};
                compare(&net, sizes[j], masked);
            }
}

static void test_bam_exact(void **state)
{
    (void)state;
    compare_all(true);
}

static void test_bam_bf16(void **state)
{
    (void)state;
    compare_all(false);
}

/* Nothing that an older token holds may reach a newer one. */
static void test_bam_looks_forward(void **state)
{
    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        const mn__namm_net net = {.head = MN__NAMM_BAM,
                                  .n_in = 5,
                                  .hidden = 8,
                                  .n_head = 2,
                                  .mult = true,
                                  .exact = exact};
        sample a = make(&net, 300), b = make(&net, 300);
        for (size_t i = 0; i < 100 * net.n_in; i++) b.x[i] += 3;
        run(&a, NULL);
        run(&b, NULL);
        assert_memory_equal(a.score + 100, b.score + 100, 200 * sizeof *a.score);
        for (size_t i = 0; i < 100; i++) assert_true(a.score[i] != b.score[i]);
        drop(&a);
        drop(&b);
    }
}

/* A masked token's row is as if it were not there for the others. */
static void test_mask_is_removal(void **state)
{
    (void)state;
    const mn__namm_net net = {.head = MN__NAMM_BAM,
                              .n_in = 5,
                              .hidden = 32,
                              .n_head = 1,
                              .bias = true,
                              .mult = true,
                              .exact = true};
    sample a = make(&net, 300), b = make(&net, 300);
    run(&a, a.valid);
    b.n = 0;
    for (size_t i = 0; i < a.n; i++)
        if (a.valid[i]) memcpy(b.x + b.n++ * 5, a.x + i * 5, 5 * sizeof *a.x);
    assert_true(b.n > 100 && b.n < 290);
    run(&b, NULL);
    for (size_t i = 0, j = 0; i < a.n; i++)
        if (a.valid[i]) assert_float_equal(a.score[i], b.score[j++], 1e-5);
    memset(a.valid, 0, sizeof a.valid); /* nobody is a key: b_o alone */
    run(&a, a.valid);
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    mn__namm_layers(&net, layer);
    assert_memory_equal(a.attention, a.param + layer[2].at - 10, 10 * sizeof *a.param);
    drop(&a);
    drop(&b);
}

static void test_nan(void **state)
{
    (void)state;
    static const mn__namm_head heads[] = {MN__NAMM_BAM, MN__NAMM_BAM, MN__NAMM_LINEAR, MN__NAMM_MLP,
                                          MN__NAMM_MIX};
    for (int kind = 0; kind < 5; kind++) {
        const mn__namm_net net = {.head = heads[kind],
                                  .n_in = 5,
                                  .hidden = 5,
                                  .n_head = 1,
                                  .depth = 2,
                                  .n_part = 3,
                                  .bias = true,
                                  .exact = kind == 1};
        sample s = make(&net, 100);
        size_t n_param = mn__namm_net_params(&net);
        s.x[40 * 5 + 2] = NAN;
        run(&s, NULL);
        assert_true(isnan(s.score[40]));
        for (size_t i = 68; i < 100; i++) assert_true(isfinite(s.score[i])); /* newer tiles */
        s.x[40 * 5 + 2] = 1;
        for (size_t p = 0; p < n_param; p++) {
            float was = s.param[p];
            s.param[p] = NAN;
            run(&s, NULL);
            for (size_t i = 0; i < s.n; i++) assert_true(isnan(s.score[i]));
            s.param[p] = was;
        }
        for (size_t p = 0; p < n_param; p++) s.param[p] = p % 2 ? 3e38f : -INFINITY;
        run(&s, NULL); /* anything, but it returns */
        drop(&s);
    }
}

static void test_shapes_that_are_none(void **state)
{
    (void)state;
    const struct {
        mn__namm_net net;
        const char *say;
    } cases[] = {
        {{.head = MN__NAMM_LINEAR}, "1 to 1024 inputs wanted, 0 found"},
        {{.head = MN__NAMM_LINEAR, .n_in = 5000}, "1 to 1024 inputs wanted, 5000 found"},
        {{.head = MN__NAMM_MLP, .n_in = 3}, "1 to 16 layers wanted, 0 found"},
        {{.head = MN__NAMM_MLP, .n_in = 3, .depth = 17}, "17 found"},
        {{.head = MN__NAMM_MLP, .n_in = 3, .depth = 2}, "hidden channels wanted, 0 found"},
        {{.head = MN__NAMM_MLP, .n_in = 3, .depth = 2, .hidden = 4, .residual_first = true},
         "as many hidden channels as inputs (3), 4 found"},
        {{.head = MN__NAMM_BAM, .n_in = 3, .n_head = 1}, "hidden channels wanted, 0 found"},
        {{.head = MN__NAMM_BAM, .n_in = 3, .hidden = 2000, .n_head = 1}, "2000 found"},
        {{.head = MN__NAMM_BAM, .n_in = 3, .hidden = 8}, "divide 8 hidden channels wanted, 0"},
        {{.head = MN__NAMM_BAM, .n_in = 3, .hidden = 8, .n_head = 3}, "divide 8 hidden channels"},
        {{.head = MN__NAMM_MIX, .n_part = 4}, "1 to 1024 inputs wanted, 0 found"},
        {{.head = MN__NAMM_MIX, .n_in = 3, .n_part = 1}, "2 to 16 components wanted, 1 found"},
        {{.head = MN__NAMM_MIX, .n_in = 3, .n_part = 17}, "2 to 16 components wanted, 17 found"},
        {{.head = (mn__namm_head)7, .n_in = 3}, "unknown head, 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_diag diag = {""};
        assert_int_equal(mn__namm_net_check(&cases[i].net, &diag), MN_EINPUT);
        if (!strstr(diag.text, cases[i].say))
            fail_msg("'%s' wanted in: %s", cases[i].say, diag.text);
    }
}

/* The paper's counts. */
static void test_counts(void **state)
{
    (void)state;
    mn__namm_net net = {
        .head = MN__NAMM_BAM, .n_in = 25, .hidden = 32, .n_head = 1, .bias = true, .mult = true};
    assert_int_equal(mn__namm_net_params(&net), 4172);
    net.hidden = 16;
    net.bias = false;
    assert_int_equal(mn__namm_net_params(&net), 2026);
    size_t one = mn__namm_net_scratch(&net, 4096), two = mn__namm_net_scratch(&net, 8192);
    assert_int_equal(two - one, 4096 * 2 * 32 / 2); /* k and v in bf16, padded: O(n) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_mix_far),
        cmocka_unit_test(test_bam_exact),
        cmocka_unit_test(test_bam_bf16),
        cmocka_unit_test(test_bam_looks_forward),
        cmocka_unit_test(test_mask_is_removal),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_shapes_that_are_none),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
