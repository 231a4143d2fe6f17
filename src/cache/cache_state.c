/* cache_state.c: lanes and the query ring, written out and read back (cache_state.h). Arrays lie in
 * the file as they lie in memory: little-endian, no padding. Whole pages are kept, unused slots of
 * the last one included, so that later steps meet the very same bits. */
#include "cache/cache_state.h"

#include <string.h>

#include "base/diag.h"
#include "cache/cache_internal.h"
#include "cache/pool.h"
#include "cache/slot.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "saved arrays are little-endian");

/* ---- sizes ---- */

/* K and V of a page, without what rounds it up to the system's pages. */
static bool page_payload(const mn__cache_shape *s, size_t *out)
{
    return mn__mul_size(2 * MN__PAGE_TOKENS * mn__kv_element_bytes(s->kv_type), s->head_dim, out);
}

static bool add_array(size_t *sum, size_t n, size_t size)
{
    size_t bytes;
    return mn__mul_size(n, size, &bytes) && mn__add_size(*sum, bytes, sum);
}

bool mn__lane_state_bytes(const mn__cache_shape *shape, const mn__lane_head *head, size_t *out)
{
    size_t payload, n = (size_t)head->n, side = shape->kv_type == MN__KV_Q8 ? 16 : 8;
    *out = 0;
    return page_payload(shape, &payload) && add_array(out, n, side) &&
           add_array(out, n, shape->slot_bytes) && add_array(out, 1, shape->lane_bytes) &&
           add_array(out, (size_t)head->n_origin, mn__origin_bytes(shape)) &&
           add_array(out, mn__page_count(n), payload);
}

static size_t n_lane(const mn__cache *c)
{
    return c->shape.n_layer * c->shape.n_kv_head;
}

static mn__lane_head head_of(const mn__lane *l)
{
    return (mn__lane_head){.n = l->n, .n_origin = l->n_origin};
}

size_t mn__cache_state_bytes(const mn__cache *c)
{
    size_t sum, bytes = 0;
    /* Memory holds all this, so it can be counted. */
    (void)mn__query_bytes(&c->shape, (size_t)(c->n_seen - c->query_begin), &sum);
    sum += c->shape.state_bytes;
    for (size_t i = 0; i < n_lane(c); i++) {
        mn__lane_head head = head_of(&c->lane[i]);
        (void)mn__lane_state_bytes(&c->shape, &head, &bytes);
        sum += sizeof head + bytes;
    }
    return sum;
}

/* ---- out ---- */

static mn_status save_lane(const mn__cache *c, const mn__lane *from, mn__put_fn put, void *ctx)
{
    mn_status st;
    struct mn__side side[MN__SIDE_MAX];
    mn__lane lane = *from; /* lists need a lane that may be written */
    mn__lane_head head = head_of(from);
    size_t payload, n_side = mn__lane_sides(&c->shape, &lane, side);
    (void)page_payload(&c->shape, &payload);
    MN_TRY(put(ctx, &head, sizeof head));
    for (size_t i = 0; i < n_side; i++)
        MN_TRY(put(ctx, side[i].span->data, from->n * side[i].size));
    MN_TRY(put(ctx, from->lane_state, c->shape.lane_bytes));
    MN_TRY(put(ctx, from->origin.data, from->n_origin * mn__origin_bytes(&c->shape)));
    for (size_t i = 0; i < mn__page_count(from->n); i++)
        MN_TRY(put(ctx, mn__lane_pages(from)[i], payload));
done:
    return st;
}

mn_status mn__cache_save(const mn__cache *c, mn__put_fn put, void *ctx)
{
    mn_status st;
    for (size_t i = 0; i < n_lane(c); i++) MN_TRY(save_lane(c, &c->lane[i], put, ctx));
    MN_TRY(mn__query_ring_save(c, put, ctx));
    MN_TRY(put(ctx, c->state, c->shape.state_bytes));
done:
    return st;
}

/* ---- in ---- */

typedef struct loading {
    mn__cache *c;
    const mn__state_source *from;
    mn_diag *diag;
    size_t layer, head;
} loading;

static mn_status refuse(const loading *in, mn_status st, const char *what)
{
    return mn__fail(in->diag, st, "layer %zu head %zu: %s", in->layer, in->head, what);
}

static mn_status get(const loading *in, void *data, size_t n)
{
    return in->from->get(in->from->ctx, data, n);
}

static int32_t window_of(const loading *in)
{
    return in->c->shape.window[in->layer];
}

static mn_status check_head(const loading *in, const mn__lane_head *head)
{
    const mn__cache_shape *s = &in->c->shape;
    int32_t window = window_of(in);
    size_t bytes;
    /* After a step a window lane holds what the next query sees, and the rest of its first page. */
    uint64_t most = window > 0 ? (uint64_t)window + MN__PAGE_TOKENS - 1 : s->max_slots;
    if (head->n > most)
        return mn__fail(in->diag, MN_ERANGE,
                        "layer %zu head %zu holds %llu tokens, at most %llu fit the %s", in->layer,
                        in->head, (unsigned long long)head->n, (unsigned long long)most,
                        window > 0 ? "sliding window" : "context it is opened with");
    if (head->n_origin > (s->compact && window <= 0 ? head->n : 0))
        return refuse(in, MN_EINPUT, "more keys were moved than it can hold");
    if (!mn__lane_state_bytes(s, head, &bytes) || bytes > in->from->left(in->from->ctx))
        return refuse(in, MN_EINPUT, "it claims more bytes than the file has");
    return MN_OK;
}

/* Indices of tokens and positions ascend below n_seen; those of window lanes follow one another up
 * to the newest. */
static mn_status check_order(const loading *in, const mn__lane *l, size_t n)
{
    const int32_t *pos = mn__lane_pos(l), *token = mn__lane_token(l);
    int64_t n_seen = in->c->n_seen;
    if (n == 0) return MN_OK;
    if (pos[0] < 0 || token[0] < 0 || pos[n - 1] >= n_seen || token[n - 1] >= n_seen)
        return refuse(in, MN_EINPUT, "a token lies outside of the text that was read");
    for (size_t i = 1; i < n; i++)
        if (pos[i] <= pos[i - 1] || token[i] <= token[i - 1])
            return refuse(in, MN_EINPUT, "tokens or positions are out of order");
    if (window_of(in) > 0 && (pos[n - 1] != n_seen - 1 || pos[0] != n_seen - (int64_t)n))
        return refuse(in, MN_EINPUT, "positions in a sliding window do not follow one another");
    return MN_OK;
}

static mn_status check_origins(const loading *in, const mn__lane *l, size_t n_origin)
{
    size_t size = mn__origin_bytes(&in->c->shape);
    for (size_t i = 0; i < n_origin; i++) {
        int32_t pos;
        memcpy(&pos, l->origin.data + i * size, sizeof pos); /* the first field */
        if (pos < 0 || pos >= in->c->n_seen)
            return refuse(in, MN_EINPUT, "a key comes from outside of the text that was read");
    }
    return MN_OK;
}

static mn_status take_room(const loading *in, mn__lane *l, const mn__lane_head *head)
{
    mn__cache *c = in->c;
    size_t n = (size_t)head->n, n_page = mn__page_count(n);
    mn_status st = mn__lane_grow(c, l, n, n_page);
    if (st == MN_OK) st = mn__lane_grow_origin(c, l, (size_t)head->n_origin);
    if (st == MN_OK) st = mn__pool_take(c->pool, mn__lane_page_list(l), n_page);
    if (st != MN_OK) return refuse(in, st, "no memory for its tokens");
    l->n_page = n_page;
    return MN_OK;
}

static mn_status load_lane(const loading *in, mn__lane *l)
{
    mn_status st;
    mn__cache *c = in->c;
    mn__lane_head head;
    struct mn__side side[MN__SIDE_MAX];
    size_t payload, n_side = mn__lane_sides(&c->shape, l, side);
    (void)page_payload(&c->shape, &payload);
    MN_TRY(get(in, &head, sizeof head));
    MN_TRY(check_head(in, &head));
    MN_TRY(take_room(in, l, &head));
    for (size_t i = 0; i < n_side; i++)
        MN_TRY(get(in, side[i].span->data, (size_t)head.n * side[i].size));
    MN_TRY(check_order(in, l, (size_t)head.n));
    MN_TRY(get(in, l->lane_state, c->shape.lane_bytes));
    MN_TRY(get(in, l->origin.data, (size_t)head.n_origin * mn__origin_bytes(&c->shape)));
    MN_TRY(check_origins(in, l, (size_t)head.n_origin));
    for (size_t i = 0; i < l->n_page; i++) MN_TRY(get(in, mn__lane_page_list(l)[i], payload));
    l->n = (size_t)head.n;
    l->n_origin = (size_t)head.n_origin;
done:
    return st;
}

static mn_status check_ring(const mn__cache *c, mn_diag *diag)
{
    int64_t oldest = c->n_seen - (int64_t)c->shape.n_query_ring;
    if (c->query_begin <= c->n_seen && c->query_begin >= (oldest > 0 ? oldest : 0)) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "queries from token %lld on, %lld tokens were read",
                    (long long)c->query_begin, (long long)c->n_seen);
}

mn_status mn__cache_load(mn__cache *c, const mn__state_source *from, mn_diag *diag)
{
    mn_status st;
    loading in = {.c = c, .from = from, .diag = diag};
    MN_TRY(check_ring(c, diag));
    for (size_t i = 0; i < n_lane(c); i++) {
        in.layer = i / c->shape.n_kv_head;
        in.head = i % c->shape.n_kv_head;
        MN_TRY(load_lane(&in, &c->lane[i]));
    }
    MN_TRY(mn__query_ring_load(c, from));
    MN_TRY(get(&in, c->state, c->shape.state_bytes));
done:
    return st;
}
