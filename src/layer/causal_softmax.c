/* causal_softmax.c: softmax attention with an online sum. Ref: arXiv 2205.14135 (tiles, saved
 * logarithms of sums), 2305.13245 (groups of queries).
 *
 *   s_ij = <q_i, k_j> / sqrt(dim), j <= i,  p_ij = exp(s_ij - lse_i),  y_i = sum_j p_ij v_j
 *   D_i = <dy_i, y_i>,  dv_j = sum_i p_ij dy_i,  ds_ij = p_ij (<dy_i, v_j> - D_i) / sqrt(dim)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 *
 * Forward: a tile of queries of one head is one thread's. Backward: keys and values of one head,
 * with all queries that read them, are one thread's. */
#include "layer/causal_softmax.h"

#include <string.h>
#include "layer/causal_half.h"
#include "layer/ops.h"

enum { ROWS = 64, COLS = 256 }; /* queries and keys of a tile */

typedef struct pass {
    const mn__causal_softmax *l;
    const struct mn__kern *kern; /* NULL: plain loops */
    mn__shape s;
    const mn__qkv *in;
    const mn__real *y_in, *dy;
    const mn__qkv_grad *out;
    mn__real *y, *lse, *scratch;
    size_t ld_y, ld; /* of y, of queries, keys and values */
    mn__real scale;
} pass;

/* A tile of one head: queries [q0, q0 + nq) against keys [k0, k0 + nk). */
typedef struct tile {
    const pass *p;
    size_t q0, nq, k0, nk, dim;
    const mn__real *q, *k, *v; /* first rows of the tile */
} tile;

static tile tile_of(const pass *p, size_t seq, size_t h, size_t q0, size_t k0)
{
    const mn__heads *heads = &p->l->heads;
    const size_t kv = h / (heads->n_head / heads->n_kv), row = seq * p->s.len, dim = heads->dim;
    tile t = {.p = p, .q0 = q0, .k0 = k0, .dim = dim};
    t.nq = p->s.len - q0 < ROWS ? p->s.len - q0 : ROWS;
    t.nk = q0 + t.nq - k0 < COLS ? q0 + t.nq - k0 : COLS;
    t.q = p->in->q + (row + q0) * p->ld + h * dim;
    t.k = p->in->k + (row + k0) * p->ld + kv * dim;
    t.v = p->in->v + (row + k0) * p->ld + kv * dim;
    return t;
}

/* Columns of row r of the tile that it may see. */
static size_t visible(const tile *t, size_t r)
{
    size_t n = t->q0 + r + 1;
    n = n > t->k0 ? n - t->k0 : 0;
    return n < t->nk ? n : t->nk;
}

static void scores(const tile *t, mn__real *s)
{
    const mn__mm p = {.m = t->nq,
                      .n = t->nk,
                      .k = t->dim,
                      .a = t->q,
                      .b = t->k,
                      .c = s,
                      .ld_a = t->p->ld,
                      .ld_b = t->p->ld,
                      .ld_c = COLS};
    mn__mm_nt(&p);
}

/* Scores become exponentials, by a kernel; false: there is none. */
static bool exponentiate(const tile *t, mn__real *s, mn__real *m, mn__real *sum, mn__real *fade)
{
#ifndef MN_REAL_DOUBLE
    const int32_t lo[ROWS] = {0};
    int32_t hi[ROWS];
    if (!t->p->kern) return false;
    for (size_t r = 0; r < t->nq; r++) hi[r] = (int32_t)visible(t, r);
    t->p->kern->softmax_f32(s, COLS, s, COLS, t->nq, t->nk, lo, hi, t->p->scale, m, sum, fade);
    return true;
#else
    (void)t;
    (void)s;
    (void)m;
    (void)sum;
    (void)fade;
    return false;
#endif
}

static void exponentiate_plainly(const tile *t, mn__real *s, mn__real *m, mn__real *sum,
                                 mn__real *fade)
{
    for (size_t r = 0; r < t->nq; r++) {
        const size_t n = visible(t, r);
        mn__real *x = s + r * COLS, top = m[r];
        for (size_t j = 0; j < n; j++) {
            x[j] *= t->p->scale;
            top = x[j] > top ? x[j] : top;
        }
        fade[r] = mn__exp(m[r] - top);
        sum[r] *= fade[r];
        for (size_t j = 0; j < n; j++) {
            x[j] = mn__exp(x[j] - top);
            sum[r] += x[j];
        }
        memset(x + n, 0, (t->nk - n) * sizeof *x);
        m[r] = top;
    }
}

/* One more tile of keys into the sums of y: m is what scores are held against, the largest so far
 * or near it, sum that of exponentials. */
static void online(const tile *t, mn__real *s, mn__real *y, mn__real *m, mn__real *sum)
{
    mn__real fade[ROWS];
    if (!exponentiate(t, s, m, sum, fade)) exponentiate_plainly(t, s, m, sum, fade);
    for (size_t r = 0; r < t->nq; r++)
        for (size_t c = 0; c < t->dim && fade[r] < 1; c++) y[r * t->p->ld_y + c] *= fade[r];
}

/* c [nq][..] += p v, or any product of a tile of COLS columns with rows of keys. */
static void add_rows(const tile *t, const mn__real *p, const mn__real *rows, mn__real *c,
                     size_t ld_c)
{
    const mn__mm mm = {.m = t->nq,
                       .n = t->dim,
                       .k = t->nk,
                       .a = p,
                       .b = rows,
                       .c = c,
                       .ld_a = COLS,
                       .ld_b = t->p->ld,
                       .ld_c = ld_c,
                       .add = true};
    mn__mm_nn(&mm);
}

/* Item: a tile of queries of one head of one sequence. */
static void forward_tiles(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_tile = (p->s.len + ROWS - 1) / ROWS, n_head = p->l->heads.n_head;
    mn__real *s = p->scratch + (size_t)thread * ROWS * COLS, m[ROWS], sum[ROWS];
    for (size_t item = begin; item < end; item++) {
        const size_t q0 = item % n_tile * ROWS, h = item / n_tile % n_head,
                     seq = item / n_tile / n_head;
        tile t = tile_of(p, seq, h, q0, 0);
        mn__real *y = p->y + (seq * p->s.len + q0) * p->ld_y + h * t.dim;
        for (size_t r = 0; r < t.nq; r++) {
            memset(y + r * p->ld_y, 0, t.dim * sizeof *y);
            m[r] = -INFINITY;
            sum[r] = 0;
        }
        for (size_t k0 = 0; k0 < q0 + t.nq; k0 += COLS) {
            t = tile_of(p, seq, h, q0, k0);
            scores(&t, s);
            online(&t, s, y, m, sum);
            add_rows(&t, s, t.v, y, p->ld_y);
        }
        for (size_t r = 0; r < t.nq; r++) {
            for (size_t c = 0; c < t.dim; c++) y[r * p->ld_y + c] /= sum[r];
            if (p->lse) p->lse[(seq * n_head + h) * p->s.len + q0 + r] = m[r] + mn__log(sum[r]);
        }
    }
}

/* Of one product of all tiles, values of queries with values of keys: whole tiles are made, the
 * diagonal's too. */
static double tile_work(const mn__causal_softmax *l, mn__shape s)
{
    double pairs = 0;
    for (size_t q0 = 0; q0 < s.len; q0 += ROWS) {
        const size_t end = q0 + ROWS < s.len ? q0 + ROWS : s.len;
        pairs += (double)(end - q0) * (double)end;
    }
    return pairs * (double)(s.n_seq * l->heads.n_head * l->heads.dim);
}

void mn__causal_softmax_forward(const mn__causal_softmax *l, const mn__env *env, mn__shape s,
                                const mn__qkv *in, mn__real *y, mn__causal_softmax_saved *saved)
{
    const size_t n_tile = (s.len + ROWS - 1) / ROWS;
    pass p = {.l = l, .kern = env->kern, .s = s, .in = in, .y = y, .ld = in->ld};
    p.ld_y = l->heads.n_head * l->heads.dim;
    p.scale = (mn__real)(1 / sqrt((double)l->heads.dim));
    if (saved) {
        p.lse = mn__take_reals(env, s.n_seq * l->heads.n_head * s.len);
        *saved = (mn__causal_softmax_saved){*in, y, p.lse};
    }
    mn__count(env, MN__WORK_PAIRS, 2 * tile_work(l, s));
    if (mn__causal_half_takes(env, &l->heads)) {
        mn__causal_half_forward(&l->heads, env, s, in, y, p.lse);
        return;
    }
    const size_t mark = mn__tape_mark(env->tape);
    p.scratch = mn__take_reals(env, (size_t)mn__env_threads(env) * ROWS * COLS);
    mn__each(env, s.n_seq * l->heads.n_head * n_tile, 1, forward_tiles, &p);
    mn__tape_cut(env->tape, mark);
}

/* s becomes p, and dp (<dy_i, v_j>) becomes ds. */
static void soften(const tile *t, mn__real *s, mn__real *dp, const mn__real *lse,
                   const mn__real *delta)
{
#ifndef MN_REAL_DOUBLE
    if (t->p->kern) {
        int32_t hi[ROWS];
        for (size_t r = 0; r < t->nq; r++) hi[r] = (int32_t)visible(t, r);
        t->p->kern->softmax_back(s, dp, COLS, t->nq, t->nk, hi, t->p->scale, lse, delta);
        return;
    }
#endif
    for (size_t r = 0; r < t->nq; r++) {
        const size_t n = visible(t, r);
        mn__real *x = s + r * COLS, *d = dp + r * COLS;
        for (size_t j = 0; j < n; j++) {
            x[j] = mn__exp(x[j] * t->p->scale - lse[r]);
            d[j] = x[j] * (d[j] - delta[r]) * t->p->scale;
        }
        memset(x + n, 0, (t->nk - n) * sizeof *x);
        memset(d + n, 0, (t->nk - n) * sizeof *d);
    }
}

/* rows of keys += a tile of coefficients turned around, times rows of queries. */
static void add_turned(const tile *t, const mn__real *coef, const mn__real *rows, size_t ld,
                       mn__real *c)
{
    const mn__mm mm = {.m = t->nk,
                       .n = t->dim,
                       .k = t->nq,
                       .a = coef,
                       .b = rows,
                       .c = c,
                       .ld_a = COLS,
                       .ld_b = ld,
                       .ld_c = t->p->ld,
                       .add = true};
    mn__mm_tn(&mm);
}

static void backward_tile(const tile *t, size_t seq, size_t h, mn__real *s, mn__real *dp)
{
    const pass *p = t->p;
    const mn__heads *heads = &p->l->heads;
    const size_t kv = h / (heads->n_head / heads->n_kv), row = seq * p->s.len;
    const mn__real *dy = p->dy + (row + t->q0) * p->ld_y + h * t->dim,
                   *y = p->y_in + (row + t->q0) * p->ld_y + h * t->dim;
    mn__real delta[ROWS];
    const mn__mm product = {.m = t->nq,
                            .n = t->nk,
                            .k = t->dim,
                            .a = dy,
                            .b = t->v,
                            .c = dp,
                            .ld_a = p->ld_y,
                            .ld_b = p->ld,
                            .ld_c = COLS};
    for (size_t r = 0; r < t->nq; r++)
        delta[r] = mn__dot(dy + r * p->ld_y, y + r * p->ld_y, t->dim);
    scores(t, s);
    mn__mm_nt(&product);
    soften(t, s, dp, p->lse + (seq * heads->n_head + h) * p->s.len + t->q0, delta);
    add_turned(t, s, dy, p->ld_y, p->out->v + (row + t->k0) * p->ld + kv * t->dim);
    add_turned(t, dp, t->q, p->ld, p->out->k + (row + t->k0) * p->ld + kv * t->dim);
    add_rows(t, dp, t->k, p->out->q + (row + t->q0) * p->ld + h * t->dim, p->ld);
}

static void clear(const pass *p, mn__real *x, size_t seq, size_t head)
{
    const size_t dim = p->l->heads.dim;
    for (size_t t = 0; t < p->s.len; t++)
        memset(x + (seq * p->s.len + t) * p->ld + head * dim, 0, dim * sizeof *x);
}

/* Item: keys and values of one head of one sequence. */
static void backward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__heads *heads = &p->l->heads;
    const size_t n_group = heads->n_head / heads->n_kv;
    mn__real *s = p->scratch + (size_t)thread * 2 * ROWS * COLS, *dp = s + ROWS * COLS;
    for (size_t item = begin; item < end; item++) {
        const size_t kv = item % heads->n_kv, seq = item / heads->n_kv;
        clear(p, p->out->k, seq, kv);
        clear(p, p->out->v, seq, kv);
        for (size_t h = kv * n_group; h < (kv + 1) * n_group; h++) {
            clear(p, p->out->q, seq, h);
            for (size_t q0 = 0; q0 < p->s.len; q0 += ROWS)
                for (size_t k0 = 0; k0 < q0 + ROWS && k0 < p->s.len; k0 += COLS) {
                    const tile t = tile_of(p, seq, h, q0, k0);
                    backward_tile(&t, seq, h, s, dp);
                }
        }
    }
}

void mn__causal_softmax_backward(const mn__causal_softmax *l, const mn__env *env, mn__shape s,
                                 const mn__causal_softmax_saved *saved, const mn__real *dy,
                                 const mn__qkv_grad *out)
{
    mn__count(env, MN__WORK_PAIRS, 5 * tile_work(l, s));
    if (mn__causal_half_takes(env, &l->heads)) {
        mn__causal_half_backward(&l->heads, env, s, saved, dy, out);
        return;
    }
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.l = l,
              .kern = env->kern,
              .s = s,
              .in = &saved->in,
              .y_in = saved->y,
              .dy = dy,
              .out = out};
    p.lse = saved->lse;
    p.ld = saved->in.ld;
    p.ld_y = l->heads.n_head * l->heads.dim;
    p.scale = (mn__real)(1 / sqrt((double)l->heads.dim));
    p.scratch = mn__take_reals(env, (size_t)mn__env_threads(env) * 2 * ROWS * COLS);
    mn__each(env, s.n_seq * l->heads.n_kv, 1, backward_heads, &p);
    mn__tape_cut(env->tape, mark);
}
