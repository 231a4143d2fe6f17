/* rope.h: rotary position embedding as a table of frequencies. Every scaling rule (linear, NTK,
 * YaRN, Llama-3 and LongRoPE factors) is folded into the table when a model is opened, so that
 * rotating is one kernel and re-rotating by a difference is exact. */
#ifndef MN_TENSOR_ROPE_H
#define MN_TENSOR_ROPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn__rope {
    size_t n_rot;       /* channels that rotate, even; the rest of the head stays */
    bool neox;          /* halves (c, c + n_rot/2) instead of adjacent pairs */
    float magnitude;    /* YaRN's attention factor, multiplies cos and sin (1 otherwise) */
    const double *freq; /* [n_rot/2] radians per position; owned by the model */
} mn__rope;

/* Table rows for positions pos0 .. pos0+n-1: out [n][n_rot/2][2] = magnitude * (cos, sin). */
void mn__rope_table(const mn__rope *r, int64_t pos0, size_t n, float *out);
/* One row for a difference of positions, without the magnitude: rotating a stored key by it moves
 * the key. out [n_rot/2][2]. */
void mn__rope_delta(const mn__rope *r, int64_t delta, float *out);

#endif
