/* causal_half.c: formulas of causal_softmax.c. What one head of keys and values needs, and all
 * queries that read it, is one thread's: keys and values become panels (kern.def, mm_bf16) once,
 * then tiles of ROWS queries meet blocks of COLS keys. */
#include "layer/causal_half.h"

#ifndef MN_REAL_DOUBLE

#include <string.h>
#include "layer/ops.h"

enum {
    ROWS = 128,
    COLS = 256,
    PANEL = MN__MM_COLS,
    GAP = 32,             /* between rows of bf16, so that they do not share sets of a cache */
    LD_HALF = COLS + GAP, /* of probabilities */
    LD_TURN = ROWS + GAP, /* of the same, turned */
    LD_FULL = COLS + 16,  /* of scores */
};

/* One thread's scratch. */
typedef struct space {
    mn_bf16 *k_rows, *v_rows; /* [len/32] panels of 32 rows of keys, of values: [dim][32] */
    mn_bf16 *k_cols, *v_cols; /* [dim/32] panels of 32 columns: [len][32] */
    mn_bf16 *q_cols, *dy_cols;
    mn_bf16 *q, *dy;          /* [ROWS][dim + GAP] */
    float *s, *d;             /* [ROWS][LD_FULL] */
    mn_bf16 *p;               /* [ROWS][LD_HALF] */
    mn_bf16 *p_turn, *d_turn; /* [COLS][LD_TURN] */
} space;

typedef struct pass {
    const mn__heads *heads;
    const struct mn__kern *kern;
    mn__shape s;
    const mn__qkv *in;
    const float *y_in, *dy, *lse_in;
    const mn__qkv_grad *out;
    float *y, *lse, scale;
    size_t ld, ld_y, len; /* len: the sequence's, up to a multiple of 32 */
    space *space;         /* [threads] */
} pass;

/* A tile of one head: queries [q0, q0 + nq) against keys [k0, k0 + nk). */
typedef struct tile {
    size_t row, head, kv; /* first row of the sequence; heads of queries and of keys */
    size_t q0, nq, k0, nk;
} tile;

static size_t up(size_t n)
{
    return (n + PANEL - 1) / PANEL * PANEL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- operands ---- */

static void pack_rows(const pass *p, mn_bf16 *to, const float *x)
{
    const size_t dim = p->heads->dim;
    for (size_t t = 0; t < p->s.len; t += PANEL)
        p->kern->mm_pack_bf16(to + t * dim, x + t * p->ld, p->ld, least(p->s.len - t, PANEL), dim,
                              dim);
}

static void pack_cols(const pass *p, mn_bf16 *to, const float *x, size_t ld)
{
    for (size_t c = 0; c < p->heads->dim; c += PANEL)
        p->kern->mm_pack_cols_bf16(to + c * p->len, x + c, ld, PANEL, p->s.len, p->len);
}

static void round_rows(const pass *p, mn_bf16 *to, const float *x, size_t ld, size_t n)
{
    const size_t dim = p->heads->dim;
    for (size_t r = 0; r < n; r++) p->kern->f32_to_bf16(to + r * (dim + GAP), x + r * ld, dim);
}

/* out [nq][nk] = rows of queries times panels of rows of keys. */
static void meet(const pass *p, const tile *t, float *out, const mn_bf16 *rows,
                 const mn_bf16 *panels)
{
    const size_t dim = p->heads->dim;
    for (size_t j = 0; j < t->nk; j += PANEL)
        p->kern->mm_into_bf16(out + j, LD_FULL, 0, rows, dim + GAP, t->nq,
                              panels + (t->k0 + j) * dim, dim, NULL);
}

/* A product of n rows of coefficients, `deep` of them each, with columns of rows from `at` on. */
typedef struct summing {
    float *c;
    size_t ld_c;
    const mn_bf16 *coef;
    size_t ld, n;
    const mn_bf16 *cols;
    size_t at, deep;
    bool add;
} summing;

static void sum_up(const pass *p, const summing *m)
{
    for (size_t c = 0; c < p->heads->dim; c += PANEL)
        p->kern->mm_into_bf16(m->c + c, m->ld_c, m->add, m->coef, m->ld, m->n,
                              m->cols + c * p->len + m->at * PANEL, up(m->deep), NULL);
}

/* Columns that each row of a tile may see. */
static void visible(const tile *t, int32_t *hi)
{
    for (size_t r = 0; r < t->nq; r++) {
        const size_t n = t->q0 + r + 1 > t->k0 ? t->q0 + r + 1 - t->k0 : 0;
        hi[r] = (int32_t)least(n, t->nk);
    }
}

/* ---- forward ---- */

static void forward_tile(const pass *p, const space *w, tile t)
{
    const size_t dim = p->heads->dim, i_lse = t.row * p->heads->n_head + t.head * p->s.len + t.q0;
    const float *q = p->in->q + (t.row + t.q0) * p->ld + t.head * dim;
    float *y = p->y + (t.row + t.q0) * p->ld_y + t.head * dim, top[ROWS], sum[ROWS], fade[ROWS];
    int32_t lo[ROWS] = {0}, hi[ROWS];
    for (size_t r = 0; r < t.nq; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
    }
    round_rows(p, w->q, q, p->ld, t.nq);
    for (t.k0 = 0; t.k0 < t.q0 + t.nq; t.k0 += COLS) {
        t.nk = least(t.q0 + t.nq - t.k0, COLS);
        visible(&t, hi);
        meet(p, &t, w->s, w->q, w->k_rows);
        p->kern->softmax_bf16(w->p, LD_HALF, w->s, LD_FULL, t.nq, t.nk, lo, hi, p->scale, top, sum,
                              fade);
        for (size_t r = 0; r < t.nq && t.k0; r++)
            for (size_t c = 0; c < dim && fade[r] < 1; c++) y[r * p->ld_y + c] *= fade[r];
        const summing m = {y, p->ld_y, w->p, LD_HALF, t.nq, w->v_cols, t.k0, t.nk, t.k0 > 0};
        sum_up(p, &m);
    }
    for (size_t r = 0; r < t.nq; r++) {
        const float inverse = 1 / sum[r];
        for (size_t c = 0; c < dim; c++) y[r * p->ld_y + c] *= inverse;
        if (p->lse) p->lse[i_lse + r] = top[r] + logf(sum[r]);
    }
}

/* Item: keys and values of one head of one sequence. */
static void forward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_group = p->heads->n_head / p->heads->n_kv, dim = p->heads->dim;
    const space *w = &p->space[thread];
    mn__tiles_begin(p->kern);
    for (size_t i = begin; i < end; i++) {
        tile t = {.row = i / p->heads->n_kv * p->s.len, .kv = i % p->heads->n_kv};
        pack_rows(p, w->k_rows, p->in->k + t.row * p->ld + t.kv * dim);
        pack_cols(p, w->v_cols, p->in->v + t.row * p->ld + t.kv * dim, p->ld);
        for (t.head = t.kv * n_group; t.head < (t.kv + 1) * n_group; t.head++)
            for (t.q0 = 0; t.q0 < p->s.len; t.q0 += ROWS) {
                t.nq = least(p->s.len - t.q0, ROWS);
                forward_tile(p, w, t);
            }
    }
    mn__tiles_end(p->kern);
}

/* ---- backward ---- */

/* Gradients of one tile, its queries rounded already. */
static void backward_tile(const pass *p, const space *w, const tile *t, const float *delta)
{
    const size_t dim = p->heads->dim, wide = up(t->nk), deep = up(t->nq),
                 i_lse = t->row * p->heads->n_head + t->head * p->s.len + t->q0;
    float *dk = p->out->k + (t->row + t->k0) * p->ld + t->kv * dim,
          *dv = p->out->v + (t->row + t->k0) * p->ld + t->kv * dim,
          *dq = p->out->q + (t->row + t->q0) * p->ld + t->head * dim;
    int32_t hi[ROWS];
    visible(t, hi);
    meet(p, t, w->s, w->q, w->k_rows);
    meet(p, t, w->d, w->dy, w->v_rows);
    p->kern->softmax_back(w->s, w->d, LD_FULL, t->nq, wide, hi, p->scale, p->lse_in + i_lse, delta);
    p->kern->mm_turn_bf16(w->p_turn, LD_TURN, w->s, LD_FULL, t->nk, t->nq, deep);
    p->kern->mm_turn_bf16(w->d_turn, LD_TURN, w->d, LD_FULL, t->nk, t->nq, deep);
    for (size_t r = 0; r < t->nq; r++)
        p->kern->f32_to_bf16(w->p + r * LD_HALF, w->d + r * LD_FULL, wide);
    const summing value = {dv, p->ld, w->p_turn, LD_TURN, t->nk, w->dy_cols, t->q0, t->nq, true},
                  key = {dk, p->ld, w->d_turn, LD_TURN, t->nk, w->q_cols, t->q0, t->nq, true},
                  query = {dq, p->ld, w->p, LD_HALF, t->nq, w->k_cols, t->k0, t->nk, t->k0 > 0};
    sum_up(p, &value);
    sum_up(p, &key);
    sum_up(p, &query);
}

/* All queries of one head. */
static void backward_head(const pass *p, const space *w, tile t)
{
    const size_t dim = p->heads->dim;
    const float *q = p->in->q + t.row * p->ld + t.head * dim,
                *y = p->y_in + t.row * p->ld_y + t.head * dim,
                *dy = p->dy + t.row * p->ld_y + t.head * dim;
    float delta[ROWS];
    pack_cols(p, w->q_cols, q, p->ld);
    pack_cols(p, w->dy_cols, dy, p->ld_y);
    for (t.q0 = 0; t.q0 < p->s.len; t.q0 += ROWS) {
        t.nq = least(p->s.len - t.q0, ROWS);
        round_rows(p, w->q, q + t.q0 * p->ld, p->ld, t.nq);
        round_rows(p, w->dy, dy + t.q0 * p->ld_y, p->ld_y, t.nq);
        for (size_t r = 0; r < t.nq; r++)
            delta[r] = mn__dot(dy + (t.q0 + r) * p->ld_y, y + (t.q0 + r) * p->ld_y, dim);
        for (t.k0 = 0; t.k0 < t.q0 + t.nq; t.k0 += COLS) {
            t.nk = least(t.q0 + t.nq - t.k0, COLS);
            backward_tile(p, w, &t, delta);
        }
    }
}

static void backward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_group = p->heads->n_head / p->heads->n_kv, dim = p->heads->dim;
    const space *w = &p->space[thread];
    mn__tiles_begin(p->kern);
    for (size_t i = begin; i < end; i++) {
        tile t = {.row = i / p->heads->n_kv * p->s.len, .kv = i % p->heads->n_kv};
        const size_t at = t.row * p->ld + t.kv * dim;
        pack_rows(p, w->k_rows, p->in->k + at);
        pack_rows(p, w->v_rows, p->in->v + at);
        pack_cols(p, w->k_cols, p->in->k + at, p->ld);
        for (size_t r = 0; r < p->s.len; r++) {
            memset(p->out->k + at + r * p->ld, 0, dim * sizeof(float));
            memset(p->out->v + at + r * p->ld, 0, dim * sizeof(float));
        }
        for (t.head = t.kv * n_group; t.head < (t.kv + 1) * n_group; t.head++)
            backward_head(p, w, t);
    }
    mn__tiles_end(p->kern);
}

/* ---- passes ---- */

static mn_bf16 *take_half(const mn__env *env, size_t n)
{
    return mn__tape_take(env->tape, n, sizeof(mn_bf16));
}

/* Threads' scratch, and what both passes share. */
static void begin(pass *p, const mn__env *env, bool back)
{
    const size_t n_thread = (size_t)mn__env_threads(env), dim = p->heads->dim;
    p->len = up(p->s.len);
    p->ld = p->in->ld;
    p->ld_y = p->heads->n_head * dim;
    p->scale = (float)(1 / sqrt((double)dim));
    p->kern = env->kern;
    p->space = mn__tape_take(env->tape, n_thread, sizeof *p->space);
    for (size_t i = 0; i < n_thread; i++) {
        space w = {.k_rows = take_half(env, p->len * dim), .q = take_half(env, ROWS * (dim + GAP))};
        w.s = mn__take_reals(env, ROWS * LD_FULL);
        w.p = take_half(env, ROWS * LD_HALF);
        if (back) {
            mn_bf16 **const all[] = {&w.v_rows, &w.k_cols, &w.q_cols, &w.dy_cols};
            for (size_t j = 0; j < 4; j++) *all[j] = take_half(env, p->len * dim);
            w.dy = take_half(env, ROWS * (dim + GAP));
            w.d = mn__take_reals(env, ROWS * LD_FULL);
            w.p_turn = take_half(env, COLS * LD_TURN);
            w.d_turn = take_half(env, COLS * LD_TURN);
        } else {
            w.v_cols = take_half(env, p->len * dim);
        }
        if (!mn__env_is_dry(env)) p->space[i] = w;
    }
}

bool mn__causal_half_takes(const mn__env *env, const mn__heads *heads)
{
    return env->half && heads->dim % PANEL == 0;
}

void mn__causal_half_forward(const mn__heads *heads, const mn__env *env, mn__shape s,
                             const mn__qkv *in, mn__real *y, mn__real *lse)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.heads = heads, .s = s, .in = in, .y = y, .lse = lse};
    begin(&p, env, false);
    mn__each(env, s.n_seq * heads->n_kv, 1, forward_heads, &p);
    mn__tape_cut(env->tape, mark);
}

void mn__causal_half_backward(const mn__heads *heads, const mn__env *env, mn__shape s,
                              const mn__causal_softmax_saved *saved, const mn__real *dy,
                              const mn__qkv_grad *out)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.heads = heads, .s = s, .in = &saved->in, .y_in = saved->y, .dy = dy, .out = out};
    p.lse_in = saved->lse;
    begin(&p, env, true);
    mn__each(env, s.n_seq * heads->n_kv, 1, backward_heads, &p);
    mn__tape_cut(env->tape, mark);
}
#else
bool mn__causal_half_takes(const mn__env *env, const mn__heads *heads)
{
    (void)env;
    (void)heads;
    return false;
}

void mn__causal_half_forward(const mn__heads *heads, const mn__env *env, mn__shape s,
                             const mn__qkv *in, mn__real *y, mn__real *lse)
{
    (void)heads;
    (void)env;
    (void)s;
    (void)in;
    (void)y;
    (void)lse;
}

void mn__causal_half_backward(const mn__heads *heads, const mn__env *env, mn__shape s,
                              const mn__causal_softmax_saved *saved, const mn__real *dy,
                              const mn__qkv_grad *out)
{
    (void)heads;
    (void)env;
    (void)s;
    (void)saved;
    (void)dy;
    (void)out;
}
#endif
