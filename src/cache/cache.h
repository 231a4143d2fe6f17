/* cache.h: the KV store of one sequence. A lane is one (layer, KV head): its own length, positions
 * and policy state; lanes are ragged. A lane is a list of pages from a pool (pool.h), 64 slots
 * each, in the layouts of kern/kern.h; pages are shared by forks until written. Beside the pages a
 * lane has arrays with one entry a slot: position, 8-bit scales, policy state.
 *
 * Who calls what in a step of T new tokens:
 *   mn__cache_reserve(T)          one thread, before the step: pages and side arrays for all lanes;
 * the only call that can fail mn__lane_put(...)             any threads, disjoint slots: K (already
 * rotated) and V of the new tokens mn__lane_pages(...)           attention reads
 *   policy->ops->observe*         attention shows what the policy asked to see (policy_ops.h)
 *   mn__cache_commit(T)           one thread, after the last layer: lengths grow, window layers
 * drop what no query can see again mn__evict (policy/evict.h)    scores, budgets, selection; ends
 * in mn__lane_keep for every lane Slots are always in ascending position. */
#ifndef MN_CACHE_H
#define MN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/heap.h"
#include "kern/kern.h"
#include "mneme/status.h"
#include "tensor/rope.h"

typedef enum mn__kv_type { MN__KV_BF16, MN__KV_F32, MN__KV_Q8 } mn__kv_type;

typedef struct mn__pool mn__pool;

typedef struct mn__cache_shape {
    size_t n_layer, n_head, n_kv_head, head_dim;
    const int32_t *window; /* [n_layer] sliding window in tokens, 0: full attention. Borrowed,
                              outlives the cache */
    const mn__rope *const
        *rope; /* [n_layer] rotation of that layer's keys. Borrowed, outlives the cache */
    mn__kv_type kv_type;
    bool compact;      /* positions: survivors move next to the newest token (see mn__lane_keep) */
    size_t max_slots;  /* the longest a full lane may become; address space only */
    size_t max_step;   /* most tokens of one step (window lanes hold window + max_step) */
    size_t slot_bytes; /* policy state per slot */
    size_t lane_bytes; /* policy state per lane */
    size_t n_query_ring; /* last queries kept per layer for policies that look back (0: none) */
    size_t state_bytes;  /* > 0: attention carries this state of the whole sequence, and lanes stay
                          * empty */
} mn__cache_shape;

typedef struct mn__lane {
    size_t n;       /* committed slots */
    size_t n_page;  /* pages held, ceil((n + reserved) / 64) */
    mn__span page;  /* void *[n_page], room for copies of them all */
    mn__span pos;   /* int32_t [n + reserved]: position the key is rotated for */
    mn__span token; /* int32_t [n + reserved]: index of the token in the text (== pos until
                       positions are compacted) */
    mn__span scale_k, scale_v; /* float [n + reserved], MN__KV_Q8 only */
    mn__span state;            /* slot_bytes * (n + reserved), zero for new slots */
    mn__span origin; /* compact positions only: the first n_origin keys as they were put, so that
                      * moving one many times rounds it once. Entries of mn__origin_bytes */
    size_t n_origin; /* slots that have moved are a prefix: what closes a hole is what stands before
                        it */
    uint8_t *lane_state; /* lane_bytes, zero at first */
} mn__lane;

/* An entry of mn__lane.origin. */
typedef struct mn__origin {
    int32_t pos;   /* position that the raw key is rotated for */
    float scale;   /* MN__KV_Q8 only */
    uint8_t raw[]; /* [head_dim] in kv_type */
} mn__origin;

typedef struct mn__cache {
    mn__cache_shape shape;
    const struct mn__kern *kern; /* table of the session's cpu level */
    mn__pool *pool;
    mn__lane *lane;      /* [n_layer][n_kv_head] */
    int64_t n_seen;      /* tokens written so far == position and index of the next one */
    size_t n_reserved;   /* tokens of the step under way */
    float *state;        /* [shape.state_bytes]: of all layers, zeros at first; NULL: none */
    mn__span query_ring; /* [n_layer][n_query_ring][n_head][head_dim], rotated, in f32 where the
                            cache is, else in bf16; row of token t is t % n_query_ring */
    int64_t query_begin; /* oldest token whose queries the ring holds whole; n_seen: of none */
    int64_t n_prompt;    /* tokens up to the end of the last prompt: later ones were generated */
    uint64_t n_nan;      /* scores that were NaN, counted over the cache's life */
} mn__cache;

/* Bytes of an origin entry; 0 when positions are not compact. */
size_t mn__origin_bytes(const mn__cache_shape *shape);

/* pool is shared and must outlive its caches. The ring of queries is closed at first. */
mn_status mn__cache_new(mn__cache **out, const mn__cache_shape *shape, mn__pool *pool,
                        const struct mn__kern *kern, mn_diag *diag);
void mn__cache_free(mn__cache *c);
/* Same content; pages shared (copy on write), side arrays copied. */
mn_status mn__cache_fork(mn__cache **out, const mn__cache *c, mn_diag *diag);
/* Where one policy's state lies in that of a cache which keeps it for several. */
typedef struct mn__state_part {
    size_t slot_at, slot_bytes, lane_at, lane_bytes;
} mn__state_part;
/* The same with that part as its policy state. shape: c's but for slot_bytes and lane_bytes, which
 * are the part's, n_query_ring, which is not more than c's, and compact, which may be another where
 * no key has moved yet. */
mn_status mn__cache_fork_part(mn__cache **out, const mn__cache *c, const mn__cache_shape *shape,
                              const mn__state_part *part, mn_diag *diag);
void mn__cache_clear(mn__cache *c); /* forget everything, pages returned */

static inline mn__lane *mn__cache_lane(const mn__cache *c, size_t layer, size_t head)
{
    return &c->lane[layer * c->shape.n_kv_head + head];
}
static inline const void *const *mn__lane_pages(const mn__lane *l)
{
    return (const void *const *)l->page.data;
}
static inline int32_t *mn__lane_pos(const mn__lane *l)
{
    return (int32_t *)l->pos.data;
}
static inline int32_t *mn__lane_token(const mn__lane *l)
{
    return (int32_t *)l->token.data;
}

/* Make room for n_new tokens in every lane: a shared tail page is copied, pages are taken, side
 * arrays grow, positions of the new slots are set (n_seen + i). MN_ENOMEM (limit or system),
 * MN_ERANGE (max_slots): nothing changed then. */
mn_status mn__cache_reserve(mn__cache *c, size_t n_new, mn_diag *diag);
/* Write n rows at slots lane->n + i .. of the reserved ones. k, v: [n][ld] floats of one head.
 * Threads may write disjoint runs that do not share a block of 16 slots. */
void mn__lane_put(const mn__cache *c, mn__lane *l, size_t i, const float *k, size_t ld_k,
                  const float *v, size_t ld_v, size_t n);
/* Bytes of the queries of n tokens, the whole ring's with shape->n_query_ring; false when they
 * exceed what can be counted. Only sizes of `shape` are looked at, so that it may come from a file.
 */
bool mn__query_bytes(const mn__cache_shape *shape, size_t n, size_t *out);
/* Forget the ring's queries and give its memory back: none is remembered until it is opened. A
 * cache begins with an open one. Nothing happens where it is as wanted, or there is none. */
void mn__cache_close_ring(mn__cache *c);
mn_status mn__cache_open_ring(mn__cache *c, mn_diag *diag);
/* Remember rotated queries of the new tokens for the ring: q [n_head][head_dim] of new token i. */
void mn__cache_put_query(mn__cache *c, size_t layer, size_t i, const float *q);
/* The step is done: slots count. Window lanes give back whole pages that no later query sees. */
void mn__cache_commit(mn__cache *c);
/* The step failed: reserved slots go away. */
void mn__cache_rollback(mn__cache *c);
/* Drop the newest n_drop tokens in every lane that still holds them (a rewound chat). Policy state
 * of the others stays. MN_ENOMEM: compact positions only, where survivors that lie ahead of the new
 * end move back and memory for that is refused; the tokens are gone then, but those survivors keep
 * their positions. */
mn_status mn__cache_rewind(mn__cache *c, size_t n_drop);

/* First slot of a window lane that the query at position pos sees (0 for full lanes); positions
 * ascend. */
size_t mn__lane_first_visible(const mn__lane *l, int32_t window, int64_t pos);

/* Keep the slots keep[0..n_keep) (ascending) of a lane, drop the rest, return whole pages. With
 * shape.compact the survivors are rotated to the positions that end at n_seen - 1: distances
 * between survivors become those of neighbours, the newest key stays as it is, and the next query
 * is at n_seen in both modes. Side arrays follow. Thread-safe for different lanes (the pool locks).
 * MN_ENOMEM: shared pages would change and copies of them do not fit, or the origins of the keys
 * that move do not; nothing changed then. keep NULL: the first n_keep slots. */
mn_status mn__lane_keep(mn__cache *c, size_t layer, size_t head, const uint32_t *keep,
                        size_t n_keep);
/* New values for some survivors, made while what is dropped can still be read. */
typedef struct mn__revalue {
    const uint32_t *slot; /* [n] ascending slots of the lane as it is, all of them kept */
    size_t n;
    /* v [head_dim]: in, the value of slot[i]; out, what it becomes. i ascends. May read the lane's
     * keys and the values of slots that do not change. */
    void (*value)(const struct mn__revalue *r, size_t i, float *v);
} mn__revalue;
/* The same, with these values changed first: all of it or nothing. Rounded once to kv_type. */
mn_status mn__lane_keep_revalued(mn__cache *c, size_t layer, size_t head, const uint32_t *keep,
                                 size_t n_keep, const mn__revalue *r);

/* Rows back as floats: slots [i, i+n) of K and/or V (NULL: not wanted), [n][head_dim]. */
void mn__lane_read(const mn__cache *c, const mn__lane *l, size_t i, size_t n, float *k, float *v);
/* Probabilities of the last n_row queries of the ring (query head h of this layer) over the lane's
 * slots, full causal row each: p [n_row][ld], oldest row first; scratch: qk work of n_row *
 * round_up(n,64) floats is p itself. scale = the model's softmax scale. Returns rows written (fewer
 * when fewer were seen since the ring began). */
size_t mn__cache_window_probs(const mn__cache *c, size_t layer, size_t h, size_t n_row, float scale,
                              float *p, size_t ld);

/* Bytes: pages held (shared ones counted by share in the ledger once), K+V bytes of the slots, side
 * arrays, policy state. */
typedef struct mn__cache_bytes {
    size_t kv;        /* pages and their positions, scales and origins, full-attention lanes */
    size_t kv_window; /* the same, sliding-window lanes */
    size_t kv_full;   /* what kv would be had nothing been dropped */
    size_t policy;    /* slot and lane state, query ring */
} mn__cache_bytes;
void mn__cache_get_bytes(const mn__cache *c, mn__cache_bytes *out);
/* Pages, their list and side arrays of one lane of n slots, without origins and policy state. */
size_t mn__cache_lane_bytes(const mn__cache_shape *shape, size_t n);

#endif
