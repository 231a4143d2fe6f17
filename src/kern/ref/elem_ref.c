/* elem_ref.c: kernels over one row: norms, rotation, gates, conversions. */
#include <math.h>
#include "kern/ref/number_ref.h"
#include "kern/ref/ref.h"

void mn__rms_norm_ref(float *out, const float *x, const float *w, size_t n, float eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    double inv = n ? 1.0 / sqrt(sum / (double)n + eps) : 0;
    for (size_t i = 0; i < n; i++) out[i] = (float)((w ? w[i] : 1.0) * (x[i] * inv));
}

void mn__rope_ref(float *x, const float *cos_sin, size_t n_rot, int neox)
{
    size_t half = n_rot / 2;
    for (size_t i = 0; i < half; i++) {
        float *a = neox ? x + i : x + 2 * i;
        float *b = neox ? a + half : a + 1;
        double co = cos_sin[2 * i], si = cos_sin[2 * i + 1], va = *a, vb = *b;
        *a = (float)(va * co - vb * si);
        *b = (float)(va * si + vb * co);
    }
}

void mn__silu_mul_ref(float *out, const float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)(g[i] / (1.0 + exp(-(double)g[i])) * u[i]);
}

/* 0.5 (1 + tanh y) = 1 / (1 + exp(-2y)), which keeps its digits where tanh is near -1 */
void mn__gelu_mul_ref(float *out, const float *g, const float *u, size_t n)
{
    const double root_2_pi = 0.79788456080286535588; /* sqrt(2/pi) */
    for (size_t i = 0; i < n; i++) {
        double v = g[i], y = root_2_pi * (v + 0.044715 * v * v * v);
        out[i] = (float)(v / (1.0 + exp(-2.0 * y)) * u[i]);
    }
}

void mn__add_ref(float *out, const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = x[i] + y[i];
}

void mn__f32_to_bf16_ref(mn_bf16 *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = mn__bf16_round(x[i]);
}

void mn__bf16_to_f32_ref(float *out, const mn_bf16 *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = mn__bf16_widen(x[i]);
}

void mn__max_f32_ref(float *out, const float *x, size_t n)
{
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > m) m = x[i];
    *out = m;
}

void mn__quad_form_ref(float *out, const float *x, size_t n_row, const float *q, const float *lin,
                       size_t d)
{
    for (size_t r = 0; r < n_row; r++, x += d) {
        double sum = 0;
        for (size_t i = 0; i < d; i++) {
            double row = lin[i];
            for (size_t j = 0; j < d; j++) row += (double)q[j * d + i] * x[j];
            sum += row * x[i];
        }
        out[r] = (float)sum;
    }
}
