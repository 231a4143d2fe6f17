/* rms_norm.c: y = g x / D, by rows. Ref: arXiv 1910.07467; MemoryFormer puts eps outside.
 *
 *   inside:  r = D = sqrt(mean(x^2) + eps)           outside:  r = sqrt(mean(x^2)), D = r + eps
 *   u = g dy,  dx = u/D - x <u,x> / (width r D^2),   dg += sum of dy x / D
 *
 * (inside, r D^2 is D^3.) A row of zeros outside has r = 0: its second term is 0. */
#include "layer/rms_norm.h"

#include "layer/ops.h"

enum { ROW_GRAIN = 16, COLUMN_GRAIN = 64 };

typedef struct pass {
    const mn__rms_norm *l;
    const mn__real *x, *dy;
    mn__real *y, *dx, *rms;
    size_t n;
} pass;

void mn__rms_norm_declare(mn__rms_norm *l, mn__params *list, const char *prefix)
{
    mn__params_add(list, &l->scale,
                   (mn__param){.dim = {l->width},
                               .n_dim = 1,
                               .group = MN__PARAM_NO_DECAY,
                               .init = MN__INIT_CONSTANT,
                               .scale = 1},
                   prefix, "scale");
}

static void forward_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *x = p->x + i * width;
        mn__real mean = mn__dot(x, x, width) / (mn__real)width;
        mn__real rms = mn__sqrt(p->l->eps_outside ? mean : mean + p->l->eps);
        mn__real inv = 1 / (p->l->eps_outside ? rms + p->l->eps : rms);
        for (size_t c = 0; c < width; c++) p->y[i * width + c] = p->l->scale.w[c] * (x[c] * inv);
        if (p->rms) p->rms[i] = rms;
    }
}

void mn__rms_norm_forward(const mn__rms_norm *l, const mn__env *env, size_t n, const mn__real *x,
                          mn__real *y, mn__rms_norm_saved *saved)
{
    if (saved) *saved = (mn__rms_norm_saved){x, mn__take_reals(env, n)};
    pass p = {.l = l, .x = x, .y = y, .rms = saved ? saved->rms : NULL, .n = n};
    mn__each(env, n, ROW_GRAIN, forward_rows, &p);
}

static mn__real divisor(const pass *p, size_t row)
{
    return p->l->eps_outside ? p->rms[row] + p->l->eps : p->rms[row];
}

static void backward_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    const mn__real *g = p->l->scale.w;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *x = p->x + i * width, *dy = p->dy + i * width;
        mn__real *dx = p->dx + i * width, inv = 1 / divisor(p, i);
        for (size_t c = 0; c < width; c++) dx[c] = g[c] * dy[c];
        const mn__real dot = mn__dot(dx, x, width),
                       back = p->rms[i] > 0 ? dot * inv * inv / (p->rms[i] * (mn__real)width)
                                            : (mn__real)0;
        for (size_t c = 0; c < width; c++) dx[c] = dx[c] * inv - x[c] * back;
    }
}

static void backward_scale(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    mn__real *out = p->l->scale.g;
    (void)thread;
    for (size_t i = 0; i < p->n; i++) {
        const mn__real *x = p->x + i * width, *dy = p->dy + i * width;
        mn__real inv = 1 / divisor(p, i);
        for (size_t c = begin; c < end; c++) out[c] += dy[c] * x[c] * inv;
    }
}

void mn__rms_norm_backward(const mn__rms_norm *l, const mn__env *env, size_t n,
                           const mn__rms_norm_saved *saved, const mn__real *dy, mn__real *dx)
{
    pass p = {.l = l, .x = saved->x, .dy = dy, .dx = dx, .rms = saved->rms, .n = n};
    mn__each(env, n, ROW_GRAIN, backward_rows, &p);
    if (l->scale.g) mn__each(env, l->width, COLUMN_GRAIN, backward_scale, &p);
}
