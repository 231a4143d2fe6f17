/* train_body.h: what training alone needs; included once per width. */

/* 1 / (1 + e^-x), from e^-|x|, which cannot overflow */
MN__INLINE vf sigmoid_of(vf x)
{
    const vf one = vf_set1(1), e = vf_exp(vf_sub(vf_set1(0), vf_abs(x)));
    return vf_div(vf_pick_negative(x, e, one), vf_add(one, e));
}

void MN__ISA(silu_mul_back)(float *da, float *dg, const float *dh, const float *a, const float *g,
                            size_t n)
{
    const vf one = vf_set1(1);
    for (size_t i = 0; i < n; i += VF_N) {
        const vf x = vf_load_n(g + i, n - i), d = vf_load_n(dh + i, n - i), s = sigmoid_of(x),
                 slope = vf_mul(s, vf_fma(x, vf_sub(one, s), one));
        vf_store_n(dg + i, vf_mul(vf_mul(d, vf_load_n(a + i, n - i)), slope), n - i);
        vf_store_n(da + i, vf_mul(d, vf_mul(x, s)), n - i);
    }
}

void MN__ISA(softmax_back)(float *s, float *d, size_t ld, size_t n_row, size_t n_tok,
                           const int32_t *hi, float scale, const float *lse, const float *delta)
{
    const vf k = vf_set1(scale);
    for (size_t r = 0; r < n_row; r++, s += ld, d += ld) {
        const vf top = vf_set1(lse[r]), mean = vf_set1(delta[r]);
        size_t end = hi[r] < 0 ? 0 : (size_t)hi[r], i = 0;
        end = end < n_tok ? end : n_tok;
        for (; i < end; i += VF_N) {
            const size_t n = n_tok - i;
            const vf p = vf_keep(vf_exp(vf_fms(vf_load_n(s + i, n), k, top)), 0, end - i);
            const vf e = vf_sub(vf_keep(vf_load_n(d + i, n), 0, end - i), mean);
            vf_store_n(s + i, p, n);
            vf_store_n(d + i, vf_mul(vf_mul(p, e), k), n);
        }
        if (i >= n_tok) continue;
        memset(s + i, 0, (n_tok - i) * sizeof *s);
        memset(d + i, 0, (n_tok - i) * sizeof *d);
    }
}

struct adamw {
    vf keep, rate, b1, b2, rest1, rest2, c1, c2, eps, scale;
};

MN__INLINE vf vf_root(vf x)
{
#ifdef __AVX512F__
    return _mm512_sqrt_ps(x);
#else
    return _mm256_sqrt_ps(x);
#endif
}

/* Fused operations are written out: the same for whole vectors and for the last values. */
MN__INLINE vf adamw_move(const struct adamw *k, vf w, vf *m, vf *v, vf g)
{
    const vf x = vf_mul(g, k->scale);
    *m = vf_fma(k->b1, *m, vf_mul(k->rest1, x));
    *v = vf_fma(k->b2, *v, vf_mul(vf_mul(k->rest2, x), x));
    const vf size = vf_add(vf_root(vf_mul(*v, k->c2)), k->eps),
             move = vf_div(vf_mul(*m, k->c1), size);
    return vf_fnma(k->rate, move, vf_mul(w, k->keep));
}

void MN__ISA(adamw)(float *w, float *m, float *v, float *g, size_t n, const float *step)
{
    const struct adamw k = {.keep = vf_set1(step[0]),
                            .rate = vf_set1(step[1]),
                            .b1 = vf_set1(step[2]),
                            .b2 = vf_set1(step[3]),
                            .rest1 = vf_set1(1 - step[2]),
                            .rest2 = vf_set1(1 - step[3]),
                            .c1 = vf_set1(1 / step[4]),
                            .c2 = vf_set1(1 / step[5]),
                            .eps = vf_set1(step[6]),
                            .scale = vf_set1(step[7])};
    size_t i = 0;
    for (; i + VF_N <= n; i += VF_N) {
        vf a = vf_load(m + i), b = vf_load(v + i);
        vf_store(w + i, adamw_move(&k, vf_load(w + i), &a, &b, g ? vf_load(g + i) : vf_set1(0)));
        vf_store(m + i, a);
        vf_store(v + i, b);
    }
    if (i < n) {
        vf a = vf_load_n(m + i, n - i), b = vf_load_n(v + i, n - i);
        const vf x = g ? vf_load_n(g + i, n - i) : vf_set1(0);
        vf_store_n(w + i, adamw_move(&k, vf_load_n(w + i, n - i), &a, &b, x), n - i);
        vf_store_n(m + i, a, n - i);
        vf_store_n(v + i, b, n - i);
    }
    if (g) memset(g, 0, n * sizeof *g);
}
