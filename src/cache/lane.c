/* lane.c: one lane's arrays, and rows into its pages and back. */
#include <math.h>
#include <string.h>
#include "cache/cache_internal.h"
#include "cache/pool.h"
#include "cache/slot.h"
#include "kern/ref/number_ref.h"

size_t mn__lane_sides(const mn__cache_shape *shape, mn__lane *l, struct mn__side side[MN__SIDE_MAX])
{
    size_t n = 0;
    side[n++] = (struct mn__side){&l->pos, sizeof(int32_t)};
    side[n++] = (struct mn__side){&l->token, sizeof(int32_t)};
    if (shape->kv_type == MN__KV_Q8) {
        side[n++] = (struct mn__side){&l->scale_k, sizeof(float)};
        side[n++] = (struct mn__side){&l->scale_v, sizeof(float)};
    }
    if (shape->slot_bytes) side[n++] = (struct mn__side){&l->state, shape->slot_bytes};
    return n;
}

static mn_status grow_span(mn__span *s, size_t bytes)
{
    return bytes <= s->committed ? MN_OK : mn__span_resize(s, bytes);
}

mn_status mn__lane_grow(const mn__cache *c, mn__lane *l, size_t n, size_t n_page)
{
    struct mn__side side[MN__SIDE_MAX];
    size_t n_side = mn__lane_sides(&c->shape, l, side);
    mn_status st = grow_span(&l->page, n_page * sizeof(void *));
    for (size_t i = 0; i < n_side && st == MN_OK; i++)
        st = grow_span(side[i].span, n * side[i].size);
    return st;
}

void mn__lane_cut(const mn__cache *c, mn__lane *l, size_t n)
{
    struct mn__side side[MN__SIDE_MAX];
    size_t n_side = mn__lane_sides(&c->shape, l, side), n_page = mn__page_count(n);
    while (l->n_page > n_page) mn__pool_give(c->pool, mn__lane_page_list(l)[--l->n_page]);
    (void)mn__span_resize(&l->page, n_page * sizeof(void *)); /* never grows here, so cannot fail */
    for (size_t i = 0; i < n_side; i++) (void)mn__span_resize(side[i].span, n * side[i].size);
    if (l->n_origin > n) l->n_origin = n;
    if (l->origin.data)
        (void)mn__span_resize(&l->origin, l->n_origin * mn__origin_bytes(&c->shape));
    l->n = n;
}

static size_t run_in_page(size_t slot, size_t n)
{
    size_t room = MN__PAGE_TOKENS - slot % MN__PAGE_TOKENS;
    return n < room ? n : room;
}

void mn__lane_put(const mn__cache *c, mn__lane *l, size_t i, const float *k, size_t ld_k,
                  const float *v, size_t ld_v, size_t n)
{
    const struct mn__kern *kern = c->kern;
    size_t d = c->shape.head_dim;
    float *scale_k = (float *)l->scale_k.data, *scale_v = (float *)l->scale_v.data;
    for (size_t slot = l->n + i, m; n > 0; n -= m, slot += m, k += m * ld_k, v += m * ld_v) {
        void *page = mn__lane_page_list(l)[slot / MN__PAGE_TOKENS];
        size_t at = slot % MN__PAGE_TOKENS;
        m = run_in_page(slot, n);
        switch (c->shape.kv_type) {
        case MN__KV_BF16: kern->page_put_bf16(page, at, k, ld_k, v, ld_v, m, d); break;
        case MN__KV_F32: kern->page_put_f32(page, at, k, ld_k, v, ld_v, m, d); break;
        case MN__KV_Q8:
            kern->page_put_q8(page, scale_k + slot, scale_v + slot, at, k, ld_k, v, ld_v, m, d);
            break;
        }
    }
}

/* The rule of page_put_q8 for one row; returns the scale. */
static float quantise(int8_t *out, const float *x, size_t d)
{
    float top = 0;
    for (size_t k = 0; k < d; k++)
        if (fabsf(x[k]) > top) top = fabsf(x[k]);
    float inverse = mn__q8_inverse(top);
    for (size_t k = 0; k < d; k++) out[k] = mn__q8_round(x[k], inverse);
    return top / 127.0f;
}

void mn__lane_put_row(const mn__cache *c, mn__lane *l, size_t i, const float *k, const float *v)
{
    union {
        mn_bf16 bf16[MN__HEAD_DIM_MAX];
        int8_t q8[MN__HEAD_DIM_MAX];
    } row;
    mn__kv_type type = c->shape.kv_type;
    size_t d = c->shape.head_dim;
    void *page = mn__lane_page_list(l)[i / MN__PAGE_TOKENS];
    for (int value = 0; value < 2; value++) {
        const float *x = value ? v : k;
        const void *raw = &row;
        if (!x) continue;
        switch (type) {
        case MN__KV_BF16: c->kern->f32_to_bf16(row.bf16, x, d); break;
        case MN__KV_F32: raw = x; break;
        case MN__KV_Q8:
            ((float *)(value ? l->scale_v.data : l->scale_k.data))[i] = quantise(row.q8, x, d);
            break;
        }
        if (value)
            mn__slot_put_raw_value(type, d, page, i % MN__PAGE_TOKENS, raw);
        else
            mn__slot_put_raw(type, d, page, i % MN__PAGE_TOKENS, raw);
    }
}

void mn__lane_read(const mn__cache *c, const mn__lane *l, size_t i, size_t n, float *k, float *v)
{
    const float *scale_k = (const float *)l->scale_k.data,
                *scale_v = (const float *)l->scale_v.data;
    size_t d = c->shape.head_dim;
    for (size_t m; n > 0; n -= m, i += m) {
        const void *page = mn__lane_pages(l)[i / MN__PAGE_TOKENS];
        size_t at = i % MN__PAGE_TOKENS;
        m = run_in_page(i, n);
        switch (c->shape.kv_type) {
        case MN__KV_BF16: c->kern->page_get_bf16(k, v, page, at, m, d); break;
        case MN__KV_F32: c->kern->page_get_f32(k, v, page, at, m, d); break;
        case MN__KV_Q8: mn__slot_get_q8(page, at, m, d, scale_k + i, scale_v + i, k, v); break;
        }
        if (k) k += m * d;
        if (v) v += m * d;
    }
}

/* Window lanes are neither evicted nor compacted, so their positions follow one another. */
size_t mn__lane_first_visible(const mn__lane *l, int32_t window, int64_t pos)
{
    if (window <= 0 || l->pos.committed == 0) return 0;
    int64_t first = pos - window + 1 - mn__lane_pos(l)[0];
    return first > 0 ? (size_t)first : 0;
}
