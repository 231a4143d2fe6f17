/* prove_stft.c: proofs of the kernels over rings of values a slot. What lies between the slots'
 * numbers must stay as it is. */
#include <math.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

static const size_t slots[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100};

struct stft_case {
    size_t n, stride, n_row, ld, n_ring, first, n_win, size; /* size: numbers of all slots */
    float a, *p, *w, *basis;
};

/* Numbers from the first slot's first to the last one's last, `used` of each. */
static size_t extent(const struct stft_case *c, size_t used)
{
    return c->n ? (c->n - 1) * c->stride + used : 0;
}

static struct stft_case draw_ring(struct probe *p)
{
    struct stft_case c = {.n = probe_pick(p, slots, COUNT(slots)), .n_row = 1 + probe_below(p, 16)};
    if (probe_below(p, 2)) c.n_row = 16;
    c.stride = c.n_row + probe_below(p, 4);
    c.ld = c.n + probe_below(p, 3);
    c.size = extent(&c, c.n_row);
    c.p = guard_f32(p, (c.n_row - 1) * c.ld + c.n);
    c.w = guard_f32(p, c.n_row);
    probe_shape(p, "n %zu stride %zu rows %zu", c.n, c.stride, c.n_row);
    return c;
}

static void ring_tolerance(const struct stft_case *c, float *tol, bool half)
{
    memset(tol, 0, c->size * sizeof *tol);
    for (size_t i = 0; i < c->n; i++)
        for (size_t r = 0; r < c->n_row; r++) {
            float mag = fabsf(c->w[r] * c->p[r * c->ld + i]);
            tol[i * c->stride + r] = tol_dot(mag, 2) + (half ? tol_bf16(mag) : 0);
        }
}

void prove_ring_put_f32(struct probe *p)
{
    struct stft_case c = draw_ring(p);
    float *a = guard_f32(p, c.size), *b = guard_copy(a, c.size * 4), *tol = guard_take(c.size * 4);
    ring_tolerance(&c, tol, false);
    p->ref->ring_put_f32(a, c.stride, c.p, c.ld, c.w, c.n_row, c.n);
    p->kern->ring_put_f32(b, c.stride, c.p, c.ld, c.w, c.n_row, c.n);
    check_f32(p, "ring", a, b, tol, c.size);
}

static float *widened(const mn_bf16 *x, size_t n)
{
    float *y = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) y[i] = mn__bf16_widen(x[i]);
    return y;
}

void prove_ring_put_bf16(struct probe *p)
{
    struct stft_case c = draw_ring(p);
    mn_bf16 *a = guard_bf16(p, c.size), *b = guard_copy(a, c.size * 2);
    float *tol = guard_take(c.size * 4);
    ring_tolerance(&c, tol, true);
    p->ref->ring_put_bf16(a, c.stride, c.p, c.ld, c.w, c.n_row, c.n);
    p->kern->ring_put_bf16(b, c.stride, c.p, c.ld, c.w, c.n_row, c.n);
    check_f32(p, "ring", widened(a, c.size), widened(b, c.size), tol, c.size);
}

static void draw_basis(struct probe *p, struct stft_case *c)
{
    size_t n = c->n_win;
    float window[64];
    c->basis = guard_take((n / 2 + 1) * 2 * n * 4);
    for (size_t m = 0; m < n; m++) window[m] = probe_plain(p);
    for (size_t f = 0; f <= n / 2; f++)
        for (size_t m = 0; m < n; m++) {
            double turn = 2 * M_PI * (double)(f * m % n) / (double)n;
            c->basis[2 * f * n + m] = (float)((double)window[m] * cos(turn));
            c->basis[(2 * f + 1) * n + m] = (float)((double)window[m] * sin(turn));
        }
}

/* The ring stands before the averages, as the policy has it. */
static struct stft_case draw_stft(struct probe *p)
{
    static const size_t windows[] = {2, 4, 8, 16, 30, 32, 32, 32, 64};
    struct stft_case c = {.n = probe_pick(p, slots, COUNT(slots)),
                          .n_win = probe_pick(p, windows, COUNT(windows)),
                          .a = (float)probe_uniform(p)};
    c.n_ring = c.n_win + (probe_below(p, 2) ? probe_below(p, 16) : 0);
    c.first = probe_below(p, c.n_ring);
    c.stride = c.n_ring + c.n_win / 2 + 1 + probe_below(p, 3);
    c.size = extent(&c, c.n_ring + c.n_win / 2 + 1);
    draw_basis(p, &c);
    probe_shape(p, "n %zu stride %zu ring %zu first %zu window %zu", c.n, c.stride, c.n_ring,
                c.first, c.n_win);
    return c;
}

/* x: all numbers before the call. The parts of a bin err as dots do, and so does their length. */
static void stft_tolerance(const struct stft_case *c, const float *x, float *tol, bool half)
{
    memset(tol, 0, c->size * sizeof *tol);
    for (size_t i = 0; i < c->n; i++)
        for (size_t f = 0; f <= c->n_win / 2; f++) {
            size_t at = i * c->stride + c->n_ring + f;
            float sum = 0, keep = fabsf(c->a * x[at]);
            const float *b = c->basis + 2 * f * c->n_win;
            for (size_t m = 0; m < c->n_win; m++)
                sum += fabsf(x[i * c->stride + (c->first + m) % c->n_ring]) *
                       (fabsf(b[m]) + fabsf(b[c->n_win + m]));
            tol[at] = (1 - c->a) * tol_dot(sum, c->n_win) + tol_ulp(keep + (1 - c->a) * sum) +
                      (half ? tol_bf16(keep + (1 - c->a) * sum) : 0) + 1e-18f;
        }
}

void prove_stft_ema_f32(struct probe *p)
{
    struct stft_case c = draw_stft(p);
    float *a = guard_f32(p, c.size), *b = guard_copy(a, c.size * 4), *tol = guard_take(c.size * 4);
    stft_tolerance(&c, a, tol, false);
    p->ref->stft_ema_f32(a + c.n_ring, a, c.stride, c.n_ring, c.first, c.basis, c.n_win, c.a, c.n);
    p->kern->stft_ema_f32(b + c.n_ring, b, c.stride, c.n_ring, c.first, c.basis, c.n_win, c.a, c.n);
    check_f32(p, "state", a, b, tol, c.size);
}

void prove_stft_ema_bf16(struct probe *p)
{
    struct stft_case c = draw_stft(p);
    mn_bf16 *a = guard_bf16(p, c.size), *b = guard_copy(a, c.size * 2);
    float *tol = guard_take(c.size * 4);
    stft_tolerance(&c, widened(a, c.size), tol, true);
    p->ref->stft_ema_bf16(a + c.n_ring, a, c.stride, c.n_ring, c.first, c.basis, c.n_win, c.a, c.n);
    p->kern->stft_ema_bf16(b + c.n_ring, b, c.stride, c.n_ring, c.first, c.basis, c.n_win, c.a,
                           c.n);
    check_f32(p, "state", widened(a, c.size), widened(b, c.size), tol, c.size);
}
