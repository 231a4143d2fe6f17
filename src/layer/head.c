/* head.c: l = x W',  nll = log sum exp(l) - l[target],  dl = scale (softmax(l) - onehot). */
#include "layer/head.h"

#include "layer/ops.h"

enum { CHUNK = 512, ROW_GRAIN = 8, ROOM = 32 };

typedef struct pass {
    const struct mn__kern *kern; /* NULL: plain loops */
    size_t n_vocab, ld;          /* of rows of logits */
    const int32_t *target;
    mn__real *logits;
    double scale, *nll; /* [CHUNK] */
    bool backward;
} pass;

/* A row becomes exp(l - top); their sum and top. Rows have room up to a multiple of ROOM. */
static double exponentiate(const pass *p, mn__real *l, mn__real *top)
{
    double sum = 0;
#ifndef MN_REAL_DOUBLE
    if (p->kern) {
        const int32_t lo = 0, hi = (int32_t)p->n_vocab;
        float total = 0, fade;
        *top = -INFINITY;
        p->kern->softmax_f32(l, p->ld, l, p->ld, 1, p->n_vocab, &lo, &hi, 1, top, &total, &fade);
        return (double)total;
    }
#endif
    *top = l[0];
    for (size_t v = 1; v < p->n_vocab; v++) *top = l[v] > *top ? l[v] : *top;
    for (size_t v = 0; v < p->n_vocab; v++) {
        l[v] = mn__exp(l[v] - *top);
        sum += (double)l[v];
    }
    return sum;
}

/* Logits become their gradient; the row's loss goes to nll. */
static void soften_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        mn__real *l = p->logits + i * p->ld, top;
        const int32_t target = p->target[i];
        const mn__real own = target < 0 ? 0 : l[target];
        const double sum = exponentiate(p, l, &top);
        p->nll[i] = target < 0 ? 0 : log(sum) - (double)(own - top);
        if (!p->backward) continue;
        const mn__real each = (mn__real)(target < 0 ? 0 : p->scale / sum);
        for (size_t v = 0; v < p->n_vocab; v++) l[v] *= each;
        if (target >= 0) l[target] -= (mn__real)p->scale;
    }
}

/* Rows of logits ld apart. */
static void make_logits(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                        mn__real *logits, size_t ld)
{
    const mn__mm p = {.m = n,
                      .n = l->n_vocab,
                      .k = l->width,
                      .a = x,
                      .b = l->weight->w,
                      .c = logits,
                      .ld_a = l->width,
                      .ld_b = l->width,
                      .ld_c = ld};
    mn__each_mm_nt(env, &p);
}

void mn__head_logits(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                     mn__real *logits)
{
    make_logits(l, env, n, x, logits, l->n_vocab);
}

static void backward(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                     const mn__real *dlogits, size_t ld, mn__real *dx)
{
    const mn__mm input = {.m = n,
                          .n = l->width,
                          .k = l->n_vocab,
                          .a = dlogits,
                          .b = l->weight->w,
                          .c = dx,
                          .ld_a = ld,
                          .ld_b = l->width,
                          .ld_c = l->width};
    const mn__mm weight = {.m = l->n_vocab,
                           .n = l->width,
                           .k = n,
                           .a = dlogits,
                           .b = x,
                           .c = l->weight->g,
                           .ld_a = ld,
                           .ld_b = l->width,
                           .ld_c = l->width,
                           .add = true};
    mn__each_mm_nn(env, &input);
    if (l->weight->g) mn__each_mm_tn(env, &weight);
}

mn__nll mn__head_loss(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                      const int32_t *target, double scale, mn__real *dx)
{
    const size_t mark = mn__tape_mark(env->tape), chunk = n < CHUNK ? n : CHUNK;
    double nll[CHUNK];
    mn__nll all = {0, 0};
    pass p = {.kern = env->kern, .n_vocab = l->n_vocab, .scale = scale, .nll = nll};
    p.backward = dx != NULL;
    p.ld = (l->n_vocab + ROOM - 1) / ROOM * ROOM;
    p.logits = mn__take_reals(env, chunk * p.ld);
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < chunk ? n - i : chunk;
        p.target = target + i;
        make_logits(l, env, m, x + i * l->width, p.logits, p.ld);
        mn__each(env, m, ROW_GRAIN, soften_rows, &p);
        if (dx) backward(l, env, m, x + i * l->width, p.logits, p.ld, dx + i * l->width);
        for (size_t r = 0; r < m && !mn__env_is_dry(env); r++) {
            all.sum += nll[r];
            all.n += target[i + r] >= 0;
        }
    }
    mn__tape_cut(env->tape, mark);
    return all;
}
