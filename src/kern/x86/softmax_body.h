/* softmax_body.h: online softmax, the second sweep, and column sums; included once per width. Only
 * vectors cut by [lo, hi) pay for masks. scale is positive, so the largest score is the largest
 * scaled score. */

struct span {
    size_t lo, hi;
};

static struct span span_make(int32_t lo, int32_t hi, size_t n)
{
    struct span s = {lo < 0 ? 0 : (size_t)lo, hi < 0 ? 0 : (size_t)hi};
    s.hi = s.hi < n ? s.hi : n;
    s.lo = s.lo < s.hi ? s.lo : s.hi;
    return s;
}

/* Lanes of the vector at column i that lie in the span, as a range of [0, VF_N]. */
MN__INLINE struct span span_cut(struct span s, size_t i)
{
    struct span c = {s.lo > i ? s.lo - i : 0, s.hi > i ? s.hi - i : 0};
    c.hi = c.hi < VF_N ? c.hi : VF_N;
    c.lo = c.lo < c.hi ? c.lo : c.hi;
    return c;
}

/* The columns of whole vectors inside the span: [first, last) in steps of VF_N from the row's
 * start; first <= last. */
MN__INLINE struct span span_whole(struct span s)
{
    struct span w = {(s.lo + VF_N - 1) / VF_N * VF_N, s.hi / VF_N * VF_N};
    w.hi = w.hi < w.lo ? w.lo : w.hi;
    return w;
}

MN__INLINE vf row_cut(const float *s, struct span at, size_t i)
{
    struct span c = span_cut(at, i);
    return vf_keep_inf(vf_load_n(s + i, c.hi), c.lo, c.hi);
}

static float row_max(const float *s, struct span at)
{
    vf m[4];
    struct span w = span_whole(at);
    size_t i = w.lo;
    for (int j = 0; j < 4; j++) m[j] = vf_set1(-INFINITY);
    for (; i + 4 * VF_N <= w.hi; i += 4 * VF_N)
        for (int j = 0; j < 4; j++) m[j] = vf_max(vf_load(s + i + (size_t)j * VF_N), m[j]);
    for (; i < w.hi; i += VF_N) m[0] = vf_max(vf_load(s + i), m[0]);
    if (at.lo < w.lo) m[1] = vf_max(row_cut(s, at, w.lo - VF_N), m[1]);
    if (w.hi < at.hi) m[2] = vf_max(row_cut(s, at, w.hi), m[2]);
    return vf_top(vf_max(vf_max(m[0], m[1]), vf_max(m[2], m[3])));
}

/* Rows whose references are found before any of them is exponentiated, so that their shrinking is
 * one vector. */
enum { SOFTMAX_ROWS = 8 };

struct rows {
    struct span at[SOFTMAX_ROWS]; /* empty where nothing is to be written but zeros */
};

/* New references, and by what old sums shrink: n <= SOFTMAX_ROWS rows. */
static void rows_begin(struct rows *g, const float *s, size_t ld_s, size_t n, size_t n_tok,
                       const int32_t *lo, const int32_t *hi, float scale, float *m, float *corr)
{
    float drop[VF_N] = {0};
    for (size_t r = 0; r < n; r++, s += ld_s) {
        g->at[r] = span_make(lo[r], hi[r], n_tok);
        float top = g->at[r].lo < g->at[r].hi ? row_max(s, g->at[r]) * scale : -INFINITY;
        if (top > m[r] + MN__SOFTMAX_SLACK) {
            drop[r] = m[r] - top;
            m[r] = top;
        }
        if (!(m[r] > -INFINITY)) g->at[r].lo = g->at[r].hi = 0;
    }
    vf_store_n(corr, vf_exp(vf_load(drop)), n);
}

/* p of one vector in bf16: 2^(s*c - mc), c = scale/ln 2 */
MN__INLINE void bf16_whole(mn_bf16 *p, const float *s, vf c, vf mc, vf *sum)
{
    vf e = vf_exp2_coarse(vf_fms(vf_load(s), c, mc));
    *sum = vf_add(*sum, e);
    vf_store_bf16(p, e);
}

MN__INLINE void bf16_cut(mn_bf16 *p, const float *s, struct span at, size_t i, vf c, vf mc, vf *sum)
{
    struct span k = span_cut(at, i);
    vf e = vf_keep(vf_exp2_coarse(vf_fms(vf_load_n(s + i, k.hi), c, mc)), k.lo, k.hi);
    *sum = vf_add(*sum, e);
    vf_store_bf16(p + i, e);
}

#ifndef MN__SOFTMAX_TWO
/* Two whole vectors; a level that rounds two at once brings its own. */
MN__INLINE void bf16_two(mn_bf16 *p, const float *s, vf c, vf mc, vf sum[2])
{
    bf16_whole(p, s, c, mc, sum);
    bf16_whole(p + VF_N, s + VF_N, c, mc, sum + 1);
}
#endif

static float row_bf16(mn_bf16 *p, const float *s, struct span at, size_t n_pad, float scale,
                      float m)
{
    const float log2_e = 1.44269504f;
    vf c = vf_set1(scale * log2_e), mc = vf_set1(m * log2_e), sum[2] = {vf_set1(0), vf_set1(0)};
    struct span w = span_whole(at);
    size_t i = at.lo / VF_N * VF_N;
    if (i) memset(p, 0, i * sizeof *p);
    if (i < w.lo) {
        bf16_cut(p, s, at, i, c, mc, sum);
        i += VF_N;
    }
    for (; i + 2 * VF_N <= w.hi; i += 2 * VF_N) bf16_two(p + i, s + i, c, mc, sum);
    for (; i < w.hi; i += VF_N) bf16_whole(p + i, s + i, c, mc, sum);
    if (i < at.hi) {
        bf16_cut(p, s, at, i, c, mc, sum + 1);
        i += VF_N;
    }
    if (i < n_pad) memset(p + i, 0, (n_pad - i) * sizeof *p);
    return vf_sum(vf_add(sum[0], sum[1]));
}

void MN__ISA(softmax_bf16)(mn_bf16 *p, size_t ld_p, const float *s, size_t ld_s, size_t n_row,
                           size_t n_tok, const int32_t *lo, const int32_t *hi, float scale,
                           float *m, float *l, float *corr)
{
    size_t n_pad = (n_tok + 31) / 32 * 32;
    for (size_t r = 0; r < n_row; r += SOFTMAX_ROWS) {
        struct rows g;
        size_t n = n_row - r < SOFTMAX_ROWS ? n_row - r : SOFTMAX_ROWS;
        rows_begin(&g, s + r * ld_s, ld_s, n, n_tok, lo + r, hi + r, scale, m + r, corr + r);
        for (size_t i = r; i < r + n; i++) {
            struct span at = g.at[i - r];
            if (at.lo < at.hi)
                l[i] =
                    l[i] * corr[i] + row_bf16(p + i * ld_p, s + i * ld_s, at, n_pad, scale, m[i]);
            else
                memset(p + i * ld_p, 0, n_pad * sizeof *p);
        }
    }
}

#ifndef MN__SOFTMAX_ONLY_BF16
/* out = e^(s*scale - m) over the span, which may be s itself; nothing outside is written. */
static float row_f32(float *out, const float *s, struct span at, float scale, float m)
{
    vf c = vf_set1(scale), vm = vf_set1(m), sum = vf_set1(0);
    size_t i = at.lo;
    for (; i + VF_N <= at.hi; i += VF_N) {
        vf e = vf_exp(vf_fms(vf_load(s + i), c, vm));
        sum = vf_add(sum, e);
        vf_store(out + i, e);
    }
    if (i < at.hi) {
        vf e = vf_keep(vf_exp(vf_fms(vf_load_n(s + i, at.hi - i), c, vm)), 0, at.hi - i);
        sum = vf_add(sum, e);
        vf_store_n(out + i, e, at.hi - i);
    }
    return vf_sum(sum);
}

static void blank_f32(float *p, struct span at, size_t n)
{
    memset(p, 0, at.lo * sizeof *p);
    memset(p + at.hi, 0, (n - at.hi) * sizeof *p);
}

void MN__ISA(softmax_f32)(float *p, size_t ld_p, const float *s, size_t ld_s, size_t n_row,
                          size_t n_tok, const int32_t *lo, const int32_t *hi, float scale, float *m,
                          float *l, float *corr)
{
    size_t n_pad = (n_tok + 31) / 32 * 32;
    for (size_t r = 0; r < n_row; r += SOFTMAX_ROWS) {
        struct rows g;
        size_t n = n_row - r < SOFTMAX_ROWS ? n_row - r : SOFTMAX_ROWS;
        rows_begin(&g, s + r * ld_s, ld_s, n, n_tok, lo + r, hi + r, scale, m + r, corr + r);
        for (size_t i = r; i < r + n; i++) {
            struct span at = g.at[i - r];
            if (at.lo < at.hi)
                l[i] = l[i] * corr[i] + row_f32(p + i * ld_p, s + i * ld_s, at, scale, m[i]);
            blank_f32(p + i * ld_p, at, n_pad);
        }
    }
}

void MN__ISA(probs)(float *s, size_t ld_s, size_t n_row, size_t n_tok, const int32_t *lo,
                    const int32_t *hi, float scale, const float *lse)
{
    for (size_t r = 0; r < n_row; r++, s += ld_s) {
        struct span at = span_make(lo[r], hi[r], n_tok);
        row_f32(s, s, at, scale, lse[r]);
        blank_f32(s, at, n_tok);
    }
}

/* One vector of columns over all rows at a time: the sums stay in registers. */
void MN__ISA(colsum)(float *out, const float *p, size_t ld_p, const float *w, size_t n_row,
                     size_t n_tok)
{
    for (size_t i = 0; i < n_tok; i += 2 * VF_N) {
        size_t n0 = n_tok - i, n1 = n0 > VF_N ? n0 - VF_N : 0;
        vf a = vf_load_n(out + i, n0), b = n1 ? vf_load_n(out + i + VF_N, n1) : vf_set1(0);
        for (size_t r = 0; r < n_row; r++) {
            vf x = vf_set1(w ? w[r] : 1.0f);
            a = vf_fma(x, vf_load_n(p + r * ld_p + i, n0), a);
            if (n1) b = vf_fma(x, vf_load_n(p + r * ld_p + i + VF_N, n1), b);
        }
        vf_store_n(out + i, a, n0);
        if (n1) vf_store_n(out + i + VF_N, b, n1);
    }
}
#endif
