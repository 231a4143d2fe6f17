/* tdqkr.c: retrieval by a Tucker-decomposed product of row and column scores.
 * Ref: arXiv 2411.12364, section 3.
 *
 *   S_row[i,s] = k[0,i,s].q_row,  S_col[j,t] = k[1,j,t].q_col,  C = sum over cores C^c
 *   alpha_i = <u, S_row[i]>,  beta_j = <v, S_col[j]>, u and v C's first singular pair
 *   the best rows by alpha, the best columns by beta; of their grid the best S_row[i]' C S_col[j]
 *   weights of a kept cell: w^c = S_row[i]' C^c S_col[j]
 *
 *   dC^c += dw^c S_row S_col',  dS_row += dw^c C^c S_col,  dS_col += dw^c C^c' S_row
 *
 * alpha = <sum_s u_s k[0,i,s], q>: keys are folded once for all tokens where a query is common to
 * the ranks, and S is needed of listed keys only. */
#include "layer/tdqkr.h"

#include <string.h>

#include "layer/ops.h"
#include "layer/topm.h"
#include "layer/tucker.h"

enum { HEAD_GRAIN = 8, TOKEN_GRAIN = 32, FOLD_GRAIN = 64 };

mn__query_form mn__tdqkr_form(const mn__tdqkr *t)
{
    size_t axis = t->per_rank ? t->rank * t->width : t->width;
    return (mn__query_form){.token = 2 * axis, .axis = axis, .part = t->per_rank ? t->width : 0};
}

/* ---- rank-one scores ---- */

typedef struct folding {
    const mn__tdqkr *t;
    const mn__real *query;
    mn__real *out;
} folding;

static const mn__real *direction(const mn__tdqkr *t, size_t head_axis)
{
    return (head_axis % 2 ? t->v : t->u) + head_axis / 2 * t->rank;
}

/* Keys [begin, end) of all heads and axes: sum over s of u_s k[s]. */
static void fold_keys(void *arg, size_t begin, size_t end, int thread)
{
    const folding *f = arg;
    const mn__tdqkr *t = f->t;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *u = direction(t, i / t->n_key);
        mn__real *out = f->out + i * t->width;
        memset(out, 0, t->width * sizeof *out);
        for (size_t s = 0; s < t->rank; s++)
            mn__axpy(out, u[s], t->key + (i * t->rank + s) * t->width, t->width);
    }
}

/* Queries of tokens [begin, end), for every head: u_s q[s]. */
static void scale_queries(void *arg, size_t begin, size_t end, int thread)
{
    const folding *f = arg;
    const mn__tdqkr *t = f->t;
    const size_t axis = t->rank * t->width, n_axis = 2 * t->n_head;
    (void)thread;
    for (size_t i = begin * n_axis; i < end * n_axis; i++) {
        const mn__real *u = direction(t, i % n_axis),
                       *q = f->query + (i / n_axis * 2 + i % 2) * axis;
        for (size_t c = 0; c < axis; c++) f->out[i * axis + c] = u[c / t->width] * q[c];
    }
}

mn__key_scan mn__tdqkr_scan(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query)
{
    const size_t axis = t->rank * t->width, n_all = t->n_head * 2 * t->n_key;
    mn__key_scan k = {.n_head = t->n_head,
                      .n_key = t->n_key,
                      .n_list = t->two_quadrant ? 2 * t->n_keep : t->n_keep,
                      .n_high = t->n_keep};
    folding f = {.t = t, .query = query};
    if (t->per_rank) {
        f.out = mn__take_reals(env, n * t->n_head * 2 * axis);
        mn__each(env, n, TOKEN_GRAIN, scale_queries, &f);
        k.width = axis;
        k.key = t->key;
        k.query = f.out;
        k.form = (mn__query_form){.token = t->n_head * 2 * axis, .head = 2 * axis, .axis = axis};
    } else {
        f.out = mn__take_reals(env, n_all * t->width);
        mn__each(env, n_all, FOLD_GRAIN, fold_keys, &f);
        k.width = t->width;
        k.key = f.out;
        k.query = query;
        k.form = mn__tdqkr_form(t);
    }
    return k;
}

/* ---- cells ---- */

typedef struct pass {
    const mn__tdqkr *t;
    const mn__real *query;
    const mn__tdqkr_found *found;
    const mn__real *sum; /* [n_head][rank][rank]: of the cores */
    mn__real *work;      /* [threads][grids + n_keep + n_keep] */
    size_t n_grid_cell;
    const mn__real *dweight;
    mn__real *dscore, *dcore; /* as score; [chunks][n_core][n_head][rank][rank] */
} pass;

static void sum_cores(const mn__tdqkr *t, mn__real *sum)
{
    const size_t n = t->n_head * t->rank * t->rank;
    memset(sum, 0, n * sizeof *sum);
    for (size_t c = 0; c < t->n_core; c++) mn__axpy(sum, 1, t->core[c], n);
}

/* S of the keys that head i % n_head of token i / n_head has listed. */
static void score_lists(const pass *p, size_t i)
{
    const mn__tdqkr *t = p->t;
    const mn__query_form form = mn__tdqkr_form(t);
    const size_t n_list = p->found->n_list;
    for (size_t j = 0; j < 2 * n_list; j++) {
        size_t axis = j / n_list,
               key = (i % t->n_head * 2 + axis) * t->n_key + p->found->list[i * 2 * n_list + j];
        const mn__real *q = p->query + i / t->n_head * form.token + axis * form.axis;
        for (size_t s = 0; s < t->rank; s++)
            p->found->score[(i * 2 * n_list + j) * t->rank + s] =
                mn__dot(t->key + (key * t->rank + s) * t->width, q + s * form.part, t->width);
    }
}

/* z = C' x */
static void through_core(const mn__real *core, const mn__real *x, size_t r, mn__real *z)
{
    memset(z, 0, r * sizeof *z);
    for (size_t s = 0; s < r; s++) mn__axpy(z, x[s], core + s * r, r);
}

static mn__real dot(const mn__real *x, const mn__real *y, size_t n)
{
    mn__real sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* Total scores of the grids: the m x m of the highest, then that of the lowest. */
static void fill_grids(const pass *p, size_t i, mn__real *grid)
{
    const mn__tdqkr *t = p->t;
    const size_t r = t->rank, m = t->n_keep, n_list = p->found->n_list;
    const mn__real *row = p->found->score + i * 2 * n_list * r, *col = row + n_list * r;
    mn__real z[MN__TUCKER_RANK_MAX];
    for (size_t a = 0; a < n_list; a++) {
        through_core(p->sum + i % t->n_head * r * r, row + a * r, r, z);
        for (size_t b = a / m * m, end = b + m; b < end; b++) *grid++ = dot(z, col + b * r, r);
    }
}

static void choose_cells(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__tdqkr *t = p->t;
    const size_t m = t->n_keep, n_list = p->found->n_list, r = t->rank;
    mn__real *grid = p->work + (size_t)thread * (p->n_grid_cell + 2 * m),
             *value = grid + p->n_grid_cell, z[MN__TUCKER_RANK_MAX];
    for (size_t i = begin; i < end; i++) {
        const uint32_t *list = p->found->list + i * 2 * n_list;
        const mn__real *score = p->found->score + i * 2 * n_list * r;
        uint32_t *place = p->found->place + i * m;
        score_lists(p, i);
        fill_grids(p, i, grid);
        mn__topm(grid, p->n_grid_cell, m, place, value, value + m);
        for (size_t l = 0; l < m; l++) {
            size_t a = place[l] / m, b = a / m * m + place[l] % m;
            place[l] = (uint32_t)(a * n_list + b);
            p->found->cell[i * m + l] = list[a] * (uint32_t)t->n_key + list[n_list + b];
            for (size_t c = 0; c < t->n_core; c++) {
                through_core(t->core[c] + i % t->n_head * r * r, score + a * r, r, z);
                p->found->weight[(i * m + l) * t->n_core + c] = dot(z, score + (n_list + b) * r, r);
            }
        }
    }
}

/* Scores of listed keys, the grids, the weights of what is kept. */
static void count_cells(const pass *p, const mn__env *env, size_t n)
{
    const mn__tdqkr *t = p->t;
    const double r = (double)t->rank, n_list = (double)p->found->n_list,
                 each = 2 * n_list * r * (double)t->width + n_list * r * r +
                        (double)p->n_grid_cell * r + (double)(t->n_keep * t->n_core) * (r * r + r);
    mn__count(env, MN__WORK_KEYS, (double)(n * t->n_head) * each);
}

void mn__tdqkr_forward(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                       mn__tdqkr_found *found)
{
    const size_t m = t->n_keep, n_kept = n * t->n_head * m, n_grid = t->two_quadrant ? 2 : 1;
    *found = (mn__tdqkr_found){.n_list = n_grid * m};
    const size_t n_listed = n * t->n_head * 2 * found->n_list;
    found->cell = mn__tape_take(env->tape, n_kept, sizeof(uint32_t));
    found->place = mn__tape_take(env->tape, n_kept, sizeof(uint32_t));
    found->list = mn__tape_take(env->tape, n_listed, sizeof(uint32_t));
    found->weight = mn__take_reals(env, n_kept * t->n_core);
    found->alpha = mn__take_reals(env, n_listed);
    found->score = mn__take_reals(env, n_listed * t->rank);
    size_t mark = mn__tape_mark(env->tape);
    mn__real *sum = mn__take_reals(env, t->n_head * t->rank * t->rank);
    pass p = {.t = t, .query = query, .found = found, .sum = sum, .n_grid_cell = n_grid * m * m};
    p.work = mn__take_reals(env, (size_t)mn__env_threads(env) * (p.n_grid_cell + 2 * m));
    mn__key_scan scan = mn__tdqkr_scan(t, env, n, query);
    mn__key_scan_run(&scan, env, n, found->list, found->alpha);
    if (!mn__env_is_dry(env)) sum_cores(t, sum);
    count_cells(&p, env, n);
    mn__each(env, n * t->n_head, HEAD_GRAIN, choose_cells, &p);
    mn__tape_cut(env->tape, mark);
}

/* ---- backward ---- */

/* One weight's gradient d: into dS_row, dS_col and this chunk's dC. */
static void back_weight(const mn__real *core, size_t r, mn__real d, const mn__real *row[2],
                        mn__real *drow[2], mn__real *dcore)
{
    for (size_t s = 0; s < r; s++)
        for (size_t t = 0; t < r; t++) {
            dcore[s * r + t] += d * row[0][s] * row[1][t];
            drow[0][s] += d * core[s * r + t] * row[1][t];
            drow[1][t] += d * core[s * r + t] * row[0][s];
        }
}

static void back_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__tdqkr *t = p->t;
    const size_t m = t->n_keep, n_list = p->found->n_list, r = t->rank, n_core = t->n_head * r * r,
                 n_score = 2 * n_list * r;
    mn__real *dcore = p->dcore + begin / TOKEN_GRAIN * t->n_core * n_core;
    (void)thread;
    memset(dcore, 0, t->n_core * n_core * sizeof *dcore);
    memset(p->dscore + begin * t->n_head * n_score, 0,
           (end - begin) * t->n_head * n_score * sizeof *p->dscore);
    for (size_t i = begin * t->n_head; i < end * t->n_head; i++)
        for (size_t l = i * m; l < (i + 1) * m; l++) {
            size_t a = p->found->place[l] / n_list, b = n_list + p->found->place[l] % n_list;
            const mn__real *score = p->found->score + i * n_score,
                           *pair[2] = {score + a * r, score + b * r};
            mn__real *dscore = p->dscore + i * n_score,
                     *dpair[2] = {dscore + a * r, dscore + b * r};
            for (size_t c = 0; c < t->n_core; c++)
                back_weight(t->core[c] + i % t->n_head * r * r, r, p->dweight[l * t->n_core + c],
                            pair, dpair, dcore + c * n_core + i % t->n_head * r * r);
        }
}

/* In the order of chunks, whoever made them. */
static void add_cores(const pass *p, size_t n_chunk, const mn__tdqkr_grad *grad)
{
    const size_t n_core = p->t->n_head * p->t->rank * p->t->rank;
    for (size_t i = 0; i < n_chunk * p->t->n_core; i++)
        if (grad->dcore[i % p->t->n_core])
            mn__axpy(grad->dcore[i % p->t->n_core], 1, p->dcore + i * n_core, n_core);
}

void mn__tdqkr_backward(const mn__tdqkr *t, const mn__env *env, size_t n, const mn__real *query,
                        const mn__tdqkr_found *found, const mn__real *dweight,
                        const mn__tdqkr_grad *grad)
{
    size_t mark = mn__tape_mark(env->tape), n_chunk = (n + TOKEN_GRAIN - 1) / TOKEN_GRAIN;
    const mn__query_form form = mn__tdqkr_form(t);
    pass p = {.t = t, .found = found, .dweight = dweight};
    p.dscore = mn__take_reals(env, n * t->n_head * 2 * found->n_list * t->rank);
    p.dcore = mn__take_reals(env, n_chunk * t->n_core * t->n_head * t->rank * t->rank);
    mn__count(env, MN__WORK_KEYS,
              3 * (double)(n * t->n_head * t->n_keep) * (double)(t->n_core * t->rank * t->rank));
    mn__each(env, n, TOKEN_GRAIN, back_tokens, &p);
    const mn__key_back back = {.n_head = t->n_head,
                               .n_key = t->n_key,
                               .n_part = t->rank,
                               .width = t->width,
                               .n_list = found->n_list,
                               .list = found->list,
                               .dscore = p.dscore,
                               .key = t->key,
                               .query = query,
                               .form = form,
                               .dquery = grad->dquery,
                               .dkey = grad->dkey};
    if (!mn__env_is_dry(env)) {
        add_cores(&p, n_chunk, grad);
        memset(grad->dquery, 0, n * form.token * sizeof *grad->dquery);
    }
    mn__key_back_run(&back, env, n);
    mn__tape_cut(env->tape, mark);
}
