/* heads.h: what the kinds of attention have in common: queries, keys and values of heads, and the
 * rotation of positions. */
#ifndef MN_LAYER_HEADS_H
#define MN_LAYER_HEADS_H

#include "layer/layer.h"

/* Sizes of heads: head h lies at h * dim of a row; n_head is a multiple of n_kv, and head h reads
 * keys and values h / (n_head / n_kv). Values are as wide as keys. */
typedef struct mn__heads {
    size_t n_head, n_kv, dim;
} mn__heads;

/* What inference carries from one run of positions of a sequence to the next. */
typedef struct mn__carried {
    mn__real *state; /* zeros at first; how long, the kind of attention says */
    size_t past;     /* positions before this run */
    size_t room;     /* values of state */
} mn__carried;

/* Rows of queries, keys, values: one for each position of each sequence, ld apart. */
typedef struct mn__qkv {
    const mn__real *q, *k, *v;
    size_t ld;
    const mn__carried *carried; /* of the one sequence; NULL: sequences begin here */
} mn__qkv;
/* Where their gradients go, as far apart. */
typedef struct mn__qkv_grad {
    mn__real *q, *k, *v;
} mn__qkv_grad;

/* Rotation of the first n_rot values of a head by its position in the sequence, halves paired:
 * (x[i], x[i + n_rot/2]) by position base^(-2i/n_rot). */
typedef struct mn__rotary {
    size_t n_rot; /* even; 0: none */
    double base;
} mn__rotary;

/* cos and sin [len][n_rot/2][2] of all positions, from the tape. */
mn__real *mn__rotary_table(const mn__rotary *r, const mn__env *env, size_t len);
/* Heads to turn: n_head of `dim` values in each row of x, ld apart. */
typedef struct mn__turn {
    size_t n_head, dim, ld;
    mn__real *x;
    bool back; /* against the rotation: its gradient */
} mn__turn;
void mn__rotary_turn(const mn__rotary *r, const mn__env *env, mn__shape s, const mn__real *table,
                     const mn__turn *t);

#endif
