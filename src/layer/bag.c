/* bag.c: gather and weigh rows; the gradient goes row by row. */
#include "layer/bag.h"

#include <string.h>

#include "layer/hits.h"
#include "layer/ops.h"

enum { TOKEN_GRAIN = 8, ROW_GRAIN = 64, AHEAD = 8, LINE = 64 };

typedef struct pass {
    const mn__bag *b;
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

static void sum_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__bag *b = p->b;
    const size_t part = b->width / b->n_part;
    (void)thread;
    memset(p->sum + begin * b->n_block * b->width, 0,
           (end - begin) * b->n_block * b->width * sizeof *p->sum);
    for (size_t i = begin * b->n_hit; i < end * b->n_hit; i++) {
        size_t block = p->hits->block ? p->hits->block[i] : 0;
        const mn__real *row = p->table + p->hits->row[i] * b->width;
        mn__real *sum = p->sum + (i / b->n_hit * b->n_block + block) * b->width;
        if (i + AHEAD < end * b->n_hit)
            fetch(p->table + p->hits->row[i + AHEAD] * b->width, b->width);
        for (size_t c = 0; c < b->n_part; c++)
            mn__axpy(sum + c * part, p->hits->weight[i * b->n_part + c], row + c * part, part);
    }
}

void mn__bag_forward(const mn__bag *b, const mn__env *env, size_t n, const mn__real *table,
                     const mn__bag_hits *hits, mn__real *sum)
{
    pass p = {.b = b, .hits = hits, .table = table, .sum = sum};
    mn__each(env, n, TOKEN_GRAIN, sum_tokens, &p);
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
    mn__each(env, p.by_row.n_row, ROW_GRAIN, visit_rows, &p);
    mn__tape_cut(env->tape, mark);
}
