/* prove_train.c: proofs of the kernels that training alone uses. */
#include <math.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 576};

/* |x| of bf16 values */
static mn_bf16 *absolute(const mn_bf16 *x, size_t n)
{
    mn_bf16 *y = guard_copy(x, n * 2);
    for (size_t i = 0; i < n; i++) y[i] &= 0x7fff;
    return y;
}

void prove_mm_into_bf16(struct probe *p)
{
    static const size_t rows[] = {0, 1, 2, 3, 5, 8, 11, 12, 13, 16, 24, 31, 32, 33, 64, 70};
    static const size_t depths[] = {0, 2, 6, 30, 32, 34, 64, 96, 256, 288, 576, 608, 1216};
    size_t n_row = probe_pick(p, rows, COUNT(rows)), k = probe_pick(p, depths, COUNT(depths)),
           ld = k + probe_below(p, 2) * 7, ld_c = MN__MM_COLS + probe_below(p, 2) * 5;
    const int add = (int)probe_below(p, 2);
    size_t n_a = n_row ? (n_row - 1) * ld + k : 0, n_b = k * MN__MM_COLS,
           n_c = n_row ? (n_row - 1) * ld_c + MN__MM_COLS : 0;
    probe_shape(p, "n_row %zu k %zu ld_a %zu ld_c %zu add %d", n_row, k, ld, ld_c, add);
    mn_bf16 *a = guard_bf16(p, n_a), *b = guard_bf16(p, n_b);
    float *x = guard_f32(p, n_c), *y = guard_copy(x, n_c * 4), *tol = guard_copy(x, n_c * 4);
    for (size_t i = 0; i < n_c; i++) tol[i] = fabsf(tol[i]);
    p->ref->mm_into_bf16(tol, ld_c, add, absolute(a, n_a), ld, n_row, absolute(b, n_b), k, NULL);
    for (size_t i = 0; i < n_c; i++) tol[i] = tol_dot(tol[i], k + 1);
    p->ref->mm_into_bf16(x, ld_c, add, a, ld, n_row, b, k, NULL);
    p->kern->mm_into_bf16(y, ld_c, add, a, ld, n_row, b, k, probe_below(p, 2) ? b : NULL);
    check_f32(p, "c", x, y, tol, n_c);
}

/* bf16 values that are the same but for denormals, which may be zeros. */
static void check_bf16(struct probe *p, const char *what, const mn_bf16 *a, const mn_bf16 *b,
                       size_t n)
{
    float *x = guard_take(n * 4), *y = guard_take(n * 4), *tol = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) {
        x[i] = mn__bf16_widen(a[i]);
        y[i] = mn__bf16_widen(b[i]);
        tol[i] = TINY;
    }
    check_f32(p, what, x, y, tol, n);
}

void prove_mm_pack_cols_bf16(struct probe *p)
{
    static const size_t cols[] = {0, 1, 7, 8, 15, 16, 17, 31, 32};
    static const size_t depths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    size_t n_col = probe_pick(p, cols, COUNT(cols)), k = probe_pick(p, depths, COUNT(depths)),
           k_pad = (k + 31) / 32 * 32 + 32 * probe_below(p, 2), ld = n_col + probe_below(p, 2) * 3,
           n = k_pad * MN__MM_COLS;
    probe_shape(p, "n_col %zu k %zu k_pad %zu ld %zu", n_col, k, k_pad, ld);
    float *w = guard_f32(p, n_col ? (k - 1) * ld + n_col : 0);
    mn_bf16 *x = guard_take(n * 2), *y = guard_take(n * 2);
    p->ref->mm_pack_cols_bf16(x, w, ld, n_col, k, k_pad);
    p->kern->mm_pack_cols_bf16(y, w, ld, n_col, k, k_pad);
    check_bf16(p, "b", x, y, n);
}

void prove_mm_turn_bf16(struct probe *p)
{
    static const size_t depths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    size_t n_row = probe_pick(p, sizes, COUNT(sizes)), k = probe_pick(p, depths, COUNT(depths)),
           k_pad = (k + 31) / 32 * 32 + 32 * probe_below(p, 2), ld = n_row + probe_below(p, 2) * 3,
           n = n_row * k_pad;
    probe_shape(p, "n_row %zu k %zu k_pad %zu ld %zu", n_row, k, k_pad, ld);
    float *w = guard_f32(p, n_row ? (k - 1) * ld + n_row : 0);
    mn_bf16 *x = guard_take(n * 2), *y = guard_take(n * 2);
    p->ref->mm_turn_bf16(x, k_pad, w, ld, n_row, k, k_pad);
    p->kern->mm_turn_bf16(y, k_pad, w, ld, n_row, k, k_pad);
    check_bf16(p, "a", x, y, n);
}

static float *guard_plain(struct probe *p, size_t n)
{
    float *x = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) x[i] = probe_plain(p);
    return x;
}

void prove_silu_mul_back(struct probe *p)
{
    size_t n = probe_pick(p, sizes, COUNT(sizes));
    probe_shape(p, "n %zu", n);
    float *dh = guard_plain(p, n), *a = guard_plain(p, n), *g = guard_plain(p, n),
          *x[2] = {guard_take(n * 4), guard_take(n * 4)},
          *y[2] = {guard_copy(dh, n * 4), guard_take(n * 4)},
          *tol[2] = {guard_take(n * 4), guard_take(n * 4)};
    for (size_t i = 0; i < n; i++) {
        if (probe_below(p, 4) == 0) g[i] *= 20;
        /* the exponential's argument is rounded; 1 + g (1 - sigmoid) may cancel */
        const float s = (4 + 2 * fabsf(g[i])) * FLT_EPSILON / (1 + expf(-g[i]));
        tol[0][i] = 3 * s * fabsf(dh[i] * g[i]) + TINY;
        tol[1][i] = 6 * s * fabsf(dh[i] * a[i]) * (1 + fabsf(g[i])) + TINY;
    }
    p->ref->silu_mul_back(x[0], x[1], dh, a, g, n);
    p->kern->silu_mul_back(y[0], y[1], y[0], a, g, n); /* in place, as layers do */
    check_f32(p, "da", x[0], y[0], tol[0], n);
    check_f32(p, "dg", x[1], y[1], tol[1], n);
}

void prove_softmax_back(struct probe *p)
{
    static const size_t rows[] = {1, 2, 5};
    size_t n_row = probe_pick(p, rows, COUNT(rows)), n_tok = probe_pick(p, sizes, COUNT(sizes)),
           ld = n_tok + probe_below(p, 2) * 3, n = (n_row - 1) * ld + n_tok;
    probe_shape(p, "n_row %zu n_tok %zu ld %zu", n_row, n_tok, ld);
    float *s[2] = {guard_plain(p, n)}, *d[2] = {guard_plain(p, n)}, *lse = guard_plain(p, n_row),
          *delta = guard_plain(p, n_row), *tol_s = guard_take(n * 4), *tol_d = guard_take(n * 4);
    int32_t *hi = guard_take(n_row * 4);
    for (size_t r = 0; r < n_row; r++) hi[r] = (int32_t)probe_below(p, n_tok + 2);
    s[1] = guard_copy(s[0], n * 4);
    d[1] = guard_copy(d[0], n * 4);
    for (size_t i = 0; i < n; i++) {
        const float x = fabsf(s[0][i] * 0.125f) + fabsf(lse[i / ld % n_row]),
                    e = (4 + 2 * x) * FLT_EPSILON * expf(s[0][i] * 0.125f - lse[i / ld % n_row]);
        tol_s[i] = 2 * e + TINY;
        tol_d[i] = 3 * e * (fabsf(d[0][i]) + fabsf(delta[i / ld % n_row])) + TINY;
    }
    p->ref->softmax_back(s[0], d[0], ld, n_row, n_tok, hi, 0.125f, lse, delta);
    p->kern->softmax_back(s[1], d[1], ld, n_row, n_tok, hi, 0.125f, lse, delta);
    check_f32(p, "s", s[0], s[1], tol_s, n);
    check_f32(p, "d", d[0], d[1], tol_d, n);
}

void prove_adamw(struct probe *p)
{
    size_t n = probe_pick(p, sizes, COUNT(sizes));
    const bool has_g = probe_below(p, 4) != 0;
    const float step[8] = {0.9999f, 1e-3f, 0.9f, 0.95f, 0.271f, 0.142f, 1e-8f, 0.7f};
    probe_shape(p, "n %zu g %d", n, has_g);
    float *w[2] = {guard_plain(p, n)}, *m[2] = {guard_plain(p, n)}, *v[2] = {guard_plain(p, n)},
          *g[2] = {guard_plain(p, n)}, *tol[3];
    for (int i = 0; i < 3; i++) tol[i] = guard_take(n * 4);
    for (size_t i = 0; i < n; i++) {
        v[0][i] *= v[0][i];
        const float x = has_g ? step[7] * fabsf(g[0][i]) : 0;
        tol[1][i] = 4 * FLT_EPSILON * (fabsf(m[0][i]) + x) + TINY;
        tol[2][i] = 4 * FLT_EPSILON * (v[0][i] + x * x) + TINY;
        /* m / sqrt(v) with the errors of both, of which v's is halved */
        const float root = sqrtf((step[3] * v[0][i] + 0.05f * x * x) / step[5]) + step[6];
        tol[0][i] = 4 * FLT_EPSILON *
                        (fabsf(w[0][i]) + 3 * step[1] * (fabsf(m[0][i]) + x) / step[4] / root) +
                    TINY;
    }
    w[1] = guard_copy(w[0], n * 4);
    m[1] = guard_copy(m[0], n * 4);
    v[1] = guard_copy(v[0], n * 4);
    g[1] = guard_copy(g[0], n * 4);
    p->ref->adamw(w[0], m[0], v[0], has_g ? g[0] : NULL, n, step);
    p->kern->adamw(w[1], m[1], v[1], has_g ? g[1] : NULL, n, step);
    check_f32(p, "w", w[0], w[1], tol[0], n);
    check_f32(p, "m", m[0], m[1], tol[1], n);
    check_f32(p, "v", v[0], v[1], tol[2], n);
    check_same(p, "g", g[0], g[1], n * 4);
}
