/* mixer.h: the layer that lets positions see each other: queries, keys and values (by a dense
 * layer, or by memory layers on one choice), a kind of attention, and an output layer or none. */
#ifndef MN_LAYER_MIXER_H
#define MN_LAYER_MIXER_H

#include "layer/causal_softmax.h"
#include "layer/cosformer.h"
#include "layer/dense.h"
#include "layer/linformer.h"
#include "layer/memory_layer.h"
#include "layer/performer.h"
#include "layer/rms_norm.h"

typedef enum mn__mix_kind {
    MN__MIX_SOFTMAX,
    MN__MIX_PERFORMER,
    MN__MIX_COSFORMER,
    MN__MIX_LINFORMER, /* causal by blocks */
} mn__mix_kind;

typedef struct mn__mixer_sizes {
    size_t width;
    mn__heads heads;
    mn__mix_kind kind;
    mn__rotary rotary;
    bool has_bias;          /* of dense layers */
    double std_in, std_out; /* of first values: dense or tables; the output layer */
    bool cut;               /* dense ones end at three deviations */
    bool has_out;           /* false: heads are the output, width = n_head * dim */
    bool has_qk_norm;       /* RMSNorm of every head of queries and of keys before rotation */
    double qk_eps;
    size_t n_table, n_bit; /* n_bit > 0: memory layers make queries, keys and values */
    mn__memory_score score;
    double temperature;
    size_t n_feature;     /* PERFORMER; 0: mn__performer_features */
    double eps;           /* PERFORMER: of features; COSFORMER: lowest denominator */
    size_t context;       /* COSFORMER: the longest sequence there will be */
    size_t block, n_slot; /* LINFORMER: positions of a block, slots that they become */
} mn__mixer_sizes;

typedef struct mn__mixer {
    mn__layer layer; /* first */
    mn__mixer_sizes sizes;
    mn__dense qkv, out; /* qkv: rows of all queries, then keys, then values */
    mn__memory_layer memory;
    mn__rms_norm q_norm, k_norm; /* [dim] */
    union {
        mn__causal_softmax softmax;
        mn__performer performer;
        mn__cosformer cosformer;
        mn__linformer linformer;
    } core;
    struct { /* of the pass in flight */
        const mn__real *x;
        mn__real *table, *packed, *heads; /* of rotation, [n][qkv], [n][n_head * dim] */
        mn__memory_saved memory;
        mn__rms_norm_saved q_norm, k_norm;
        union {
            mn__causal_softmax_saved softmax;
            mn__performer_saved performer;
            mn__cosformer_saved cosformer;
            mn__linformer_saved linformer;
        } core;
    } saved;
} mn__mixer;

/* MN_ERANGE with a sentence where sizes cannot be. */
mn_status mn__mixer_init(mn__mixer *l, const mn__mixer_sizes *s, mn_diag *diag);

/* Inference (mixer_infer.c), which changes nothing of the layer, part by part, so that others may
 * do the second one. x [n][width] to packed [n][mn__mixer_packed]: queries, keys, values. */
size_t mn__mixer_packed(const mn__mixer *l);
void mn__mixer_project(const mn__mixer *l, const mn__env *env, size_t n, const mn__real *x,
                       mn__real *packed);
/* Not of SOFTMAX: one sequence goes on by n positions. packed is spent; heads [n][n_head dim]. */
void mn__mixer_continue(const mn__mixer *l, const mn__env *env, size_t n, mn__real *packed,
                        const mn__carried *carried, mn__real *heads);
void mn__mixer_finish(const mn__mixer *l, const mn__env *env, size_t n, const mn__real *heads,
                      mn__real *y);
/* Values that a sequence of up to `len` positions carries; 0: SOFTMAX, which has none. */
size_t mn__mixer_state(const mn__mixer *l, size_t len);

#endif
