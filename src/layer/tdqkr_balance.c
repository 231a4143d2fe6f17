/* tdqkr_balance.c: the loss that keeps all keys in use. Ref: arXiv 2508.18756, section on balance.
 *
 *   P = softmax over keys of alpha,  p_i = mean of P_i over tokens and heads,  f_i: share of key i
 *   among the keys listed;  L = n_key sum_i p_i f_i for each axis
 *   dalpha_i = n_key / (tokens heads) P_i (f_i - sum_k P_k f_k)
 *
 * alpha is made again for backward, block by block: all of it at once would be as long as a batch
 * times all keys. */
#include <string.h>

#include "layer/ops.h"
#include "layer/tdqkr.h"

enum { BLOCK = 128, TOKEN_GRAIN = 8, KEY_GRAIN = 64 };

typedef struct pass {
    const mn__tdqkr *t;
    const mn__key_scan *scan;
    const mn__real *share;      /* [2][n_key] */
    mn__real *alpha;            /* [BLOCK][n_key], then dalpha */
    mn__real *loss;             /* [BLOCK] */
    size_t head_axis, first, n; /* n: tokens of the block */
    mn__real coef;              /* n_key coef / (tokens heads) */
    mn__real *dquery, *dkey;    /* of what the scan multiplies */
} pass;

/* [2][n_key], each axis of sum 1. */
static void measure_shares(const mn__tdqkr *t, size_t n, const mn__tdqkr_found *found,
                           mn__real *share)
{
    const size_t n_list = found->n_list, n_all = n * t->n_head * n_list;
    memset(share, 0, 2 * t->n_key * sizeof *share);
    for (size_t i = 0; i < 2 * n_all; i++) share[i / n_list % 2 * t->n_key + found->list[i]] += 1;
    for (size_t i = 0; i < 2 * t->n_key; i++) share[i] /= (mn__real)n_all;
}

static void meet_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_key = p->t->n_key;
    const mn__real *share = p->share + p->head_axis % 2 * n_key;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        mn__real *x = p->alpha + i * n_key, top = x[0], sum = 0;
        for (size_t k = 1; k < n_key; k++) top = x[k] > top ? x[k] : top;
        for (size_t k = 0; k < n_key; k++) sum += x[k] = mn__exp(x[k] - top);
        for (size_t k = 0; k < n_key; k++) x[k] /= sum;
        mn__real mean = mn__dot(x, share, n_key);
        p->loss[i] = mean;
        for (size_t k = 0; k < n_key; k++) x[k] *= p->coef * (share[k] - mean);
    }
}

/* The next block's alpha, its part of the loss, and its dalpha. */
static void meet_block(pass *p, const mn__env *env, size_t n)
{
    p->n = n - p->first < BLOCK ? n - p->first : BLOCK;
    mn__key_products(p->scan, env, p->first, p->first + p->n, p->head_axis, p->alpha);
    mn__each(env, p->n, TOKEN_GRAIN, meet_tokens, p);
}

static pass begin_pass(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__key_scan *scan,
                       const mn__tdqkr_found *found)
{
    mn__real *share = mn__take_reals(env, 2 * t->n_key);
    if (!mn__env_is_dry(env)) measure_shares(t, n, found, share);
    return (pass){.t = t,
                  .scan = scan,
                  .share = share,
                  .alpha = mn__take_reals(env, (n < BLOCK ? n : BLOCK) * t->n_key),
                  .loss = mn__take_reals(env, n < BLOCK ? n : BLOCK)};
}

mn__real mn__tdqkr_balance(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                           const mn__tdqkr_found *found)
{
    size_t mark = mn__tape_mark(env->tape);
    const mn__key_scan scan = mn__tdqkr_scan(t, env, n, query);
    pass p = begin_pass(t, env, n, &scan, found);
    mn__real sum = 0;
    for (p.head_axis = 0; p.head_axis < 2 * t->n_head; p.head_axis++)
        for (p.first = 0; p.first < n; p.first += BLOCK) {
            meet_block(&p, env, n);
            for (size_t i = 0; i < p.n && !mn__env_is_dry(env); i++) sum += p.loss[i];
        }
    mn__tape_cut(env->tape, mark);
    return sum * (mn__real)t->n_key / (mn__real)(n * t->n_head);
}

/* What alpha multiplies gets its gradients: queries of the block, then keys. */
static void back_queries(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__key_scan *k = p->scan;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        for (size_t j = 0; j < k->n_key; j++)
            mn__axpy(p->dquery + i * k->width, p->alpha[i * k->n_key + j],
                     k->key + (p->head_axis * k->n_key + j) * k->width, k->width);
}

static void back_keys(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__key_scan *k = p->scan;
    const mn__real *query = k->query + p->head_axis / 2 * k->form.head +
                            p->head_axis % 2 * k->form.axis + p->first * k->form.token;
    (void)thread;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = begin; j < end; j++)
            mn__axpy(p->dkey + j * k->width, p->alpha[i * k->n_key + j], query + i * k->form.token,
                     k->width);
}

/* dquery of one head and axis, for the block's tokens, into the true query's. */
static void add_queries(const pass *p, mn__real *dquery)
{
    const mn__tdqkr *t = p->t;
    const mn__query_form form = mn__tdqkr_form(t);
    const mn__real *u = (p->head_axis % 2 ? t->v : t->u) + p->head_axis / 2 * t->rank;
    for (size_t i = 0; i < p->n; i++) {
        mn__real *to = dquery + (p->first + i) * form.token + p->head_axis % 2 * form.axis;
        for (size_t c = 0; c < p->scan->width; c++)
            to[c] += p->dquery[i * p->scan->width + c] * (t->per_rank ? u[c / t->width] : 1);
    }
}

static void add_keys(const pass *p, mn__real *dkey)
{
    const mn__tdqkr *t = p->t;
    const mn__real *u = (p->head_axis % 2 ? t->v : t->u) + p->head_axis / 2 * t->rank;
    dkey += p->head_axis * t->n_key * t->rank * t->width;
    if (t->per_rank)
        mn__axpy(dkey, 1, p->dkey, t->n_key * t->rank * t->width);
    else
        for (size_t i = 0; i < t->n_key * t->rank; i++)
            mn__axpy(dkey + i * t->width, u[i % t->rank], p->dkey + i / t->rank * t->width,
                     t->width);
}

void mn__tdqkr_balance_backward(const mn__tdqkr *t, const mn__env *env, size_t n,
                                const mn__real *query, const mn__tdqkr_found *found, mn__real coef,
                                const mn__tdqkr_grad *grad)
{
    size_t mark = mn__tape_mark(env->tape);
    const mn__key_scan scan = mn__tdqkr_scan(t, env, n, query);
    pass p = begin_pass(t, env, n, &scan, found);
    const size_t n_block = (n < BLOCK ? n : BLOCK) * scan.width, n_key = t->n_key * scan.width;
    p.coef = coef * (mn__real)t->n_key / (mn__real)(n * t->n_head);
    p.dquery = mn__take_reals(env, n_block);
    p.dkey = mn__take_reals(env, n_key);
    for (p.head_axis = 0; p.head_axis < 2 * t->n_head && !mn__env_is_dry(env); p.head_axis++) {
        memset(p.dkey, 0, n_key * sizeof *p.dkey);
        for (p.first = 0; p.first < n; p.first += BLOCK) {
            meet_block(&p, env, n);
            memset(p.dquery, 0, n_block * sizeof *p.dquery);
            mn__each(env, p.n, TOKEN_GRAIN, back_queries, &p);
            mn__each(env, t->n_key, KEY_GRAIN, back_keys, &p);
            add_queries(&p, grad->dquery);
        }
        add_keys(&p, grad->dkey);
    }
    mn__tape_cut(env->tape, mark);
}
