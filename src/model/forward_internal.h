/* forward_internal.h: what the files of the step share. */
#ifndef MN_FORWARD_INTERNAL_H
#define MN_FORWARD_INTERNAL_H

#include "layer/layer.h"
#include "model/forward.h"
#include "nn/attention.h"

/* Activations of one phase on their way into products. */
typedef struct mn__phase_rows {
    size_t first, n;           /* rows of the step */
    mn__rows in, attn, hidden; /* [n][C], [n][H D], [n][F]; of layers that train: attn alone */
} mn__phase_rows;

/* What layers that train (model.h: lm) want besides. */
typedef struct mn__forward_lm_space {
    float *a, *z;   /* [R][C]: behind a norm; the stream between the two halves of a block */
    float *heads;   /* [R][H D] */
    float *pending; /* [memories][R][C]: outputs that join the stream of a later block */
    size_t tape_size;
    uint8_t *tape;
} mn__forward_lm_space;

struct mn__forward {
    const mn_model *m;
    mn__forward_limits lim;
    mn__arena arena;
    mn__attn *attn;
    mn__product *product;
    float *x;                                 /* [R][C] residual */
    float *y;                                 /* [R][C] before a post-norm */
    float *qkv;                               /* [R][(H+2N) D] */
    float *cos_sin, *cos_sin_local;           /* [R][n_rot/2][2] */
    float *norm;                              /* [threads][C] */
    float *out;                               /* [R or sequences][C] rows that wait for the head */
    float *logits;                            /* [max_logit_row][V] */
    mn__rows head_dots, head_wide, head_rest; /* rest: what bf16 leaves of wide, or none */
    mn__phase_rows decode, prefill;
    mn__attn_seq *aseq; /* [max sequences] */
    mn__forward_lm_space lm;
    size_t n_row, n_out;
    /* the step under way */
    const mn__forward_seq *seq;
    size_t n_seq, head_row, head_n;
    bool head_is_dots;
};

/* A step of a model of layers that train (forward_lm.c). Its part of the workspace is taken from
 * the arena, whose plan is measured first. */
void mn__forward_lm_take(mn__forward *f, mn__arena *ar);
void mn__forward_lm_run(mn__forward *f, mn__team *team);

#endif
