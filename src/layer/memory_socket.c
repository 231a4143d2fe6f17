/* memory_socket.c: y = ffn(x) + sum of the outputs of memories that end at this block.
 *
 * Outputs and their gradients lie below everything that blocks take from the tape, so that they
 * outlive the block that made them, and blocks can be run again in backward. */
#include "layer/memory_socket.h"

#include <stdio.h>
#include <string.h>

#include "layer/ops.h"

static mn__memory_socket *self_of(mn__layer *l)
{
    return (mn__memory_socket *)l;
}

static void declare(mn__layer *layer, mn__params *list, const char *prefix)
{
    mn__memory_socket *l = self_of(layer);
    l->ffn->ops->declare(l->ffn, list, prefix);
    for (size_t k = 0; k < l->memories->n; k++) {
        mn__layer *memory = l->memories->slot[k].memory;
        char number[24], name[MN__PARAM_NAME];
        if (l->memories->slot[k].at.from != l->i_block) continue;
        snprintf(number, sizeof number, "%zu", k);
        memory->ops->declare(memory, list, mn__param_join(name, l->memories->prefix, number));
    }
}

static void forward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *x,
                    mn__real *y, bool keep)
{
    mn__memory_socket *l = self_of(layer);
    const size_t size = s.n_seq * s.len * layer->n_in;
    l->ffn->ops->forward(l->ffn, env, s, x, y, keep);
    layer->aux = l->ffn->aux;
    for (size_t k = 0; k < l->memories->n; k++) {
        mn__memory_slot *slot = &l->memories->slot[k];
        if (slot->at.from == l->i_block) {
            slot->memory->ops->forward(slot->memory, env, s, x, slot->y, keep);
            layer->aux += slot->memory->aux;
        }
        if (slot->at.to == l->i_block) mn__each_add(env, y, slot->y, size);
    }
}

static void backward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx)
{
    mn__memory_socket *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), size = s.n_seq * s.len * layer->n_in;
    mn__real *more = mn__take_reals(env, size);
    l->ffn->ops->backward(l->ffn, env, s, dy, dx);
    for (size_t k = 0; k < l->memories->n; k++) {
        mn__memory_slot *slot = &l->memories->slot[k];
        if (slot->at.to == l->i_block && !mn__env_is_dry(env))
            memcpy(slot->dy, dy, size * sizeof *dy);
        if (slot->at.from != l->i_block) continue;
        slot->memory->ops->backward(slot->memory, env, s, slot->dy, more);
        mn__each_add(env, dx, more, size);
    }
    mn__tape_cut(env->tape, mark);
}

static const struct mn__layer_ops ops = {
    .name = "memory socket", .declare = declare, .forward = forward, .backward = backward};

void mn__memory_socket_init(mn__memory_socket *l, mn__layer *ffn, size_t i_block,
                            mn__memories *memories)
{
    *l = (mn__memory_socket){.layer = {.ops = &ops, .n_in = ffn->n_in, .n_out = ffn->n_out},
                             .ffn = ffn,
                             .i_block = i_block,
                             .memories = memories};
}

void mn__memories_begin(mn__memories *m, const mn__env *env, size_t n, size_t width, bool backward)
{
    for (size_t k = 0; k < m->n; k++) {
        m->slot[k].y = mn__take_reals(env, n * width);
        m->slot[k].dy = backward ? mn__take_reals(env, n * width) : NULL;
    }
}
