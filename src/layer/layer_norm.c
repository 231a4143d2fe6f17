/* layer_norm.c: y = g z + b, z = (x - mean) / sqrt(var + eps), by rows. Ref: arXiv 1607.06450.
 *
 *   u = g dy,  dx = (u - mean(u) - z mean(u z)) / sqrt(var + eps),  dg += sum of dy z,  db += dy */
#include "layer/layer_norm.h"

enum { ROW_GRAIN = 16, COLUMN_GRAIN = 64 };

typedef struct pass {
    const mn__layer_norm *l;
    const mn__real *x, *dy;
    mn__real *y, *dx, *mean, *inv;
    size_t n;
} pass;

void mn__layer_norm_declare(mn__layer_norm *l, mn__params *list, const char *prefix)
{
    mn__param p = {.dim = {l->width}, .n_dim = 1, .group = MN__PARAM_NO_DECAY};
    p.scale = 1;
    mn__params_add(list, &l->scale, p, prefix, "scale");
    p.scale = 0;
    mn__params_add(list, &l->bias, p, prefix, "bias");
}

static void forward_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *x = p->x + i * width;
        mn__real mean = 0, var = 0;
        for (size_t c = 0; c < width; c++) mean += x[c];
        mean /= (mn__real)width;
        for (size_t c = 0; c < width; c++) var += (x[c] - mean) * (x[c] - mean);
        mn__real inv = 1 / mn__sqrt(var / (mn__real)width + p->l->eps);
        for (size_t c = 0; c < width; c++)
            p->y[i * width + c] = p->l->scale.w[c] * ((x[c] - mean) * inv) + p->l->bias.w[c];
        if (p->mean) {
            p->mean[i] = mean;
            p->inv[i] = inv;
        }
    }
}

void mn__layer_norm_forward(const mn__layer_norm *l, const mn__env *env, size_t n,
                            const mn__real *x, mn__real *y, mn__layer_norm_saved *saved)
{
    pass p = {.l = l, .x = x, .y = y, .n = n};
    if (saved) {
        p.mean = mn__take_reals(env, n);
        p.inv = mn__take_reals(env, n);
        *saved = (mn__layer_norm_saved){x, p.mean, p.inv};
    }
    mn__each(env, n, ROW_GRAIN, forward_rows, &p);
}

static void backward_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    const mn__real *g = p->l->scale.w;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        const mn__real *x = p->x + i * width, *dy = p->dy + i * width;
        mn__real *dx = p->dx + i * width, mean_u = 0, mean_uz = 0;
        for (size_t c = 0; c < width; c++) {
            mean_u += g[c] * dy[c];
            mean_uz += g[c] * dy[c] * ((x[c] - p->mean[i]) * p->inv[i]);
        }
        mean_u /= (mn__real)width;
        mean_uz /= (mn__real)width;
        for (size_t c = 0; c < width; c++) {
            mn__real z = (x[c] - p->mean[i]) * p->inv[i];
            dx[c] = (g[c] * dy[c] - mean_u - z * mean_uz) * p->inv[i];
        }
    }
}

static void backward_params(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->width;
    (void)thread;
    for (size_t i = 0; i < p->n; i++)
        for (size_t c = begin; c < end; c++) {
            mn__real dy = p->dy[i * width + c];
            p->l->scale.g[c] += dy * ((p->x[i * width + c] - p->mean[i]) * p->inv[i]);
            p->l->bias.g[c] += dy;
        }
}

void mn__layer_norm_backward(const mn__layer_norm *l, const mn__env *env, size_t n,
                             const mn__layer_norm_saved *saved, const mn__real *dy, mn__real *dx)
{
    pass p = {.l = l, .x = saved->x, .dy = dy, .dx = dx, .n = n};
    p.mean = saved->mean;
    p.inv = saved->inv;
    mn__each(env, n, ROW_GRAIN, backward_rows, &p);
    if (l->scale.g) mn__each(env, l->width, COLUMN_GRAIN, backward_params, &p);
}
