/* socket.c: any layer as a subject. */
#include "socket.h"

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    const socket *s = self;
    s->layer->ops->forward(s->layer, env, s->s, x, y, keep);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    const socket *s = self;
    s->layer->ops->backward(s->layer, env, s->s, dy, dx);
}

void socket_differ(socket *s, uint64_t seed)
{
    const size_t n = s->s.n_seq * s->s.len;
    mn__params list = {0};
    s->layer->ops->declare(s->layer, &list, "l");
    const subject it = {s, n * s->layer->n_in, n * s->layer->n_out, forward, backward, s->selected,
                        0};
    differ(&it, &list, seed);
    mn__params_fini(&list);
}

uint64_t socket_hash(uint64_t h, const uint16_t *code, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ code[i]) * 1099511628211u;
    return h;
}
