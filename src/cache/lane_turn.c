/* lane_turn.c: keys that move to other positions (compact mode). A key is always turned from what
 * was first put, never from what an earlier turn left: rounded to bf16, a thousand small turns
 * would lose the slow channels altogether, and a key must not depend on how often its lane was cut.
 */
#include <string.h>
#include "cache/cache_internal.h"
#include "cache/slot.h"

size_t mn__origin_bytes(const mn__cache_shape *shape)
{
    if (!shape->compact) return 0;
    return (sizeof(mn__origin) + shape->head_dim * mn__kv_element_bytes(shape->kv_type) + 3) / 4 *
           4;
}

static mn__origin *origin(const mn__cache *c, const mn__lane *l, size_t i)
{
    return (mn__origin *)(l->origin.data + i * mn__origin_bytes(&c->shape));
}

mn_status mn__lane_grow_origin(const mn__cache *c, mn__lane *l, size_t n_origin)
{
    size_t bytes = n_origin * mn__origin_bytes(&c->shape);
    return bytes <= l->origin.committed ? MN_OK : mn__span_resize(&l->origin, bytes);
}

void mn__lane_add_origins(const mn__cache *c, mn__lane *l, size_t n_origin)
{
    for (; l->n_origin < n_origin; l->n_origin++) {
        size_t i = l->n_origin;
        mn__origin *o = origin(c, l, i);
        o->pos = mn__lane_pos(l)[i];
        o->scale = c->shape.kv_type == MN__KV_Q8 ? ((const float *)l->scale_k.data)[i] : 1;
        mn__slot_get_raw(c->shape.kv_type, c->shape.head_dim,
                         mn__lane_pages(l)[i / MN__PAGE_TOKENS], i % MN__PAGE_TOKENS, o->raw);
    }
}

static void widen(const mn__cache *c, const mn__origin *o, float *x)
{
    size_t d = c->shape.head_dim;
    switch (c->shape.kv_type) {
    case MN__KV_BF16: c->kern->bf16_to_f32(x, (const mn_bf16 *)(const void *)o->raw, d); break;
    case MN__KV_F32: memcpy(x, o->raw, d * sizeof *x); break;
    case MN__KV_Q8:
        for (size_t k = 0; k < d; k++) x[k] = (float)(int8_t)o->raw[k] * o->scale;
        break;
    }
}

static void restore_key(const mn__cache *c, mn__lane *l, size_t i, const mn__origin *o)
{
    if (c->shape.kv_type == MN__KV_Q8) ((float *)l->scale_k.data)[i] = o->scale;
    mn__slot_put_raw(c->shape.kv_type, c->shape.head_dim,
                     mn__lane_page_list(l)[i / MN__PAGE_TOKENS], i % MN__PAGE_TOKENS, o->raw);
}

void mn__lane_turn(const mn__cache *c, mn__lane *l, const mn__rope *rope, size_t begin, size_t end,
                   int64_t pos)
{
    float x[MN__HEAD_DIM_MAX], cos_sin[MN__HEAD_DIM_MAX];
    int64_t made_for = 0; /* what cos_sin holds; a difference of 0 never asks for it */
    for (size_t i = begin; i < end; i++, pos++) {
        if (mn__lane_pos(l)[i] == pos) continue;
        const mn__origin *o = origin(c, l, i);
        int64_t delta = pos - o->pos;
        mn__lane_pos(l)[i] = (int32_t)pos;
        if (delta == 0) {
            restore_key(c, l, i, o);
            continue;
        }
        if (delta != made_for) mn__rope_delta(rope, delta, cos_sin);
        made_for = delta;
        widen(c, o, x);
        c->kern->rope(x, cos_sin, rope->n_rot, rope->neox);
        mn__lane_put_row(c, l, i, x, NULL);
    }
}
