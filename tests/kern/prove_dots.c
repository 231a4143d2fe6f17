/* prove_dots.c: proofs of the packed dots. Weights are random bits in every plane; only the f16
 * scales are drawn as numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kern/dots.h"
#include "probe.h"
#include "tolerance.h"

static void *guard_aligned(size_t bytes)
{
    return guard_take((bytes + 63) / 64 * 64); /* ends at a system page, so it starts on a line */
}

void prove_quant_q8(struct probe *p)
{
    size_t k = 32 * probe_below(p, 20);
    probe_shape(p, "k %zu", k);
    float *x = guard_f32(p, k), *sa = guard_take(k / 32 * 4), *sb = guard_take(k / 32 * 4);
    int8_t *a = guard_aligned(k), *b = guard_aligned(k);
    int32_t *na = guard_take(k / 32 * 4), *nb = guard_take(k / 32 * 4);
    if (k) memset(x, 0, 32 * 4); /* a block without a largest value */
    p->ref->quant_q8(a, sa, na, x, k);
    p->kern->quant_q8(b, sb, nb, x, k);
    check_same(p, "q", a, b, k);
    check_same(p, "scale", sa, sb, k / 32 * 4);
    check_same(p, "sum", na, nb, k / 32 * 4);
}

/* f16 in (-4, 4): sign, an exponent of 8 to 16, any fraction. */
static void draw_halves(struct probe *p, uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes / 2; i++) {
        uint16_t h = (uint16_t)(probe_below(p, 2) << 15 | (8 + probe_below(p, 9)) << 10 |
                                probe_below(p, 1024));
        memcpy(at + 2 * i, &h, 2);
    }
}

static void draw_group(struct probe *p, uint8_t *w, const mn__dots_planes *planes)
{
    for (size_t i = 0; i < planes->d; i++) w[i] = (uint8_t)probe_below(p, 256);
    draw_halves(p, w + planes->d, planes->bytes - planes->d);
}

static void prove_dot16(struct probe *p, dot16_q4_0_fn *ref, dot16_q4_0_fn *kern, int bits,
                        mn__dots_scale kind)
{
    bool is_super = kind == MN__DOTS_K || kind == MN__DOTS_S;
    size_t k = is_super ? 256 * (1 + probe_below(p, 4)) : 32 * (1 + probe_below(p, 20));
    mn__dots_planes planes = mn__dots_layout(bits, kind, k);
    uint8_t *w = guard_aligned(planes.bytes);
    int8_t *q = guard_aligned(k);
    float *x = guard_f32(p, k), *scale = guard_take(k / 32 * 4), a[16], b[16], tol[16], mag = 0;
    int32_t *sum = guard_take(k / 32 * 4);
    probe_shape(p, "k %zu", k);
    draw_group(p, w, &planes);
    p->ref->quant_q8(q, scale, sum, x, k);
    /* the largest |d * part * whole| + |m * part| there can be */
    float top = 4.0f * (is_super ? 256 : 1) * ((float)(1 << bits) + 1);
    for (size_t i = 0; i < k; i++) mag += top * scale[i / 32] * (float)abs(q[i]);
    for (int r = 0; r < 16; r++) tol[r] = tol_dot(mag, 8);
    ref(a, w, q, scale, sum, k);
    kern(b, w, q, scale, sum, k);
    check_f32(p, "y", a, b, tol, 16);
}

#define X(name, type, bits, zero, kind)                                          \
    void prove_dot16_##name(struct probe *p)                                     \
    {                                                                            \
        prove_dot16(p, p->ref->dot16_##name, p->kern->dot16_##name, bits, kind); \
    }
MN__DOTS_MAP(X)
#undef X

static void prove_panel16(struct probe *p, panel16_q4_0_fn *ref, panel16_q4_0_fn *kern, int bits,
                          mn__dots_scale kind)
{
    bool is_super = kind == MN__DOTS_K || kind == MN__DOTS_S;
    size_t k = is_super ? 256 * (1 + probe_below(p, 2)) : 32 * (1 + probe_below(p, 9)),
           n = k / 2 * MN__MM_COLS * 2, half = probe_below(p, 2) * MN__MM_COLS;
    mn__dots_planes planes = mn__dots_layout(bits, kind, k);
    uint8_t *w = guard_aligned(planes.bytes);
    mn_bf16 *a = guard_take(n * sizeof *a), *b = guard_take(n * sizeof *b);
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y), *tol = malloc(n * sizeof *tol);
    probe_shape(p, "k %zu, half %zu", k, half);
    draw_group(p, w, &planes);
    for (size_t i = 0; i < n; i++) a[i] = b[i] = (mn_bf16)probe_below(p, 30000);
    ref(a + half, w, k);
    kern(b + half, w, k);
    p->ref->bf16_to_f32(x, a, n);
    p->ref->bf16_to_f32(y, b, n);
    /* |d * part * whole| and |m * part| may cancel */
    float top = 4.0f * (is_super ? 256 : 1) * ((float)(1 << bits) + 1);
    for (size_t i = 0; i < n; i++) tol[i] = tol_bf16(x[i]) + 2 * FLT_EPSILON * top;
    check_f32(p, "panel", x, y, tol, n);
    free(x);
    free(y);
    free(tol);
}

#define X(name, type, bits, zero, kind)                                                \
    void prove_panel16_##name(struct probe *p)                                         \
    {                                                                                  \
        prove_panel16(p, p->ref->panel16_##name, p->kern->panel16_##name, bits, kind); \
    }
MN__DOTS_MAP(X)
#undef X
