/* policy_expected.c: attention that the next queries will pay, if they are like those so far.
 * Ref: arXiv 2510.00636.
 *
 *   mu, Sigma: mean and covariance (divisor: count) of each query head's queries before rotation,
 *   the first `sinks` tokens left out
 *   R = mean rotation over positions n .. n+F-1: per pair of frequency w, rho times the rotation
 *   by w (n + (F-1)/2), rho = sin(F w/2) / (F sin(w/2))
 *   z[i] = scale k[i].(R mu) + scale^2/2 k[i]'(R Sigma R')k[i]
 *   S[i] = (softmax of z over the lane without sinks, mean over the group, + eps) |v[i]|
 *
 * State of a lane: for each query head of the group count, mean and lower triangle of the centred
 * squares, float, by Welford's update.
 * Deviations: all queries so far count, generated ones too (the paper keeps the last 128); the
 * scale is the model's; a sink is told by its token, so that it stays one after evictions.
 * Needs: MN__NEED_PREROPE, keys and values.
 * Cost: D^2/2 multiply-adds per query to observe, D^2 per key and query head to score. */
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct expected_scorer {
    mn__scorer scorer;
    size_t future, sinks;
    bool cov, vnorm, reduce_max;
    double eps;
} expected_scorer;

/* One query head's part of the lane's state: a double, the mean [D], the triangle [D(D+1)/2]. */
static size_t head_bytes(size_t d)
{
    return (sizeof(double) + (d + d * (d + 1) / 2) * sizeof(float) + 63) / 64 * 64;
}

static void observe_query(const mn__scorer *s, const mn__cache *c, size_t layer, size_t h,
                          int64_t token0, const float *q, size_t ld, size_t n_row,
                          uint8_t *lane_state)
{
    const expected_scorer *self = (const expected_scorer *)s;
    size_t d = c->shape.head_dim, n_group = c->shape.n_head / c->shape.n_kv_head;
    uint8_t *at = lane_state + h % n_group * head_bytes(d);
    double count;
    (void)layer;
    memcpy(&count, at, sizeof count);
    float *mean = (float *)(void *)(at + sizeof count), *square = mean + d;
    for (size_t r = 0; r < n_row; r++) {
        const float *x = q + r * ld;
        if (token0 + (int64_t)r < (int64_t)self->sinks) continue;
        /* square += (x - mean)(x - mean)' count/(count+1) with the mean before this query */
        float part = (float)(count / (count + 1)), inv = (float)(1 / (count + 1));
        float *row = square;
        for (size_t i = 0; i < d && self->cov; row += ++i) {
            float step = (x[i] - mean[i]) * part;
            for (size_t j = 0; j <= i; j++) row[j] += step * (x[j] - mean[j]);
        }
        for (size_t i = 0; i < d; i++) mean[i] += (x[i] - mean[i]) * inv;
        count += 1;
    }
    memcpy(at, &count, sizeof count);
}

/* The mean rotation over the next `future` positions: rho cos, rho sin of each pair. */
static void mean_rotation(const mn__rope *rope, double n, double future, double *cs)
{
    for (size_t i = 0; i < rope->n_rot / 2; i++) {
        double w = rope->freq[i], low = sin(w / 2);
        double rho = fabs(low) < 1e-12 ? 1 : sin(future * w / 2) / (future * low),
               phi = w * (n + (future - 1) / 2);
        cs[2 * i] = rho * cos(phi) * (double)rope->magnitude;
        cs[2 * i + 1] = rho * sin(phi) * (double)rope->magnitude;
    }
}

/* x, strided, rotated in place by the mean rotation. */
static void rotate(const mn__rope *rope, const double *cs, double *x, size_t stride)
{
    size_t half = rope->n_rot / 2;
    for (size_t i = 0; i < half; i++) {
        double *a = x + (rope->neox ? i : 2 * i) * stride,
               *b = x + (rope->neox ? i + half : 2 * i + 1) * stride;
        double u = *a, v = *b;
        *a = cs[2 * i] * u - cs[2 * i + 1] * v;
        *b = cs[2 * i + 1] * u + cs[2 * i] * v;
    }
}

/* Pieces of the scratch. */
typedef struct work {
    double *cs, *mu, *sigma; /* [D], [D], [D][D] */
    float *lin, *quad;       /* scaled: [D], [D][D] */
    float *k, *v, *z;        /* a page of rows, [n] */
} work;

static work lay_out(float *base, size_t d)
{
    double *at = (double *)(void *)base;
    work w = {.cs = at, .mu = at + d, .sigma = at + 2 * d};
    w.lin = (float *)(void *)(w.sigma + d * d);
    w.quad = w.lin + d;
    w.k = w.quad + d * d;
    w.v = w.k + MN__PAGE_TOKENS * d;
    w.z = w.v + MN__PAGE_TOKENS * d;
    return w;
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    size_t d = shape->head_dim, doubles = 2 * d + d * d;
    return 2 * doubles + d + d * d + mn__page_of_rows(s, shape, n) + n;
}

/* Mean and covariance of one query head, rotated and scaled into lin and quad. */
static void expect_query(const expected_scorer *self, const mn__score_view *v, size_t g,
                         const work *w)
{
    const mn__cache *c = v->cache;
    const mn__rope *rope = c->shape.rope ? c->shape.rope[v->layer] : NULL;
    size_t d = c->shape.head_dim;
    const uint8_t *at = v->lane_state + g * head_bytes(d);
    const float *mean = (const float *)(const void *)(at + sizeof(double)), *square = mean + d;
    double count, scale = v->softmax_scale;
    memcpy(&count, at, sizeof count);
    for (size_t i = 0; i < d; i++) {
        w->mu[i] = mean[i];
        for (size_t j = 0; j < d; j++) {
            size_t a = i > j ? i : j, b = i > j ? j : i;
            w->sigma[i * d + j] = count > 0 && self->cov ? square[a * (a + 1) / 2 + b] / count : 0;
        }
    }
    if (rope) {
        mean_rotation(rope, (double)c->n_seen, (double)self->future, w->cs);
        rotate(rope, w->cs, w->mu, 1);
        for (size_t i = 0; i < d; i++) rotate(rope, w->cs, w->sigma + i * d, 1);
        for (size_t j = 0; j < d; j++) rotate(rope, w->cs, w->sigma + j, d);
    }
    for (size_t i = 0; i < d; i++) {
        w->lin[i] = (float)(w->mu[i] * scale);
        for (size_t j = 0; j < d; j++)
            w->quad[i * d + j] = (float)(w->sigma[i * d + j] * scale * scale * 0.5);
    }
}

static size_t read_rows(const mn__score_view *v, size_t i, float *k, float *x)
{
    size_t n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
    mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, k, x);
    return n;
}

/* Softmax of z over [first, n), put into out: the group's mean or maximum so far. */
static void add_softmax(const expected_scorer *self, const float *z, size_t first, size_t n,
                        size_t n_group, float *out)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = first; i < n; i++) top = fmax(top, z[i]);
    for (size_t i = first; i < n; i++) sum += exp((double)z[i] - top);
    for (size_t i = first; i < n; i++) {
        float p = (float)(exp((double)z[i] - top) / sum);
        out[i] = self->reduce_max ? fmaxf(out[i], p) : out[i] + p / (float)n_group;
    }
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    const expected_scorer *self = (const expected_scorer *)s;
    size_t d = v->cache->shape.head_dim,
           n_group = v->cache->shape.n_head / v->cache->shape.n_kv_head, first = 0;
    work w = lay_out(v->scratch, d);
    while (first < v->n && v->token[first] < (int64_t)self->sinks) first++;
    memset(out, 0, v->n * sizeof *out);
    for (size_t g = 0; g < n_group; g++) {
        expect_query(self, v, g, &w);
        for (size_t i = 0, n; i < v->n; i += n) {
            n = read_rows(v, i, w.k, NULL);
            v->cache->kern->quad_form(w.z + i, w.k, n, w.quad, w.lin, d);
        }
        add_softmax(self, w.z, first, v->n, n_group, out);
    }
    for (size_t i = 0, n; i < v->n; i += n) {
        n = read_rows(v, i, NULL, w.v);
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t c = 0; c < d; c++) sum += (double)w.v[j * d + c] * w.v[j * d + c];
            out[i + j] = (float)((out[i + j] + self->eps) * (self->vnorm ? sqrt(sum) : 1));
        }
    }
}

static const struct mn__scorer_ops ops = {.name = "expected",
                                          .observe_query = observe_query,
                                          .score = score,
                                          .scratch_floats = scratch_floats,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    static const char *const reduces[] = {"mean", "max", NULL};
    mn_status st;
    size_t cov = 0, vnorm = 0;
    int reduce = 0;
    expected_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer = (mn__scorer){.ops = &ops, .needs = MN__NEED_PREROPE};
    if (shape)
        self->scorer.lane_bytes = shape->n_head / shape->n_kv_head * head_bytes(shape->head_dim);
    MN_TRY(mn__spec_size(s, "future", 1, 1 << 24, &self->future, diag));
    MN_TRY(mn__spec_size(s, "sinks", 0, SIZE_MAX / 2, &self->sinks, diag));
    MN_TRY(mn__spec_size(s, "cov", 0, 1, &cov, diag));
    MN_TRY(mn__spec_size(s, "vnorm", 0, 1, &vnorm, diag));
    MN_TRY(mn__spec_real(s, "eps", 0, 1e6, &self->eps, diag));
    MN_TRY(mn__spec_word(s, "reduce", reduces, &reduce, diag));
    self->cov = cov;
    self->vnorm = vnorm;
    self->reduce_max = reduce;
    *out = &self->scorer;
    self = NULL;
done:
    mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_expected = {.make = make, .kvpress = "sinks=4", .paper = "sinks=4"};
