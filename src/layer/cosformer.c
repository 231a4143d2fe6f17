/* cosformer.c: Ref: arXiv 2202.08791.
 *
 *   weight of (i, j): <relu(q_i), relu(k_j)> cos(pi/2 (i - j)/M), positions from 1
 *     = the product of [relu(x) sin a, relu(x) cos a], a = pi i / (2 M): 2 dim features
 *
 * Deviations: M is the context's length, not that of the input at hand, so that a score does not
 * depend on how long its sequence is. */
#include "layer/cosformer.h"

enum { ROW_GRAIN = 32 };

typedef struct pass {
    const mn__cosformer *l;
    mn__shape s;
    const mn__real *x, *d_feature;
    size_t ld, n_head, past;
    mn__real *feature, *dx;
} pass;

static size_t place(const pass *p, size_t row)
{
    const size_t t = row % p->s.len, h = row / p->s.len % p->n_head,
                 seq = row / p->s.len / p->n_head;
    return (seq * p->s.len + t) * p->ld + h * p->l->heads.dim;
}

/* sin and cos of a row's angle. */
static void angle_of(const pass *p, size_t row, mn__real *sine, mn__real *cosine)
{
    const double a =
        acos(-1.0) * (double)(p->past + row % p->s.len + 1) / (2 * (double)p->l->context);
    *sine = (mn__real)sin(a);
    *cosine = (mn__real)cos(a);
}

static void feature_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t dim = p->l->heads.dim;
    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const mn__real *x = p->x + place(p, row);
        mn__real *f = p->feature + row * 2 * dim, sine, cosine;
        angle_of(p, row, &sine, &cosine);
        for (size_t c = 0; c < dim; c++) {
            const mn__real up = x[c] > 0 ? x[c] : 0;
            f[c] = up * sine;
            f[dim + c] = up * cosine;
        }
    }
}

static void unfeature_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t dim = p->l->heads.dim;
    (void)thread;
    for (size_t row = begin; row < end; row++) {
        const mn__real *x = p->x + place(p, row), *d = p->d_feature + row * 2 * dim;
        mn__real *dx = p->dx + place(p, row), sine, cosine;
        angle_of(p, row, &sine, &cosine);
        for (size_t c = 0; c < dim; c++) dx[c] = x[c] > 0 ? d[c] * sine + d[dim + c] * cosine : 0;
    }
}

static mn__prefix_sum sums_of(const mn__cosformer *l)
{
    return (mn__prefix_sum){.heads = l->heads, .n_feature = 2 * l->heads.dim, .floor = l->floor};
}

/* Queries or keys, to features or (d not NULL) from their gradient. */
static void run(const mn__cosformer *l, const mn__env *env, mn__shape s, pass p)
{
    p.l = l;
    p.s = s;
    mn__each(env, s.n_seq * s.len * p.n_head, ROW_GRAIN, p.dx ? unfeature_rows : feature_rows, &p);
}

size_t mn__cosformer_state(const mn__cosformer *l)
{
    const mn__prefix_sum sums = sums_of(l);
    return mn__prefix_sum_state(&sums);
}

void mn__cosformer_forward(const mn__cosformer *l, const mn__env *env, mn__shape s,
                           const mn__qkv *in, mn__real *y, mn__cosformer_saved *saved)
{
    const size_t mark = mn__tape_mark(env->tape), size = s.n_seq * s.len * 2 * l->heads.dim;
    const mn__prefix_sum sums = sums_of(l);
    mn__real *qf = mn__take_reals(env, size * l->heads.n_head),
             *kf = mn__take_reals(env, size * l->heads.n_kv);
    const size_t past = in->carried ? in->carried->past : 0;
    const mn__prefix_in features = {qf, kf, in->v, in->ld, in->carried ? in->carried->state : NULL};
    if (saved) *saved = (mn__cosformer_saved){.in = *in};
    pass p = {.x = in->q, .ld = in->ld, .n_head = l->heads.n_head, .past = past, .feature = qf};
    run(l, env, s, p);
    p.x = in->k;
    p.n_head = l->heads.n_kv;
    p.feature = kf;
    run(l, env, s, p);
    mn__prefix_sum_forward(&sums, env, s, &features, y, saved ? &saved->sums : NULL);
    if (!saved) mn__tape_cut(env->tape, mark);
}

void mn__cosformer_backward(const mn__cosformer *l, const mn__env *env, mn__shape s,
                            const mn__cosformer_saved *saved, const mn__real *dy,
                            const mn__qkv_grad *out)
{
    const size_t mark = mn__tape_mark(env->tape), size = s.n_seq * s.len * 2 * l->heads.dim,
                 ld = saved->in.ld;
    const mn__prefix_sum sums = sums_of(l);
    mn__real *dqf = mn__take_reals(env, size * l->heads.n_head),
             *dkf = mn__take_reals(env, size * l->heads.n_kv);
    const mn__prefix_grad d = {dqf, dkf, out->v};
    mn__prefix_sum_backward(&sums, env, s, &saved->sums, dy, &d);
    run(l, env, s,
        (pass){
            .x = saved->in.q, .ld = ld, .n_head = l->heads.n_head, .d_feature = dqf, .dx = out->q});
    run(l, env, s,
        (pass){
            .x = saved->in.k, .ld = ld, .n_head = l->heads.n_kv, .d_feature = dkf, .dx = out->k});
    mn__tape_cut(env->tape, mark);
}
