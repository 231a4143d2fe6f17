/* namm_net.h: inside of a NAMM's network: which parameter stands where, and the linear maps that
 * all heads are made of. */
#ifndef MN_NAMM_NET_H
#define MN_NAMM_NET_H

#include "base/heap.h"
#include "policy/namm.h"

enum {
    MN__NAMM_WIDTH_MAX = 1024, /* inputs, hidden */
    MN__NAMM_DEPTH_MAX = 16,
    MN__NAMM_PARTS_MAX = MN__BLOCK_TOKENS, /* a block of outputs */
    MN__NAMM_TILE = 32                     /* rows that go through the network together */
};

/* One linear map y = x W + b: W [n_in][n_out] from `at` of the parameters on, b [n_out] behind it
 * if there is one. */
typedef struct mn__namm_layer {
    size_t at, n_in, n_out;
    bool bias;
} mn__namm_layer;
/* In the order of the parameters: LINEAR one, MLP depth, BAM three (q k v, output, head), MIX one,
 * whose W lies [n_out][n_in]. Returns how many. */
size_t mn__namm_layers(const mn__namm_net *net, mn__namm_layer layer[MN__NAMM_DEPTH_MAX]);

/* A layer as a kernel multiplies it: outputs stand where the scores of attention have tokens
 * (qk_f32), 16 by 16, and the bias is the weight of a last input that is always 1. Inputs and
 * outputs that belong to attention heads are spread: channel c of the layer is column
 * c / head * pad + c % head, the columns between are zero. */
typedef struct mn__namm_dense {
    mn__namm_layer layer;
    size_t head_in, pad_in, head_out, pad_out;
    size_t n_in, n_out; /* columns: with the input of ones; a multiple of 16 */
    float *panel;       /* [n_out / 16][n_in][16] */
} mn__namm_dense;
/* Nothing spread. */
mn__namm_dense mn__namm_dense_of(const mn__namm_layer *layer);
/* Sizes and panel; from an arena without data it only measures. */
void mn__namm_dense_take(mn__namm_dense *d, mn__arena *arena);
void mn__namm_dense_pack(const mn__namm_dense *d, const float *param);
/* y [n_row][ld_y] = x [n_row][ld_x]: x[r][n_in - 1] is 1; n_out columns are written. */
void mn__namm_dense_run(const mn__namm_dense *d, const struct mn__kern *kern, const float *x,
                        size_t ld_x, size_t n_row, float *y, size_t ld_y);

/* A forward pass: the arguments of mn__namm_net_run. */
typedef struct mn__namm_job {
    const mn__namm_net *net;
    const struct mn__kern *kern;
    const float *param, *x;
    size_t n;
    const uint8_t *valid;
    float *score, *attention;
} mn__namm_job;

/* namm_bam.c. The arena holds what the same call with an arena without data measured. */
void mn__namm_bam_run(const mn__namm_job *job, mn__arena *arena);
void mn__namm_bam_measure(const mn__namm_net *net, size_t n, mn__arena *arena);
/* namm_mix.c, the same. */
void mn__namm_mix_run(const mn__namm_job *job, mn__arena *arena);
void mn__namm_mix_measure(const mn__namm_net *net, mn__arena *arena);

static inline size_t mn__namm_round(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
