/* bag.c: gather and weigh rows; the gradient goes row by row. */
#include "layer/bag.h"

#include <string.h>

#include "layer/hits.h"
#include "layer/ops.h"

enum { TOKEN_GRAIN = 8, ROW_GRAIN = 64, AHEAD = 8, LINE = 64 };

typedef struct pass {
    const mn__bag *b;
    const mn__env *env;
    uint32_t *row;    /* [threads][n_hit] */
    mn__real *weight; /* [threads][n_hit] */
    const mn__bag_hits *hits;
    const mn__real *table, *dsum;
    mn__real *sum, *dweight, *dtable;
    mn__hits by_row;
} pass;

/* All addresses are known before the first is read, and the table is far larger than a cache. */
static void fetch(const mn__real *row, size_t width)
{
    for (size_t i = 0; i < width; i += LINE / sizeof *row) __builtin_prefetch(row + i);
}

/* Without kernels: hit by hit. */
static void sum_token(const pass *p, size_t token, mn__real *sum)
{
    const mn__bag *b = p->b;
    const size_t part = b->width / b->n_part, end = (token + 1) * b->n_hit;
    memset(sum, 0, b->n_block * b->width * sizeof *sum);
    for (size_t i = token * b->n_hit; i < end; i++) {
        size_t block = p->hits->block ? p->hits->block[i] : 0;
        const mn__real *row = p->table + p->hits->row[i] * b->width;
        if (i + AHEAD < end) fetch(p->table + p->hits->row[i + AHEAD] * b->width, b->width);
        for (size_t c = 0; c < b->n_part; c++)
            mn__axpy(sum + block * b->width + c * part, p->hits->weight[i * b->n_part + c],
                     row + c * part, part);
    }
}

#ifndef MN_REAL_DOUBLE
/* By a kernel, whose rows are the parts of ours: for each block and part the hits that go there. */
static void gather_token(const pass *p, size_t token, mn__real *sum, uint32_t *row,
                         mn__real *weight)
{
    const mn__bag *b = p->b;
    const size_t part = b->width / b->n_part, begin = token * b->n_hit, end = begin + b->n_hit;
    for (size_t k = 0; k < b->n_block * b->n_part; k++) {
        const size_t block = k / b->n_part, c = k % b->n_part;
        size_t n = 0;
        for (size_t i = begin; i < end; i++) {
            if (p->hits->block && p->hits->block[i] != block) continue;
            row[n] = p->hits->row[i] * (uint32_t)b->n_part + (uint32_t)c;
            weight[n++] = p->hits->weight[i * b->n_part + c];
        }
        p->env->kern->gather_f32(sum + k * part, NULL, p->table, row, weight, n, part);
    }
}
#endif

static void sum_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__bag *b = p->b;
    for (size_t i = begin; i < end; i++) {
        mn__real *sum = p->sum + i * b->n_block * b->width;
#ifndef MN_REAL_DOUBLE
        if (p->env->kern && b->n_row <= UINT32_MAX / b->n_part) {
            gather_token(p, i, sum, p->row + (size_t)thread * b->n_hit,
                         p->weight + (size_t)thread * b->n_hit);
            continue;
        }
#endif
        (void)thread;
        sum_token(p, i, sum);
    }
}

void mn__bag_forward(const mn__bag *b, const mn__env *env, size_t n, const mn__real *table,
                     const mn__bag_hits *hits, mn__real *sum)
{
    size_t mark = mn__tape_mark(env->tape), n_scratch = (size_t)mn__env_threads(env) * b->n_hit;
    pass p = {.b = b, .env = env, .hits = hits, .table = table, .sum = sum};
    p.row = mn__tape_take(env->tape, n_scratch, sizeof *p.row);
    p.weight = mn__take_reals(env, n_scratch);
    mn__count(env, MN__WORK_ROWS, (double)n * (double)(b->n_hit * b->width));
    mn__each(env, n, TOKEN_GRAIN, sum_tokens, &p);
    mn__tape_cut(env->tape, mark);
}

static void visit_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__bag *b = p->b;
    const size_t part = b->width / b->n_part;
    (void)thread;
    for (size_t i = p->by_row.first[begin]; i < p->by_row.first[end]; i++) {
        size_t hit = p->by_row.order[i], block = p->hits->block ? p->hits->block[hit] : 0;
        size_t at = p->hits->row[hit] * b->width;
        const mn__real *dsum = p->dsum + (hit / b->n_hit * b->n_block + block) * b->width;
        for (size_t c = 0; c < b->n_part; c++) {
            const mn__real *d = dsum + c * part;
            p->dweight[hit * b->n_part + c] = mn__dot(p->table + at + c * part, d, part);
            if (p->dtable)
                mn__axpy(p->dtable + at + c * part, p->hits->weight[hit * b->n_part + c], d, part);
        }
    }
}

void mn__bag_backward(const mn__bag *b, const mn__env *env, size_t n, const mn__real *table,
                      const mn__bag_hits *hits, const mn__real *dsum, mn__real *dweight,
                      mn__real *dtable)
{
    size_t mark = mn__tape_mark(env->tape);
    pass p = {
        .b = b, .hits = hits, .table = table, .dsum = dsum, .dweight = dweight, .dtable = dtable};
    mn__hits_sort(env, hits->row, n * b->n_hit, b->n_row, &p.by_row);
    mn__count(env, MN__WORK_ROWS, (dtable ? 2 : 1) * (double)n * (double)(b->n_hit * b->width));
    mn__each(env, p.by_row.n_row, ROW_GRAIN, visit_rows, &p);
    mn__tape_cut(env->tape, mark);
}
