/* linformer.h: attention to positions that are compressed into a few slots. */
#ifndef MN_LAYER_LINFORMER_H
#define MN_LAYER_LINFORMER_H

#include "layer/heads.h"

typedef enum mn__linformer_kind {
    MN__LINFORMER_BLOCKS, /* finished blocks compressed, the own block exact: strictly causal */
    MN__LINFORMER_FULL,   /* as published: every slot mixes all positions, those to come too */
    MN__LINFORMER_MASK,   /* slots up to the own position: leaks as much, shown for comparison */
} mn__linformer_kind;

typedef struct mn__linformer {
    mn__heads heads;
    mn__linformer_kind kind;
    size_t n_from;  /* positions compressed together: of a block; else at least the length */
    size_t n_slot;  /* that they become */
    mn__param e, f; /* [n_from][n_slot]: of keys, of values; shared by heads and sequences */
} mn__linformer;

typedef struct mn__linformer_saved {
    mn__qkv in;        /* borrowed, and so is y */
    const mn__real *y; /* [rows][n_head * dim] */
    mn__real *k, *v;   /* [n_seq][n_kv][slots][dim]: compressed */
    mn__real *lse;     /* [n_seq][n_head][len] */
} mn__linformer_saved;

void mn__linformer_declare(mn__linformer *l, mn__params *list, const char *prefix);
/* y [rows][n_head * dim]; len up to n_from unless in blocks. */
void mn__linformer_forward(const mn__linformer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__linformer_saved *saved);
/* Inference, BLOCKS: in->carried goes before; one sequence of n positions. */
void mn__linformer_continue(const mn__linformer *l, const mn__env *env, size_t n, const mn__qkv *in,
                            mn__real *y);
/* Values of a sequence's mn__carried for up to `len` positions. */
size_t mn__linformer_state(const mn__linformer *l, size_t len);
void mn__linformer_backward(const mn__linformer *l, const mn__env *env, mn__shape s,
                            const mn__linformer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out);

#endif
