/* namm_net.c: the networks of a NAMM: x [n][E] -> one score a token. Ref: arXiv 2410.13166; shapes
 * and order of the parameters: docs/namm.md.
 *
 *   linear  s = x w + b
 *   mlp     h = relu(x W + b) (+ x if residual_first), h <- relu(h W + b) (+ h if residual) for
 *           every middle layer, s = h W + b
 *   bam     namm_bam.c
 *   mix     namm_mix.c
 *
 * Deviations: the public code of the paper leaves out the weights of an MLP's middle layers
 * (h <- h + relu(h)); here they count.
 * Cost: the products, in f32 on tiles of 32 tokens. */
#include "policy/namm_net.h"

#include <math.h>
#include <string.h>

/* ---- shape ---- */

size_t mn__namm_layers(const mn__namm_net *net, mn__namm_layer layer[MN__NAMM_DEPTH_MAX])
{
    size_t n = 0, E = net->n_in, d = net->hidden, at = 0;
    if (net->head == MN__NAMM_BAM) {
        layer[n++] = (mn__namm_layer){.n_in = E, .n_out = 3 * d, .bias = net->bias};
        layer[n++] = (mn__namm_layer){.n_in = d, .n_out = net->mult ? 2 * E : E, .bias = net->bias};
        layer[n++] = (mn__namm_layer){.n_in = E, .n_out = 1, .bias = true};
    } else if (net->head == MN__NAMM_MIX) {
        layer[n++] = (mn__namm_layer){.n_in = E, .n_out = net->n_part, .bias = true};
    } else {
        size_t depth = net->head == MN__NAMM_MLP ? net->depth : 1;
        bool bias = net->head == MN__NAMM_LINEAR || net->bias;
        for (; n < depth; n++)
            layer[n] =
                (mn__namm_layer){.n_in = n ? d : E, .n_out = n + 1 < depth ? d : 1, .bias = bias};
    }
    for (size_t i = 0; i < n; i++) {
        layer[i].at = at;
        at += (layer[i].n_in + layer[i].bias) * layer[i].n_out;
    }
    return n;
}

size_t mn__namm_net_params(const mn__namm_net *net)
{
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    const mn__namm_layer *last = &layer[mn__namm_layers(net, layer) - 1];
    return last->at + (last->n_in + last->bias) * last->n_out;
}

static mn_status check_range(const char *what, size_t found, size_t most, mn_diag *diag)
{
    if (found >= 1 && found <= most) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "namm: 1 to %zu %s wanted, %zu found", most, what, found);
}

mn_status mn__namm_net_check(const mn__namm_net *net, mn_diag *diag)
{
    mn_status st;
    MN_TRY(check_range("inputs", net->n_in, MN__NAMM_WIDTH_MAX, diag));
    switch (net->head) {
    case MN__NAMM_LINEAR: return MN_OK;
    case MN__NAMM_MLP:
        MN_TRY(check_range("layers", net->depth, MN__NAMM_DEPTH_MAX, diag));
        if (net->depth == 1) return MN_OK;
        MN_TRY(check_range("hidden channels", net->hidden, MN__NAMM_WIDTH_MAX, diag));
        if (net->residual_first && net->hidden != net->n_in)
            return mn__fail(diag, MN_EINPUT,
                            "namm: a residual around the first layer wants as many hidden channels "
                            "as inputs (%zu), %zu found",
                            net->n_in, net->hidden);
        return MN_OK;
    case MN__NAMM_BAM:
        MN_TRY(check_range("hidden channels", net->hidden, MN__NAMM_WIDTH_MAX, diag));
        if (net->n_head < 1 || net->hidden % net->n_head)
            return mn__fail(diag, MN_EINPUT,
                            "namm: heads that divide %zu hidden channels wanted, %zu found",
                            net->hidden, net->n_head);
        return MN_OK;
    case MN__NAMM_MIX:
        if (net->n_part < 2 || net->n_part > MN__NAMM_PARTS_MAX)
            return mn__fail(diag, MN_EINPUT, "namm: 2 to %d components wanted, %zu found",
                            MN__NAMM_PARTS_MAX, net->n_part);
        return MN_OK;
    }
    return mn__fail(diag, MN_EINPUT, "namm: an unknown head, %d", (int)net->head);
done:
    return st;
}

/* ---- linear maps ---- */

mn__namm_dense mn__namm_dense_of(const mn__namm_layer *layer)
{
    return (mn__namm_dense){.layer = *layer,
                            .head_in = layer->n_in,
                            .pad_in = layer->n_in,
                            .head_out = layer->n_out,
                            .pad_out = layer->n_out};
}

void mn__namm_dense_take(mn__namm_dense *d, mn__arena *arena)
{
    d->n_in = d->layer.n_in / d->head_in * d->pad_in + 1;
    d->n_out = mn__namm_round(d->layer.n_out / d->head_out * d->pad_out, MN__BLOCK_TOKENS);
    d->panel = mn__arena_take(arena, d->n_in * d->n_out * sizeof(float));
}

/* Row `in` of the panel from one row of W, or b: head by head. */
static void pack_row(const mn__namm_dense *d, size_t in, const float *w)
{
    size_t out0 = 0;
    for (const float *end = w + d->layer.n_out; w < end; w += d->head_out, out0 += d->pad_out)
        for (size_t c = 0; c < d->head_out; c++)
            d->panel[((out0 + c) / 16 * d->n_in + in) * 16 + (out0 + c) % 16] = w[c];
}

void mn__namm_dense_pack(const mn__namm_dense *d, const float *param)
{
    const mn__namm_layer *l = &d->layer;
    memset(d->panel, 0, d->n_in * d->n_out * sizeof(float));
    for (size_t i = 0; i < l->n_in; i++)
        pack_row(d, i / d->head_in * d->pad_in + i % d->head_in, param + l->at + i * l->n_out);
    if (l->bias) pack_row(d, d->n_in - 1, param + l->at + l->n_in * l->n_out);
}

void mn__namm_dense_run(const mn__namm_dense *d, const struct mn__kern *kern, const float *x,
                        size_t ld_x, size_t n_row, float *y, size_t ld_y)
{
    for (size_t j = 0; j < d->n_out; j += MN__PAGE_TOKENS) {
        const void *page = d->panel + j * d->n_in;
        size_t n = d->n_out - j < MN__PAGE_TOKENS ? d->n_out - j : MN__PAGE_TOKENS;
        kern->qk_f32(y + j, ld_y, x, ld_x, n_row, &page, n, d->n_in, NULL);
    }
}

/* ---- linear and MLP ---- */

typedef struct mlp {
    mn__namm_dense layer[MN__NAMM_DEPTH_MAX];
    size_t n_layer, ld; /* of a tile's rows: the widest layer's */
    float *tile[2];     /* [TILE][ld] */
} mlp;

static void lay_out(mlp *w, const mn__namm_net *net, mn__arena *arena)
{
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    size_t widest = 0;
    w->n_layer = mn__namm_layers(net, layer);
    for (size_t i = 0; i < w->n_layer; i++) {
        w->layer[i] = mn__namm_dense_of(&layer[i]);
        mn__namm_dense_take(&w->layer[i], arena);
        widest = w->layer[i].n_in > widest ? w->layer[i].n_in : widest;
    }
    w->ld = mn__namm_round(widest, 16);
    for (int i = 0; i < 2; i++)
        w->tile[i] = mn__arena_take(arena, MN__NAMM_TILE * w->ld * sizeof(float));
}

/* y = relu(y) (+ x), and the input of ones behind it. A NaN stays one. */
static void activate(float *restrict y, const float *restrict x, size_t ld, size_t n_row, size_t n,
                     bool add)
{
    for (size_t r = 0; r < n_row; r++, y += ld, x += ld) {
        for (size_t c = 0; c < n; c++) y[c] = y[c] < 0 ? 0 : y[c];
        for (size_t c = 0; add && c < n; c++) y[c] += x[c];
        y[n] = 1;
    }
}

static void score_tile(const mlp *w, const mn__namm_job *job, size_t t0, size_t n_row)
{
    const mn__namm_net *net = job->net;
    float *x = w->tile[0], *y = w->tile[1];
    for (size_t r = 0; r < n_row; r++) {
        memcpy(x + r * w->ld, job->x + (t0 + r) * net->n_in, net->n_in * sizeof *x);
        x[r * w->ld + net->n_in] = 1;
    }
    for (size_t i = 0; i < w->n_layer; i++) {
        mn__namm_dense_run(&w->layer[i], job->kern, x, w->ld, n_row, y, w->ld);
        if (i + 1 < w->n_layer)
            activate(y, x, w->ld, n_row, net->hidden, i ? net->residual : net->residual_first);
        float *swap = x;
        x = y;
        y = swap;
    }
    for (size_t r = 0; r < n_row; r++) job->score[t0 + r] = x[r * w->ld];
}

static void mlp_run(const mn__namm_job *job, mn__arena *arena)
{
    mlp w;
    lay_out(&w, job->net, arena);
    for (size_t i = 0; i < w.n_layer; i++) mn__namm_dense_pack(&w.layer[i], job->param);
    for (size_t t0 = 0; t0 < job->n; t0 += MN__NAMM_TILE)
        score_tile(&w, job, t0, job->n - t0 < MN__NAMM_TILE ? job->n - t0 : MN__NAMM_TILE);
}

/* ---- any ---- */

size_t mn__namm_net_scratch(const mn__namm_net *net, size_t n)
{
    mn__arena count = {0};
    mlp w;
    if (net->head == MN__NAMM_BAM)
        mn__namm_bam_measure(net, n, &count);
    else if (net->head == MN__NAMM_MIX)
        mn__namm_mix_measure(net, &count);
    else
        lay_out(&w, net, &count);
    return (count.used + sizeof(float) - 1) / sizeof(float);
}

/* Softmax passes over NaN scores, so that NaN weights of queries or keys would not show. */
static bool has_nan(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i])) return true;
    return false;
}

void mn__namm_net_run(const mn__namm_net *net, const struct mn__kern *kern, const float *param,
                      const float *x, size_t n, const uint8_t *valid, float *score,
                      float *attention, float *scratch)
{
    const mn__namm_job job = {.net = net,
                              .kern = kern,
                              .param = param,
                              .x = x,
                              .n = n,
                              .valid = valid,
                              .score = score,
                              .attention = attention};
    mn__arena arena = {.data = (uint8_t *)scratch,
                       .size = mn__namm_net_scratch(net, n) * sizeof(float)};
    if (net->head == MN__NAMM_BAM)
        mn__namm_bam_run(&job, &arena);
    else if (net->head == MN__NAMM_MIX)
        mn__namm_mix_run(&job, &arena);
    else
        mlp_run(&job, &arena);
    if (has_nan(param, mn__namm_net_params(net)))
        for (size_t i = 0; i < n; i++) score[i] = NAN;
}
