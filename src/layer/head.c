/* head.c: l = x W',  nll = log sum exp(l) - l[target],  dl = scale (softmax(l) - onehot). */
#include "layer/head.h"

#include "layer/ops.h"

enum { CHUNK = 256, ROW_GRAIN = 8 };

typedef struct pass {
    size_t n_vocab;
    const int32_t *target;
    mn__real *logits;
    double scale, *nll; /* [CHUNK] */
    bool backward;
} pass;

/* Logits become their gradient; the row's loss goes to nll. */
static void soften_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        mn__real *l = p->logits + i * p->n_vocab, top = l[0];
        const int32_t target = p->target[i];
        double sum = 0;
        for (size_t v = 1; v < p->n_vocab; v++) top = l[v] > top ? l[v] : top;
        for (size_t v = 0; v < p->n_vocab; v++) sum += (double)mn__exp(l[v] - top);
        p->nll[i] = target < 0 ? 0 : log(sum) - (double)(l[target] - top);
        if (!p->backward) continue;
        const mn__real each = (mn__real)(target < 0 ? 0 : p->scale / sum);
        for (size_t v = 0; v < p->n_vocab; v++) l[v] = each * mn__exp(l[v] - top);
        if (target >= 0) l[target] -= (mn__real)p->scale;
    }
}

void mn__head_logits(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                     mn__real *logits)
{
    const mn__mm p = {.m = n,
                      .n = l->n_vocab,
                      .k = l->width,
                      .a = x,
                      .b = l->weight->w,
                      .c = logits,
                      .ld_a = l->width,
                      .ld_b = l->width,
                      .ld_c = l->n_vocab};
    mn__each_mm_nt(env, &p);
}

static void backward(const mn__head *l, const mn__env *env, size_t n, const mn__real *x,
                     const mn__real *dlogits, mn__real *dx)
{
    const mn__mm input = {.m = n,
                          .n = l->width,
                          .k = l->n_vocab,
                          .a = dlogits,
                          .b = l->weight->w,
                          .c = dx,
                          .ld_a = l->n_vocab,
                          .ld_b = l->width,
                          .ld_c = l->width};
    const mn__mm weight = {.m = l->n_vocab,
                           .n = l->width,
                           .k = n,
                           .a = dlogits,
                           .b = x,
                           .c = l->weight->g,
                           .ld_a = l->n_vocab,
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
    pass p = {.n_vocab = l->n_vocab, .scale = scale, .nll = nll, .backward = dx != NULL};
    p.logits = mn__take_reals(env, chunk * l->n_vocab);
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < chunk ? n - i : chunk;
        p.target = target + i;
        mn__head_logits(l, env, m, x + i * l->width, p.logits);
        mn__each(env, m, ROW_GRAIN, soften_rows, &p);
        if (dx) backward(l, env, m, x + i * l->width, p.logits, dx + i * l->width);
        for (size_t r = 0; r < m && !mn__env_is_dry(env); r++) {
            all.sum += nll[r];
            all.n += target[i + r] >= 0;
        }
    }
    mn__tape_cut(env->tape, mark);
    return all;
}
