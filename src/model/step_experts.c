/* step_experts.c: route, sort rows by expert, multiply expert by expert, sum by row. */
#include "model/step_experts.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* The n_keep best of one row; equal ones: the first. */
static void choose(const mn__step_experts *l, const float *logit, uint16_t *expert, float *weight)
{
    float sum = 0, top = logit[0];
    for (size_t e = 1; e < l->n_expert; e++) top = logit[e] > top ? logit[e] : top;
    for (size_t e = 0; e < l->n_expert; e++) sum += expf(logit[e] - top);
    for (size_t k = 0; k < l->n_keep; k++) {
        size_t best = l->n_expert;
        for (size_t e = 0; e < l->n_expert; e++) {
            bool taken = false;
            for (size_t j = 0; j < k; j++) taken = taken || expert[j] == e;
            if (!taken && (best == l->n_expert || logit[e] > logit[best])) best = e;
        }
        expert[k] = (uint16_t)best;
        weight[k] = expf(logit[best] - top) / sum;
    }
}

/* By one thread: what every row wants, and rows by expert. */
static void route(const mn__step_experts *l, size_t n, mn__step_experts_work *w)
{
    uint16_t expert[MN__STEP_ROWS * MN__STEP_KEEP], at[MN__STEP_EXPERTS + 1] = {0};
    for (size_t i = 0; i < n; i++)
        choose(l, w->logit + i * l->n_expert, expert + i * l->n_keep, w->weight + i * l->n_keep);
    for (size_t i = 0; i < n * l->n_keep; i++) at[expert[i] + 1]++;
    w->n_wanted = 0;
    for (size_t e = 0; e < l->n_expert; e++) {
        if (at[e + 1]) {
            w->wanted[w->n_wanted] = (uint16_t)e;
            w->first[w->n_wanted++] = at[e];
        }
        at[e + 1] = (uint16_t)(at[e + 1] + at[e]);
    }
    w->first[w->n_wanted] = (uint16_t)(n * l->n_keep);
    for (size_t i = 0; i < n * l->n_keep; i++) w->place[i] = at[expert[i]]++;
}

/* Rows of the wanted experts through one matrix of each: this thread's share of all panels. */
typedef struct through {
    const mn__matrix *m; /* [n_expert] */
    const mn_bf16 *x;    /* packed rows */
    void (*take)(const struct through *t, const struct mn__kern *kern, float *c, size_t row,
                 size_t n, size_t col);
    void *to;
    size_t ld;
    const float *ones;
} through;

static void take_hidden(const through *t, const struct mn__kern *kern, float *c, size_t row,
                        size_t n, size_t col)
{
    kern->gelu_mul(c, c, t->ones, n * MN__MM_COLS);
    for (size_t r = 0; r < n; r++)
        kern->f32_to_bf16((mn_bf16 *)t->to + (row + r) * t->ld + col, c + r * MN__MM_COLS,
                          MN__MM_COLS);
}

static void take_out(const through *t, const struct mn__kern *kern, float *c, size_t row, size_t n,
                     size_t col)
{
    (void)kern;
    for (size_t r = 0; r < n; r++)
        memcpy((float *)t->to + (row + r) * t->ld + col, c + r * MN__MM_COLS,
               MN__MM_COLS * sizeof *c);
}

static void run_through(const mn__crew *crew, const mn__step_kern *k,
                        const mn__step_experts_work *w, const through *t)
{
    float c[MN__STEP_ROWS * MN__MM_COLS] __attribute__((aligned(64)));
    const size_t n_panel = t->m[0].n_out / MN__MM_COLS, n_in = t->m[0].n_in;
    size_t begin, end;
    mn__team_split(crew, w->n_wanted * n_panel, 1, &begin, &end);
    for (size_t i = begin; i < end;) {
        const size_t e = i / n_panel, row = w->first[e], n = w->first[e + 1] - row,
                     stop = (e + 1) * n_panel < end ? (e + 1) * n_panel : end;
        const struct mn__kern *kern = mn__step_choose(k, n);
        const mn__step_rows rows = {t->x + row * n_in, n, n_in};
        mn__tiles_begin(kern);
        for (; i < stop; i++) {
            mn__matrix_panel(&t->m[w->wanted[e]], kern, i % n_panel, &rows, c);
            t->take(t, kern, c, row, n, i % n_panel * MN__MM_COLS);
        }
        mn__tiles_end(kern);
    }
}

static void pack_rows(const mn__crew *crew, const mn__step_experts *l, const mn__step_rows *x,
                      const mn__step_experts_work *w)
{
    size_t begin, end;
    mn__team_split(crew, x->n * l->n_keep, 1, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(w->packed + w->place[i] * l->width, x->x + i / l->n_keep * x->ld,
               l->width * sizeof *w->packed);
}

static void sum_rows(const mn__crew *crew, const mn__step_experts *l, size_t n,
                     const mn__step_experts_work *w, float *y)
{
    size_t begin, end;
    mn__team_split(crew, n, 1, &begin, &end);
    for (size_t i = begin * l->n_keep; i < end * l->n_keep; i++) {
        const float *out = w->out + w->place[i] * l->width;
        for (size_t c = 0; c < l->width; c++)
            y[i / l->n_keep * l->width + c] += w->weight[i] * out[c];
    }
}

void mn__step_experts_run(const mn__crew *crew, const mn__step_kern *k, const mn__step_experts *l,
                          const mn__step_rows *x, mn__step_experts_work *w, float *y)
{
    assert(l->n_expert <= MN__STEP_EXPERTS && l->n_keep <= MN__STEP_KEEP);
    const through up = {.m = l->up,
                        .x = w->packed,
                        .take = take_hidden,
                        .to = w->hidden,
                        .ld = l->inner,
                        .ones = w->ones},
                  down = {
                      .m = l->down, .x = w->hidden, .take = take_out, .to = w->out, .ld = l->width};
    mn__step_multiply(
        crew, k,
        &(mn__step_product){
            .m = &l->router, .n_matrix = 1, .rows = *x, .y = w->logit, .ld_y = l->n_expert});
    mn__team_wait(crew);
    if (!crew->thread) route(l, x->n, w);
    mn__team_wait(crew);
    pack_rows(crew, l, x, w);
    mn__team_wait(crew);
    run_through(crew, k, w, &up);
    mn__team_wait(crew);
    run_through(crew, k, w, &down);
    mn__team_wait(crew);
    sum_rows(crew, l, x->n, w, y);
    mn__team_wait(crew);
}
