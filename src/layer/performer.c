/* performer.c: features whose products are softmax weights on average. Ref: arXiv 2009.14794.
 *
 *   u = x / dim^(1/4),  e = exp(W u - |u|^2/2 - c),  phi(x) = (e + eps) / sqrt(m)
 *   de = dphi e / sqrt(m),  du = W' de - u sum(de),  dx = du / dim^(1/4)
 *
 * c, a constant for the gradient: of a query the largest of W u; of keys see key_max. It cancels
 * in the ratio but for eps. Deviations: keys' c is a constant unless key_max, so that no output
 * depends on what comes behind it. */
#include "layer/performer.h"

#include <string.h>
#include "base/rng.h"
#include "layer/ops.h"

enum { ROW_GRAIN = 16 };

size_t mn__performer_features(size_t dim)
{
    const double n = floor((double)dim * log((double)dim));
    return n < 1 ? 1 : (size_t)n;
}

void mn__performer_declare(mn__performer *l, mn__params *list, const char *prefix)
{
    mn__params_add(list, &l->projection,
                   (mn__param){.dim = {l->n_feature, l->heads.dim},
                               .n_dim = 2,
                               .group = MN__PARAM_STATE,
                               .init = MN__INIT_OWN},
                   prefix, "projection");
}

void mn__performer_draw(mn__performer *l, uint64_t seed, uint64_t round)
{
    const size_t dim = l->heads.dim;
    const uint32_t stream = mn__param_stream(l->projection.name);
    for (size_t i = 0; i < l->n_feature; i++) {
        mn__real *w = l->projection.w + i * dim;
        const size_t first = i / dim * dim; /* of this row's group of orthogonal ones */
        double length = 0, norm = 0;
        for (size_t c = 0; c < dim; c++) {
            const uint64_t at = (round * l->n_feature + i) * dim + c;
            double x = mn__rng_normal(seed, stream, at, 1);
            w[c] = (mn__real)mn__rng_normal(seed, stream, at, 0);
            length += x * x;
        }
        /* Twice: what rounding leaves of the others after the first time goes with the second. */
        for (size_t again = 0; again < 2; again++)
            for (size_t j = first; j < i; j++) {
                const mn__real *other = l->projection.w + j * dim;
                mn__axpy(w, -mn__dot(w, other, dim) / mn__dot(other, other, dim), other, dim);
            }
        for (size_t c = 0; c < dim; c++) norm += (double)w[c] * (double)w[c];
        for (size_t c = 0; c < dim; c++) w[c] *= (mn__real)sqrt(length / norm);
    }
}

/* Features of n_head heads, [n_seq][n_head][len][m]. */
typedef struct pass {
    const mn__performer *l;
    mn__shape s;
    const mn__real *x, *d_feature;
    size_t ld, n_head;
    mn__real *feature, *dx, *spare; /* a thread's: [m] */
    const mn__real *shift;          /* [n_seq][n_head]: of keys; NULL: each row its largest */
} pass;

/* Where a row (counted through [n_seq][n_head][len]) lies in rows of ld. */
static size_t place(const pass *p, size_t row)
{
    const size_t t = row % p->s.len, h = row / p->s.len % p->n_head,
                 seq = row / p->s.len / p->n_head;
    return (seq * p->s.len + t) * p->ld + h * p->l->heads.dim;
}

static mn__real shrink(const pass *p)
{
    return (mn__real)pow((double)p->l->heads.dim, -0.25);
}

/* W u, its largest, and half of |u|^2. */
static mn__real projected(const pass *p, const mn__real *x, mn__real *out, mn__real *half)
{
    const size_t dim = p->l->heads.dim;
    const mn__real less = shrink(p);
    mn__real top = -INFINITY;
    for (size_t i = 0; i < p->l->n_feature; i++) {
        out[i] = less * mn__dot(p->l->projection.w + i * dim, x, dim);
        top = out[i] > top ? out[i] : top;
    }
    *half = less * less * mn__dot(x, x, dim) / 2;
    return top;
}

static void feature_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t m = p->l->n_feature;
    const mn__real less = (mn__real)(1 / sqrt((double)m));
    (void)thread;
    for (size_t row = begin; row < end; row++) {
        mn__real *f = p->feature + row * m, half,
                 shift = projected(p, p->x + place(p, row), f, &half);
        if (p->shift) shift = p->shift[row / p->s.len];
        for (size_t i = 0; i < m; i++) f[i] = (mn__exp(f[i] - half - shift) + p->l->eps) * less;
    }
}

/* The largest exponent of each head's keys. */
static void largest(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    mn__real *spare = p->spare + (size_t)thread * p->l->n_feature, half;
    for (size_t item = begin; item < end; item++) {
        mn__real top = -INFINITY;
        for (size_t t = 0; t < p->s.len; t++) {
            mn__real x = projected(p, p->x + place(p, item * p->s.len + t), spare, &half);
            top = x > top ? x : top;
        }
        p->feature[item] = top;
    }
}

static void fixed_shift(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++) p->feature[i] = p->l->key_shift;
}

/* Rows with the projection: queries and keys, and keys once more to find their largest. */
static void count(const mn__performer *l, const mn__env *env, mn__shape s, size_t n_kv)
{
    const double rows = (double)(s.n_seq * s.len), heads = (double)(l->heads.n_head + n_kv);
    mn__count(env, MN__WORK_PAIRS, rows * heads * (double)l->n_feature * (double)l->heads.dim);
}

static void make_features(const mn__performer *l, const mn__env *env, mn__shape s,
                          const mn__qkv *in, mn__real *qf, mn__real *kf)
{
    const size_t mark = mn__tape_mark(env->tape), n_kv = l->heads.n_kv;
    pass p = {.l = l, .s = s, .ld = in->ld, .x = in->k, .n_head = n_kv};
    count(l, env, s, l->key_max ? 2 * n_kv : n_kv);
    mn__real *shift = mn__take_reals(env, s.n_seq * n_kv);
    p.spare = mn__take_reals(env, (size_t)mn__env_threads(env) * l->n_feature);
    p.feature = shift;
    mn__each(env, s.n_seq * n_kv, 1, l->key_max ? largest : fixed_shift, &p);
    p.feature = kf;
    p.shift = shift;
    mn__each(env, s.n_seq * n_kv * s.len, ROW_GRAIN, feature_rows, &p);
    p = (pass){.l = l, .s = s, .ld = in->ld, .x = in->q, .n_head = l->heads.n_head, .feature = qf};
    mn__each(env, s.n_seq * l->heads.n_head * s.len, ROW_GRAIN, feature_rows, &p);
    mn__tape_cut(env->tape, mark);
}

static mn__prefix_sum sums_of(const mn__performer *l)
{
    return (mn__prefix_sum){.heads = l->heads, .n_feature = l->n_feature};
}

void mn__performer_forward(const mn__performer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__performer_saved *saved)
{
    const size_t mark = mn__tape_mark(env->tape), rows = s.n_seq * s.len;
    const mn__prefix_sum sums = sums_of(l);
    mn__real *qf = mn__take_reals(env, rows * l->heads.n_head * l->n_feature),
             *kf = mn__take_reals(env, rows * l->heads.n_kv * l->n_feature);
    const mn__prefix_in features = {qf, kf, in->v, in->ld};
    if (saved) *saved = (mn__performer_saved){.in = *in, .qf = qf, .kf = kf};
    make_features(l, env, s, in, qf, kf);
    mn__prefix_sum_forward(&sums, env, s, &features, y, saved ? &saved->sums : NULL);
    if (!saved) mn__tape_cut(env->tape, mark);
}

/* dx of rows from the gradient of their features. */
static void unfeature_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t m = p->l->n_feature, dim = p->l->heads.dim;
    const mn__real root = (mn__real)(1 / sqrt((double)m)), less = shrink(p);
    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const mn__real *f = p->feature + row * m, *d = p->d_feature + row * m,
                       *x = p->x + place(p, row);
        mn__real *dx = p->dx + place(p, row), sum = 0;
        memset(dx, 0, dim * sizeof *dx);
        for (size_t i = 0; i < m; i++) {
            const mn__real de = d[i] * (f[i] - p->l->eps * root); /* e / sqrt(m) */
            sum += de;
            mn__axpy(dx, de, p->l->projection.w + i * dim, dim);
        }
        for (size_t c = 0; c < dim; c++) dx[c] = less * (dx[c] - less * x[c] * sum);
    }
}

void mn__performer_backward(const mn__performer *l, const mn__env *env, mn__shape s,
                            const mn__performer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out)
{
    const size_t mark = mn__tape_mark(env->tape), rows = s.n_seq * s.len;
    const mn__prefix_sum sums = sums_of(l);
    mn__real *dqf = mn__take_reals(env, rows * l->heads.n_head * l->n_feature),
             *dkf = mn__take_reals(env, rows * l->heads.n_kv * l->n_feature);
    const mn__prefix_grad d = {dqf, dkf, out->v};
    count(l, env, s, l->heads.n_kv);
    mn__prefix_sum_backward(&sums, env, s, &saved->sums, dy, &d);
    pass p = {.l = l, .s = s, .ld = saved->in.ld};
    p.x = saved->in.q;
    p.n_head = l->heads.n_head;
    p.feature = saved->qf;
    p.d_feature = dqf;
    p.dx = out->q;
    mn__each(env, rows * p.n_head, ROW_GRAIN, unfeature_rows, &p);
    p.x = saved->in.k;
    p.n_head = l->heads.n_kv;
    p.feature = saved->kf;
    p.d_feature = dkf;
    p.dx = out->k;
    mn__each(env, rows * p.n_head, ROW_GRAIN, unfeature_rows, &p);
    mn__tape_cut(env->tape, mark);
}
