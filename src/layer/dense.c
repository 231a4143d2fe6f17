/* dense.c: y = x W' + b;  dx = dy W,  dW += dy' x,  db += sum of dy. */
#include "layer/dense.h"

#include "layer/ops.h"
#include "layer/stored.h"

enum { ROW_GRAIN = 64 };

void mn__dense_declare(mn__dense *l, mn__params *list, const char *prefix)
{
    mn__params_add(list, &l->weight,
                   (mn__param){.dim = {l->n_out, l->n_in},
                               .n_dim = 2,
                               .group = MN__PARAM_DECAY,
                               .init = l->cut ? MN__INIT_CUT : MN__INIT_NORMAL,
                               .scale = l->std,
                               .is_matrix = true},
                   prefix, "weight");
    if (l->has_bias)
        mn__params_add(list, &l->bias,
                       (mn__param){.dim = {l->n_out},
                                   .n_dim = 1,
                                   .group = MN__PARAM_NO_DECAY,
                                   .init = MN__INIT_CONSTANT},
                       prefix, "bias");
}

typedef struct biasing {
    const mn__real *bias;
    mn__real *y;
    size_t width;
} biasing;

static void add_bias(void *arg, size_t begin, size_t end, int thread)
{
    const biasing *b = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) mn__axpy(b->y + i * b->width, 1, b->bias, b->width);
}

/* By the engine's products, where the weights are as a file holds them; false: they are not. The
 * layer may have fewer outputs than the file has rows. */
static bool by_stored(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                      mn__real *y)
{
#ifndef MN_REAL_DOUBLE
    if (!l->weight.stored) return false;
    mn__weight w = l->weight.stored->matrix[0];
    w.n_out = l->n_out;
    mn__stored_linear(&w, env, n, x, y);
    return true;
#else
    (void)env;
    (void)n;
    (void)x;
    (void)y;
    return l->weight.stored != NULL;
#endif
}

void mn__dense_forward(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                       mn__real *y)
{
    const mn__mm p = {.m = n,
                      .n = l->n_out,
                      .k = l->n_in,
                      .a = x,
                      .b = l->weight.w,
                      .c = y,
                      .ld_a = l->n_in,
                      .ld_b = l->n_in,
                      .ld_c = l->n_out};
    biasing b = {l->bias.w, y, l->n_out};
    if (!by_stored(l, env, n, x, y)) mn__each_mm_nt(env, &p);
    if (l->has_bias) mn__each(env, n, ROW_GRAIN, add_bias, &b);
}

static void backward(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                     const mn__real *dy, mn__real *dx, bool add)
{
    const mn__mm input = {.m = n,
                          .n = l->n_in,
                          .k = l->n_out,
                          .a = dy,
                          .b = l->weight.w,
                          .c = dx,
                          .ld_a = l->n_out,
                          .ld_b = l->n_in,
                          .ld_c = l->n_in,
                          .add = add};
    const mn__mm weight = {.m = l->n_out,
                           .n = l->n_in,
                           .k = n,
                           .a = dy,
                           .b = x,
                           .c = l->weight.g,
                           .ld_a = l->n_out,
                           .ld_b = l->n_in,
                           .ld_c = l->n_in,
                           .add = true};
    if (dx) mn__each_mm_nn(env, &input);
    if (l->weight.g) mn__each_mm_tn(env, &weight);
    if (l->has_bias && l->bias.g) mn__each_add_rows(env, l->bias.g, dy, l->n_out, n, l->n_out);
}

void mn__dense_backward(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                        const mn__real *dy, mn__real *dx)
{
    backward(l, env, n, x, dy, dx, false);
}

void mn__dense_backward_more(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                             const mn__real *dy, mn__real *dx)
{
    backward(l, env, n, x, dy, dx, true);
}
