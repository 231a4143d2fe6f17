/* namm_grad.c: the networks, forward and backward side by side (docs/namm.md).
 *
 *   linear, mlp  h_k = relu(h_{k-1} W_k + b_k) (+ h_{k-1}), h_0 = x, s = h W + b
 *   bam          o_i = sum_{j>=i} a_ij v_j, a_i = softmax(q_i k_j / sqrt(d)) over j >= i,
 *                x' = x (1 + m) + r (additive: x + r), s = x' W_m + b_m
 *   mix          s = log sum_k exp(x w_k + b_k)
 *
 * Cost: the products; bam n^2/2 times 2 hidden multiply-adds forward, 5 hidden backward. */
#include "evolve/namm_grad.h"

#include <math.h>
#include <string.h>

/* ---- a linear map ---- */

/* y [n][out] = x [n][in] W + b */
static void map(const mn__namm_layer *l, const double *param, const double *x, size_t n, double *y)
{
    const double *w = param + l->at, *b = w + l->n_in * l->n_out;
    for (size_t i = 0; i < n; i++, x += l->n_in, y += l->n_out) {
        for (size_t o = 0; o < l->n_out; o++) y[o] = l->bias ? b[o] : 0;
        for (size_t c = 0; c < l->n_in; c++)
            for (size_t o = 0; o < l->n_out; o++) y[o] += x[c] * w[c * l->n_out + o];
    }
}

/* dW += x' dy, db += dy */
static void add_weights(const mn__namm_layer *l, const double *x, const double *dy, size_t n,
                        double *grad)
{
    double *dw = grad + l->at, *db = dw + l->n_in * l->n_out;
    for (size_t i = 0; i < n; i++, x += l->n_in, dy += l->n_out) {
        for (size_t o = 0; l->bias && o < l->n_out; o++) db[o] += dy[o];
        for (size_t c = 0; c < l->n_in; c++)
            for (size_t o = 0; o < l->n_out; o++) dw[c * l->n_out + o] += x[c] * dy[o];
    }
}

/* dx [n][in] = dy W' */
static void unmap(const mn__namm_layer *l, const double *param, const double *dy, size_t n,
                  double *dx)
{
    const double *w = param + l->at;
    for (size_t i = 0; i < n; i++, dx += l->n_in, dy += l->n_out)
        for (size_t c = 0; c < l->n_in; c++) {
            double sum = 0;
            for (size_t o = 0; o < l->n_out; o++) sum += w[c * l->n_out + o] * dy[o];
            dx[c] = sum;
        }
}

/* ---- linear and mlp ---- */

/* The next n doubles of work; without work they are only counted. */
static double *take(double *work, size_t *used, size_t n)
{
    double *at = work ? work + *used : NULL;
    *used += n;
    return at;
}

typedef struct mlp {
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    size_t n_layer, widest;
    double *h[MN__NAMM_DEPTH_MAX];   /* [n][out] of layer k, k + 1 < n_layer */
    double *raw[MN__NAMM_DEPTH_MAX]; /* before the relu */
    double *dh, *dx, *d_raw;         /* [n][widest] */
    size_t total;
} mlp;

static mlp lay_out_mlp(const mn__namm_net *net, size_t n, double *work)
{
    mlp w = {.widest = net->n_in};
    w.n_layer = mn__namm_layers(net, w.layer);
    for (size_t k = 0; k + 1 < w.n_layer; k++) {
        const size_t size = n * w.layer[k].n_out;
        w.h[k] = take(work, &w.total, size);
        w.raw[k] = take(work, &w.total, size);
        if (w.layer[k].n_out > w.widest) w.widest = w.layer[k].n_out;
    }
    w.dh = take(work, &w.total, n * w.widest);
    w.dx = take(work, &w.total, n * w.widest);
    w.d_raw = take(work, &w.total, n * w.widest);
    return w;
}

static bool has_residual(const mn__namm_net *net, size_t k)
{
    return k == 0 ? net->residual_first : net->residual;
}

static void forward_mlp(const mn__namm_net *net, const double *param, const double *x, size_t n,
                        double *score, double *work)
{
    mlp w = lay_out_mlp(net, n, work);
    const double *in = x;
    for (size_t k = 0; k + 1 < w.n_layer; k++) {
        map(&w.layer[k], param, in, n, w.raw[k]);
        for (size_t i = 0; i < n * w.layer[k].n_out; i++)
            w.h[k][i] = (w.raw[k][i] > 0 ? w.raw[k][i] : 0) + (has_residual(net, k) ? in[i] : 0);
        in = w.h[k];
    }
    map(&w.layer[w.n_layer - 1], param, in, n, score);
}

static void backward_mlp(const mn__namm_net *net, const double *param, const double *x, size_t n,
                         const double *d_score, double *grad, double *work)
{
    mlp w = lay_out_mlp(net, n, work);
    const size_t last = w.n_layer - 1;
    add_weights(&w.layer[last], last ? w.h[last - 1] : x, d_score, n, grad);
    if (last) unmap(&w.layer[last], param, d_score, n, w.dh);
    for (size_t k = last; k-- > 0;) {
        const size_t n_out = n * w.layer[k].n_out;
        for (size_t i = 0; i < n_out; i++) w.d_raw[i] = w.raw[k][i] > 0 ? w.dh[i] : 0;
        add_weights(&w.layer[k], k ? w.h[k - 1] : x, w.d_raw, n, grad);
        if (k == 0) break;
        unmap(&w.layer[k], param, w.d_raw, n, w.dx);
        for (size_t i = 0; i < n_out; i++) w.dh[i] = w.dx[i] + (has_residual(net, k) ? w.dh[i] : 0);
    }
}

/* ---- bam ---- */

typedef struct bam {
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX]; /* q k v, output, head */
    size_t d, e, n_rm;                        /* hidden; inputs; columns of [r m] or r */
    double *qkv, *o, *rm, *y;                 /* [n][3d], [n][d], [n][n_rm], [n][E]: x' */
    double *d_qkv, *d_o, *d_rm;
    double *a; /* [n] a row of weights */
    size_t total;
} bam;

static bam lay_out_bam(const mn__namm_net *net, size_t n, double *work)
{
    bam w = {.d = net->hidden, .e = net->n_in};
    mn__namm_layers(net, w.layer);
    w.n_rm = w.layer[1].n_out;
    struct {
        double **at;
        size_t size;
    } part[] = {{&w.qkv, 3 * w.d},   {&w.o, w.d},   {&w.rm, w.n_rm},   {&w.y, w.e},
                {&w.d_qkv, 3 * w.d}, {&w.d_o, w.d}, {&w.d_rm, w.n_rm}, {&w.a, 1}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        *part[i].at = take(work, &w.total, n * part[i].size);
    return w;
}

/* Channels of a head in the rows of q, k, v. */
typedef struct channels {
    size_t q, k, v, n;
    double scale;
} channels;

static channels head_of(const mn__namm_net *net, size_t h)
{
    const size_t n = net->hidden / net->n_head, d = net->hidden;
    return (channels){
        .q = h * n, .k = d + h * n, .v = 2 * d + h * n, .n = n, .scale = 1 / sqrt((double)n)};
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t c = 0; c < n; c++) sum += a[c] * b[c];
    return sum;
}

/* a[j] = weights of row i over j >= i. */
static void weigh(const bam *w, const channels *c, size_t i, size_t n)
{
    double top = -INFINITY, sum = 0;
    const double *q = w->qkv + i * 3 * w->d + c->q;
    for (size_t j = i; j < n; j++) {
        w->a[j] = c->scale * dot(q, w->qkv + j * 3 * w->d + c->k, c->n);
        top = fmax(top, w->a[j]);
    }
    for (size_t j = i; j < n; j++) sum += w->a[j] = exp(w->a[j] - top);
    for (size_t j = i; j < n; j++) w->a[j] /= sum;
}

static void forward_bam(const mn__namm_net *net, const double *param, const double *x, size_t n,
                        double *score, double *work)
{
    bam w = lay_out_bam(net, n, work);
    map(&w.layer[0], param, x, n, w.qkv);
    memset(w.o, 0, n * w.d * sizeof *w.o);
    for (size_t h = 0; h < net->n_head; h++) {
        const channels c = head_of(net, h);
        for (size_t i = 0; i < n; i++) {
            weigh(&w, &c, i, n);
            for (size_t j = i; j < n; j++)
                for (size_t k = 0; k < c.n; k++)
                    w.o[i * w.d + c.q + k] += w.a[j] * w.qkv[j * 3 * w.d + c.v + k];
        }
    }
    map(&w.layer[1], param, w.o, n, w.rm);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < w.e; k++) {
            const double *rm = w.rm + i * w.n_rm;
            const double in = x[i * w.e + k];
            w.y[i * w.e + k] = in * (1 + (net->mult ? rm[w.e + k] : 0)) + rm[k];
        }
    map(&w.layer[2], param, w.y, n, score);
}

/* d_qkv of one head from d_o: the weights are made again row by row. */
static void backward_head(const bam *w, const channels *c, size_t n)
{
    const size_t ld = 3 * w->d;
    for (size_t i = 0; i < n; i++) {
        const double *d_o = w->d_o + i * w->d + c->q, *q = w->qkv + i * ld + c->q;
        const double mean = dot(d_o, w->o + i * w->d + c->q, c->n);
        double *dq = w->d_qkv + i * ld + c->q;
        weigh(w, c, i, n);
        for (size_t j = i; j < n; j++) {
            const double *k = w->qkv + j * ld + c->k, *v = w->qkv + j * ld + c->v;
            double *dk = w->d_qkv + j * ld + c->k, *dv = w->d_qkv + j * ld + c->v;
            const double ds = w->a[j] * (dot(d_o, v, c->n) - mean) * c->scale;
            for (size_t p = 0; p < c->n; p++) {
                dv[p] += w->a[j] * d_o[p];
                dq[p] += ds * k[p];
                dk[p] += ds * q[p];
            }
        }
    }
}

static void backward_bam(const mn__namm_net *net, const double *param, const double *x, size_t n,
                         const double *d_score, double *grad, double *work)
{
    bam w = lay_out_bam(net, n, work);
    const double *head = param + w.layer[2].at;
    add_weights(&w.layer[2], w.y, d_score, n, grad);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < w.e; k++) {
            const double dy = d_score[i] * head[k];
            w.d_rm[i * w.n_rm + k] = dy;
            if (net->mult) w.d_rm[i * w.n_rm + w.e + k] = dy * x[i * w.e + k];
        }
    add_weights(&w.layer[1], w.o, w.d_rm, n, grad);
    unmap(&w.layer[1], param, w.d_rm, n, w.d_o);
    memset(w.d_qkv, 0, n * 3 * w.d * sizeof *w.d_qkv);
    for (size_t h = 0; h < net->n_head; h++) {
        const channels c = head_of(net, h);
        backward_head(&w, &c, n);
    }
    add_weights(&w.layer[0], x, w.d_qkv, n, grad);
}

/* ---- mix ---- */

/* work [n][K]: the share that each component has in a token's score, which is its derivative. */
static void forward_mix(const mn__namm_net *net, const double *param, const double *x, size_t n,
                        double *score, double *work)
{
    const size_t E = net->n_in, K = net->n_part;
    const double *b = param + K * E;
    for (size_t i = 0; i < n; i++, x += E, work += K) {
        double top = -INFINITY, sum = 0;
        for (size_t k = 0; k < K; k++) {
            work[k] = dot(x, param + k * E, E) + b[k];
            top = fmax(top, work[k]);
        }
        for (size_t k = 0; k < K; k++) sum += work[k] = exp(work[k] - top);
        for (size_t k = 0; k < K; k++) work[k] /= sum;
        score[i] = top + log(sum);
    }
}

static void backward_mix(const mn__namm_net *net, const double *x, size_t n, const double *d_score,
                         double *grad, const double *work)
{
    const size_t E = net->n_in, K = net->n_part;
    for (size_t i = 0; i < n; i++, x += E, work += K)
        for (size_t k = 0; k < K; k++) {
            const double dy = d_score[i] * work[k];
            for (size_t c = 0; c < E; c++) grad[k * E + c] += dy * x[c];
            grad[K * E + k] += dy;
        }
}

/* ---- any ---- */

size_t mn__namm_grad_doubles(const mn__namm_net *net, size_t n)
{
    if (net->head == MN__NAMM_MIX) return n * net->n_part;
    return net->head == MN__NAMM_BAM ? lay_out_bam(net, n, NULL).total
                                     : lay_out_mlp(net, n, NULL).total;
}

void mn__namm_forward(const mn__namm_net *net, const double *param, const double *x, size_t n,
                      double *score, double *work)
{
    if (net->head == MN__NAMM_BAM)
        forward_bam(net, param, x, n, score, work);
    else if (net->head == MN__NAMM_MIX)
        forward_mix(net, param, x, n, score, work);
    else
        forward_mlp(net, param, x, n, score, work);
}

void mn__namm_backward(const mn__namm_net *net, const double *param, const double *x, size_t n,
                       const double *d_score, double *grad, double *work)
{
    if (net->head == MN__NAMM_BAM)
        backward_bam(net, param, x, n, d_score, grad, work);
    else if (net->head == MN__NAMM_MIX)
        backward_mix(net, x, n, d_score, grad, work);
    else
        backward_mlp(net, param, x, n, d_score, grad, work);
}
