/* expert_score.c: p = act(u . z) for each hit row u. */
#include "layer/expert_score.h"

#include <string.h>

#include "layer/hits.h"
#include "layer/ops.h"
#include "layer/part.h"

enum { TOKEN_GRAIN = 8, ROW_GRAIN = 64 };

typedef struct pass {
    const mn__expert_score *e;
    mn__real *score, *dz, *dtable;
    mn__hits by_row;
} pass;

static void score_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__expert_score *e = p->e;
    (void)thread;
    for (size_t i = begin * e->n_hit; i < end * e->n_hit; i++) {
        mn__real x =
            mn__dot(e->table + e->row[i] * e->width, e->z + i / e->n_hit * e->width, e->width);
        e->raw[i] = x;
        p->score[i] = e->gelu ? mn__gelu(x) : x;
    }
}

void mn__expert_score_forward(const mn__expert_score *e, const mn__env *env, size_t n,
                              mn__real *score)
{
    pass p = {.e = e, .score = score};
    mn__count(env, MN__WORK_ROWS, (double)n * (double)(e->n_hit * e->width));
    mn__each(env, n, TOKEN_GRAIN, score_tokens, &p);
}

static void backward_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__expert_score *e = p->e;
    (void)thread;
    memset(p->dz + begin * e->width, 0, (end - begin) * e->width * sizeof *p->dz);
    for (size_t i = begin * e->n_hit; i < end * e->n_hit; i++) {
        if (e->gelu) p->score[i] *= mn__gelu_slope(e->raw[i]);
        mn__axpy(p->dz + i / e->n_hit * e->width, p->score[i], e->table + e->row[i] * e->width,
                 e->width);
    }
}

static void add_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__expert_score *e = p->e;
    (void)thread;
    for (size_t i = p->by_row.first[begin]; i < p->by_row.first[end]; i++) {
        size_t hit = p->by_row.order[i];
        mn__axpy(p->dtable + e->row[hit] * e->width, p->score[hit],
                 e->z + hit / e->n_hit * e->width, e->width);
    }
}

void mn__expert_score_backward(const mn__expert_score *e, const mn__env *env, size_t n,
                               mn__real *dscore, mn__real *dz, mn__real *dtable)
{
    size_t mark = mn__tape_mark(env->tape);
    pass p = {.e = e, .score = dscore, .dz = dz, .dtable = dtable};
    mn__count(env, MN__WORK_ROWS, (dtable ? 2 : 1) * (double)n * (double)(e->n_hit * e->width));
    mn__each(env, n, TOKEN_GRAIN, backward_tokens, &p);
    mn__hits_sort(env, e->row, n * e->n_hit, e->n_row, &p.by_row);
    if (dtable) mn__each(env, p.by_row.n_row, ROW_GRAIN, add_rows, &p);
    mn__tape_cut(env->tape, mark);
}
