/* memory_layer.c: rows chosen by signs, weighted by sizes. Ref: arXiv 2411.12992, section 3, and
 * its published code.
 *
 *   z_k = x[k tau .. k tau + tau - 1],  bit i of c_k = (z_k[i] >= 0), the first the highest
 *   p_k = prod_i 1 / (1 + exp(-2 |z_i| / t)),  a_k = sum_i |z_i|
 *   s_k = a_k p_k (L1_PROB) or p_k (PROB),  y = b + sum_k s_k T[k][c_k]
 *
 *   ds_k = <dy, T[k][c_k]>,  dT[k][r] += sum of s_k dy over rows with c_k = r,  db += sum dy
 *   q_i = 1 / (1 + exp(2 |z_i| / t)),  dx_i = ds_k sgn(z_i) p (2/t) q_i       (PROB)
 *                                     dx_i = ds_k sgn(z_i) p (1 + a (2/t) q_i) (L1_PROB)
 *
 * -0 counts as positive, as +0 does, and has sgn 0; NaN gives bit 0. p is the product of logistic
 * terms, each in [1/2, 1): nothing overflows. The choice c has no gradient.
 * A table is one thread's: rows that chose the same table row are brought together by a counting
 * sort, so that sums are made in the order of the batch. Nothing of n x n_table x n_out is kept. */
#include "layer/memory_layer.h"

#include <string.h>
#include "base/diag.h"
#include "layer/ops.h"

enum { ROW_GRAIN = 16 };
#define BIAS_STD 0.001

typedef struct pass {
    const mn__memory_layer *l;
    const mn__env *env;
    size_t n, ld;
    const mn__real *x;
    uint16_t *code;
    mn__real *score, *ds, *dx;
    mn__real *const *y;
    const mn__real *const *dy;
    uint32_t *order, *start; /* a part for each thread; forward: [n_table] rows, none; backward: [n]
                              * sorted, [2^n_bit + 1] */
} pass;

mn_status mn__memory_layer_check(const mn__memory_layer *l, const char *what, mn_diag *diag)
{
    if (l->n_bit < 1 || l->n_bit > MN__MEMORY_BITS)
        return mn__fail(diag, MN_ERANGE, "%s: 1 to %d bits a table wanted, %zu found", what,
                        MN__MEMORY_BITS, l->n_bit);
    if (!l->n_table) return mn__fail(diag, MN_ERANGE, "%s: at least one table wanted", what);
    if (l->n_share < 1 || l->n_share > MN__MEMORY_SHARE)
        return mn__fail(diag, MN_ERANGE, "%s: 1 to %d layers on one choice wanted, %zu found", what,
                        MN__MEMORY_SHARE, l->n_share);
    if (!(l->temperature > 0))
        return mn__fail(diag, MN_ERANGE, "%s: a temperature above 0 wanted, %g found", what,
                        l->temperature);
    return MN_OK;
}

void mn__memory_layer_declare(mn__memory_layer *l, mn__params *list, const char *prefix,
                              const char *const *names)
{
    for (size_t i = 0; i < l->n_share; i++) {
        mn__memory_share *s = &l->share[i];
        char full[MN__PARAM_NAME];
        const char *at = names ? mn__param_join(full, prefix, names[i]) : prefix;
        mn__params_add(list, &s->tables,
                       (mn__param){.dim = {l->n_table, (size_t)1 << l->n_bit, s->n_out},
                                   .n_dim = 3,
                                   .group = MN__PARAM_DECAY,
                                   .init = MN__INIT_NORMAL,
                                   .scale = s->std,
                                   .row = s->n_out},
                       at, "tables");
        mn__params_add(list, &s->bias,
                       (mn__param){.dim = {s->n_out},
                                   .n_dim = 1,
                                   .group = MN__PARAM_NO_DECAY,
                                   .init = MN__INIT_NORMAL,
                                   .scale = BIAS_STD},
                       at, "bias");
    }
}

/* p and a of one chunk. */
static mn__real probability(const mn__memory_layer *l, const mn__real *z, mn__real *a)
{
    mn__real p = 1, sum = 0;
    const mn__real slope = (mn__real)(-2 / l->temperature);
    for (size_t i = 0; i < l->n_bit; i++) {
        mn__real size = mn__fabs(z[i]);
        p /= 1 + mn__exp(slope * size);
        sum += size;
    }
    *a = sum;
    return p;
}

static void hash_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__memory_layer *l = p->l;
    (void)thread;
    for (size_t i = begin * l->n_table; i < end * l->n_table; i++) {
        const mn__real *z = p->x + i * l->n_bit;
        uint32_t code = 0;
        mn__real a;
        for (size_t b = 0; b < l->n_bit; b++) code = code << 1 | (z[b] >= 0);
        p->code[i] = (uint16_t)code;
        p->score[i] = probability(l, z, &a);
        if (l->score == MN__SCORE_L1_PROB) p->score[i] *= a;
    }
}

/* One row of y: rows of the tables by their places, all known before the first is read. */
static void gather(const mn__env *env, const mn__memory_share *s, const uint32_t *row,
                   const mn__real *score, size_t n_table, mn__real *y)
{
#ifndef MN_REAL_DOUBLE
    if (env->kern) {
        env->kern->gather_f32(y, s->bias.w, s->tables.w, row, score, n_table, s->n_out);
        return;
    }
#endif
    (void)env;
    memcpy(y, s->bias.w, s->n_out * sizeof *y);
    for (size_t k = 0; k < n_table; k++)
        mn__axpy(y, score[k], s->tables.w + row[k] * s->n_out, s->n_out);
}

static void gather_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_table = p->l->n_table;
    uint32_t *row = p->order + (size_t)thread * n_table;
    for (size_t i = begin; i < end; i++) {
        for (size_t k = 0; k < n_table; k++)
            row[k] = (uint32_t)(k << p->l->n_bit) + p->code[i * n_table + k];
        for (size_t h = 0; h < p->l->n_share; h++)
            gather(p->env, &p->l->share[h], row, p->score + i * n_table, n_table,
                   p->y[h] + i * p->ld);
    }
}

/* Tell the optimiser which rows will be read; a table is one thread's. */
static void touch_tables(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_table = p->l->n_table;
    (void)thread;
    for (size_t h = 0; h < p->l->n_share; h++) {
        mn__row_hook *hook = p->l->share[h].tables.hook;
        for (size_t k = begin; hook && k < end; k++)
            for (size_t i = 0; i < p->n; i++)
                hook->touch(hook, (k << p->l->n_bit) + p->code[i * n_table + k]);
    }
}

/* Rows that are weighed and summed for n tokens, and their scores, a multiply-add a coordinate. */
static void count_rows(const mn__memory_layer *l, const mn__env *env, size_t n, size_t n_times)
{
    double width = 0;
    for (size_t h = 0; h < l->n_share; h++) width += (double)l->share[h].n_out;
    mn__count(env, MN__WORK_ROWS, (double)(n_times * n) * (double)l->n_table * width);
    mn__count(env, MN__WORK_WEIGHTS, (double)n * (double)(l->n_table * l->n_bit));
}

void mn__memory_layer_forward(const mn__memory_layer *l, const mn__env *env, size_t n,
                              const mn__real *x, mn__real *const *y, size_t ld,
                              mn__memory_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__memory_saved own = {.x = x};
    own.code = mn__tape_take(env->tape, n * l->n_table, sizeof *own.code);
    own.score = mn__take_reals(env, n * l->n_table);
    pass p = {.l = l, .env = env, .n = n, .ld = ld, .x = x, .y = y};
    const size_t kept = mn__tape_mark(env->tape);
    p.code = own.code;
    p.score = own.score;
    p.order = mn__tape_take(env->tape, (size_t)mn__env_threads(env) * l->n_table, sizeof *p.order);
    count_rows(l, env, n, 1);
    mn__each(env, n, ROW_GRAIN, hash_rows, &p);
    if (l->share[0].tables.hook) mn__each(env, l->n_table, 1, touch_tables, &p);
    mn__each(env, n, ROW_GRAIN, gather_rows, &p);
    if (saved) *saved = own;
    mn__tape_cut(env->tape, saved ? kept : mark);
}

/* The rows of the batch by the row that they chose in table k: order [n], those of row r from
 * start[r] on. */
static void sort_table(const pass *p, size_t k, uint32_t *order, uint32_t *start)
{
    const size_t n_row = (size_t)1 << p->l->n_bit, n_table = p->l->n_table;
    memset(start, 0, (n_row + 1) * sizeof *start);
    for (size_t i = 0; i < p->n; i++) start[p->code[i * n_table + k] + 1]++;
    for (size_t r = 0; r < n_row; r++) start[r + 1] += start[r];
    for (size_t i = 0; i < p->n; i++) order[start[p->code[i * n_table + k]]++] = (uint32_t)i;
    memmove(start + 1, start, n_row * sizeof *start);
    start[0] = 0;
}

/* One row of one table: its gradient, and ds of the rows of the batch that chose it. */
static void backward_row(const pass *p, size_t k, size_t row, const uint32_t *order, size_t n)
{
    const size_t n_table = p->l->n_table;
    for (size_t h = 0; h < p->l->n_share; h++) {
        const mn__memory_share *s = &p->l->share[h];
        const mn__real *w = s->tables.w + row * s->n_out;
        mn__real *g = s->tables.g ? s->tables.g + row * s->n_out : NULL;
        for (size_t j = 0; j < n; j++) {
            const size_t i = order[j];
            const mn__real *dy = p->dy[h] + i * p->ld;
            mn__real dot = mn__dot(dy, w, s->n_out), *ds = p->ds + i * n_table + k;
            *ds = h ? *ds + dot : dot;
            if (g) mn__axpy(g, p->score[i * n_table + k], dy, s->n_out);
        }
    }
}

static void backward_tables(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_row = (size_t)1 << p->l->n_bit;
    uint32_t *order = p->order + (size_t)thread * p->n,
             *start = p->start + (size_t)thread * (n_row + 1);
    for (size_t k = begin; k < end; k++) {
        sort_table(p, k, order, start);
        for (size_t r = 0; r < n_row; r++)
            if (start[r + 1] > start[r])
                backward_row(p, k, k * n_row + r, order + start[r], start[r + 1] - start[r]);
    }
}

static void backward_input(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__memory_layer *l = p->l;
    const mn__real steep = (mn__real)(2 / l->temperature);
    (void)thread;
    for (size_t i = begin * l->n_table; i < end * l->n_table; i++) {
        const mn__real *z = p->x + i * l->n_bit;
        mn__real a, prob = probability(l, z, &a), *dx = p->dx + i * l->n_bit;
        for (size_t b = 0; b < l->n_bit; b++) {
            mn__real sign = z[b] > 0 ? 1 : z[b] < 0 ? -1 : 0;
            mn__real slope = steep / (1 + mn__exp(steep * mn__fabs(z[b])));
            if (l->score == MN__SCORE_L1_PROB) slope = 1 + a * slope;
            dx[b] = p->ds[i] * sign * prob * slope;
        }
    }
}

void mn__memory_layer_backward(const mn__memory_layer *l, const mn__env *env, size_t n,
                               const mn__memory_saved *saved, const mn__real *const *dy, size_t ld,
                               mn__real *dx)
{
    const size_t mark = mn__tape_mark(env->tape), n_thread = (size_t)mn__env_threads(env),
                 n_row = (size_t)1 << l->n_bit;
    pass p = {.l = l, .n = n, .ld = ld, .x = saved->x, .dy = dy, .dx = dx};
    p.code = saved->code;
    p.score = saved->score;
    p.ds = mn__take_reals(env, n * l->n_table);
    p.order = mn__tape_take(env->tape, n_thread * n, sizeof *p.order);
    p.start = mn__tape_take(env->tape, n_thread * (n_row + 1), sizeof *p.start);
    count_rows(l, env, n, l->share[0].tables.g ? 2 : 1);
    mn__each(env, l->n_table, 1, backward_tables, &p);
    mn__each(env, n, ROW_GRAIN, backward_input, &p);
    for (size_t h = 0; h < l->n_share; h++)
        if (l->share[h].bias.g)
            mn__each_add_rows(env, l->share[h].bias.g, dy[h], ld, n, l->share[h].n_out);
    mn__tape_cut(env->tape, mark);
}
