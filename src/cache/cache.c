/* cache.c: all lanes of one sequence together: made, forked, forgotten, and stepped from reserve to
 * commit. */
#include "cache/cache.h"

#include <assert.h>
#include <string.h>
#include "base/diag.h"
#include "cache/cache_internal.h"
#include "cache/pool.h"
#include "cache/slot.h"

static size_t n_lane(const mn__cache *c)
{
    return c->shape.n_layer * c->shape.n_kv_head;
}

static int32_t window_of(const mn__cache *c, size_t lane)
{
    return c->shape.window[lane / c->shape.n_kv_head];
}

/* Most slots of a lane. A window lane keeps what the next query sees and the rest of its first
 * page. */
static size_t lane_room(const mn__cache *c, size_t lane)
{
    int32_t window = window_of(c, lane);
    return window > 0 ? (size_t)window + c->shape.max_step + MN__PAGE_TOKENS : c->shape.max_slots;
}

static mn_status check_shape(const mn__cache_shape *s, mn_diag *diag)
{
    if (s->head_dim == 0 || s->head_dim % 2 || s->head_dim > MN__HEAD_DIM_MAX)
        return mn__fail(diag, MN_ERANGE, "kv cache: head size %zu, wanted an even one up to %d",
                        s->head_dim, MN__HEAD_DIM_MAX);
    if (!s->n_layer || !s->n_kv_head || s->n_head < s->n_kv_head || s->n_head % s->n_kv_head)
        return mn__fail(diag, MN_ERANGE,
                        "kv cache: %zu layers, %zu heads, %zu kv heads: wanted "
                        "some of each and equal groups",
                        s->n_layer, s->n_head, s->n_kv_head);
    if (!s->max_slots || !s->max_step || s->max_slots > INT32_MAX || s->max_step > INT32_MAX)
        return mn__fail(diag, MN_ERANGE,
                        "kv cache: %zu slots and steps of %zu tokens, wanted 1 to "
                        "%d",
                        s->max_slots, s->max_step, INT32_MAX);
    return MN_OK;
}

static mn_status init_lane(mn__cache *c, size_t i)
{
    struct mn__side side[MN__SIDE_MAX];
    mn__lane *l = &c->lane[i];
    size_t n = lane_room(c, i), n_side = mn__lane_sides(&c->shape, l, side), bytes;
    size_t n_list = 2 * mn__page_count(n) + 1; /* a copy of each, and of the tail of a step */
    mn_status st;
    MN_TRY(mn__span_init(&l->page, MN_MEM_KV, n_list * sizeof(void *)));
    for (size_t k = 0; k < n_side; k++) {
        if (!mn__mul_size(n, side[k].size, &bytes)) return MN_ENOMEM;
        MN_TRY(mn__span_init(side[k].span, side[k].span == &l->state ? MN_MEM_POLICY : MN_MEM_KV,
                             bytes));
    }
    if (c->shape.compact && window_of(c, i) <= 0) {
        if (!mn__mul_size(n, mn__origin_bytes(&c->shape), &bytes)) return MN_ENOMEM;
        MN_TRY(mn__span_init(&l->origin, MN_MEM_KV, bytes));
    }
done:
    return st;
}

static mn_status init_lanes(mn__cache *c)
{
    size_t n = n_lane(c), bytes;
    c->lane = mn__alloc_array(MN_MEM_OTHER, n, sizeof *c->lane);
    if (!c->lane) return MN_ENOMEM;
    memset(c->lane, 0, n * sizeof *c->lane);
    if (c->shape.lane_bytes) {
        if (!mn__mul_size(n, c->shape.lane_bytes, &bytes)) return MN_ENOMEM;
        uint8_t *state = mn__alloc_zero(MN_MEM_POLICY, bytes); /* one block, owned by lane 0 */
        if (!state) return MN_ENOMEM;
        for (size_t i = 0; i < n; i++) c->lane[i].lane_state = state + i * c->shape.lane_bytes;
    }
    for (size_t i = 0; i < n; i++) {
        mn_status st = init_lane(c, i);
        if (st != MN_OK) return st;
    }
    return MN_OK;
}

static mn_status init_query_ring(mn__cache *c)
{
    size_t bytes;
    if (!c->shape.n_query_ring) return MN_OK;
    if (!mn__query_bytes(&c->shape, c->shape.n_query_ring, &bytes)) return MN_ENOMEM;
    return mn__span_init(&c->query_ring, MN_MEM_POLICY, bytes);
}

static mn_status init_state(mn__cache *c)
{
    if (!c->shape.state_bytes) return MN_OK;
    c->state = mn__alloc_zero(MN_MEM_KV, c->shape.state_bytes);
    return c->state ? MN_OK : MN_ENOMEM;
}

mn_status mn__cache_new(mn__cache **out, const mn__cache_shape *shape, mn__pool *pool,
                        const struct mn__kern *kern, mn_diag *diag)
{
    mn__cache *c = NULL;
    mn_status st;
    *out = NULL;
    MN_TRY(check_shape(shape, diag));
    c = mn__alloc_zero(MN_MEM_OTHER, sizeof *c);
    st = c ? MN_OK : MN_ENOMEM;
    if (c) {
        c->shape = *shape;
        c->pool = pool;
        c->kern = kern;
        st = init_lanes(c);
        if (st == MN_OK) st = init_query_ring(c);
        if (st == MN_OK) st = init_state(c);
    }
    if (st != MN_OK) {
        mn__fail(diag, st, "kv cache: no memory for the arrays of %zu lanes of %zu slots",
                 shape->n_layer * shape->n_kv_head, shape->max_slots);
        goto done;
    }
    *out = c;
    c = NULL;
done:
    mn__cache_free(c);
    return st;
}

void mn__cache_free(mn__cache *c)
{
    struct mn__side side[MN__SIDE_MAX];
    if (!c) return;
    for (size_t i = 0; c->lane && i < n_lane(c); i++) {
        mn__lane *l = &c->lane[i];
        for (size_t k = 0; k < l->n_page; k++) mn__pool_give(c->pool, mn__lane_page_list(l)[k]);
        mn__span_fini(&l->page);
        mn__span_fini(&l->origin);
        for (size_t k = mn__lane_sides(&c->shape, l, side); k-- > 0;) mn__span_fini(side[k].span);
    }
    if (c->lane) mn__free(c->lane[0].lane_state);
    mn__free(c->lane);
    mn__free(c->state);
    mn__span_fini(&c->query_ring);
    mn__free(c);
}

/* The part's bytes of the state of n slots. */
static void fork_state(uint8_t *to, const uint8_t *from, size_t stride, size_t n,
                       const mn__state_part *part)
{
    if (part->slot_bytes == stride) {
        if (n && stride) memcpy(to, from, n * stride);
        return;
    }
    for (size_t i = 0; i < n && part->slot_bytes; i++)
        memcpy(to + i * part->slot_bytes, from + i * stride + part->slot_at, part->slot_bytes);
}

static mn_status fork_lane(mn__cache *child, mn__lane *to, const mn__cache *c, const mn__lane *from,
                           const mn__state_part *part)
{
    struct mn__side mine[MN__SIDE_MAX], theirs[MN__SIDE_MAX];
    mn__lane lane = *from; /* lists need a lane that may be written */
    mn_status st = mn__lane_grow(child, to, from->n, from->n_page);
    if (st == MN_OK) st = mn__lane_grow_origin(child, to, from->n_origin);
    if (st != MN_OK) return st;
    size_t n_side = mn__lane_sides(&child->shape, to, mine);
    mn__lane_sides(&c->shape, &lane, theirs);
    for (size_t i = 0; i < n_side && from->n; i++)
        if (mine[i].span != &to->state) /* the last one, if it is there */
            memcpy(mine[i].span->data, theirs[i].span->data, from->n * mine[i].size);
    fork_state(to->state.data, from->state.data, c->shape.slot_bytes, from->n, part);
    if (part->lane_bytes)
        memcpy(to->lane_state, from->lane_state + part->lane_at, part->lane_bytes);
    if (from->n_origin)
        memcpy(to->origin.data, from->origin.data,
               from->n_origin * mn__origin_bytes(&child->shape));
    for (size_t i = 0; i < from->n_page; i++) {
        mn__lane_page_list(to)[i] = mn__lane_page_list(from)[i];
        mn__pool_share(child->pool, mn__lane_page_list(to)[i]);
    }
    to->n = from->n;
    to->n_page = from->n_page;
    to->n_origin = from->n_origin;
    return MN_OK;
}

mn_status mn__cache_fork_part(mn__cache **out, const mn__cache *c, const mn__cache_shape *shape,
                              const mn__state_part *part, mn_diag *diag)
{
    mn__cache *child = NULL;
    mn_status st;
    assert(c->n_reserved == 0); /* between steps only */
    assert(shape->n_query_ring <= c->shape.n_query_ring);
    *out = NULL;
    MN_TRY(mn__cache_new(&child, shape, c->pool, c->kern, diag));
    for (size_t i = 0; i < n_lane(c); i++) {
        st = fork_lane(child, &child->lane[i], c, &c->lane[i], part);
        if (st != MN_OK) {
            mn__fail(diag, st, "kv cache: no memory for a fork of %lld tokens",
                     (long long)c->n_seen);
            goto done;
        }
    }
    if (c->state) memcpy(child->state, c->state, c->shape.state_bytes);
    child->n_seen = child->query_begin = c->n_seen;
    if (mn__query_ring_rows(c)) {
        MN_TRY(mn__cache_open_ring(child, diag));
        mn__query_ring_fork(child, c);
    }
    child->n_prompt = c->n_prompt;
    child->n_nan = c->n_nan;
    *out = child;
    child = NULL;
done:
    mn__cache_free(child);
    return st;
}

mn_status mn__cache_fork(mn__cache **out, const mn__cache *c, mn_diag *diag)
{
    const mn__state_part all = {.slot_bytes = c->shape.slot_bytes,
                                .lane_bytes = c->shape.lane_bytes};
    return mn__cache_fork_part(out, c, &c->shape, &all, diag);
}

void mn__cache_clear(mn__cache *c)
{
    for (size_t i = 0; i < n_lane(c); i++) mn__lane_cut(c, &c->lane[i], 0);
    if (c->shape.lane_bytes) memset(c->lane[0].lane_state, 0, n_lane(c) * c->shape.lane_bytes);
    if (c->state) memset(c->state, 0, c->shape.state_bytes);
    c->n_seen = 0;
    c->n_prompt = 0;
    c->n_reserved = 0;
    c->query_begin = 0;
}

static mn_status check_room(const mn__cache *c, size_t n_new, mn_diag *diag)
{
    if (n_new > c->shape.max_step)
        return mn__fail(diag, MN_ERANGE, "kv cache: a step of %zu tokens, at most %zu are planned",
                        n_new, c->shape.max_step);
    if (c->n_seen + (int64_t)n_new > INT32_MAX)
        return mn__fail(diag, MN_ERANGE, "kv cache: %lld tokens, wanted at most %d",
                        (long long)c->n_seen + (long long)n_new, INT32_MAX);
    if (c->state && (size_t)c->n_seen + n_new > c->shape.max_slots)
        return mn__fail(diag, MN_ERANGE, "state: %lld tokens were read, %zu more exceed its %zu",
                        (long long)c->n_seen, n_new, c->shape.max_slots);
    for (size_t i = 0; i < n_lane(c); i++)
        if (window_of(c, i) <= 0 && c->lane[i].n + n_new > c->shape.max_slots)
            return mn__fail(diag, MN_ERANGE,
                            "kv cache: layer %zu head %zu holds %zu tokens, %zu "
                            "more exceed its %zu",
                            i / c->shape.n_kv_head, i % c->shape.n_kv_head, c->lane[i].n, n_new,
                            c->shape.max_slots);
    return MN_OK;
}

/* Pages for n_new more slots, and one more for the copy of a shared tail. They stand at the end of
 * the list; nothing that the lane holds changes yet. */
static mn_status take_pages(mn__cache *c, mn__lane *l, size_t n_new)
{
    size_t n_page = mn__page_count(l->n + n_new);
    if (l->n % MN__PAGE_TOKENS && mn__pool_is_shared(c->pool, mn__lane_page_list(l)[l->n_page - 1]))
        n_page++;
    mn_status st = mn__lane_grow(c, l, l->n + n_new, n_page);
    if (st == MN_OK && n_page > l->n_page)
        st = mn__pool_take(c->pool, mn__lane_page_list(l) + l->n_page, n_page - l->n_page);
    if (st == MN_OK) l->n_page = n_page;
    return st;
}

static void begin_slots(mn__cache *c, mn__lane *l, size_t n_new)
{
    void **page = mn__lane_page_list(l);
    if (l->n_page > mn__page_count(l->n + n_new)) {
        void **tail = &page[l->n / MN__PAGE_TOKENS], *copy = page[--l->n_page];
        memcpy(copy, *tail, mn__pool_page_bytes(c->shape.kv_type, c->shape.head_dim));
        mn__pool_give(c->pool, *tail);
        *tail = copy;
        (void)mn__span_resize(&l->page, l->n_page * sizeof(void *)); /* shrinks */
    }
    for (size_t i = 0; i < n_new; i++) {
        mn__lane_pos(l)[l->n + i] = (int32_t)(c->n_seen + (int64_t)i);
        mn__lane_token(l)[l->n + i] = (int32_t)(c->n_seen + (int64_t)i);
    }
    if (c->shape.slot_bytes)
        memset(l->state.data + l->n * c->shape.slot_bytes, 0, n_new * c->shape.slot_bytes);
}

mn_status mn__cache_reserve(mn__cache *c, size_t n_new, mn_diag *diag)
{
    assert(c->n_reserved == 0);
    mn_status st = check_room(c, n_new, diag);
    if (st != MN_OK || n_new == 0) return st;
    for (size_t i = 0; i < n_lane(c) && !c->state; i++) {
        st = take_pages(c, &c->lane[i], n_new);
        if (st == MN_OK) continue;
        for (size_t k = 0; k <= i; k++) mn__lane_cut(c, &c->lane[k], c->lane[k].n);
        return mn__fail(diag, st,
                        "kv cache: no memory for %zu more tokens after %lld (limit %zu "
                        "bytes, 0: none)",
                        n_new, (long long)c->n_seen, mn_mem_get_limit());
    }
    for (size_t i = 0; i < n_lane(c) && !c->state; i++) begin_slots(c, &c->lane[i], n_new);
    c->n_reserved = n_new;
    return MN_OK;
}

/* Give back the pages in front that no query from n_seen on sees. */
static void drop_front(mn__cache *c, mn__lane *l, int32_t window)
{
    struct mn__side side[MN__SIDE_MAX];
    size_t first = mn__lane_first_visible(l, window, c->n_seen);
    size_t n_page = (first < l->n ? first : l->n) / MN__PAGE_TOKENS,
           gone = n_page * MN__PAGE_TOKENS;
    void **page = mn__lane_page_list(l);
    if (n_page == 0) return;
    for (size_t i = 0; i < n_page; i++) mn__pool_give(c->pool, page[i]);
    l->n_page -= n_page;
    memmove(page, page + n_page, l->n_page * sizeof *page);
    for (size_t i = mn__lane_sides(&c->shape, l, side); i-- > 0;)
        memmove(side[i].span->data, side[i].span->data + gone * side[i].size,
                (l->n - gone) * side[i].size);
    mn__lane_cut(c, l, l->n - gone);
}

void mn__cache_commit(mn__cache *c)
{
    c->n_seen += (int64_t)c->n_reserved;
    for (size_t i = 0; i < n_lane(c) && !c->state; i++) {
        c->lane[i].n += c->n_reserved;
        if (window_of(c, i) > 0) drop_front(c, &c->lane[i], window_of(c, i));
    }
    c->n_reserved = 0;
    int64_t oldest = c->n_seen - (int64_t)mn__query_ring_rows(c);
    if (c->query_begin < oldest) c->query_begin = oldest;
}

void mn__cache_rollback(mn__cache *c)
{
    for (size_t i = 0; i < n_lane(c); i++) mn__lane_cut(c, &c->lane[i], c->lane[i].n);
    /* The step may have written its queries over the oldest ones. */
    int64_t oldest = c->n_seen + (int64_t)c->n_reserved - (int64_t)mn__query_ring_rows(c);
    if (oldest > c->n_seen) oldest = c->n_seen;
    if (c->query_begin < oldest) c->query_begin = oldest;
    c->n_reserved = 0;
}

/* Slots of tokens before `end`. */
static size_t slots_before(const mn__lane *l, int64_t end)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (mn__lane_token(l)[mid] < end)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

mn_status mn__cache_rewind(mn__cache *c, size_t n_drop)
{
    mn_status st = MN_OK;
    assert(c->n_reserved == 0);
    c->n_seen = n_drop < (size_t)c->n_seen ? c->n_seen - (int64_t)n_drop : 0;
    if (c->query_begin > c->n_seen) c->query_begin = c->n_seen;
    for (size_t i = 0; i < n_lane(c); i++) {
        mn__lane *l = &c->lane[i];
        mn__lane_cut(c, l, slots_before(l, c->n_seen));
        if (!c->shape.compact || window_of(c, i) > 0) continue;
        mn_status one =
            mn__lane_keep(c, i / c->shape.n_kv_head, i % c->shape.n_kv_head, NULL, l->n);
        if (one != MN_OK) st = one;
    }
    return st;
}

size_t mn__cache_lane_bytes(const mn__cache_shape *shape, size_t n)
{
    size_t n_page = mn__page_count(n), n_side = shape->kv_type == MN__KV_Q8 ? 4 : 2;
    return n_page * mn__pool_page_bytes(shape->kv_type, shape->head_dim) +
           mn__whole_pages(n_page * sizeof(void *)) + n_side * mn__whole_pages(n * sizeof(float));
}

void mn__cache_get_bytes(const mn__cache *c, mn__cache_bytes *out)
{
    *out = (mn__cache_bytes){.policy = n_lane(c) * c->shape.lane_bytes + c->query_ring.committed};
    out->kv = out->kv_full = c->shape.state_bytes;
    for (size_t i = 0; i < n_lane(c) && !c->state; i++) {
        const mn__lane *l = &c->lane[i];
        size_t kv = mn__cache_lane_bytes(&c->shape, l->n + c->n_reserved) + l->origin.committed;
        out->policy += l->state.committed;
        if (window_of(c, i) > 0) {
            out->kv_window += kv;
            continue;
        }
        out->kv += kv;
        out->kv_full += mn__cache_lane_bytes(&c->shape, (size_t)c->n_seen + c->n_reserved);
    }
}
