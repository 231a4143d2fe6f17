/* policy_ops.h: what the cache asks of a policy's scorer. A scorer only scores; budgets,
 * protection, selection and compaction are common to all (policy/evict.h). Scorers are immutable
 * after init: all that changes lives in slot, lane or layer state that the cache keeps, moves with
 * the slots, forks, saves and counts. */
#ifndef MN_POLICY_OPS_H
#define MN_POLICY_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/team.h"
#include "cache/cache.h"

enum mn__need {
    MN__NEED_NOTHING = 0,
    MN__NEED_COLUMNS = 1, /* observe: probabilities of every query row, by column blocks */
    MN__NEED_WINDOW = 2,  /* the ring of the last queries (shape.n_query_ring) */
    MN__NEED_PREROPE = 4, /* observe_query: queries before rotation (after q-norm) */
    MN__NEED_OUTPUT = 8,  /* rows of the output projection (critical) */
    MN__NEED_GRAM = 16    /* norms through it by a product that is made once (policy/gram.c) */
};

enum { MN__SHOW_ROWS = 32 };

/* Is a query among those that a scorer of this stride asks for? */
static inline bool mn__is_shown(size_t stride, int64_t token)
{
    return stride < 2 || (uint64_t)token / MN__SHOW_ROWS % stride == 0;
}

/* Attention that a KV head's group of query heads, or one of them, paid to a run of slots: rows in
 * time order. */
typedef struct mn__seen {
    const mn__cache *cache;
    size_t layer, head;      /* KV head */
    size_t i_group, n_group; /* which query head of the group (observe_head), of how many */
    int64_t token0;          /* index in the text of row 0; rows are consecutive tokens */
    size_t n_row;            /* at most 16; a hop of 16 ends where (token + 1) % 16 == 0 */
    size_t slot0, n_slot;    /* columns */
    const float *p; /* [n_row][ld], zero where not visible; observe: summed over the group */
    size_t ld;
} mn__seen;

/* What a scorer may look at. */
typedef struct mn__score_view {
    const mn__cache *cache;
    size_t layer, head;
    size_t n;             /* slots of the lane */
    const int32_t *token; /* [n] */
    const uint8_t *state; /* slot_bytes * n */
    const uint8_t *lane_state;
    uint64_t seed; /* of the run (random) */
    float softmax_scale;
    const void *model_hook; /* argument of output_norm */
    /* sum over the group of |Wo[h] v|_1 / G for n_row value rows v [n_row][D]; NULL unless
     * MN__NEED_OUTPUT */
    void (*output_norm)(const void *hook, size_t layer, size_t head, const float *v, size_t n_row,
                        float *out);
    const struct mn__gram *gram; /* NULL unless MN__NEED_GRAM */
    float *scratch;              /* scratch_floats(...) of this thread, 64-byte aligned */
} mn__score_view;

/* One lane among all those of an event. */
typedef struct mn__score_lane {
    mn__score_view view; /* scratch: lane_floats(...) of this lane's own, 64-byte aligned */
    float *score;        /* [view.n] */
    bool spared;         /* keeps everything: not to be scored nor looked at */
} mn__score_lane;

struct mn__scorer;
/* All slots, columns [slot0, +n_slot) of one lane. state points at slot0's state. One thread per
 * run of slots; hops of rows come in order. */
typedef void mn__observe_fn(const struct mn__scorer *s, const mn__seen *seen, uint8_t *state);
struct mn__scorer_ops {
    const char *name;
    mn__observe_fn *observe;      /* may be NULL */
    mn__observe_fn *observe_head; /* with wants_heads, before it: head by head of the group, one hop
                                   * of rows a call */
    /* Pre-rotation queries of one query head, [n_row][D], tokens token0...; one thread per (layer,
     * KV head). */
    void (*observe_query)(const struct mn__scorer *s, const mn__cache *c, size_t layer, size_t h,
                          int64_t token0, const float *q, size_t ld, size_t n_row,
                          uint8_t *lane_state);
    /* score[i], higher stays; NaN counts as minus infinity. One thread per lane. */
    void (*score)(const struct mn__scorer *s, const mn__score_view *v, float *score);
    /* Instead of score, for scorers that compare lanes: all threads of the crew call it together,
     * with its counter reset, and have met when lanes' numbers are used after it. Lanes come layer
     * by layer, all heads of a layer. scratch: scratch_floats of this thread for the longest lane.
     */
    void (*score_all)(const struct mn__scorer *s, const mn__crew *crew, const mn__score_lane *lane,
                      size_t n_lane, float *scratch);
    size_t (*lane_floats)(const struct mn__scorer *s, size_t n); /* with score_all */
    size_t (*scratch_floats)(const struct mn__scorer *s, const mn__cache_shape *shape,
                             size_t n); /* for lanes of n slots */
    void (*free)(struct mn__scorer *s);
};

typedef struct mn__scorer {
    const struct mn__scorer_ops *ops;
    unsigned needs;   /* enum mn__need */
    bool wants_heads; /* observe_head is called (keyformer, onlookers) */
    bool is_share;    /* no score is below 0, all sum to 1, unless one is no number */
    /* MN__NEED_COLUMNS: of the text's stretches of MN__SHOW_ROWS tokens the queries of every
     * show_stride-th are enough, the first included; it may still be shown others. 0, 1: all. */
    size_t show_stride;
    size_t slot_bytes, lane_bytes, n_query_ring;
} mn__scorer;

#endif
