/* memory_ffn.c: y = ML_2(LayerNorm(ML_1(x))). Ref: arXiv 2411.12992, section 3.3. */
#include "layer/memory_ffn.h"

#define MID_EPS 1e-5

static mn__memory_ffn *self_of(mn__layer *l)
{
    return (mn__memory_ffn *)l;
}

static void declare(mn__layer *layer, mn__params *list, const char *prefix)
{
    mn__memory_ffn *l = self_of(layer);
    char name[MN__PARAM_NAME];
    mn__memory_layer_declare(&l->in, list, mn__param_join(name, prefix, "in"), NULL);
    mn__layer_norm_declare(&l->norm, list, mn__param_join(name, prefix, "norm"));
    mn__memory_layer_declare(&l->out, list, mn__param_join(name, prefix, "out"), NULL);
}

static void forward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *x,
                    mn__real *y, bool keep)
{
    mn__memory_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, width = l->norm.width;
    mn__real *u = mn__take_reals(env, n * width), *w = mn__take_reals(env, n * width);
    mn__memory_layer_forward(&l->in, env, n, x, &u, width, keep ? &l->in_saved : NULL);
    mn__layer_norm_forward(&l->norm, env, n, u, w, keep ? &l->norm_saved : NULL);
    mn__memory_layer_forward(&l->out, env, n, w, &y, l->layer.n_out, keep ? &l->out_saved : NULL);
    if (!keep) mn__tape_cut(env->tape, mark);
}

static void backward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx)
{
    mn__memory_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, width = l->norm.width;
    mn__real *du = mn__take_reals(env, n * width), *dw = mn__take_reals(env, n * width);
    const mn__real *const upper[] = {dy}, *const lower[] = {du};
    mn__memory_layer_backward(&l->out, env, n, &l->out_saved, upper, l->layer.n_out, dw);
    mn__layer_norm_backward(&l->norm, env, n, &l->norm_saved, dw, du);
    mn__memory_layer_backward(&l->in, env, n, &l->in_saved, lower, width, dx);
    mn__tape_cut(env->tape, mark);
}

static const struct mn__layer_ops ops = {
    .name = "memoryformer", .declare = declare, .forward = forward, .backward = backward};

mn_status mn__memory_ffn_init(mn__memory_ffn *l, const mn__memory_ffn_sizes *s, mn_diag *diag)
{
    const size_t width = s->n_table * s->n_bit, middle = s->n_table * (s->n_bit + s->n_extra);
    mn__memory_layer part = {.n_table = s->n_table,
                             .n_bit = s->n_bit,
                             .score = s->score,
                             .temperature = s->temperature,
                             .n_share = 1,
                             .share = {{.n_out = middle, .std = s->std}}};
    *l = (mn__memory_ffn){.layer = {.ops = &ops, .n_in = width, .n_out = width}, .in = part};
    part.n_bit += s->n_extra;
    part.share[0].n_out = width;
    l->out = part;
    l->norm = (mn__layer_norm){.width = middle, .eps = (mn__real)MID_EPS};
    mn_status st = mn__memory_layer_check(&l->in, "first feed-forward memory layer", diag);
    if (st != MN_OK) return st;
    return mn__memory_layer_check(&l->out, "second feed-forward memory layer", diag);
}
