/* attention.h: queries of a step against the lanes of their sequences. Decode splits lanes into
 * runs of slots and merges the parts; prefill works on tiles of 32 tokens by blocks of 256 slots
 * with an online softmax, so that scores never leave the cache of a core. What a policy asked to
 * see is shown in a second sweep from the stored log-sum-exp: no row of attention is ever stored
 * whole. */
#ifndef MN_ATTENTION_H
#define MN_ATTENTION_H

#include "base/team.h"
#include "cache/policy_ops.h"
#include "mneme/status.h"
#include "tensor/linear.h"

/* Consecutive new tokens of one sequence: rows [row0, row0 + n_row) of the step. */
typedef struct mn__attn_seq {
    mn__cache *cache;         /* reserved for n_row tokens */
    const mn__scorer *scorer; /* NULL: nobody looks */
    size_t row0, n_row;
    bool decode; /* splits slots over threads instead of tokens */
} mn__attn_seq;

/* One layer's attention, the same for all sequences of the step. */
typedef struct mn__attn_layer {
    size_t layer, n_head, n_kv_head, head_dim;
    int32_t window; /* 0: full */
    float scale, norm_eps;
    const float *q_norm, *k_norm; /* [D] or NULL */
    const mn__rope *rope;
    const float *cos_sin; /* [rows of the step][n_rot/2][2] for each row's position */
} mn__attn_layer;

typedef struct mn__attn mn__attn; /* workspace of a session or batch, SCRATCH */
typedef struct mn__attn_limits {
    size_t max_row;        /* rows of a step */
    size_t max_decode_row; /* of which decode rows */
    size_t n_head, n_kv_head, head_dim, max_slots;
    mn__kv_type kv_type;
    int n_thread;
} mn__attn_limits;
mn_status mn__attn_new(mn__attn **out, const mn__attn_limits *lim, const struct mn__kern *kern,
                       mn_diag *diag);
size_t mn__attn_bytes(const mn__attn_limits *lim);
void mn__attn_free(mn__attn *a);

/* Where the result goes: decode rows come first in a step, prefill rows from `first_prefill` on.
 * Row r of the step is row r of `decode` (f32), or row r - first_prefill of `prefill` (bf16 or
 * f32). */
typedef struct mn__attn_out {
    mn__rows *decode, *prefill;
    size_t first_prefill;
} mn__attn_out;

/* All threads of the crew call this together. qkv [rows][(H + 2N) D] holds q, k, v of the new
 * tokens before norm and rotation and is rotated in place; K and V go into the reserved slots; out
 * receives rows of width H D. Ends with a barrier. */
void mn__attention(const mn__crew *crew, mn__attn *a, const mn__attn_layer *l,
                   const mn__attn_seq *seq, size_t n_seq, float *qkv, const mn__attn_out *out);

#endif
