/* linear.c: y = W x + b;  dx = W' dy,  dW += dy x',  db += dy. */
#include "layer/linear.h"

#include "layer/ops.h"

enum { ROW_GRAIN = 64 };

void mn__linear_declare(mn__linear *l, mn__params *list, const char *prefix)
{
    mn__params_add(list, &l->weight,
                   (mn__param){.dim = {l->n_out, l->n_in},
                               .n_dim = 2,
                               .init = l->init,
                               .scale = l->scale},
                   prefix, "weight");
    if (l->bias)
        mn__params_add(list, &l->offset,
                       (mn__param){.dim = {l->n_out},
                                   .n_dim = 1,
                                   .group = MN__PARAM_NO_DECAY,
                                   .init = MN__INIT_UNIFORM,
                                   .scale = 1 / sqrt((double)l->n_in)},
                       prefix, "bias");
}

typedef struct pass {
    const mn__linear *l;
    mn__real *y;
} pass;

static void add_offset(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        mn__axpy(p->y + i * p->l->n_out, 1, p->l->offset.w, p->l->n_out);
}

void mn__linear_forward(const mn__linear *l, const mn__env *env, size_t n, const mn__real *x,
                        mn__real *y)
{
    const mn__mm mm = {.m = n,
                       .n = l->n_out,
                       .k = l->n_in,
                       .a = x,
                       .b = l->weight.w,
                       .c = y,
                       .ld_a = l->n_in,
                       .ld_b = l->n_in,
                       .ld_c = l->n_out};
    mn__each_mm_nt(env, &mm);
    pass p = {l, y};
    if (l->bias) mn__each(env, n, ROW_GRAIN, add_offset, &p);
}

void mn__linear_backward(const mn__linear *l, const mn__env *env, size_t n, const mn__real *x,
                         const mn__real *dy, mn__real *dx)
{
    const mn__mm back = {.m = n,
                         .n = l->n_in,
                         .k = l->n_out,
                         .a = dy,
                         .b = l->weight.w,
                         .c = dx,
                         .ld_a = l->n_out,
                         .ld_b = l->n_in,
                         .ld_c = l->n_in},
                 grad = {.m = l->n_out,
                         .n = l->n_in,
                         .k = n,
                         .a = dy,
                         .b = x,
                         .c = l->weight.g,
                         .ld_a = l->n_out,
                         .ld_b = l->n_in,
                         .ld_c = l->n_in,
                         .add = true};
    if (dx) mn__each_mm_nn(env, &back);
    if (l->weight.g) mn__each_mm_tn(env, &grad);
    if (l->bias && l->offset.g) mn__each_add_rows(env, l->offset.g, dy, l->n_out, n, l->n_out);
}
