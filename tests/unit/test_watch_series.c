/* test_watch_series.c: a token's attention over time: spectrograms against the transform written
 * out, and columns of long texts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "eval/watch_internal.h"

enum { W = MN__STFT_WINDOW, S = MN__STFT_HOP, F = MN__STFT_BINS };

/* |X[f]| of frame k over the whole series, x(t) = 0 before the first. */
static double direct(const float *x, int64_t k, size_t f)
{
    double re = 0, im = 0, pi = acos(-1);
    for (int n = 0; n < W; n++) {
        int64_t t = (k + 1) * S - W + n;
        double w = 0.5 - 0.5 * cos(2 * pi * n / W), v = t < 0 ? 0 : (double)x[t];
        re += w * v * cos(2 * pi * (double)f * n / W);
        im -= w * v * sin(2 * pi * (double)f * n / W);
    }
    return sqrt(re * re + im * im);
}

static float *random_series(size_t token, size_t n)
{
    float *x = calloc(n, sizeof *x);
    for (size_t t = token; t < n; t++) x[t] = (float)pow(mn__rng_uniform(3, 1, t, token), 6);
    return x;
}

static void hold_series(size_t token, size_t n)
{
    mn__series s;
    float *x = random_series(token, n);
    size_t n_frame = n / S - token / S;
    assert_true(mn__series_init(&s, token, n));
    for (size_t t = 0; t < n; t++) mn__series_push(&s, (int64_t)t, x[t]);
    assert_int_equal(s.end, n);
    assert_true(s.n_peak <= MN__SERIES_COLUMNS && s.n_frame <= MN__SERIES_FRAMES);
    assert_true(s.n_peak * s.peak_step >= n - token && s.n_frame * s.frame_step >= n_frame);
    for (size_t c = 0; c < s.n_peak; c++) {
        float most = 0;
        for (size_t t = token + c * s.peak_step; t < n && t < token + (c + 1) * s.peak_step; t++)
            most = fmaxf(most, x[t]);
        assert_true(s.peak[c] == most);
    }
    for (size_t c = 0; c < s.n_frame; c++)
        for (size_t f = 0; f < F; f++) {
            double sum = 0;
            size_t count = 0;
            for (size_t i = c * s.frame_step; i < n_frame && i < (c + 1) * s.frame_step; i++) {
                sum += direct(x, (int64_t)(token / S + i), f);
                count++;
            }
            double want = sum / (double)count, got = (double)s.frame[c * F + f];
            if (fabs(got - want) > 1e-6 + 1e-5 * want)
                fail_msg("token %zu of %zu: frame %zu, frequency %zu is %g, %g wanted", token, n, c,
                         f, got, want);
        }
    mn__series_fini(&s);
    free(x);
}

static void test_spectrogram(void **state)
{
    (void)state;
    hold_series(0, 512);
    hold_series(37, 512);  /* born inside a hop */
    hold_series(500, 512); /* one frame, mostly before it was born */
    hold_series(511, 512); /* one query */
    hold_series(5, 12000); /* frames are pooled by two, queries by sixteen */
    hold_series(16, 8192); /* 511 frames: none is pooled */
}

/* Constant attention p: 16 p at the mean, 8 p beside it, nothing else; period 4: its own bin. */
static void test_known(void **state)
{
    (void)state;
    mn__series s;
    assert_true(mn__series_init(&s, 0, 64));
    for (int64_t t = 0; t < 64; t++) mn__series_push(&s, t, 0.25f);
    for (size_t f = 0; f < F; f++) {
        double want = f == 0 ? 4 : f == 1 ? 2 : 0;
        assert_true(fabs((double)s.frame[3 * F + f] - want) < 1e-5);
    }
    mn__series_fini(&s);
    assert_true(mn__series_init(&s, 0, 64));
    for (int64_t t = 0; t < 64; t++) mn__series_push(&s, t, t % 4 == 0 ? 1.0f : 0.0f);
    for (size_t f = 2; f < F; f++) /* an impulse train: its mean, and bins 8 and 16 */
        assert_true(((double)s.frame[3 * F + f] > 1) == (f % 8 <= 1 || f % 8 == 7));
    mn__series_fini(&s);
}

/* The heads of a group come one after the other; rows before the token are none of its own. */
static void test_group(void **state)
{
    (void)state;
    float p[2][4][3] = {{{0, .1f, 0}, {0, .2f, .5f}, {0, .3f, .1f}, {0, .4f, .2f}},
                        {{0, .3f, 0}, {0, .4f, .1f}, {0, .5f, .2f}, {0, .6f, .3f}}};
    const int32_t token[3] = {2, 3, 9};
    mn__series s;
    assert_true(mn__series_init(&s, 9, 32));
    for (size_t g = 0; g < 2; g++) {
        const mn_watch_attention a = {.i_group = g,
                                      .n_group = 2,
                                      .query = 8,
                                      .n_query = 4,
                                      .n = 3,
                                      .token = token,
                                      .p = &p[g][0][0],
                                      .ld = 3};
        mn__series_add(&s, &a, 2);
    }
    assert_int_equal(s.end, 12);
    assert_true(fabsf(s.peak[0] - .3f) < 1e-6f && fabsf(s.peak[1] - .15f) < 1e-6f &&
                fabsf(s.peak[2] - .25f) < 1e-6f && s.peak[3] == 0);
    mn__series_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spectrogram),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
