/* watch_series.c: the attention that a token draws, over time, and its spectrogram. Frame k ends at
 * query (k + 1) S and covers the W queries before, under a periodic Hann window; magnitudes of the
 * W/2 + 1 frequencies, neither centred nor divided. Ref: arXiv 2410.13166. */
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "eval/watch_internal.h"

static size_t steps(size_t n, size_t most)
{
    return n > most ? (n + most - 1) / most : 1;
}

bool mn__series_init(mn__series *s, size_t token, size_t max_token)
{
    size_t n_query = max_token - token, n_frame = max_token / MN__STFT_HOP - token / MN__STFT_HOP;
    *s = (mn__series){.token = (int64_t)token, .end = (int64_t)token};
    s->peak_step = steps(n_query, MN__SERIES_COLUMNS);
    s->frame_step = steps(n_frame, MN__SERIES_FRAMES);
    s->n_peak = (n_query + s->peak_step - 1) / s->peak_step;
    s->n_frame = (n_frame + s->frame_step - 1) / s->frame_step;
    s->peak = mn__alloc_zero(MN_MEM_OTHER, s->n_peak * sizeof *s->peak);
    s->frame = mn__alloc_zero(MN_MEM_OTHER, s->n_frame * MN__STFT_BINS * sizeof *s->frame);
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

static void end_frame(mn__series *s, int64_t t)
{
    size_t k = (size_t)(t / MN__STFT_HOP - s->token / MN__STFT_HOP), column = k / s->frame_step;
    if (column >= s->n_frame) return;
    float *out = s->frame + column * MN__STFT_BINS;
    size_t nth = k % s->frame_step + 1; /* a running mean: the last column may be cut short */
    for (size_t f = 0; f < MN__STFT_BINS; f++)
        out[f] += ((float)magnitude(s, t, f) - out[f]) / (float)nth;
}

void mn__series_push(mn__series *s, int64_t t, float share)
{
    if (t < s->token) return;
    size_t column = (size_t)(t - s->token) / s->peak_step;
    if (column >= s->n_peak) return;
    s->peak[column] = fmaxf(s->peak[column], share);
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
