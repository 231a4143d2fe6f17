/* moe_infer.c: a mixture of experts at inference (moe.c has the formula). Matrices stay as the file
 * holds them, so experts are multiplied one after the other, each by all threads. */
#include "layer/moe.h"

#ifndef MN_REAL_DOUBLE

#include <string.h>

#include "layer/ops.h"
#include "layer/part.h"
#include "layer/stored.h"
#include "layer/topm.h"

enum { TOKEN_GRAIN = 16, VALUE_GRAIN = 1 << 12 };

typedef struct pass {
    const mn__moe *l;
    const float *x;
    float *logit, *weight, *work; /* [n][n_expert], [n][n_keep], [threads][n_keep] */
    uint32_t *expert;             /* [n][n_keep] */
    mn__hits by_expert;
    float *packed, *gate, *lin, *out; /* in the order of experts: [width], [inner] twice, [width] */
    float *y;
} pass;

static void choose_experts(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t n_expert = p->l->n_expert, m = p->l->n_keep;
    for (size_t i = begin; i < end; i++) {
        float *logit = p->logit + i * n_expert, *weight = p->weight + i * m, top = logit[0],
              sum = 0, kept = 0;
        for (size_t e = 1; e < n_expert; e++) top = logit[e] > top ? logit[e] : top;
        for (size_t e = 0; e < n_expert; e++) sum += logit[e] = expf(logit[e] - top);
        for (size_t e = 0; e < n_expert; e++) logit[e] /= sum;
        mn__topm(logit, n_expert, m, p->expert + i * m, weight, p->work + (size_t)thread * m);
        for (size_t k = 0; k < m; k++) kept += weight[k];
        for (size_t k = 0; p->l->renormalise && k < m; k++) weight[k] /= kept;
    }
}

static void activate(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        p->gate[i] = p->l->gelu ? mn__gelu(p->gate[i]) : mn__silu(p->gate[i]) * p->lin[i];
}

/* Rows [at, at + n) of the order are one expert's. */
static void run_expert(const pass *p, const mn__env *env, size_t expert, size_t at, size_t n)
{
    const mn__moe *l = p->l;
    const size_t width = l->width, inner = l->inner;
    pass part = *p;
    part.gate += at * inner;
    part.lin += at * inner;
    for (size_t r = at; r < at + n && !mn__env_is_dry(env); r++)
        memcpy(p->packed + r * width, p->x + p->by_expert.order[r] / l->n_keep * width,
               width * sizeof *p->packed);
    const float *x = p->packed + at * width;
    mn__stored_linear(&l->w1.stored->matrix[expert], env, n, x, part.gate);
    if (!l->gelu) mn__stored_linear(&l->v1.stored->matrix[expert], env, n, x, part.lin);
    mn__each(env, n * inner, VALUE_GRAIN, activate, &part);
    mn__stored_linear(&l->w2.stored->matrix[expert], env, n, part.gate, p->out + at * width);
}

static void take_arrays(pass *p, const mn__env *env, size_t n)
{
    const mn__moe *l = p->l;
    const size_t n_hit = n * l->n_keep;
    p->logit = mn__take_reals(env, n * l->n_expert);
    p->weight = mn__take_reals(env, n_hit);
    p->work = mn__take_reals(env, (size_t)mn__env_threads(env) * l->n_keep);
    p->expert = mn__tape_take(env->tape, n_hit, sizeof *p->expert);
    p->packed = mn__take_reals(env, n_hit * l->width);
    p->gate = mn__take_reals(env, n_hit * l->inner);
    p->lin = mn__take_reals(env, n_hit * l->inner);
    p->out = mn__take_reals(env, n_hit * l->width);
}

/* The best expert first, whatever the order of the runs: sums do not depend on other tokens. */
static void sum_experts(const pass *p, size_t n, uint32_t *place)
{
    const size_t width = p->l->width, m = p->l->n_keep;
    for (size_t r = 0; r < n * m; r++) place[p->by_expert.order[r]] = (uint32_t)r;
    memset(p->y, 0, n * width * sizeof *p->y);
    for (size_t i = 0; i < n * m; i++)
        mn__axpy(p->y + i / m * width, p->weight[i], p->out + place[i] * width, width);
}

void mn__moe_infer(const mn__moe *l, const mn__env *env, size_t n, const mn__real *x, mn__real *y)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.l = l, .x = x, .y = y};
    take_arrays(&p, env, n);
    const mn__mm route = {.m = n,
                          .n = l->n_expert,
                          .k = l->width,
                          .a = x,
                          .b = l->router.w,
                          .c = p.logit,
                          .ld_a = l->width,
                          .ld_b = l->width,
                          .ld_c = l->n_expert,
                          .alone = env->decode};
    mn__each_mm_nt(env, &route);
    mn__each(env, n, TOKEN_GRAIN, choose_experts, &p);
    mn__hits_sort(env, p.expert, n * l->n_keep, l->n_expert, &p.by_expert);
    uint32_t *place = mn__tape_take(env->tape, n * l->n_keep, sizeof *place);
    if (mn__env_is_dry(env)) run_expert(&p, env, 0, 0, n); /* the most that one can have */
    for (size_t e = 0; e < p.by_expert.n_row; e++) {
        const uint32_t at = p.by_expert.first[e];
        run_expert(&p, env, p.expert[p.by_expert.order[at]], at, p.by_expert.first[e + 1] - at);
    }
    if (!mn__env_is_dry(env)) sum_experts(&p, n, place);
    mn__tape_cut(env->tape, mark);
}

#endif
