/* cache_state.h: a cache as bytes and back, for saved sessions (docs/formats.md). Bytes pass
 * through the caller's function piece by piece, so that nothing is held twice. */
#ifndef MN_CACHE_STATE_H
#define MN_CACHE_STATE_H

#include "cache/cache.h"

/* What stands before a lane's arrays. */
typedef struct mn__lane_head {
    uint64_t n, n_origin; /* slots; of which that many first ones have origins */
} mn__lane_head;

/* Bytes that follow a lane's head; false when they exceed what can be counted. Only sizes of
 * `shape` are looked at, so that it may come from a file. */
bool mn__lane_state_bytes(const mn__cache_shape *shape, const mn__lane_head *head, size_t *out);
/* Bytes that mn__cache_save puts. */
size_t mn__cache_state_bytes(const mn__cache *c);

typedef mn_status (*mn__put_fn)(void *ctx, const void *data, size_t n);
typedef struct mn__state_source {
    /* All n bytes, or a failure that has been told to diag. */
    mn_status (*get)(void *ctx, void *data, size_t n);
    uint64_t (*left)(void *ctx); /* bytes that may still be had */
    void *ctx;
} mn__state_source;

/* Lanes with their policy state, and the query ring. n_seen, query_begin and n_nan are the
 * caller's. Between steps. Returns what put returned. */
mn_status mn__cache_save(const mn__cache *c, mn__put_fn put, void *ctx);
/* Into a new cache of the same shape (longer lanes and steps are fine) whose n_seen and query_begin
 * the caller has set. What `from` delivers is not trusted: MN_EINPUT (too short, out of order, out
 * of range), MN_ERANGE (a lane longer than this cache allows), MN_ENOMEM. On failure the cache can
 * only be freed. */
mn_status mn__cache_load(mn__cache *c, const mn__state_source *from, mn_diag *diag);

#endif
