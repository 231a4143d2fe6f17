/* prove_elem.c: proofs of the kernels over one row, of packing and of the product. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

static const size_t sizes[] = {0,  1,  2,  3,  7,  8,  9,  15,  16,  17,
                               31, 32, 33, 47, 63, 64, 65, 100, 127, 576};

static size_t draw_size(struct probe *p)
{
    size_t n = probe_pick(p, sizes, COUNT(sizes));
    probe_shape(p, "n %zu", n);
    return n;
}

void prove_rms_norm(struct probe *p)
{
    size_t n = draw_size(p);
    float *x = guard_f32(p, n), *w = probe_below(p, 3) ? guard_f32(p, n) : NULL;
    float *a = guard_take(n * 4), *b = guard_take(n * 4), *tol = guard_take(n * 4);
    p->ref->rms_norm(a, x, w, n, 1e-5f);
    p->kern->rms_norm(b, x, w, n, 1e-5f);
    for (size_t i = 0; i < n; i++) tol[i] = tol_dot(fabsf(a[i]), n);
    check_f32(p, "out", a, b, tol, n);
}

void prove_rope(struct probe *p)
{
    static const size_t rots[] = {0, 2, 4, 14, 16, 18, 32, 34, 64, 80, 96, 128, 256};
    size_t n = probe_pick(p, rots, COUNT(rots)), half = n / 2;
    int neox = (int)probe_below(p, 2);
    probe_shape(p, "n_rot %zu neox %d", n, neox);
    float *a = guard_f32(p, n), *b = guard_copy(a, n * 4), *turn = guard_take(n * 4),
          *tol = guard_take(n * 4);
    for (size_t i = 0; i < half; i++) {
        double angle = 6.3 * probe_uniform(p);
        turn[2 * i] = (float)cos(angle);
        turn[2 * i + 1] = (float)sin(angle);
        size_t x = neox ? i : 2 * i, y = neox ? i + half : 2 * i + 1;
        tol[x] = tol[y] =
            tol_ulp(fabsf(a[x]) + fabsf(a[y])); /* sums may cancel: relative to the terms */
    }
    p->ref->rope(a, turn, n, neox);
    p->kern->rope(b, turn, n, neox);
    check_f32(p, "x", a, b, tol, n);
}

static void prove_gate(struct probe *p, silu_mul_fn *ref, silu_mul_fn *kern)
{
    size_t n = draw_size(p);
    float *g = guard_f32(p, n), *u = guard_take(n * 4);
    float *a = guard_take(n * 4), *b = guard_take(n * 4), *tol = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) {
        u[i] = probe_plain(p);
        if (probe_below(p, 4) == 0) g[i] *= 20;
    }
    ref(a, g, u, n);
    kern(b, g, u, n);
    /* a factor that cancels nothing, times an exponential: its argument is the logarithm of a/(g
     * u), at most twice as large again for the rounding inside the cubic */
    for (size_t i = 0; i < n; i++) {
        float scale = fabsf(g[i] * u[i]);
        tol[i] = scale > TINY ? 3 * scale * tol_exp(a[i] / scale) + TINY : TINY;
    }
    check_f32(p, "out", a, b, tol, n);
}

void prove_silu_mul(struct probe *p)
{
    prove_gate(p, p->ref->silu_mul, p->kern->silu_mul);
}

void prove_gelu_mul(struct probe *p)
{
    prove_gate(p, p->ref->gelu_mul, p->kern->gelu_mul);
}

void prove_add(struct probe *p)
{
    size_t n = draw_size(p);
    float *x = guard_f32(p, n), *y = guard_f32(p, n), *a = guard_take(n * 4),
          *b = guard_take(n * 4);
    p->ref->add(a, x, y, n);
    p->kern->add(b, x, y, n);
    check_same(p, "out", a, b, n * 4);
}

/* Any bits at all: ties, infinities, NaNs of both kinds. */
static uint32_t draw_bits(struct probe *p)
{
    static const uint32_t special[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                       0xff80ffff, 0x3f808000, 0x3f818000, 0x7f7fffff,
                                       0x00000001, 0x80000000, 0x0000ffff, 0x3f80ffff};
    size_t i = probe_below(p, 3 * COUNT(special));
    return i < COUNT(special) ? special[i] : (uint32_t)(probe_uniform(p) * 4294967296.0);
}

void prove_f32_to_bf16(struct probe *p)
{
    size_t n = draw_size(p);
    float *x = guard_take(n * 4);
    mn_bf16 *a = guard_take(n * 2), *b = guard_take(n * 2);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = draw_bits(p);
        memcpy(x + i, &u, 4);
    }
    p->ref->f32_to_bf16(a, x, n);
    p->kern->f32_to_bf16(b, x, n);
    check_same(p, "out", a, b, n * 2);
}

void prove_bf16_to_f32(struct probe *p)
{
    size_t n = draw_size(p);
    mn_bf16 *x = guard_take(n * 2);
    float *a = guard_take(n * 4), *b = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) x[i] = (mn_bf16)(draw_bits(p) >> 16);
    p->ref->bf16_to_f32(a, x, n);
    p->kern->bf16_to_f32(b, x, n);
    check_same(p, "out", a, b, n * 4);
}

void prove_max_f32(struct probe *p)
{
    size_t n = draw_size(p);
    float *x = guard_f32(p, n), *a = guard_take(4), *b = guard_take(4);
    for (size_t i = 0; i < n; i++) {
        x[i] -= 1e5f; /* a missing lane's zero would win */
        if (probe_below(p, 9) == 0) x[i] = -INFINITY;
    }
    p->ref->max_f32(a, x, n);
    p->kern->max_f32(b, x, n);
    if (p->spoil && isinf(*b)) *b = 0;
    check_f32(p, "out", a, b, NULL, 1);
}

void prove_quad_form(struct probe *p)
{
    static const size_t rows[] = {0, 1, 3, 4, 5, 64}, dims[] = {1, 7, 16, 32, 40, 64, 80, 128};
    size_t n_row = probe_pick(p, rows, COUNT(rows)), d = probe_pick(p, dims, COUNT(dims));
    probe_shape(p, "n_row %zu d %zu", n_row, d);
    float *x = guard_f32(p, n_row * d), *q = guard_f32(p, d * d), *lin = guard_f32(p, d);
    float *a = guard_take(n_row * 4), *b = guard_take(n_row * 4), *tol = guard_take(n_row * 4);
    float *abs_x = guard_copy(x, n_row * d * 4), *abs_q = guard_copy(q, d * d * 4),
          *abs_lin = guard_copy(lin, d * 4);
    for (size_t i = 0; i < n_row * d; i++) abs_x[i] = fabsf(x[i]);
    for (size_t i = 0; i < d * d; i++) abs_q[i] = fabsf(q[i]);
    for (size_t i = 0; i < d; i++) abs_lin[i] = fabsf(lin[i]);
    p->ref->quad_form(tol, abs_x, n_row, abs_q, abs_lin, d);
    for (size_t r = 0; r < n_row; r++) tol[r] = tol_dot(tol[r], 2 * d + 1);
    p->ref->quad_form(a, x, n_row, q, lin, d);
    p->kern->quad_form(b, x, n_row, q, lin, d);
    check_f32(p, "out", a, b, tol, n_row);
}

/* |x| of bf16 values */
static mn_bf16 *bf16_abs(const mn_bf16 *x, size_t n)
{
    mn_bf16 *y = guard_copy(x, n * 2);
    for (size_t i = 0; i < n; i++) y[i] &= 0x7fff;
    return y;
}

void prove_mm_bf16(struct probe *p)
{
    static const size_t rows[] = {0, 1, 2, 3, 5, 7, 8, 11, 12, 13, 16, 17, 24, 31, 32, 33, 64, 70};
    static const size_t depths[] = {0,   2,   6,   30,  32,  34,  64,  96,
                                    128, 254, 256, 288, 576, 608, 1216};
    size_t n_row = probe_pick(p, rows, COUNT(rows)), k = probe_pick(p, depths, COUNT(depths));
    size_t ld = k + probe_below(p, 2) * 7, n_a = n_row ? (n_row - 1) * ld + k : 0,
           n_c = n_row * MN__MM_COLS;
    probe_shape(p, "n_row %zu k %zu ld_a %zu", n_row, k, ld);
    mn_bf16 *a = guard_bf16(p, n_a), *b = guard_bf16(p, k * MN__MM_COLS);
    float *x = guard_take(n_c * 4), *y = guard_take(n_c * 4), *tol = guard_take(n_c * 4);
    p->ref->mm_bf16(tol, bf16_abs(a, n_a), ld, n_row, bf16_abs(b, k * MN__MM_COLS), k);
    for (size_t i = 0; i < n_c; i++) tol[i] = tol_dot(tol[i], k);
    p->ref->mm_bf16(x, a, ld, n_row, b, k);
    p->kern->mm_bf16(y, a, ld, n_row, b, k);
    check_f32(p, "c", x, y, tol, n_c);
}

void prove_mm_pack_bf16(struct probe *p)
{
    static const size_t rows[] = {0, 1, 7, 8, 15, 16, 17, 31, 32};
    static const size_t depths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    size_t n_row = probe_pick(p, rows, COUNT(rows)), k = probe_pick(p, depths, COUNT(depths));
    size_t k_pad = (k + 31) / 32 * 32 + 32 * probe_below(p, 2), ld = k + probe_below(p, 2) * 3;
    probe_shape(p, "n_row %zu k %zu k_pad %zu", n_row, k, k_pad);
    float *w = guard_f32(p, n_row ? (n_row - 1) * ld + k : 0);
    mn_bf16 *x = guard_take(k_pad * 64), *y = guard_take(k_pad * 64);
    p->ref->mm_pack_bf16(x, w, ld, n_row, k, k_pad);
    p->kern->mm_pack_bf16(y, w, ld, n_row, k, k_pad);
    check_same(p, "b", x, y, k_pad * 64);
}
