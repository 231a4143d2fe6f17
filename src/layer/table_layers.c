/* table_layers.c: PKM, Memory+, both UltraMems and the mixture of experts behind one face. */
#include "layer/table_layers.h"

/* The face of mn__X: its functions know their own object. */
#define FACE(X, WIDTH_IN, WIDTH_OUT, AUX)                                                       \
    static void X##_declare(mn__layer *l, mn__params *list, const char *prefix)                 \
    {                                                                                           \
        mn__##X##_declare(&((mn__##X##_face *)l)->self, list, prefix);                          \
    }                                                                                           \
    static void X##_forward(mn__layer *l, const mn__env *env, mn__shape s, const mn__real *x,   \
                            mn__real *y, bool keep)                                             \
    {                                                                                           \
        mn__##X##_face *f = (mn__##X##_face *)l;                                                \
        mn__##X##_forward(&f->self, env, s.n_seq *s.len, x, y, keep ? &f->saved : NULL);        \
        l->aux = keep ? (double)(AUX) : 0;                                                      \
    }                                                                                           \
    static void X##_backward(mn__layer *l, const mn__env *env, mn__shape s, const mn__real *dy, \
                             mn__real *dx)                                                      \
    {                                                                                           \
        mn__##X##_face *f = (mn__##X##_face *)l;                                                \
        mn__##X##_backward(&f->self, env, s.n_seq *s.len, &f->saved, dy, dx);                   \
    }                                                                                           \
    static const struct mn__layer_ops X##_ops = {                                               \
        .name = #X, .declare = X##_declare, .forward = X##_forward, .backward = X##_backward};  \
    void mn__##X##_face_init(mn__##X##_face *f)                                                 \
    {                                                                                           \
        f->layer =                                                                              \
            (mn__layer){.ops = &X##_ops, .n_in = f->self.WIDTH_IN, .n_out = f->self.WIDTH_OUT}; \
    }

FACE(pkm, width, value_width, 0)
FACE(memory_plus, memory.width, memory.width, 0)
FACE(ultramem, search.width, search.width, f->saved.search.aux)
FACE(ultramem_v2, search.width, search.width, f->saved.search.aux)
FACE(moe, width, width, f->saved.balance + f->saved.z)

void mn__table_layer_refresh(const mn__layer *l)
{
    if (l->ops == &ultramem_ops)
        mn__tucker_search_refresh(&((const mn__ultramem_face *)l)->self.search);
    if (l->ops == &ultramem_v2_ops)
        mn__tucker_search_refresh(&((const mn__ultramem_v2_face *)l)->self.search);
}

size_t mn__table_layer_settle(mn__layer *l, const mn__env *env, mn__real *out)
{
    if (l->ops == &ultramem_ops)
        return mn__tucker_search_settle(&((mn__ultramem_face *)l)->self.search, env, out);
    if (l->ops == &ultramem_v2_ops)
        return mn__tucker_search_settle(&((mn__ultramem_v2_face *)l)->self.search, env, out);
    if (l->ops == &pkm_ops) return mn__pkm_settle(&((mn__pkm_face *)l)->self, env, out);
    if (l->ops == &memory_plus_ops)
        return mn__pkm_settle(&((mn__memory_plus_face *)l)->self.memory, env, out);
    return 0;
}

void mn__table_layer_loss_share(mn__layer *l, double share)
{
    if (l->ops == &ultramem_ops) ((mn__ultramem_face *)l)->self.search.loss_share = share;
    if (l->ops == &ultramem_v2_ops) ((mn__ultramem_v2_face *)l)->self.search.loss_share = share;
    if (l->ops == &moe_ops) ((mn__moe_face *)l)->self.loss_share = share;
}
