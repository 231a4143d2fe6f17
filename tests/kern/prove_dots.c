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

enum { MAX_ROWS = 64, MAX_GROUPS = 3 };

/* Rows of activations as a caller keeps them: q, scales and sums apart or in one record. */
typedef struct act_rows {
    int8_t *q;
    float *scale;
    int32_t *sum;
    size_t ld, n, k;
} act_rows;

static act_rows take_rows(struct probe *p, size_t n, size_t k)
{
    act_rows x = {.ld = (k + 63) / 64 * 64 + 64 * probe_below(p, 3), .n = n, .k = k};
    float *values = guard_f32(p, k * n);
    /* the last row ends where its numbers do */
    x.q = n ? guard_aligned((n - 1) * x.ld + k) : NULL;
    x.scale = n ? guard_take((n - 1) * x.ld + k / 32 * 4) : NULL;
    x.sum = n ? guard_take((n - 1) * x.ld + k / 32 * 4) : NULL;
    for (size_t r = 0; r < n; r++)
        p->ref->quant_q8(x.q + r * x.ld, (void *)((char *)x.scale + r * x.ld),
                         (void *)((char *)x.sum + r * x.ld), values + r * k, k);
    return x;
}

/* Each row alone gives the bits that it gives among the others, and for one group those of many. */
static void check_alone(struct probe *p, dot16_q4_0_fn *kern, const uint8_t *w, size_t group_bytes,
                        const act_rows *x, const float *y, size_t ld_y, size_t n_group)
{
    const size_t r = probe_below(p, x->n), g = probe_below(p, n_group);
    float alone[MN__DOTS_ROWS];
    kern(alone, MN__DOTS_ROWS, w + g * group_bytes, 1, x->q + r * x->ld,
         (const void *)((const char *)x->scale + r * x->ld),
         (const void *)((const char *)x->sum + r * x->ld), x->ld, 1, x->k);
    check_same(p, "a row alone", y + r * ld_y + g * MN__DOTS_ROWS, alone, sizeof alone);
}

static void prove_dot16(struct probe *p, dot16_q4_0_fn *ref, dot16_q4_0_fn *kern, int bits,
                        mn__dots_scale kind)
{
    static const size_t rows[] = {0, 1, 1, 2, 3, 7, 8, 13, 33, MAX_ROWS};
    bool is_super = kind == MN__DOTS_K || kind == MN__DOTS_S;
    size_t n = probe_pick(p, rows, COUNT(rows)), most = n > 8 ? 1 : 2,
           k = is_super ? 256 * (1 + probe_below(p, 2 * most))
                        : 32 * (1 + probe_below(p, 10 * most)),
           n_group = 1 + probe_below(p, MAX_GROUPS), n_out = n_group * MN__DOTS_ROWS,
           ld_y = n_out + probe_below(p, 5);
    mn__dots_planes planes = mn__dots_layout(bits, kind, k);
    uint8_t *w = guard_aligned(planes.bytes * n_group);
    act_rows x = take_rows(p, n, k);
    float *a = guard_take(((n ? n - 1 : 0) * ld_y + n_out) * sizeof *a),
          *b = guard_take(((n ? n - 1 : 0) * ld_y + n_out) * sizeof *b), tol[MAX_GROUPS * 16];
    probe_shape(p, "k %zu, %zu rows of %zu bytes, %zu groups, y %zu apart", k, n, x.ld, n_group,
                ld_y);
    for (size_t i = 0; i < n_group; i++) draw_group(p, w + i * planes.bytes, &planes);
    /* the largest |d * part * whole| + |m * part| there can be */
    float top = 4.0f * (is_super ? 256 : 1) * ((float)(1 << bits) + 1);
    ref(a, ld_y, w, n_group, x.q, x.scale, x.sum, x.ld, n, k);
    kern(b, ld_y, w, n_group, x.q, x.scale, x.sum, x.ld, n, k);
    for (size_t r = 0; r < n; r++) {
        const float *scale = (const void *)((const char *)x.scale + r * x.ld);
        float mag = 0;
        for (size_t i = 0; i < k; i++) mag += top * scale[i / 32] * (float)abs(x.q[r * x.ld + i]);
        for (size_t j = 0; j < n_out; j++) tol[j] = tol_dot(mag, 8);
        check_f32(p, "y", a + r * ld_y, b + r * ld_y, tol, n_out);
        if (r + 1 < n)
            check_same(p, "between rows of y", a + r * ld_y + n_out, b + r * ld_y + n_out,
                       (ld_y - n_out) * sizeof *b);
    }
    if (n) check_alone(p, kern, w, planes.bytes, &x, b, ld_y, n_group);
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
