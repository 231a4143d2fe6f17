/* linformer_continue.c: Linformer by blocks, position by position: a head's state is the slots that
 * finished blocks became, and keys and values of the block under way (linformer.c has the formula).
 *
 * State of a head of keys: keys of the block under way [n_from][dim], values likewise, then for
 * each finished block its slots' keys [n_slot][dim] and values [n_slot][dim]. */
#include <string.h>

#include "layer/linformer.h"
#include "layer/ops.h"

typedef struct run {
    const mn__linformer *l;
    const mn__qkv *in;
    mn__real *y, *score; /* score: a thread's [n_score] */
    size_t n, n_head_state, n_score;
    mn__real scale;
} run;

static size_t head_state(const mn__linformer *l, size_t len)
{
    return 2 * l->heads.dim * (l->n_from + len / l->n_from * l->n_slot);
}

size_t mn__linformer_state(const mn__linformer *l, size_t len)
{
    return l->heads.n_kv * head_state(l, len);
}

/* Where one head's parts lie. */
typedef struct view {
    mn__real *k, *v, *slot;
    size_t n_block; /* finished */
} view;

static mn__real *slot_keys(const run *r, const view *w, size_t block)
{
    return w->slot + block * 2 * r->l->n_slot * r->l->heads.dim;
}

static void finish_block(const run *r, const view *w)
{
    const mn__linformer *l = r->l;
    const size_t dim = l->heads.dim;
    mn__mm mm = {.m = l->n_slot,
                 .n = dim,
                 .k = l->n_from,
                 .a = l->e.w,
                 .b = w->k,
                 .c = slot_keys(r, w, w->n_block),
                 .ld_a = l->n_slot,
                 .ld_b = dim,
                 .ld_c = dim};
    mn__mm_tn(&mm);
    mm.a = l->f.w;
    mm.b = w->v;
    mm.c += l->n_slot * dim;
    mn__mm_tn(&mm);
}

static void scores(const run *r, const mn__real *q, const mn__real *rows, size_t n, mn__real *x)
{
    const size_t dim = r->l->heads.dim;
    for (size_t i = 0; i < n; i++) x[i] = mn__dot(q, rows + i * dim, dim) * r->scale;
}

static void answer(const run *r, const view *w, const mn__real *q, size_t n_own, mn__real *x,
                   mn__real *y)
{
    const size_t dim = r->l->heads.dim, n_slot = r->l->n_slot, n_seen = w->n_block * n_slot,
                 n = n_seen + n_own;
    mn__real top = -INFINITY, sum = 0;
    for (size_t b = 0; b < w->n_block; b++)
        scores(r, q, slot_keys(r, w, b), n_slot, x + b * n_slot);
    scores(r, q, w->k, n_own, x + n_seen);
    for (size_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++) sum += x[i] = mn__exp(x[i] - top);
    memset(y, 0, dim * sizeof *y);
    for (size_t i = 0; i < n_seen; i++)
        mn__axpy(y, x[i] / sum, slot_keys(r, w, i / n_slot) + (n_slot + i % n_slot) * dim, dim);
    for (size_t i = 0; i < n_own; i++) mn__axpy(y, x[n_seen + i] / sum, w->v + i * dim, dim);
}

/* Item: a head of keys with the queries that read it. */
static void run_heads(void *arg, size_t begin, size_t end, int thread)
{
    const run *r = arg;
    const mn__heads *heads = &r->l->heads;
    const size_t dim = heads->dim, group = heads->n_head / heads->n_kv, n_from = r->l->n_from;
    mn__real *x = r->score + (size_t)thread * r->n_score;
    for (size_t kv = begin; kv < end; kv++) {
        view w = {.k = r->in->carried->state + kv * r->n_head_state};
        w.v = w.k + n_from * dim;
        w.slot = w.v + n_from * dim;
        for (size_t t = 0; t < r->n; t++) {
            const size_t at = r->in->carried->past + t, own = at % n_from;
            w.n_block = at / n_from;
            memcpy(w.k + own * dim, r->in->k + t * r->in->ld + kv * dim, dim * sizeof *w.k);
            memcpy(w.v + own * dim, r->in->v + t * r->in->ld + kv * dim, dim * sizeof *w.v);
            for (size_t h = kv * group; h < (kv + 1) * group; h++)
                answer(r, &w, r->in->q + t * r->in->ld + h * dim, own + 1, x,
                       r->y + (t * heads->n_head + h) * dim);
            if (own + 1 == n_from) finish_block(r, &w);
        }
    }
}

void mn__linformer_continue(const mn__linformer *l, const mn__env *env, size_t n, const mn__qkv *in,
                            mn__real *y)
{
    const size_t mark = mn__tape_mark(env->tape);
    run r = {.l = l, .in = in, .y = y, .n = n};
    r.scale = (mn__real)(1 / sqrt((double)l->heads.dim));
    r.n_head_state = in->carried->room / l->heads.n_kv;
    r.n_score = r.n_head_state / (2 * l->heads.dim);
    r.score = mn__take_reals(env, (size_t)mn__env_threads(env) * r.n_score);
    mn__each(env, l->heads.n_kv, 1, run_heads, &r);
    mn__tape_cut(env->tape, mark);
}
