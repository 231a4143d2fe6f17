/* dense_ffn.c: y = W_down h. Ref: arXiv 1606.08415 (GELU), 2002.05202 (SwiGLU).
 *
 *   GELU:      h = a Phi(a), dh/da = Phi(a) + a phi(a), a = W_up x
 *   GELU_TANH: h = a/2 (1 + tanh u), u = sqrt(2/pi) (a + 0.044715 a^3)
 *   SWIGLU:    h = a silu(g), silu(g) = g sigmoid(g), g = W_gate x */
#include "layer/dense_ffn.h"

#include "layer/ops.h"

enum { GRAIN = 1 << 13 };
#define ROOT_HALF     0.70710678118654752440
#define ROOT_2_PI     0.79788456080286535588
#define INV_ROOT_2_PI 0.39894228040143267794
#define CUBIC         0.044715

static mn__dense_ffn *self_of(mn__layer *l)
{
    return (mn__dense_ffn *)l;
}

typedef struct pass {
    mn__activation act;
    const struct mn__kern *kern; /* NULL: plain loops */
    mn__real *a, *g, *h;
    const mn__real *dh;
    mn__real *da, *dg;
} pass;

static mn__real gelu(mn__real a, mn__real *slope)
{
    mn__real phi = (mn__real)0.5 * (1 + mn__erf(a * (mn__real)ROOT_HALF));
    *slope = phi + a * (mn__real)INV_ROOT_2_PI * mn__exp((mn__real)-0.5 * a * a);
    return a * phi;
}

static mn__real gelu_tanh(mn__real a, mn__real *slope)
{
    mn__real t = mn__tanh((mn__real)ROOT_2_PI * (a + (mn__real)CUBIC * a * a * a));
    mn__real du = (mn__real)ROOT_2_PI * (1 + 3 * (mn__real)CUBIC * a * a);
    *slope = (mn__real)0.5 * (1 + t) + (mn__real)0.5 * a * (1 - t * t) * du;
    return (mn__real)0.5 * a * (1 + t);
}

/* SwiGLU by a kernel; false: there is none. */
static bool gate_fast(const pass *p, size_t begin, size_t n, bool back)
{
#ifndef MN_REAL_DOUBLE
    if (!p->kern || p->act != MN__ACT_SWIGLU) return false;
    if (back)
        p->kern->silu_mul_back(p->da + begin, p->dg + begin, p->dh + begin, p->a + begin,
                               p->g + begin, n);
    else
        p->kern->silu_mul(p->h + begin, p->g + begin, p->a + begin, n);
    return true;
#else
    (void)p;
    (void)begin;
    (void)n;
    (void)back;
    return false;
#endif
}

static void activate(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    mn__real slope;
    (void)thread;
    if (gate_fast(p, begin, end - begin, false)) return;
    for (size_t i = begin; i < end; i++) {
        if (p->act == MN__ACT_SWIGLU)
            p->h[i] = p->a[i] * (p->g[i] / (1 + mn__exp(-p->g[i])));
        else
            p->h[i] = p->act == MN__ACT_GELU ? gelu(p->a[i], &slope) : gelu_tanh(p->a[i], &slope);
    }
}

static void deactivate(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    mn__real slope;
    (void)thread;
    if (gate_fast(p, begin, end - begin, true)) return;
    for (size_t i = begin; i < end; i++) {
        if (p->act == MN__ACT_SWIGLU) {
            mn__real sigmoid = 1 / (1 + mn__exp(-p->g[i])), silu = p->g[i] * sigmoid;
            p->dg[i] = p->dh[i] * p->a[i] * (sigmoid + silu * (1 - sigmoid));
            p->da[i] = p->dh[i] * silu;
        } else {
            p->act == MN__ACT_GELU ? gelu(p->a[i], &slope) : gelu_tanh(p->a[i], &slope);
            p->da[i] = p->dh[i] * slope;
        }
    }
}

static void declare(mn__layer *layer, mn__params *list, const char *prefix)
{
    mn__dense_ffn *l = self_of(layer);
    char name[MN__PARAM_NAME];
    mn__dense *const part[] = {&l->up, &l->gate, &l->down};
    static const char *const part_name[] = {"up", "gate", "down"};
    for (size_t i = 0; i < 3; i++)
        if (i != 1 || l->act == MN__ACT_SWIGLU)
            mn__dense_declare(part[i], list, mn__param_join(name, prefix, part_name[i]));
}

static void forward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *x,
                    mn__real *y, bool keep)
{
    mn__dense_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len;
    pass p = {.act = l->act, .kern = env->kern, .a = mn__take_reals(env, n * l->n_hidden)};
    if (l->act == MN__ACT_SWIGLU) p.g = mn__take_reals(env, n * l->n_hidden);
    p.h = mn__take_reals(env, n * l->n_hidden);
    mn__dense_forward(&l->up, env, n, x, p.a);
    if (l->act == MN__ACT_SWIGLU) mn__dense_forward(&l->gate, env, n, x, p.g);
    mn__each(env, n * l->n_hidden, GRAIN, activate, &p);
    mn__dense_forward(&l->down, env, n, p.h, y);
    if (keep) {
        l->x = x;
        l->a = p.a;
        l->g = p.g;
        l->h = p.h;
    } else {
        mn__tape_cut(env->tape, mark);
    }
}

static void backward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx)
{
    mn__dense_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, n_h = n * l->n_hidden;
    mn__real *dh = mn__take_reals(env, n_h);
    pass p = {
        .act = l->act, .kern = env->kern, .a = l->a, .g = l->g, .h = l->h, .dh = dh, .da = dh};
    if (l->act == MN__ACT_SWIGLU) p.dg = mn__take_reals(env, n_h);
    mn__dense_backward(&l->down, env, n, l->h, dy, dh);
    mn__each(env, n_h, GRAIN, deactivate, &p);
    mn__dense_backward(&l->up, env, n, l->x, p.da, dx);
    if (l->act == MN__ACT_SWIGLU) mn__dense_backward_more(&l->gate, env, n, l->x, p.dg, dx);
    mn__tape_cut(env->tape, mark);
}

static const struct mn__layer_ops ops = {
    .name = "dense", .declare = declare, .forward = forward, .backward = backward};

void mn__dense_ffn_init(mn__dense_ffn *l, const mn__dense_ffn_sizes *s)
{
    const mn__dense in = {.n_in = s->width,
                          .n_out = s->n_hidden,
                          .has_bias = s->has_bias,
                          .std = s->std_in,
                          .cut = s->cut};
    *l = (mn__dense_ffn){.layer = {.ops = &ops, .n_in = s->width, .n_out = s->width},
                         .act = s->act,
                         .n_hidden = s->n_hidden,
                         .up = in,
                         .gate = in};
    l->down = (mn__dense){.n_in = s->n_hidden,
                          .n_out = s->width,
                          .has_bias = s->has_bias,
                          .std = s->std_out,
                          .cut = s->cut};
}
