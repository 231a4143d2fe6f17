/* block.c
 *   one after the other:  z = x + mixer(norm1(x)),  y = z + ffn(norm2(z))
 *   parallel:             y = x + mixer(norm1(x)) + ffn(norm2(x)) */
#include "layer/block.h"

#include "layer/ops.h"

void mn__block_declare(mn__block *l, mn__params *list, const char *prefix)
{
    char name[MN__PARAM_NAME];
    mn__norm_declare(&l->norm[0], list, mn__param_join(name, prefix, "norm1"));
    l->mixer->ops->declare(l->mixer, list, mn__param_join(name, prefix, "mixer"));
    mn__norm_declare(&l->norm[1], list, mn__param_join(name, prefix, "norm2"));
    l->ffn->ops->declare(l->ffn, list, mn__param_join(name, prefix, "ffn"));
}

void mn__block_forward(mn__block *l, const mn__env *env, mn__shape s, const mn__real *x,
                       mn__real *y, bool keep)
{
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, size = n * l->width;
    mn__real *a = mn__take_reals(env, size), *z = mn__take_reals(env, size),
             *b = mn__take_reals(env, size);
    const mn__real *lower = l->parallel ? x : z;
    mn__norm_forward(&l->norm[0], env, n, x, a, keep ? &l->saved[0] : NULL);
    l->mixer->ops->forward(l->mixer, env, s, a, z, keep);
    mn__each_add(env, z, x, size);
    mn__norm_forward(&l->norm[1], env, n, lower, b, keep ? &l->saved[1] : NULL);
    l->ffn->ops->forward(l->ffn, env, s, b, y, keep);
    mn__each_add(env, y, z, size);
    if (!keep) mn__tape_cut(env->tape, mark);
}

void mn__block_backward(mn__block *l, const mn__env *env, mn__shape s, const mn__real *dy,
                        mn__real *dx)
{
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, size = n * l->width;
    mn__real *d = mn__take_reals(env, size), *dz = mn__take_reals(env, size);
    l->ffn->ops->backward(l->ffn, env, s, dy, d);
    mn__norm_backward(&l->norm[1], env, n, &l->saved[1], d, dz);
    mn__each_add(env, dz, dy, size);
    l->mixer->ops->backward(l->mixer, env, s, l->parallel ? dy : dz, d);
    mn__norm_backward(&l->norm[0], env, n, &l->saved[0], d, dx);
    mn__each_add(env, dx, dz, size);
    mn__tape_cut(env->tape, mark);
}
