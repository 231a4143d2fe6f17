/* linformer.c: Ref: arXiv 2006.04768.
 *
 *   kc = E' k, vc = F' v along positions;  y = softmax(q kc' / sqrt(dim)) vc
 *   dE = sum over heads and sequences of k dkc', dk = E dkc; F and v likewise
 *
 * Deviations (BLOCKS): the published form has no causal variant, for each slot mixes all positions.
 * Here blocks of n_from positions that are finished become n_slot slots each, by one E and F, and
 * the query's own block is attended to exactly, in the same softmax.
 * What a query sees is a run of slots [0, n_seen) and a run of positions [own, t]. */
#include "layer/linformer.h"

#include <string.h>
#include "layer/ops.h"

enum { ROW_GRAIN = 4 };

typedef struct pass {
    const mn__linformer *l;
    mn__shape s;
    const mn__qkv *in;
    const mn__qkv_grad *out;
    const mn__real *y_in, *dy;
    mn__real *y, *lse;
    mn__real *k, *v;             /* compressed */
    mn__real *dk, *dv;           /* their gradients */
    mn__real *score;             /* a thread's: [n_score] */
    size_t ld_y, n_all, n_score; /* slots of a head, scores of a query at most */
    mn__real scale;
} pass;

static size_t blocks_of(const mn__linformer *l, size_t len)
{
    return l->kind == MN__LINFORMER_BLOCKS ? len / l->n_from : 1;
}

/* What the query at t sees. */
typedef struct view {
    size_t n_seen, own, n_own;
} view;

static view view_of(const pass *p, size_t t)
{
    const mn__linformer *l = p->l;
    if (l->kind == MN__LINFORMER_FULL) return (view){l->n_slot, t, 0};
    if (l->kind == MN__LINFORMER_MASK) return (view){t + 1 < l->n_slot ? t + 1 : l->n_slot, t, 0};
    const size_t own = t / l->n_from * l->n_from;
    return (view){t / l->n_from * l->n_slot, own, t - own + 1};
}

void mn__linformer_declare(mn__linformer *l, mn__params *list, const char *prefix)
{
    const mn__param p = {.dim = {l->n_from, l->n_slot},
                         .n_dim = 2,
                         .group = MN__PARAM_DECAY,
                         .init = MN__INIT_UNIFORM,
                         .scale = 1 / sqrt((double)l->n_slot)};
    mn__params_add(list, &l->e, p, prefix, "e");
    mn__params_add(list, &l->f, p, prefix, "f");
}

/* Rows of keys or values of one head that a block's slots mix: how many, and where they begin. */
static size_t block_rows(const pass *p, size_t block, size_t *first)
{
    *first = block * p->l->n_from;
    return p->s.len - *first < p->l->n_from ? p->s.len - *first : p->l->n_from;
}

/* Item: one block of one head of keys of one sequence; its place among compressed rows. */
typedef struct block {
    size_t n, at, slot; /* rows, the first one's place in rows of ld, first slot's in k and v */
} block;

static block block_of(const pass *p, size_t item)
{
    const size_t n_block = blocks_of(p->l, p->s.len), unit = item / n_block, i = item % n_block,
                 kv = unit % p->l->heads.n_kv, seq = unit / p->l->heads.n_kv;
    block b;
    size_t first;
    b.n = block_rows(p, i, &first);
    b.at = (seq * p->s.len + first) * p->in->ld + kv * p->l->heads.dim;
    b.slot = (unit * p->n_all + i * p->l->n_slot) * p->l->heads.dim;
    return b;
}

static void compress(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t dim = p->l->heads.dim;
    (void)thread;
    for (size_t item = begin; item < end; item++) {
        const block b = block_of(p, item);
        mn__mm mm = {.m = p->l->n_slot,
                     .n = dim,
                     .k = b.n,
                     .a = p->l->e.w,
                     .b = p->in->k + b.at,
                     .c = p->k + b.slot,
                     .ld_a = p->l->n_slot,
                     .ld_b = p->in->ld,
                     .ld_c = dim};
        mn__mm_tn(&mm);
        mm.a = p->l->f.w;
        mm.b = p->in->v + b.at;
        mm.c = p->v + b.slot;
        mn__mm_tn(&mm);
    }
}

/* A query and what it sees: compressed rows are dim apart, exact ones ld. */
typedef struct query {
    view see;
    size_t q_at, y_at, lse_at, slot_at, own_at;
} query;

static query query_of(const pass *p, size_t seq, size_t h, size_t t)
{
    const mn__heads *heads = &p->l->heads;
    const size_t kv = h / (heads->n_head / heads->n_kv), row = seq * p->s.len;
    query q = {.see = view_of(p, t)};
    q.q_at = (row + t) * p->in->ld + h * heads->dim;
    q.y_at = (row + t) * p->ld_y + h * heads->dim;
    q.lse_at = (seq * heads->n_head + h) * p->s.len + t;
    q.slot_at = (seq * heads->n_kv + kv) * p->n_all * heads->dim;
    q.own_at = (row + q.see.own) * p->in->ld + kv * heads->dim;
    return q;
}

/* x[i] = <a, row i of slots, then of positions> */
static void products(const pass *p, const query *q, const mn__real *a, const mn__real *slots,
                     const mn__real *rows, mn__real *x)
{
    const size_t dim = p->l->heads.dim;
    for (size_t i = 0; i < q->see.n_seen; i++) x[i] = mn__dot(a, slots + q->slot_at + i * dim, dim);
    for (size_t i = 0; i < q->see.n_own; i++)
        x[q->see.n_seen + i] = mn__dot(a, rows + q->own_at + i * p->in->ld, dim);
}

static void answer(const pass *p, const query *q, mn__real *x)
{
    const size_t dim = p->l->heads.dim, n = q->see.n_seen + q->see.n_own;
    mn__real top = -INFINITY, sum = 0, *y = p->y + q->y_at;
    products(p, q, p->in->q + q->q_at, p->k, p->in->k, x);
    for (size_t i = 0; i < n; i++) {
        x[i] *= p->scale;
        top = x[i] > top ? x[i] : top;
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = mn__exp(x[i] - top);
        sum += x[i];
    }
    memset(y, 0, dim * sizeof *y);
    for (size_t i = 0; i < q->see.n_seen; i++)
        mn__axpy(y, x[i] / sum, p->v + q->slot_at + i * dim, dim);
    for (size_t i = 0; i < q->see.n_own; i++)
        mn__axpy(y, x[q->see.n_seen + i] / sum, p->in->v + q->own_at + i * p->in->ld, dim);
    if (p->lse) p->lse[q->lse_at] = top + mn__log(sum);
}

/* Item: a query of a head of a sequence. */
static void forward_queries(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_head = p->l->heads.n_head;
    mn__real *x = p->score + (size_t)thread * p->n_score;
    for (size_t item = begin; item < end; item++) {
        const query q =
            query_of(p, item / p->s.len / n_head, item / p->s.len % n_head, item % p->s.len);
        answer(p, &q, x);
    }
}

static pass pass_of(const mn__linformer *l, mn__shape s, const mn__qkv *in)
{
    pass p = {.l = l, .s = s, .in = in, .ld_y = l->heads.n_head * l->heads.dim};
    p.n_all = blocks_of(l, s.len) * l->n_slot;
    p.n_score = p.n_all + (l->kind == MN__LINFORMER_BLOCKS ? l->n_from : 0);
    p.scale = (mn__real)(1 / sqrt((double)l->heads.dim));
    return p;
}

static size_t n_item(const pass *p)
{
    return p->s.n_seq * p->l->heads.n_kv * blocks_of(p->l, p->s.len);
}

/* What queries see, in products of one row with one query; rows that become slots. */
static double seen_work(const pass *p)
{
    double n = 0;
    for (size_t t = 0; t < p->s.len; t++) {
        const view see = view_of(p, t);
        n += (double)(see.n_seen + see.n_own);
    }
    return n * (double)(p->s.n_seq * p->l->heads.n_head * p->l->heads.dim);
}

static double slot_work(const pass *p)
{
    size_t n = 0, first;
    for (size_t i = 0; i < blocks_of(p->l, p->s.len); i++) n += block_rows(p, i, &first);
    return (double)n * (double)(p->s.n_seq * p->l->heads.n_kv * p->l->heads.dim * p->l->n_slot);
}

void mn__linformer_forward(const mn__linformer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__linformer_saved *saved)
{
    const size_t mark = mn__tape_mark(env->tape), n_head = l->heads.n_head;
    pass p = pass_of(l, s, in);
    p.y = y;
    p.k = mn__take_reals(env, s.n_seq * l->heads.n_kv * p.n_all * l->heads.dim);
    p.v = mn__take_reals(env, s.n_seq * l->heads.n_kv * p.n_all * l->heads.dim);
    if (saved) {
        p.lse = mn__take_reals(env, s.n_seq * n_head * s.len);
        *saved = (mn__linformer_saved){*in, y, p.k, p.v, p.lse};
    }
    const size_t kept = mn__tape_mark(env->tape);
    p.score = mn__take_reals(env, (size_t)mn__env_threads(env) * p.n_score);
    mn__count(env, MN__WORK_PAIRS, 2 * seen_work(&p) + 2 * slot_work(&p));
    mn__each(env, n_item(&p), 1, compress, &p);
    mn__each(env, s.n_seq * n_head * s.len, ROW_GRAIN, forward_queries, &p);
    mn__tape_cut(env->tape, saved ? kept : mark);
}

/* One query's part of all gradients. x: its weights, d: <dy, v> and then the scores' gradient. */
static void answer_backward(const pass *p, const query *q, mn__real *x, mn__real *d)
{
    const size_t dim = p->l->heads.dim, ld = p->in->ld, n_seen = q->see.n_seen,
                 n = n_seen + q->see.n_own;
    const mn__real *a = p->in->q + q->q_at, *dy = p->dy + q->y_at,
                   delta = mn__dot(dy, p->y_in + q->y_at, dim);
    mn__real *dq = p->out->q + q->q_at;
    products(p, q, a, p->k, p->in->k, x);
    products(p, q, dy, p->v, p->in->v, d);
    for (size_t i = 0; i < n; i++) {
        x[i] = mn__exp(x[i] * p->scale - p->lse[q->lse_at]);
        d[i] = x[i] * (d[i] - delta) * p->scale;
    }
    memset(dq, 0, dim * sizeof *dq);
    for (size_t i = 0; i < n_seen; i++) {
        const size_t at = q->slot_at + i * dim;
        mn__axpy(dq, d[i], p->k + at, dim);
        mn__axpy(p->dk + at, d[i], a, dim);
        mn__axpy(p->dv + at, x[i], dy, dim);
    }
    for (size_t i = 0; i < q->see.n_own; i++) {
        const size_t at = q->own_at + i * ld;
        mn__axpy(dq, d[n_seen + i], p->in->k + at, dim);
        mn__axpy(p->out->k + at, d[n_seen + i], a, dim);
        mn__axpy(p->out->v + at, x[n_seen + i], dy, dim);
    }
}

/* Item: keys of one head of one sequence, with all queries that read them. */
static void backward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__heads *heads = &p->l->heads;
    const size_t n_group = heads->n_head / heads->n_kv, dim = heads->dim, ld = p->in->ld;
    mn__real *x = p->score + (size_t)thread * 2 * p->n_score, *d = x + p->n_score;
    for (size_t item = begin; item < end; item++) {
        const size_t kv = item % heads->n_kv, seq = item / heads->n_kv;
        memset(p->dk + item * p->n_all * dim, 0, p->n_all * dim * sizeof *x);
        memset(p->dv + item * p->n_all * dim, 0, p->n_all * dim * sizeof *x);
        for (size_t t = 0; t < p->s.len; t++) {
            memset(p->out->k + (seq * p->s.len + t) * ld + kv * dim, 0, dim * sizeof *x);
            memset(p->out->v + (seq * p->s.len + t) * ld + kv * dim, 0, dim * sizeof *x);
        }
        for (size_t h = kv * n_group; h < (kv + 1) * n_group; h++)
            for (size_t t = 0; t < p->s.len; t++) {
                const query q = query_of(p, seq, h, t);
                answer_backward(p, &q, x, d);
            }
    }
}

/* Gradients of compressed rows to those that they are made of. */
static void decompress(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t dim = p->l->heads.dim;
    (void)thread;
    for (size_t item = begin; item < end; item++) {
        const block b = block_of(p, item);
        mn__mm mm = {.m = b.n,
                     .n = dim,
                     .k = p->l->n_slot,
                     .a = p->l->e.w,
                     .b = p->dk + b.slot,
                     .c = p->out->k + b.at,
                     .ld_a = p->l->n_slot,
                     .ld_b = dim,
                     .ld_c = p->in->ld,
                     .add = true};
        mn__mm_nn(&mm);
        mm.a = p->l->f.w;
        mm.b = p->dv + b.slot;
        mm.c = p->out->v + b.at;
        mn__mm_nn(&mm);
    }
}

/* Item: a row of E and F; the sum goes over all blocks in their order. */
static void backward_mix(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t dim = p->l->heads.dim, n_slot = p->l->n_slot, ld = p->in->ld;
    (void)thread;
    for (size_t item = 0; item < n_item(p); item++) {
        const block b = block_of(p, item);
        for (size_t t = begin; t < end && t < b.n; t++)
            for (size_t i = 0; i < n_slot; i++) {
                const size_t slot = b.slot + i * dim;
                p->l->e.g[t * n_slot + i] += mn__dot(p->in->k + b.at + t * ld, p->dk + slot, dim);
                p->l->f.g[t * n_slot + i] += mn__dot(p->in->v + b.at + t * ld, p->dv + slot, dim);
            }
    }
}

void mn__linformer_backward(const mn__linformer *l, const mn__env *env, mn__shape s,
                            const mn__linformer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = pass_of(l, s, &saved->in);
    const size_t size = s.n_seq * l->heads.n_kv * p.n_all * l->heads.dim;
    p.out = out;
    p.y_in = saved->y;
    p.dy = dy;
    p.k = saved->k;
    p.v = saved->v;
    p.lse = saved->lse;
    p.dk = mn__take_reals(env, size);
    p.dv = mn__take_reals(env, size);
    p.score = mn__take_reals(env, (size_t)mn__env_threads(env) * 2 * p.n_score);
    mn__count(env, MN__WORK_PAIRS, 5 * seen_work(&p) + (l->e.g ? 4 : 2) * slot_work(&p));
    mn__each(env, s.n_seq * l->heads.n_kv, 1, backward_heads, &p);
    mn__each(env, n_item(&p), 1, decompress, &p);
    if (l->e.g) mn__each(env, l->n_from, ROW_GRAIN, backward_mix, &p);
    mn__tape_cut(env->tape, mark);
}
