/* namm_spectrum.c: rings of attention and the running spectrum (namm_spectrum.h). The ring is
 * written where the token's index says, so that nothing moves at the end of a hop and it does not
 * matter in which pieces the text came. */
#include "policy/namm_spectrum.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "kern/ref/number_ref.h"

enum { SHOWN_ROWS = 16, SUM_RUN = 256 };

static void fill_basis(mn__namm_stft *t)
{
    size_t n = t->of.window;
    for (size_t f = 0; f < t->n_bin; f++)
        for (size_t m = 0; m < n; m++) {
            double hann = 0.5 - 0.5 * cos(2 * M_PI * (double)m / (double)n),
                   turn = 2 * M_PI * (double)(f * m % n) / (double)n;
            t->basis[2 * f * n + m] = (float)(hann * cos(turn));
            t->basis[(2 * f + 1) * n + m] = (float)(hann * sin(turn));
        }
}

static float decay(const mn__namm_spectrum *of)
{
    return (float)pow(of->gamma, (double)of->hop);
}

mn_status mn__namm_stft_check(const mn__namm_spectrum *of, mn_diag *diag)
{
    size_t n = of->window;
    if (n < 2 || n > MN__NAMM_WINDOW_MAX || n % 2 != 0)
        return mn__fail(diag, MN_EINPUT,
                        "a window is an even number of queries from 2 to %d, %zu found",
                        MN__NAMM_WINDOW_MAX, n);
    if (of->hop < 1 || of->hop > n)
        return mn__fail(diag, MN_EINPUT, "a hop is 1 to %zu queries (the window), %zu found", n,
                        of->hop);
    if (!(of->gamma > 0 && decay(of) < 1))
        return mn__fail(
            diag, MN_EINPUT,
            "gamma is between 0 and 1, its power of the hop below 1 in single precision, "
            "%.15g found",
            of->gamma);
    return MN_OK;
}

mn_status mn__namm_stft_init(mn__namm_stft *t, const mn__namm_spectrum *of, bool half,
                             mn_diag *diag)
{
    size_t n = of->window;
    mn_status st = mn__namm_stft_check(of, diag);
    *t = (mn__namm_stft){.of = *of, .half = half};
    if (st != MN_OK) return st;
    t->a = decay(of);
    t->n_bin = n / 2 + 1;
    t->n_ring = of->hop % SHOWN_ROWS == 0 ? n : n + SHOWN_ROWS - 1;
    t->basis = mn__alloc_array(MN_MEM_POLICY, 2 * t->n_bin * n, sizeof *t->basis);
    if (!t->basis) return mn__fail(diag, MN_ENOMEM, "out of memory for a window of %zu", n);
    fill_basis(t);
    return MN_OK;
}

void mn__namm_stft_fini(mn__namm_stft *t)
{
    mn__free(t->basis);
    t->basis = NULL;
}

static size_t element(const mn__namm_stft *t)
{
    return t->half ? sizeof(mn_bf16) : sizeof(float);
}

size_t mn__namm_stft_bytes(const mn__namm_stft *t)
{
    return (t->n_ring + t->n_bin) * element(t);
}

void mn__namm_row_weights(const mn__seen *seen, bool by_length, float *weight)
{
    const mn__lane *l = mn__cache_lane(seen->cache, seen->layer, seen->head);
    for (size_t r = 0; r < seen->n_row; r++) {
        int64_t in_step = seen->token0 + (int64_t)r - seen->cache->n_seen;
        float length = by_length ? (float)((int64_t)l->n + in_step + 1) : 1;
        weight[r] = length / (float)seen->n_group;
    }
}

/* Rows [r, r + n) into the ring, which they do not go around. */
static void put_rows(const mn__namm_stft *t, const mn__seen *seen, size_t r, size_t n,
                     const float *weight, uint8_t *state, size_t stride)
{
    const struct mn__kern *kern = seen->cache->kern;
    size_t at = (size_t)((seen->token0 + (int64_t)r) % (int64_t)t->n_ring);
    const float *p = seen->p + r * seen->ld;
    void *ring = state + at * element(t);
    if (t->half)
        kern->ring_put_bf16(ring, stride / sizeof(mn_bf16), p, seen->ld, weight + r, n,
                            seen->n_slot);
    else
        kern->ring_put_f32(ring, stride / sizeof(float), p, seen->ld, weight + r, n, seen->n_slot);
}

/* The hop that ends before token `end`. */
static void transform(const mn__namm_stft *t, const mn__seen *seen, int64_t end, uint8_t *state,
                      size_t stride)
{
    const struct mn__kern *kern = seen->cache->kern;
    int64_t n_ring = (int64_t)t->n_ring;
    size_t first = (size_t)((end - (int64_t)t->of.window + n_ring) % n_ring);
    void *ema = state + t->n_ring * element(t);
    if (t->half)
        kern->stft_ema_bf16(ema, (const mn_bf16 *)(const void *)state, stride / sizeof(mn_bf16),
                            t->n_ring, first, t->basis, t->of.window, t->a, seen->n_slot);
    else
        kern->stft_ema_f32(ema, (const float *)(const void *)state, stride / sizeof(float),
                           t->n_ring, first, t->basis, t->of.window, t->a, seen->n_slot);
}

void mn__namm_stft_observe(const mn__namm_stft *t, const mn__seen *seen, uint8_t *state,
                           size_t stride)
{
    float weight[SHOWN_ROWS];
    assert(seen->n_row <= SHOWN_ROWS && stride % element(t) == 0);
    mn__namm_row_weights(seen, t->of.by_length, weight);
    for (size_t r = 0, n; r < seen->n_row; r += n) {
        size_t room = t->n_ring - (size_t)((seen->token0 + (int64_t)r) % (int64_t)t->n_ring);
        n = seen->n_row - r < room ? seen->n_row - r : room;
        put_rows(t, seen, r, n, weight, state, stride);
    }
    for (size_t r = 1; r <= seen->n_row; r++) {
        int64_t end = seen->token0 + (int64_t)r;
        if (end % (int64_t)t->of.hop == 0) transform(t, seen, end, state, stride);
    }
}

void mn__namm_stft_read(const mn__namm_stft *t, const uint8_t *state, int64_t token, int64_t n_seen,
                        float *out)
{
    int64_t hop = (int64_t)t->of.hop, frames = n_seen / hop - token / hop;
    double scale = 1, eps = t->of.by_length ? 1e-3 : 1e-6;
    state += t->n_ring * element(t);
    if (t->of.corrected) scale = frames > 0 ? 1 / (1 - pow((double)t->a, (double)frames)) : 0;
    for (size_t f = 0; f < t->n_bin; f++) {
        float x;
        if (t->half)
            x = mn__bf16_widen(((const mn_bf16 *)(const void *)state)[f]);
        else
            memcpy(&x, state + f * sizeof x, sizeof x);
        double y = (double)x * scale;
        out[f] = (float)(t->of.log ? log(y + eps) : y);
    }
}

void mn__namm_sum_observe(const mn__seen *seen, const float *weight, float decay, uint8_t *state,
                          size_t stride)
{
    for (size_t i = 0, n; i < seen->n_slot; i += n) {
        float sum[SUM_RUN] = {0};
        n = seen->n_slot - i < SUM_RUN ? seen->n_slot - i : SUM_RUN;
        seen->cache->kern->colsum(sum, seen->p + i, seen->ld, weight, seen->n_row, n);
        for (size_t k = 0; k < n; k++) {
            float *x = (float *)(void *)(state + (i + k) * stride);
            *x = *x * decay + sum[k];
        }
    }
}
