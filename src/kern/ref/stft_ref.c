/* stft_ref.c: rings of values a slot and the magnitudes of their spectrum, the plain way. */
#include <math.h>
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__ring_put_f32_ref(float *ring, size_t stride, const float *p, size_t ld_p, const float *w,
                          size_t n_row, size_t n)
{
    for (size_t i = 0; i < n; i++, ring += stride)
        for (size_t r = 0; r < n_row; r++) ring[r] = w[r] * p[r * ld_p + i];
}

void mn__ring_put_bf16_ref(mn_bf16 *ring, size_t stride, const float *p, size_t ld_p,
                           const float *w, size_t n_row, size_t n)
{
    for (size_t i = 0; i < n; i++, ring += stride)
        for (size_t r = 0; r < n_row; r++) ring[r] = mn__bf16_round(w[r] * p[r * ld_p + i]);
}

/* |X[f]| of x [n_win]; basis points at the bin's two rows. */
static double magnitude(const double *x, const float *basis, size_t n_win)
{
    double re = 0, im = 0;
    for (size_t m = 0; m < n_win; m++) {
        re += x[m] * (double)basis[m];
        im += x[m] * (double)basis[n_win + m];
    }
    return sqrt(re * re + im * im);
}

void mn__stft_ema_f32_ref(float *ema, const float *ring, size_t stride, size_t n_ring, size_t first,
                          const float *basis, size_t n_win, float a, size_t n)
{
    double x[64];
    for (size_t i = 0; i < n; i++, ema += stride, ring += stride) {
        for (size_t m = 0; m < n_win; m++) x[m] = (double)ring[(first + m) % n_ring];
        for (size_t f = 0; f <= n_win / 2; f++)
            ema[f] = (float)((double)a * (double)ema[f] +
                             (1.0 - (double)a) * magnitude(x, basis + 2 * f * n_win, n_win));
    }
}

void mn__stft_ema_bf16_ref(mn_bf16 *ema, const mn_bf16 *ring, size_t stride, size_t n_ring,
                           size_t first, const float *basis, size_t n_win, float a, size_t n)
{
    double x[64];
    for (size_t i = 0; i < n; i++, ema += stride, ring += stride) {
        for (size_t m = 0; m < n_win; m++)
            x[m] = (double)mn__bf16_widen(ring[(first + m) % n_ring]);
        for (size_t f = 0; f <= n_win / 2; f++) {
            double mag = magnitude(x, basis + 2 * f * n_win, n_win);
            ema[f] = mn__bf16_round(
                (float)((double)a * (double)mn__bf16_widen(ema[f]) + (1.0 - (double)a) * mag));
        }
    }
}
