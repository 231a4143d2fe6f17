/* prove_attn.c: proofs of the attention kernels. Slots beyond the last token hold NaN: nothing of
 * them may reach a result. */
#include <math.h>
#include <string.h>
#include "kern/ref/number_ref.h"
#include "probe.h"
#include "tolerance.h"

enum { WORK_MAX = 700000, PAGES_MAX = 4 };

struct attn_case {
    size_t n_row, n_tok, n_pad16, n_pad32, d, n_page;
    const void *page[PAGES_MAX], *page_abs[PAGES_MAX];
};

static const size_t rows[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  11, 12,
                              16, 17, 20, 24, 31, 32, 33, 48, 64, 75, 96};
static const size_t toks[] = {0,  1,  2,  15, 16, 17,  31,  32,  33,  47,
                              48, 63, 64, 65, 96, 100, 127, 128, 200, 256};
static const size_t widths[] = {2, 6, 16, 18, 32, 48, 64, 64, 80, 96, 128, 160, 256};

static struct attn_case draw_shape(struct probe *p)
{
    struct attn_case c = {0};
    do {
        c.n_row = probe_pick(p, rows, COUNT(rows));
        c.n_tok = probe_pick(p, toks, COUNT(toks));
        c.d = probe_pick(p, widths, COUNT(widths));
    } while (c.n_row * c.n_tok * c.d > WORK_MAX);
    c.n_pad16 = (c.n_tok + 15) / 16 * 16;
    c.n_pad32 = (c.n_tok + 31) / 32 * 32;
    c.n_page = (c.n_tok + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS;
    probe_shape(p, "n_row %zu n_tok %zu d %zu", c.n_row, c.n_tok, c.d);
    return c;
}

/* Pages of values, of their absolutes, both with NaN where there is no token. Written through the
 * plain kernels. */
static void draw_pages(struct probe *p, struct attn_case *c, bool wide)
{
    size_t bytes = 2 * MN__PAGE_TOKENS * c->d * (wide ? 4 : 2), n_row = MN__PAGE_TOKENS * c->d;
    for (size_t i = 0; i < c->n_page; i++) {
        void *page = guard_take(bytes), *page_abs = guard_take(bytes);
        size_t n = c->n_tok - i * MN__PAGE_TOKENS;
        n = n < MN__PAGE_TOKENS ? n : MN__PAGE_TOKENS;
        float *k = guard_f32(p, n_row), *v = guard_f32(p, n_row);
        for (int turn = 0; turn < 2; turn++) {
            void *to = turn ? page_abs : page;
            for (size_t j = 0; j < n_row; j++) {
                k[j] = j >= n * c->d ? NAN : turn ? fabsf(k[j]) : k[j];
                v[j] = j >= n * c->d ? NAN : turn ? fabsf(v[j]) : v[j];
            }
            if (wide)
                p->ref->page_put_f32(to, 0, k, c->d, v, c->d, MN__PAGE_TOKENS, c->d);
            else
                p->ref->page_put_bf16(to, 0, k, c->d, v, c->d, MN__PAGE_TOKENS, c->d);
        }
        c->page[i] = page;
        c->page_abs[i] = page_abs;
    }
}

/* Rows [n_row][n] at stride ld compared by tolerance; what lies between n_free and ld must not have
 * been touched. */
static void check_rows(struct probe *p, const char *what, float *wanted, float *found,
                       const float *mag, size_t n_row, size_t ld, size_t n, size_t n_free,
                       size_t depth)
{
    for (size_t r = 0; r < n_row; r++) {
        float tol[512];
        for (size_t i = 0; i < n; i++) tol[i] = tol_dot(mag[r * ld + i], depth);
        check_f32(p, what, wanted + r * ld, found + r * ld, tol, n);
        if (r + 1 < n_row && n_free < ld)
            check_same(p, "margin of a row", wanted + r * ld + n_free, found + r * ld + n_free,
                       (ld - n_free) * 4);
    }
}

static size_t extent(size_t n_row, size_t ld, size_t n)
{
    return n_row ? (n_row - 1) * ld + n : 0;
}

void prove_qk_bf16(struct probe *p)
{
    struct attn_case c = draw_shape(p);
    size_t ld_s = c.n_pad16 + probe_below(p, 2) * 5, ld_q = c.d + probe_below(p, 2) * 3;
    size_t n_q = extent(c.n_row, ld_q, c.d), n_s = extent(c.n_row, ld_s, c.n_pad16);
    draw_pages(p, &c, false);
    mn_bf16 *q = guard_bf16(p, n_q), *q_abs = guard_copy(q, n_q * 2);
    for (size_t i = 0; i < n_q; i++) q_abs[i] &= 0x7fff;
    float *a = guard_take(n_s * 4), *b = guard_take(n_s * 4), *mag = guard_take(n_s * 4);
    p->ref->qk_bf16(mag, ld_s, q_abs, ld_q, c.n_row, c.page_abs, c.n_tok, c.d, NULL);
    p->ref->qk_bf16(a, ld_s, q, ld_q, c.n_row, c.page, c.n_tok, c.d, NULL);
    p->kern->qk_bf16(b, ld_s, q, ld_q, c.n_row, c.page, c.n_tok, c.d, NULL);
    check_rows(p, "s", a, b, mag, c.n_row, ld_s, c.n_tok, c.n_pad16, c.d);
}

void prove_qk_f32(struct probe *p)
{
    struct attn_case c = draw_shape(p);
    size_t ld_s = c.n_pad16 + probe_below(p, 2) * 5, ld_q = c.d + probe_below(p, 2) * 3;
    size_t n_q = extent(c.n_row, ld_q, c.d), n_s = extent(c.n_row, ld_s, c.n_pad16);
    draw_pages(p, &c, true);
    float *q = guard_f32(p, n_q), *q_abs = guard_copy(q, n_q * 4);
    for (size_t i = 0; i < n_q; i++) q_abs[i] = fabsf(q[i]);
    float *a = guard_take(n_s * 4), *b = guard_take(n_s * 4), *mag = guard_take(n_s * 4);
    p->ref->qk_f32(mag, ld_s, q_abs, ld_q, c.n_row, c.page_abs, c.n_tok, c.d, NULL);
    p->ref->qk_f32(a, ld_s, q, ld_q, c.n_row, c.page, c.n_tok, c.d, NULL);
    p->kern->qk_f32(b, ld_s, q, ld_q, c.n_row, c.page, c.n_tok, c.d, NULL);
    check_rows(p, "s", a, b, mag, c.n_row, ld_s, c.n_tok, c.n_pad16, c.d);
}

/* o before, the weights' shrinking, and |o|. */
struct pv_case {
    size_t ld_o, ld_p, n_o, n_p;
    float *a, *b, *mag, *corr;
};

static struct pv_case draw_pv(struct probe *p, const struct attn_case *c)
{
    struct pv_case v = {.ld_o = c->d + probe_below(p, 2) * 5,
                        .ld_p = c->n_pad32 + probe_below(p, 2) * 3};
    v.n_o = extent(c->n_row, v.ld_o, c->d);
    v.n_p = extent(c->n_row, v.ld_p, c->n_pad32);
    v.a = guard_f32(p, v.n_o);
    v.b = guard_copy(v.a, v.n_o * 4);
    v.mag = guard_copy(v.a, v.n_o * 4);
    v.corr = guard_take(c->n_row * 4);
    for (size_t i = 0; i < v.n_o; i++) v.mag[i] = fabsf(v.a[i]);
    for (size_t r = 0; r < c->n_row; r++)
        v.corr[r] = probe_below(p, 3) ? (float)probe_uniform(p) : 1;
    return v;
}

void prove_pv_bf16(struct probe *p)
{
    struct attn_case c = draw_shape(p);
    struct pv_case v = draw_pv(p, &c);
    draw_pages(p, &c, false);
    mn_bf16 *w = guard_take(v.n_p * 2);
    for (size_t i = 0; i < v.n_p; i++)
        w[i] = i % v.ld_p < c.n_tok ? mn__bf16_round((float)probe_uniform(p)) : 0;
    p->ref->pv_bf16(v.mag, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page_abs, c.n_tok, c.d, NULL);
    p->ref->pv_bf16(v.a, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page, c.n_tok, c.d, NULL);
    p->kern->pv_bf16(v.b, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page, c.n_tok, c.d, NULL);
    check_rows(p, "o", v.a, v.b, v.mag, c.n_row, v.ld_o, c.d, c.d, c.n_tok + 1);
}

void prove_pv_f32(struct probe *p)
{
    struct attn_case c = draw_shape(p);
    struct pv_case v = draw_pv(p, &c);
    draw_pages(p, &c, true);
    float *w = guard_take(v.n_p * 4);
    for (size_t i = 0; i < v.n_p; i++) w[i] = i % v.ld_p < c.n_tok ? (float)probe_uniform(p) : 0;
    p->ref->pv_f32(v.mag, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page_abs, c.n_tok, c.d, NULL);
    p->ref->pv_f32(v.a, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page, c.n_tok, c.d, NULL);
    p->kern->pv_f32(v.b, v.ld_o, v.corr, w, v.ld_p, c.n_row, c.page, c.n_tok, c.d, NULL);
    check_rows(p, "o", v.a, v.b, v.mag, c.n_row, v.ld_o, c.d, c.d, c.n_tok + 1);
}

struct softmax_case {
    size_t n_row, n_tok, n_pad, ld_s, ld_p;
    float *s, *m[2], *l[2], *corr[2], scale;
    int32_t *lo, *hi;
};

/* Windows of every kind: all, causal, empty, reversed, beyond the end; scores with -inf; rows that
 * start fresh or not. */
static struct softmax_case draw_softmax(struct probe *p)
{
    struct softmax_case c = {
        .n_row = probe_below(p, 40), .n_tok = probe_pick(p, toks, COUNT(toks)), .scale = 0.125f};
    size_t n16 = (c.n_tok + 15) / 16 * 16;
    c.n_pad = (c.n_tok + 31) / 32 * 32;
    c.ld_s = n16 + probe_below(p, 2) * 3;
    c.ld_p = c.n_pad + probe_below(p, 2) * 5;
    c.s = guard_take(extent(c.n_row, c.ld_s, n16) * 4);
    c.lo = guard_take(c.n_row * 4);
    c.hi = guard_take(c.n_row * 4);
    for (int i = 0; i < 2; i++) {
        c.m[i] = guard_take(c.n_row * 4);
        c.l[i] = guard_take(c.n_row * 4);
        c.corr[i] = guard_take(c.n_row * 4);
    }
    for (size_t r = 0; r < c.n_row; r++) {
        size_t kind = probe_below(p, 6);
        c.lo[r] = kind < 2 ? 0 : (int32_t)probe_below(p, c.n_tok + 1);
        c.hi[r] = kind == 0 || kind == 3 ? (int32_t)c.n_tok
                  : kind == 4            ? (int32_t)c.n_tok + 9
                                         : (int32_t)probe_below(p, c.n_tok + 1);
        size_t blank = probe_below(p, 8);
        for (size_t t = 0; t < n16; t++) {
            bool seen = t < c.n_tok && (int32_t)t >= c.lo[r] && (int32_t)t < c.hi[r];
            c.s[r * c.ld_s + t] = !seen                                   ? NAN
                                  : blank == 0 || probe_below(p, 20) == 0 ? -INFINITY
                                                                          : 40 * probe_plain(p);
        }
        bool fresh = probe_below(p, 3) == 0;
        c.m[0][r] = c.m[1][r] = fresh ? -INFINITY : 10 * probe_plain(p);
        c.l[0][r] = c.l[1][r] = fresh ? 0 : 1 + (float)probe_uniform(p);
    }
    probe_shape(p, "n_row %zu n_tok %zu", c.n_row, c.n_tok);
    return c;
}

static void check_softmax(struct probe *p, struct softmax_case *c, float *a, float *b,
                          float relative, bool coarse)
{
    float tol[512];
    for (size_t r = 0; r < c->n_row; r++) {
        for (size_t t = 0; t < c->n_pad; t++) {
            float x = a[r * c->n_pad + t];
            tol[t] = x == 0 ? TINY : coarse ? tol_bf16(x) : tol_exp(x);
            if (t >= c->n_tok || (int32_t)t < c->lo[r] || (int32_t)t >= c->hi[r]) tol[t] = 0;
        }
        check_f32(p, "p", a + r * c->n_pad, b + r * c->n_pad, tol, c->n_pad);
        float wide = relative * c->l[0][r] + TINY, shrink = tol_exp(c->corr[0][r]);
        check_f32(p, "m", c->m[0] + r, c->m[1] + r, NULL, isinf(c->m[0][r]) && p->spoil ? 0 : 1);
        check_f32(p, "l", c->l[0] + r, c->l[1] + r, &wide, 1);
        check_f32(p, "corr", c->corr[0] + r, c->corr[1] + r, &shrink, 1);
    }
}

void prove_softmax_bf16(struct probe *p)
{
    struct softmax_case c = draw_softmax(p);
    size_t n = extent(c.n_row, c.ld_p, c.n_pad);
    mn_bf16 *a = guard_take(n * 2), *b = guard_take(n * 2);
    float *x = guard_take(c.n_row * c.n_pad * 4), *y = guard_take(c.n_row * c.n_pad * 4);
    p->ref->softmax_bf16(a, c.ld_p, c.s, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, c.m[0],
                         c.l[0], c.corr[0]);
    p->kern->softmax_bf16(b, c.ld_p, c.s, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, c.m[1],
                          c.l[1], c.corr[1]);
    for (size_t r = 0; r < c.n_row; r++) {
        for (size_t t = 0; t < c.n_pad; t++) {
            x[r * c.n_pad + t] = mn__bf16_widen(a[r * c.ld_p + t]);
            y[r * c.n_pad + t] = mn__bf16_widen(b[r * c.ld_p + t]);
        }
        if (r + 1 < c.n_row)
            check_same(p, "margin of a row", a + r * c.ld_p + c.n_pad, b + r * c.ld_p + c.n_pad,
                       (c.ld_p - c.n_pad) * 2);
    }
    check_softmax(p, &c, x, y, 1e-5f, true);
}

void prove_softmax_f32(struct probe *p)
{
    struct softmax_case c = draw_softmax(p);
    size_t n = extent(c.n_row, c.ld_p, c.n_pad);
    float *a = guard_take(n * 4), *b = guard_take(n * 4);
    float *x = guard_take(c.n_row * c.n_pad * 4), *y = guard_take(c.n_row * c.n_pad * 4);
    p->ref->softmax_f32(a, c.ld_p, c.s, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, c.m[0],
                        c.l[0], c.corr[0]);
    p->kern->softmax_f32(b, c.ld_p, c.s, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, c.m[1],
                         c.l[1], c.corr[1]);
    for (size_t r = 0; r < c.n_row; r++) {
        memcpy(x + r * c.n_pad, a + r * c.ld_p, c.n_pad * 4);
        memcpy(y + r * c.n_pad, b + r * c.ld_p, c.n_pad * 4);
        if (r + 1 < c.n_row)
            check_same(p, "margin of a row", a + r * c.ld_p + c.n_pad, b + r * c.ld_p + c.n_pad,
                       (c.ld_p - c.n_pad) * 4);
    }
    check_softmax(p, &c, x, y, 16 * FLT_EPSILON, false);
}

void prove_probs(struct probe *p)
{
    struct softmax_case c = draw_softmax(p);
    size_t n = extent(c.n_row, c.ld_s, (c.n_tok + 15) / 16 * 16);
    float *a = c.s, *b = guard_copy(c.s, n * 4), *lse = guard_take(c.n_row * 4), tol[512];
    for (size_t r = 0; r < c.n_row; r++)
        lse[r] = 11 + probe_plain(p); /* above 0.125 * 40 * 2.3 - 2: probabilities below 1 */
    p->ref->probs(a, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, lse);
    p->kern->probs(b, c.ld_s, c.n_row, c.n_tok, c.lo, c.hi, c.scale, lse);
    for (size_t r = 0; r < c.n_row; r++) {
        for (size_t t = 0; t < c.n_tok; t++)
            tol[t] = a[r * c.ld_s + t] == 0 ? 0 : tol_exp(a[r * c.ld_s + t]);
        check_f32(p, "p", a + r * c.ld_s, b + r * c.ld_s, tol, c.n_tok);
    }
}

void prove_colsum(struct probe *p)
{
    size_t n_row = probe_pick(p, rows, COUNT(rows)), n = probe_pick(p, toks, COUNT(toks)),
           ld = n + probe_below(p, 2) * 3;
    probe_shape(p, "n_row %zu n_tok %zu", n_row, n);
    float *x = guard_f32(p, extent(n_row, ld, n)),
          *w = probe_below(p, 3) ? guard_f32(p, n_row) : NULL;
    float *a = guard_f32(p, n), *b = guard_copy(a, n * 4), *tol = guard_take(n * 4);
    for (size_t t = 0; t < n; t++) {
        float mag = fabsf(a[t]);
        for (size_t r = 0; r < n_row; r++) mag += fabsf((w ? w[r] : 1) * x[r * ld + t]);
        tol[t] = tol_dot(mag, n_row + 1);
    }
    p->ref->colsum(a, x, ld, w, n_row, n);
    p->kern->colsum(b, x, ld, w, n_row, n);
    check_f32(p, "out", a, b, tol, n);
}
