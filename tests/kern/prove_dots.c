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
    for (size_t i = 0; i < planes.d; i++) w[i] = (uint8_t)probe_below(p, 256);
    draw_halves(p, w + planes.d, planes.bytes - planes.d);
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
