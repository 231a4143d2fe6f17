/* cache_internal.h: what the files of the cache share among themselves. */
#ifndef MN_CACHE_INTERNAL_H
#define MN_CACHE_INTERNAL_H

#include "cache/cache.h"
#include "cache/cache_state.h"

enum { MN__SIDE_MAX = 5 };

/* An array of a lane with one entry a slot. */
struct mn__side {
    mn__span *span;
    size_t size; /* of an entry */
};

static inline size_t mn__page_count(size_t n_slot)
{
    return n_slot / MN__PAGE_TOKENS + (n_slot % MN__PAGE_TOKENS != 0);
}
static inline void **mn__lane_page_list(const mn__lane *l)
{
    return (void **)l->page.data;
}

/* Tokens that the ring has room for: none while it is closed. */
size_t mn__query_ring_rows(const mn__cache *c);
/* The newest queries of c, as many as the child's ring has room for; no more than c's. */
void mn__query_ring_fork(mn__cache *child, const mn__cache *c);
/* Rows of tokens [query_begin, n_seen), layer by layer. */
mn_status mn__query_ring_save(const mn__cache *c, mn__put_fn put, void *ctx);
mn_status mn__query_ring_load(mn__cache *c, const mn__state_source *from);
/* The arrays that this cache's lanes have; returns how many. */
size_t mn__lane_sides(const mn__cache_shape *shape, mn__lane *l,
                      struct mn__side side[MN__SIDE_MAX]);
/* Room for n slots in the side arrays and n_page entries in the page list. On failure mn__lane_cut
 * restores what was. */
mn_status mn__lane_grow(const mn__cache *c, mn__lane *l, size_t n, size_t n_page);
/* Room for n_origin origins; the same on failure. */
mn_status mn__lane_grow_origin(const mn__cache *c, mn__lane *l, size_t n_origin);
/* Write down the origins of slots up to n_origin; room is there. */
void mn__lane_add_origins(const mn__cache *c, mn__lane *l, size_t n_origin);
/* A row [head_dim] in place of the key and/or the value (NULL: stays) of slot i, whose page is the
 * lane's own. Rounded as mn__lane_put does. */
void mn__lane_put_row(const mn__cache *c, mn__lane *l, size_t i, const float *k, const float *v);
/* Turn the keys of slots [begin, end), which have origins and lie in a page of their own, to
 * positions pos, pos + 1, ... */
void mn__lane_turn(const mn__cache *c, mn__lane *l, const mn__rope *rope, size_t begin, size_t end,
                   int64_t pos);
/* The first n slots stay; pages and side arrays beyond them are given back. */
void mn__lane_cut(const mn__cache *c, mn__lane *l, size_t n);

#endif
