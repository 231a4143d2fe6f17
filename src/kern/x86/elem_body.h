/* elem_body.h: kernels over one row; included once per width. */

void MN__ISA(rms_norm)(float *out, const float *x, const float *w, size_t n, float eps)
{
    if (n == 0) return;
    vf s0 = vf_set1(0), s1 = s0;
    size_t i = 0;
    for (; i + 2 * VF_N <= n; i += 2 * VF_N) {
        vf a = vf_load(x + i), b = vf_load(x + i + VF_N);
        s0 = vf_fma(a, a, s0);
        s1 = vf_fma(b, b, s1);
    }
    for (; i < n; i += VF_N) {
        vf a = vf_load_n(x + i, n - i);
        s0 = vf_fma(a, a, s0);
    }
    vf inv = vf_set1(1.0f / sqrtf(vf_sum(vf_add(s0, s1)) / (float)n + eps));
    for (i = 0; i + VF_N <= n; i += VF_N) {
        vf a = vf_mul(vf_load(x + i), inv);
        vf_store(out + i, w ? vf_mul(a, vf_load(w + i)) : a);
    }
    if (i < n) {
        vf a = vf_mul(vf_load_n(x + i, n - i), inv);
        vf_store_n(out + i, w ? vf_mul(a, vf_load_n(w + i, n - i)) : a, n - i);
    }
}

MN__INLINE void rope_turn(vf *a, vf *b, vf co, vf si)
{
    vf x = *a;
    *a = vf_fms(x, co, vf_mul(*b, si));
    *b = vf_fma(x, si, vf_mul(*b, co));
}

static void rope_one(float *a, float *b, const float *cos_sin)
{
    float x = *a, y = *b;
    *a = x * cos_sin[0] - y * cos_sin[1];
    *b = x * cos_sin[1] + y * cos_sin[0];
}

void MN__ISA(rope)(float *x, const float *cos_sin, size_t n_rot, int neox)
{
    size_t half = n_rot / 2, i = 0;
    for (; i + VF_N <= half; i += VF_N) {
        vf co, si, a, b;
        vf_unzip(cos_sin + 2 * i, &co, &si);
        if (neox) {
            a = vf_load(x + i);
            b = vf_load(x + half + i);
            rope_turn(&a, &b, co, si);
            vf_store(x + i, a);
            vf_store(x + half + i, b);
        } else {
            vf_unzip(x + 2 * i, &a, &b);
            rope_turn(&a, &b, co, si);
            vf_zip(x + 2 * i, a, b);
        }
    }
    for (; i < half; i++)
        rope_one(neox ? x + i : x + 2 * i, neox ? x + half + i : x + 2 * i + 1, cos_sin + 2 * i);
}

/* g / (1 + e^-y) * u; from e^-|y|, which cannot overflow */
MN__INLINE vf gate(vf g, vf y, vf u)
{
    vf one = vf_set1(1), e = vf_exp(vf_sub(vf_set1(0), vf_abs(y)));
    vf sigmoid = vf_div(vf_pick_negative(y, e, one), vf_add(one, e));
    return vf_mul(vf_mul(g, sigmoid), u);
}

void MN__ISA(silu_mul)(float *out, const float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i += VF_N) {
        vf x = vf_load_n(g + i, n - i);
        vf_store_n(out + i, gate(x, x, vf_load_n(u + i, n - i)), n - i);
    }
}

void MN__ISA(gelu_mul)(float *out, const float *g, const float *u, size_t n)
{
    const vf root = vf_set1(2 * 0.7978845608f); /* 2 sqrt(2/pi) */
    for (size_t i = 0; i < n; i += VF_N) {
        vf x = vf_load_n(g + i, n - i);
        vf cubic = vf_fma(vf_mul(vf_set1(0.044715f), vf_mul(x, x)), x, x);
        vf_store_n(out + i, gate(x, vf_mul(root, cubic), vf_load_n(u + i, n - i)), n - i);
    }
}

void MN__ISA(add)(float *out, const float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF_N <= n; i += VF_N) vf_store(out + i, vf_add(vf_load(x + i), vf_load(y + i)));
    if (i < n) vf_store_n(out + i, vf_add(vf_load_n(x + i, n - i), vf_load_n(y + i, n - i)), n - i);
}

void MN__ISA(f32_to_bf16)(mn_bf16 *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VF_N <= n; i += VF_N) vf_store_bf16(out + i, vf_load(x + i));
    if (i < n) {
        mn_bf16 tail[VF_N];
        vf_store_bf16(tail, vf_load_n(x + i, n - i));
        memcpy(out + i, tail, (n - i) * sizeof *out);
    }
}

void MN__ISA(bf16_to_f32)(float *out, const mn_bf16 *x, size_t n)
{
    size_t i = 0;
    for (; i + VF_N <= n; i += VF_N) vf_store(out + i, vf_load_bf16(x + i));
    if (i < n) {
        mn_bf16 tail[VF_N] = {0};
        memcpy(tail, x + i, (n - i) * sizeof *x);
        vf_store_n(out + i, vf_load_bf16(tail), n - i);
    }
}

void MN__ISA(max_f32)(float *out, const float *x, size_t n)
{
    vf m0 = vf_set1(-INFINITY), m1 = m0;
    size_t i = 0;
    for (; i + 2 * VF_N <= n; i += 2 * VF_N) {
        m0 = vf_max(vf_load(x + i), m0);
        m1 = vf_max(vf_load(x + i + VF_N), m1);
    }
    for (; i < n; i += VF_N) m0 = vf_max(vf_keep_inf(vf_load_n(x + i, n - i), 0, n - i), m0);
    *out = vf_top(vf_max(m0, m1));
}

/* R rows share what is read of q. */
MN__INLINE void quad_rows(int R, float *out, const float *x, const float *q, const float *lin,
                          size_t d)
{
    vf total[4] = {vf_set1(0), vf_set1(0), vf_set1(0), vf_set1(0)};
    for (size_t j = 0; j < d; j += VF_N) {
        size_t n = d - j < VF_N ? d - j : VF_N;
        vf sum[4];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[r] = vf_load_n(lin + j, n);
        for (size_t i = 0; i < d; i++) {
            vf row = n == VF_N ? vf_load(q + i * d + j) : vf_load_n(q + i * d + j, n);
#pragma GCC unroll 4
            for (int r = 0; r < R; r++) sum[r] = vf_fma(vf_set1(x[(size_t)r * d + i]), row, sum[r]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            total[r] = vf_fma(sum[r], vf_load_n(x + (size_t)r * d + j, n), total[r]);
    }
    for (int r = 0; r < R; r++) out[r] = vf_sum(total[r]);
}

void MN__ISA(quad_form)(float *out, const float *x, size_t n_row, const float *q, const float *lin,
                        size_t d)
{
    size_t r = 0;
    for (; r + 4 <= n_row; r += 4) quad_rows(4, out + r, x + r * d, q, lin, d);
    for (; r < n_row; r++) quad_rows(1, out + r, x + r * d, q, lin, d);
}
