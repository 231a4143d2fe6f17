/* lookup_ffn.c: y = memory(P x). Ref: LookupFFN (ICML 2023). Deviations: a bit is z >= 0, as in
 * all memory layers here (its code: z > 0). */
#include "layer/lookup_ffn.h"

#include "base/diag.h"

#define BH4_ALPHA 0.7

static mn__lookup_ffn *self_of(mn__layer *l)
{
    return (mn__lookup_ffn *)l;
}

static void declare(mn__layer *layer, mn__params *list, const char *prefix)
{
    mn__lookup_ffn *l = self_of(layer);
    char name[MN__PARAM_NAME];
    mn__param_join(name, prefix, "project");
    if (l->is_bh4)
        mn__bh4_declare(&l->bh4, list, name);
    else
        mn__dense_declare(&l->dense, list, name);
    mn__memory_layer_declare(&l->memory, list, mn__param_join(name, prefix, "memory"), NULL);
}

static size_t hash_width(const mn__lookup_ffn *l)
{
    return l->memory.n_table * l->memory.n_bit;
}

static void forward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *x,
                    mn__real *y, bool keep)
{
    mn__lookup_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len;
    mn__real *z = mn__take_reals(env, n * hash_width(l));
    if (l->is_bh4)
        mn__bh4_forward(&l->bh4, env, n, x, z);
    else
        mn__dense_forward(&l->dense, env, n, x, z);
    mn__memory_layer_forward(&l->memory, env, n, z, &y, l->layer.n_out, keep ? &l->saved : NULL);
    if (keep)
        l->x = x;
    else
        mn__tape_cut(env->tape, mark);
}

static void backward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx)
{
    mn__lookup_ffn *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len;
    mn__real *dz = mn__take_reals(env, n * hash_width(l));
    const mn__real *const upper[] = {dy};
    mn__memory_layer_backward(&l->memory, env, n, &l->saved, upper, l->layer.n_out, dz);
    if (l->is_bh4)
        mn__bh4_backward(&l->bh4, env, n, l->x, dz, dx);
    else
        mn__dense_backward(&l->dense, env, n, l->x, dz, dx);
    mn__tape_cut(env->tape, mark);
}

static const struct mn__layer_ops ops = {
    .name = "lookupffn", .declare = declare, .forward = forward, .backward = backward};

mn_status mn__lookup_ffn_init(mn__lookup_ffn *l, const mn__lookup_ffn_sizes *s, mn_diag *diag)
{
    const size_t n_hash = s->n_table * s->n_bit;
    *l = (mn__lookup_ffn){.layer = {.ops = &ops, .n_in = s->width, .n_out = s->width},
                          .is_bh4 = s->is_bh4,
                          .dense = {.n_in = s->width, .n_out = n_hash, .std = s->std_in}};
    l->dense.has_bias = true;
    l->bh4 = (mn__bh4){.n_in = s->width, .n_out = n_hash, .block = s->block, .alpha = BH4_ALPHA};
    l->memory = (mn__memory_layer){.n_table = s->n_table,
                                   .n_bit = s->n_bit,
                                   .score = s->score,
                                   .temperature = s->temperature,
                                   .n_share = 1,
                                   .share = {{.n_out = s->width, .std = s->std_tables}}};
    if (s->is_bh4 && (!s->block || s->block & (s->block - 1)))
        return mn__fail(diag, MN_ERANGE, "BH4: a block that is a power of two wanted, %zu found",
                        s->block);
    return mn__memory_layer_check(&l->memory, "look-up feed-forward layer", diag);
}
