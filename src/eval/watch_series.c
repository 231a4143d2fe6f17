/* watch_series.c: the attention that a token draws, over time, and its spectrogram. Frame k ends at
 * query (k + 1) S and covers the W queries before, under a periodic Hann window; magnitudes of the
 * W/2 + 1 frequencies, neither centred nor divided. Ref: arXiv 2410.13166. */
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "eval/watch_internal.h"

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool mn__series_init(mn__series *s, size_t token, size_t max_token)
{
    size_t n_peak = min(max_token - token, MN__SERIES_COLUMNS),
           n_frame = min(max_token / MN__STFT_HOP - token / MN__STFT_HOP, MN__SERIES_FRAMES);
    *s = (mn__series){
        .token = (int64_t)token, .end = (int64_t)token, .peak_step = 1, .frame_step = 1};
    s->peak = mn__alloc_zero(MN_MEM_OTHER, n_peak * sizeof *s->peak);
    s->frame = mn__alloc_zero(MN_MEM_OTHER, n_frame * MN__STFT_BINS * sizeof *s->frame);
    return s->peak && s->frame;
}

void mn__series_fini(mn__series *s)
{
    mn__free(s->peak);
    mn__free(s->frame);
    *s = (mn__series){0};
}

/* |X[f]| of the window that ends with query t. */
static double magnitude(const mn__series *s, int64_t t, size_t f)
{
    const double turn = 2 * acos(-1) / MN__STFT_WINDOW;
    double re = 0, im = 0;
    for (size_t n = 0; n < MN__STFT_WINDOW; n++) {
        double x = s->ring[(size_t)(t + 1 + (int64_t)n) % MN__STFT_WINDOW],
               w = 0.5 - 0.5 * cos(turn * (double)n);
        re += w * x * cos(turn * (double)(f * n % MN__STFT_WINDOW));
        im -= w * x * sin(turn * (double)(f * n % MN__STFT_WINDOW));
    }
    return hypot(re, im);
}

/* All columns are full: two become one, and the upper half is free. */
static void halve_peaks(mn__series *s)
{
    size_t half = MN__SERIES_COLUMNS / 2;
    for (size_t i = 0; i < half; i++) s->peak[i] = fmaxf(s->peak[2 * i], s->peak[2 * i + 1]);
    memset(s->peak + half, 0, half * sizeof *s->peak);
    s->peak_step *= 2;
}

static void halve_frames(mn__series *s)
{
    size_t half = MN__SERIES_FRAMES / 2;
    for (size_t i = 0; i < half; i++)
        for (size_t f = 0; f < MN__STFT_BINS; f++) {
            const float *two = s->frame + 2 * i * MN__STFT_BINS + f;
            s->frame[i * MN__STFT_BINS + f] = (two[0] + two[MN__STFT_BINS]) / 2;
        }
    memset(s->frame + half * MN__STFT_BINS, 0, half * MN__STFT_BINS * sizeof *s->frame);
    s->frame_step *= 2;
}

static void end_frame(mn__series *s, int64_t t)
{
    size_t k = (size_t)(t / MN__STFT_HOP - s->token / MN__STFT_HOP);
    if (k / s->frame_step == MN__SERIES_FRAMES) halve_frames(s);
    float *out = s->frame + k / s->frame_step * MN__STFT_BINS;
    size_t nth = k % s->frame_step + 1; /* a running mean: the last column may be cut short */
    for (size_t f = 0; f < MN__STFT_BINS; f++)
        out[f] += ((float)magnitude(s, t, f) - out[f]) / (float)nth;
    s->n_frame = k / s->frame_step + 1;
}

void mn__series_push(mn__series *s, int64_t t, float share)
{
    if (t < s->token) return;
    size_t k = (size_t)(t - s->token);
    if (k / s->peak_step == MN__SERIES_COLUMNS) halve_peaks(s);
    float *peak = &s->peak[k / s->peak_step];
    *peak = fmaxf(*peak, share);
    s->n_peak = k / s->peak_step + 1;
    s->ring[(size_t)t % MN__STFT_WINDOW] = share;
    s->end = t + 1;
    if ((t + 1) % MN__STFT_HOP == 0) end_frame(s, t);
}

void mn__series_add(mn__series *s, const mn_watch_attention *rows, size_t slot)
{
    if (rows->i_group == 0) memset(s->sum, 0, sizeof s->sum);
    for (size_t r = 0; r < rows->n_query && r < MN__STFT_HOP; r++)
        s->sum[r] += rows->p[r * rows->ld + slot];
    if (rows->i_group + 1 < rows->n_group) return;
    for (size_t r = 0; r < rows->n_query && r < MN__STFT_HOP; r++)
        mn__series_push(s, rows->query + (int64_t)r, s->sum[r] / (float)rows->n_group);
}
