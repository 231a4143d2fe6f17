/* batch_norm.c: y = g (x - mean) / sqrt(var + eps) + b, by columns.
 *
 *   u = g dy,  h = (x - mean) / sqrt(var + eps)
 *   dx = (u - mean(u) - h mean(u h)) / sqrt(var + eps),  dg += sum of dy h,  db += sum of dy
 *   running = (1 - momentum) running + momentum batch; the variance there has divisor n - 1 */
#include "layer/batch_norm.h"

enum { COLUMN_GRAIN = 16 };

typedef struct pass {
    const mn__batch_norm *l;
    const mn__real *x, *dy;
    mn__real *y, *dx;
    mn__real *mean, *inv; /* NULL: running ones */
    size_t n;
} pass;

void mn__batch_norm_declare(mn__batch_norm *l, mn__params *list, const char *prefix)
{
    mn__param like = {.dim = {l->width},
                      .n_dim = 1,
                      .group = MN__PARAM_NO_DECAY,
                      .init = MN__INIT_CONSTANT,
                      .scale = 1};
    mn__params_add(list, &l->scale, like, prefix, "weight");
    like.scale = 0;
    mn__params_add(list, &l->shift, like, prefix, "bias");
    like.group = MN__PARAM_STATE;
    mn__params_add(list, &l->mean, like, prefix, "running_mean");
    like.scale = 1;
    mn__params_add(list, &l->var, like, prefix, "running_var");
}

/* The batch's statistics of one column; the running ones follow. */
static void measure(const pass *p, size_t c)
{
    const size_t width = p->l->width;
    const mn__real n = (mn__real)p->n, take = p->l->momentum;
    mn__real mean = 0, var = 0;
    for (size_t i = 0; i < p->n; i++) mean += p->x[i * width + c];
    mean /= n;
    for (size_t i = 0; i < p->n; i++) {
        mn__real d = p->x[i * width + c] - mean;
        var += d * d;
    }
    p->mean[c] = mean;
    p->inv[c] = 1 / mn__sqrt(var / n + p->l->eps);
    p->l->mean.w[c] += take * (mean - p->l->mean.w[c]);
    if (p->n > 1) p->l->var.w[c] += take * (var / (n - 1) - p->l->var.w[c]);
}

static void forward_columns(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__batch_norm *l = p->l;
    (void)thread;
    for (size_t c = begin; c < end; c++) {
        if (p->mean) measure(p, c);
        mn__real mean = p->mean ? p->mean[c] : l->mean.w[c],
                 inv = p->mean ? p->inv[c] : 1 / mn__sqrt(l->var.w[c] + l->eps);
        for (size_t i = c; i < p->n * l->width; i += l->width)
            p->y[i] = l->scale.w[c] * ((p->x[i] - mean) * inv) + l->shift.w[c];
    }
}

void mn__batch_norm_forward(const mn__batch_norm *l, const mn__env *env, size_t n,
                            const mn__real *x, mn__real *y, mn__batch_norm_saved *saved)
{
    if (saved)
        *saved =
            (mn__batch_norm_saved){x, mn__take_reals(env, l->width), mn__take_reals(env, l->width)};
    pass p = {.l = l, .x = x, .y = y, .n = n};
    if (saved) {
        p.mean = saved->mean;
        p.inv = saved->inv;
    }
    mn__each(env, l->width, COLUMN_GRAIN, forward_columns, &p);
}

static void backward_columns(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__batch_norm *l = p->l;
    const size_t n_all = p->n * l->width;
    (void)thread;
    for (size_t c = begin; c < end; c++) {
        mn__real sum = 0, sum_h = 0, mean = p->mean[c], inv = p->inv[c], n = (mn__real)p->n;
        for (size_t i = c; i < n_all; i += l->width) {
            sum += p->dy[i];
            sum_h += p->dy[i] * (p->x[i] - mean) * inv;
        }
        for (size_t i = c; i < n_all; i += l->width) {
            mn__real h = (p->x[i] - mean) * inv;
            p->dx[i] = l->scale.w[c] * inv * (p->dy[i] - sum / n - h * (sum_h / n));
        }
        if (l->scale.g) l->scale.g[c] += sum_h;
        if (l->shift.g) l->shift.g[c] += sum;
    }
}

void mn__batch_norm_backward(const mn__batch_norm *l, const mn__env *env, size_t n,
                             const mn__batch_norm_saved *saved, const mn__real *dy, mn__real *dx)
{
    pass p = {
        .l = l, .x = saved->x, .dy = dy, .dx = dx, .mean = saved->mean, .inv = saved->inv, .n = n};
    mn__each(env, l->width, COLUMN_GRAIN, backward_columns, &p);
}
