/* namm_rows.c: one block of floats, a run of it for each lane (namm_rows.h). */
#include "policy/namm_rows.h"

#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

struct mn__namm_rows {
    int64_t n_seen; /* of the cache that they are of */
    size_t n_lane, n_head, n_in, cap;
    size_t *at;   /* [n_lane + 1] rows in front of a lane's */
    uint8_t *has; /* [n_lane] */
    float *x;     /* [cap] */
};

static mn_status take_lanes(mn__namm_rows *r, size_t n_lane, mn_diag *diag)
{
    mn__free(r->at);
    mn__free(r->has);
    r->at = mn__alloc_array(MN_MEM_POLICY, n_lane + 1, sizeof *r->at);
    r->has = mn__alloc_zero(MN_MEM_POLICY, n_lane);
    r->n_lane = r->at && r->has ? n_lane : 0;
    return r->n_lane ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for %zu lanes", n_lane);
}

static mn_status take_floats(mn__namm_rows *r, size_t n, mn_diag *diag)
{
    if (n <= r->cap) return MN_OK;
    mn__free(r->x);
    r->x = mn__alloc_array(MN_MEM_POLICY, n, sizeof *r->x);
    r->cap = r->x ? n : 0;
    return r->x ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for the inputs of %zu tokens", n);
}

mn_status mn__namm_rows_fit(mn__namm_rows **rows, const mn__cache *cache, size_t n_in,
                            mn_diag *diag)
{
    const size_t n_head = cache->shape.n_kv_head, n_lane = cache->shape.n_layer * n_head;
    if (!*rows) *rows = mn__alloc_zero(MN_MEM_POLICY, sizeof **rows);
    mn__namm_rows *r = *rows;
    if (!r) return mn__fail(diag, MN_ENOMEM, "no memory for a NAMM's inputs");
    mn_status st = r->n_lane == n_lane ? MN_OK : take_lanes(r, n_lane, diag);
    if (st != MN_OK) return st;
    r->n_seen = cache->n_seen;
    r->n_head = n_head;
    r->n_in = n_in;
    memset(r->has, 0, n_lane);
    r->at[0] = 0;
    for (size_t l = 0; l < n_lane; l++)
        r->at[l + 1] = r->at[l] + mn__cache_lane(cache, l / n_head, l % n_head)->n;
    return take_floats(r, r->at[n_lane] * n_in, diag);
}

void mn__namm_rows_free(mn__namm_rows *rows)
{
    if (!rows) return;
    mn__free(rows->at);
    mn__free(rows->has);
    mn__free(rows->x);
    mn__free(rows);
}

static size_t lane_of(const mn__namm_rows *r, const mn__score_view *v)
{
    return v->layer * r->n_head + v->head;
}

float *mn__namm_rows_of(const mn__namm_rows *rows, const mn__score_view *v)
{
    const size_t lane = lane_of(rows, v);
    const bool same = v->cache->n_seen == rows->n_seen && lane < rows->n_lane &&
                      v->n == rows->at[lane + 1] - rows->at[lane];
    return same ? rows->x + rows->at[lane] * rows->n_in : NULL;
}

bool mn__namm_rows_has(const mn__namm_rows *rows, const mn__score_view *v)
{
    return mn__namm_rows_of(rows, v) && rows->has[lane_of(rows, v)];
}

void mn__namm_rows_written(mn__namm_rows *rows, const mn__score_view *v)
{
    rows->has[lane_of(rows, v)] = 1;
}
