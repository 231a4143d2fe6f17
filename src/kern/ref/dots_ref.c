/* dots_ref.c: packed dots value by value, sums in double. */
#include "kern/dots.h"
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__quant_q8_ref(int8_t *q, float *scale, int32_t *sum, const float *x, size_t k)
{
    for (size_t b = 0; b < k / MN__DOTS_BLOCK; b++, x += MN__DOTS_BLOCK, q += MN__DOTS_BLOCK) {
        float max = 0;
        for (size_t i = 0; i < MN__DOTS_BLOCK; i++) max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
        const float inverse = mn__q8_inverse(max);
        scale[b] = max / 127.0f;
        sum[b] = 0;
        for (size_t i = 0; i < MN__DOTS_BLOCK; i++) sum[b] += q[i] = mn__q8_round(x[i], inverse);
    }
}

static double half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double sign = h & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

/* The whole number of input 32b + i of row r. */
static int whole_at(const uint8_t *w, const mn__dots_planes *p, int bits, size_t b, size_t i,
                    size_t r)
{
    const size_t byte = r * 4 + i % 4, step = i / 4;
    if (bits == 8) return w[p->q + (b * 8 + step) * 64 + byte];
    const uint8_t pair = w[p->q + (b * 4 + step % 4) * 64 + byte];
    const int low = step < 4 ? pair & 15 : pair >> 4;
    if (bits == 5) return low | (w[p->high + b * 64 + byte] >> step & 1) << 4;
    if (bits == 6)
        return low | (w[p->high + (b * 2 + step / 4) * 64 + byte] >> step % 4 * 2 & 3) << 4;
    return low;
}

/* Scale and minimum of input 32b + i of row r. */
static void scale_at(const uint8_t *w, const mn__dots_planes *p, mn__dots_scale kind,
                     const size_t at[3], double out[2])
{
    const size_t b = at[0], i = at[1], r = at[2], super = b / 8;
    const uint8_t *d = w + p->d, *m = w + p->m;
    out[1] = 0;
    switch (kind) {
    case MN__DOTS_D: out[0] = half_at(d + (b * 16 + r) * 2); break;
    case MN__DOTS_DM:
        out[0] = half_at(d + (b * 16 + r) * 2);
        out[1] = half_at(m + (b * 16 + r) * 2);
        break;
    case MN__DOTS_K:
        out[0] = half_at(d + (super * 16 + r) * 2) * w[p->part + b * 16 + r];
        out[1] = -half_at(m + (super * 16 + r) * 2) * w[p->part_m + b * 16 + r];
        break;
    case MN__DOTS_S:
        out[0] = half_at(d + (super * 16 + r) * 2) * (int8_t)w[p->part + (b * 2 + i / 16) * 16 + r];
        break;
    }
}

static void dot16(float *y, const uint8_t *w, const int8_t *q, const float *scale, size_t k,
                  int bits, int zero, mn__dots_scale kind)
{
    const mn__dots_planes p = mn__dots_layout(bits, kind, k);
    for (size_t r = 0; r < MN__DOTS_ROWS; r++) {
        double sum = 0, dm[2] = {0, 0};
        for (size_t c = 0; c < k; c++) {
            const size_t at[3] = {c / 32, c % 32, r};
            if (c % 16 == 0) scale_at(w, &p, kind, at, dm);
            sum += (dm[0] * (whole_at(w, &p, bits, at[0], at[1], r) - zero) + dm[1]) *
                   scale[at[0]] * q[c];
        }
        y[r] = (float)sum;
    }
}

#define X(name, type, bits, zero, kind)                                                           \
    void mn__dot16_##name##_ref(float *y, size_t ld_y, const void *w, size_t n_group,             \
                                const int8_t *q, const float *scale, const int32_t *sum,          \
                                size_t ld, size_t n_row, size_t k)                                \
    {                                                                                             \
        const size_t bytes = mn__dots_layout(bits, kind, k).bytes;                                \
        (void)sum;                                                                                \
        for (size_t r = 0; r < n_row; r++)                                                        \
            for (size_t i = 0; i < n_group; i++)                                                  \
                dot16(y + r * ld_y + i * MN__DOTS_ROWS, (const uint8_t *)w + i * bytes,           \
                      q + r * ld, (const float *)(const void *)((const char *)scale + r * ld), k, \
                      bits, zero, kind);                                                          \
    }
MN__DOTS_MAP(X)
#undef X

static void panel16(mn_bf16 *out, const uint8_t *w, size_t k, int bits, int zero,
                    mn__dots_scale kind)
{
    const mn__dots_planes p = mn__dots_layout(bits, kind, k);
    for (size_t r = 0; r < MN__DOTS_ROWS; r++)
        for (size_t c = 0; c < k; c++) {
            const size_t at[3] = {c / 32, c % 32, r};
            double dm[2];
            scale_at(w, &p, kind, at, dm);
            const double value = dm[0] * (whole_at(w, &p, bits, at[0], at[1], r) - zero) + dm[1];
            out[c / 2 * 2 * MN__MM_COLS + r * 2 + c % 2] = mn__bf16_round((float)value);
        }
}

#define X(name, type, bits, zero, kind)                                  \
    void mn__panel16_##name##_ref(mn_bf16 *out, const void *w, size_t k) \
    {                                                                    \
        panel16(out, w, k, bits, zero, kind);                            \
    }
MN__DOTS_MAP(X)
#undef X
