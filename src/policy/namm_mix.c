/* namm_mix.c: a NAMM that keeps what any of several opinions wants (docs/namm.md).
 *
 *   s = log sum_k exp(x w_k + b_k), 2 to 16 components k
 *
 * A linear network over logarithms of attention is a product of experts: each of them can veto a
 * token. This is their sum: under scale=share a token's share is a mixture of K linear networks'.
 * Cost: a product of 16 outputs whatever K is, and K exponentials, on tiles of 32 tokens. */
#include <math.h>
#include <string.h>

#include "policy/namm_net.h"

enum { TILE = MN__NAMM_TILE, LD = 32 /* what the softmax kernel pads rows to */ };

typedef struct mix {
    const mn__namm_net *net;
    size_t ld_x;
    float *panel;           /* [E + 1][16]: components stand where attention has tokens */
    float *x, *y, *p;       /* [TILE][ld_x], [TILE][LD], [TILE][LD] */
    float *top, *sum, *one; /* [TILE]; one: the kernel's corrections, of no use here */
    int32_t *lo, *hi;       /* [TILE]: 0 and K */
} mix;

static void lay_out(mix *w, const mn__namm_net *net, mn__arena *a)
{
    *w = (mix){.net = net, .ld_x = mn__namm_round(net->n_in + 1, 16)};
    w->panel = mn__arena_take(a, (net->n_in + 1) * MN__NAMM_PARTS_MAX * sizeof(float));
    w->x = mn__arena_take(a, TILE * w->ld_x * sizeof(float));
    w->y = mn__arena_take(a, TILE * LD * sizeof(float));
    w->p = mn__arena_take(a, TILE * LD * sizeof(float));
    w->top = mn__arena_take(a, TILE * sizeof(float));
    w->sum = mn__arena_take(a, TILE * sizeof(float));
    w->one = mn__arena_take(a, TILE * sizeof(float));
    w->lo = mn__arena_take(a, TILE * sizeof(int32_t));
    w->hi = mn__arena_take(a, TILE * sizeof(int32_t));
}

void mn__namm_mix_measure(const mn__namm_net *net, mn__arena *arena)
{
    mix w;
    lay_out(&w, net, arena);
}

/* The biases are the weights of a last input that is always 1. */
static void pack(const mix *w, const float *param)
{
    const size_t E = w->net->n_in, K = w->net->n_part;
    memset(w->panel, 0, (E + 1) * MN__NAMM_PARTS_MAX * sizeof *w->panel);
    for (size_t k = 0; k < K; k++) {
        for (size_t c = 0; c < E; c++) w->panel[c * MN__NAMM_PARTS_MAX + k] = param[k * E + c];
        w->panel[E * MN__NAMM_PARTS_MAX + k] = param[K * E + k];
    }
}

/* Softmax passes over NaN, and has no sum where the largest is infinite. */
static float score_of(const float *y, size_t K, float top, float sum)
{
    for (size_t k = 0; k < K; k++)
        if (isnan(y[k])) return NAN;
    return isfinite(top) ? top + logf(sum) : top;
}

static void score_tile(const mix *w, const mn__namm_job *job, size_t t0, size_t n_row)
{
    const size_t E = w->net->n_in, K = w->net->n_part;
    const void *page = w->panel;
    for (size_t r = 0; r < n_row; r++) {
        memcpy(w->x + r * w->ld_x, job->x + (t0 + r) * E, E * sizeof *w->x);
        w->x[r * w->ld_x + E] = 1;
        w->top[r] = -INFINITY;
        w->sum[r] = 0;
        w->lo[r] = 0;
        w->hi[r] = (int32_t)K;
    }
    job->kern->qk_f32(w->y, LD, w->x, w->ld_x, n_row, &page, K, E + 1, NULL);
    job->kern->softmax_f32(w->p, LD, w->y, LD, n_row, K, w->lo, w->hi, 1, w->top, w->sum, w->one);
    for (size_t r = 0; r < n_row; r++)
        job->score[t0 + r] = score_of(w->y + r * LD, K, w->top[r], w->sum[r]);
}

void mn__namm_mix_run(const mn__namm_job *job, mn__arena *arena)
{
    mix w;
    lay_out(&w, job->net, arena);
    pack(&w, job->param);
    for (size_t t0 = 0; t0 < job->n; t0 += TILE)
        score_tile(&w, job, t0, job->n - t0 < TILE ? job->n - t0 : TILE);
}
