/* query_ring.c: the last queries of every layer, and the attention that they pay to a lane as it
 * stands: what policies with an observation window score by. */
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "cache/cache_internal.h"
#include "cache/slot.h"

enum { BATCH = 16, TILE = 256 }; /* query rows, columns that the stack holds */

/* Scores of caches in bf16 and in 8 bits multiply queries in bf16. */
static size_t element_bytes(const mn__cache_shape *s)
{
    return s->kv_type == MN__KV_F32 ? sizeof(float) : sizeof(mn_bf16);
}

bool mn__query_bytes(const mn__cache_shape *s, size_t n, size_t *out)
{
    *out = element_bytes(s);
    return mn__mul_size(*out, s->n_layer, out) && mn__mul_size(*out, n, out) &&
           mn__mul_size(*out, s->n_head, out) && mn__mul_size(*out, s->head_dim, out);
}

/* ---- its memory ---- */

size_t mn__query_ring_rows(const mn__cache *c)
{
    return c->query_ring.committed ? c->shape.n_query_ring : 0;
}

void mn__cache_close_ring(mn__cache *c)
{
    if (c->query_ring.committed) (void)mn__span_resize(&c->query_ring, 0); /* giving back */
    c->query_begin = c->n_seen;
}

mn_status mn__cache_open_ring(mn__cache *c, mn_diag *diag)
{
    size_t bytes;
    if (!c->shape.n_query_ring || c->query_ring.committed) return MN_OK;
    (void)mn__query_bytes(&c->shape, c->shape.n_query_ring, &bytes); /* as when it was made */
    if (mn__span_resize(&c->query_ring, bytes) != MN_OK)
        return mn__fail(diag, MN_ENOMEM, "kv cache: no memory for the last %zu queries",
                        c->shape.n_query_ring);
    c->query_begin = c->n_seen;
    return MN_OK;
}

/* ---- its rows ---- */

static size_t row_bytes(const mn__cache *c)
{
    return c->shape.n_head * c->shape.head_dim * element_bytes(&c->shape);
}

static uint8_t *ring_row(const mn__cache *c, size_t layer, int64_t token)
{
    const mn__cache_shape *s = &c->shape;
    size_t row = layer * s->n_query_ring + (size_t)(token % (int64_t)s->n_query_ring);
    return (uint8_t *)c->query_ring.data + row * row_bytes(c);
}

void mn__query_ring_fork(mn__cache *child, const mn__cache *c)
{
    const int64_t oldest = c->n_seen - (int64_t)child->shape.n_query_ring;
    child->query_begin = c->query_begin < oldest ? oldest : c->query_begin;
    for (size_t l = 0; l < c->shape.n_layer; l++)
        for (int64_t t = child->query_begin; t < c->n_seen; t++)
            memcpy(ring_row(child, l, t), ring_row(c, l, t), row_bytes(c));
}

mn_status mn__query_ring_save(const mn__cache *c, mn__put_fn put, void *ctx)
{
    mn_status st = MN_OK;
    for (size_t l = 0; l < c->shape.n_layer; l++)
        for (int64_t t = c->query_begin; t < c->n_seen; t++)
            MN_TRY(put(ctx, ring_row(c, l, t), row_bytes(c)));
done:
    return st;
}

mn_status mn__query_ring_load(mn__cache *c, const mn__state_source *from)
{
    mn_status st = MN_OK;
    for (size_t l = 0; l < c->shape.n_layer; l++)
        for (int64_t t = c->query_begin; t < c->n_seen; t++)
            MN_TRY(from->get(from->ctx, ring_row(c, l, t), row_bytes(c)));
done:
    return st;
}

void mn__cache_put_query(mn__cache *c, size_t layer, size_t i, const float *q)
{
    /* Of a long step only the end is kept, so that no two threads write one row. */
    const size_t n_row = mn__query_ring_rows(c);
    if (i + n_row < c->n_reserved || n_row == 0) return;
    const size_t n = c->shape.n_head * c->shape.head_dim;
    void *row = ring_row(c, layer, c->n_seen + (int64_t)i);
    if (c->shape.kv_type == MN__KV_F32)
        memcpy(row, q, n * sizeof *q);
    else
        c->kern->f32_to_bf16(row, q, n);
}

/* One head's queries of n tokens as rows [n][d], in the ring's type. */
static void gather(const mn__cache *c, size_t layer, size_t h, int64_t token, size_t n, void *q)
{
    const size_t bytes = c->shape.head_dim * element_bytes(&c->shape);
    for (size_t r = 0; r < n; r++)
        memcpy((uint8_t *)q + r * bytes, ring_row(c, layer, token + (int64_t)r) + h * bytes, bytes);
}

/* Raw scores through bf16 pages made of 8-bit ones, page by page. */
static void scores_q8(const mn__cache *c, const mn__lane *l, const mn_bf16 *q, size_t n_row,
                      float *s, size_t ld)
{
    _Alignas(64) mn_bf16 wide[2 * MN__PAGE_TOKENS * MN__HEAD_DIM_MAX];
    const void *page = wide;
    const float *scale_k = (const float *)l->scale_k.data,
                *scale_v = (const float *)l->scale_v.data;
    size_t d = c->shape.head_dim;
    for (size_t i = 0; i < l->n; i += MN__PAGE_TOKENS) {
        size_t n = l->n - i < MN__PAGE_TOKENS ? l->n - i : MN__PAGE_TOKENS;
        c->kern->page_widen_q8(wide, mn__lane_pages(l)[i / MN__PAGE_TOKENS], scale_k + i,
                               scale_v + i, d);
        c->kern->qk_bf16(s + i, ld, q, d, n_row, &page, n, d, NULL);
    }
}

/* s [n_row][ld]: raw scores of the gathered queries. */
static void scores(const mn__cache *c, const mn__lane *l, const void *q, size_t n_row, float *s,
                   size_t ld)
{
    size_t d = c->shape.head_dim;
    switch (c->shape.kv_type) {
    case MN__KV_F32: c->kern->qk_f32(s, ld, q, d, n_row, mn__lane_pages(l), l->n, d, NULL); break;
    case MN__KV_Q8: scores_q8(c, l, q, n_row, s, ld); break;
    case MN__KV_BF16: c->kern->qk_bf16(s, ld, q, d, n_row, mn__lane_pages(l), l->n, d, NULL); break;
    }
}

/* Rows of scores into rows of probabilities: a sweep in tiles for the sums, one for the values. */
static void normalise(const mn__cache *c, size_t n, size_t n_row, const int32_t *hi, float scale,
                      float *p, size_t ld)
{
    _Alignas(64) float tile[BATCH * TILE];
    int32_t zero[BATCH] = {0}, tile_hi[BATCH];
    float top[BATCH], sum[BATCH], corr[BATCH], lse[BATCH];
    for (size_t r = 0; r < n_row; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
    }
    for (size_t i = 0; i < n; i += TILE) {
        size_t n_tok = n - i < TILE ? n - i : TILE;
        for (size_t r = 0; r < n_row; r++) tile_hi[r] = hi[r] < (int32_t)i ? 0 : hi[r] - (int32_t)i;
        for (size_t r = 0; r < n_row; r++)
            if (tile_hi[r] > (int32_t)n_tok) tile_hi[r] = (int32_t)n_tok;
        c->kern->softmax_f32(tile, TILE, p + i, ld, n_row, n_tok, zero, tile_hi, scale, top, sum,
                             corr);
    }
    for (size_t r = 0; r < n_row; r++) lse[r] = sum[r] > 0 ? top[r] + logf(sum[r]) : 0;
    c->kern->probs(p, ld, n_row, n, zero, hi, scale, lse);
}

size_t mn__cache_window_probs(const mn__cache *c, size_t layer, size_t h, size_t n_row, float scale,
                              float *p, size_t ld)
{
    _Alignas(64) float q[BATCH * MN__HEAD_DIM_MAX];
    const mn__lane *l = mn__cache_lane(c, layer, h / (c->shape.n_head / c->shape.n_kv_head));
    int32_t hi[BATCH];
    size_t n_held = mn__query_ring_rows(c) ? (size_t)(c->n_seen - c->query_begin) : 0;
    size_t n = n_row < n_held ? n_row : n_held, slot = 0;
    int64_t token = c->n_seen - (int64_t)n;
    mn__tiles_begin(c->kern);
    for (size_t r = 0, m; r < n; r += m, token += (int64_t)m) {
        m = n - r < BATCH ? n - r : BATCH;
        for (size_t i = 0; i < m; i++) {
            while (slot < l->n && mn__lane_token(l)[slot] <= token + (int64_t)i) slot++;
            hi[i] = (int32_t)slot;
        }
        gather(c, layer, h, token, m, q);
        scores(c, l, q, m, p + r * ld, ld);
        normalise(c, l->n, m, hi, scale, p + r * ld, ld);
    }
    mn__tiles_end(c->kern);
    return n;
}
