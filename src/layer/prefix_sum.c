/* prefix_sum.c: linear attention by chunks. Ref: arXiv 2006.16236, 2009.14794.
 *
 *   S_i = sum_{j<=i} k_j v_j',  z_i = sum_{j<=i} k_j,  D_i = <q_i, z_i>,  y_i = S_i' q_i / D_i
 *   a_i = dy_i / D_i,  b_i = -<dy_i, y_i> / D_i  (0 below the floor)
 *   dq_i = S_i a_i + b_i z_i,  R_i = sum_{j>=i} q_j a_j',  w_i = sum_{j>=i} b_j q_j
 *   dk_i = R_i v_i + w_i,  dv_i = R_i' k_i
 *
 * (q, k: features.) Within a chunk the sums are a masked matrix; between chunks S and z are
 * carried, forwards for y and dq, backwards (R and w) for dk and dv. Keys of one head and all
 * queries that read them are one thread's. */
#include "layer/prefix_sum.h"

#include <string.h>
#include "layer/half.h"
#include "layer/ops.h"

enum { CHUNK = 64 };

typedef struct pass {
    const mn__prefix_sum *l;
    mn__shape s;
    const mn__prefix_in *in;
    const mn__prefix_grad *out;
    const mn__real *y_in, *dy;
    mn__real *y, *below, *scratch;
    size_t ld_y, scratch_size; /* of a thread */
    const struct mn__half_room *rooms;
} pass;

/* A thread's scratch. */
typedef struct space {
    mn__real *state, *sum; /* [n_feature][dim], [n_feature] */
    mn__real *tile, *back; /* [CHUNK][CHUNK] */
    mn__real *a, *b;       /* [CHUNK][dim], [CHUNK] */
    const struct mn__half_room *room;
} space;

static size_t space_size(const mn__prefix_sum *l)
{
    return l->n_feature * (l->heads.dim + 1) + 2 * CHUNK * CHUNK + CHUNK * (l->heads.dim + 1);
}

static space space_of(const pass *p, int thread)
{
    space w = {.state = p->scratch + (size_t)thread * p->scratch_size,
               .room = mn__half_room_of(p->rooms, thread)};
    w.sum = w.state + p->l->n_feature * p->l->heads.dim;
    w.tile = w.sum + p->l->n_feature;
    w.back = w.tile + CHUNK * CHUNK;
    w.a = w.back + CHUNK * CHUNK;
    w.b = w.a + CHUNK * p->l->heads.dim;
    return w;
}

/* A chunk of one head: rows [first, first + n) of sequence seq. */
typedef struct chunk {
    const pass *p;
    size_t n, m, dim, ld;
    const mn__real *q, *k, *v; /* first rows */
    size_t q_at, k_at, v_at;   /* their places in the arrays */
    size_t y_at, below_at;
    const struct mn__half_room *room; /* its thread's */
} chunk;

static chunk chunk_of(const pass *p, const space *w, size_t seq, size_t h, size_t first)
{
    const mn__heads *heads = &p->l->heads;
    const size_t kv = h / (heads->n_head / heads->n_kv), len = p->s.len;
    chunk c = {.p = p, .m = p->l->n_feature, .dim = heads->dim, .ld = p->in->ld, .room = w->room};
    c.n = len - first < CHUNK ? len - first : CHUNK;
    c.below_at = (seq * heads->n_head + h) * len + first;
    c.q_at = c.below_at * c.m;
    c.k_at = ((seq * heads->n_kv + kv) * len + first) * c.m;
    c.v_at = (seq * len + first) * c.ld + kv * c.dim;
    c.y_at = (seq * len + first) * p->ld_y + h * c.dim;
    c.q = p->in->q + c.q_at;
    c.k = p->in->k + c.k_at;
    c.v = p->in->v + c.v_at;
    return c;
}

/* tile [n][CHUNK] = a b' where the column is not behind the row, else 0. */
static void masked(const chunk *c, const mn__real *a, size_t ld_a, const mn__real *b, size_t ld_b,
                   size_t k, mn__real *tile)
{
    const mn__mm p = {.m = c->n,
                      .n = c->n,
                      .k = k,
                      .a = a,
                      .b = b,
                      .c = tile,
                      .ld_a = ld_a,
                      .ld_b = ld_b,
                      .ld_c = CHUNK,
                      .room = c->room};
    mn__mm_nt(&p);
    for (size_t i = 0; i < c->n; i++)
        memset(tile + i * CHUNK + i + 1, 0, (c->n - i - 1) * sizeof *tile);
}

/* Keys of a chunk into state and sum. */
static void absorb(const chunk *c, const space *w)
{
    const mn__mm p = {.m = c->m,
                      .n = c->dim,
                      .k = c->n,
                      .a = c->k,
                      .b = c->v,
                      .c = w->state,
                      .ld_a = c->m,
                      .ld_b = c->ld,
                      .ld_c = c->dim,
                      .add = true,
                      .room = c->room};
    mn__mm_tn(&p);
    for (size_t i = 0; i < c->n; i++) mn__axpy(w->sum, 1, c->k + i * c->m, c->m);
}

static void attend(const chunk *c, const space *w)
{
    const pass *p = c->p;
    mn__real *y = p->y + c->y_at;
    mn__mm own = {.m = c->n,
                  .n = c->dim,
                  .k = c->n,
                  .a = w->tile,
                  .b = c->v,
                  .c = y,
                  .ld_a = CHUNK,
                  .ld_b = c->ld,
                  .ld_c = p->ld_y,
                  .room = c->room};
    masked(c, c->q, c->m, c->k, c->m, c->m, w->tile);
    mn__mm_nn(&own);
    own.k = c->m;
    own.a = c->q;
    own.b = w->state;
    own.ld_a = c->m;
    own.ld_b = c->dim;
    own.add = true;
    mn__mm_nn(&own);
    for (size_t i = 0; i < c->n; i++) {
        mn__real below = mn__dot(c->q + i * c->m, w->sum, c->m);
        for (size_t j = 0; j <= i; j++) below += w->tile[i * CHUNK + j];
        if (p->below) p->below[c->below_at + i] = below;
        below = below < p->l->floor ? p->l->floor : below;
        for (size_t x = 0; x < c->dim; x++) y[i * p->ld_y + x] /= below;
    }
}

static void forget(const pass *p, const space *w)
{
    memset(w->state, 0, p->l->n_feature * (p->l->heads.dim + 1) * sizeof *w->state);
}

/* A head's sums: those carried here, or none. */
static mn__real *carried_of(const pass *p, size_t kv)
{
    return p->in->state ? p->in->state + kv * p->l->n_feature * (p->l->heads.dim + 1) : NULL;
}

static void forward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__heads *heads = &p->l->heads;
    const size_t n_group = heads->n_head / heads->n_kv;
    const space w = space_of(p, thread);
    for (size_t item = begin; item < end; item++) {
        const size_t kv = item % heads->n_kv, seq = item / heads->n_kv;
        const size_t n_state = p->l->n_feature * (heads->dim + 1);
        mn__real *carried = carried_of(p, kv);
        forget(p, &w);
        if (carried) memcpy(w.state, carried, n_state * sizeof *carried);
        for (size_t first = 0; first < p->s.len; first += CHUNK) {
            for (size_t h = kv * n_group; h < (kv + 1) * n_group; h++) {
                const chunk c = chunk_of(p, &w, seq, h, first);
                attend(&c, &w);
            }
            const chunk c = chunk_of(p, &w, seq, kv * n_group, first);
            absorb(&c, &w);
        }
        if (carried) memcpy(carried, w.state, n_state * sizeof *carried);
    }
}

/* Multiply-adds of chunks: products of chunk and chunk over features and over values, and of rows
 * with the state; each so many times for a head of queries, the state also for one of keys. */
typedef struct times {
    double over_features, over_values, state, key_state;
} times;

static void count(const mn__prefix_sum *l, const mn__env *env, mn__shape s, times t)
{
    const double m = (double)l->n_feature, dim = (double)l->heads.dim, rows = (double)s.len,
                 n_head = (double)(s.n_seq * l->heads.n_head),
                 n_kv = (double)(s.n_seq * l->heads.n_kv);
    const size_t left = s.len % CHUNK;
    const double square = (double)(s.len - left) * CHUNK + (double)(left * left);
    mn__count(
        env, MN__WORK_PAIRS,
        n_head * (square * (t.over_features * m + t.over_values * dim) + t.state * rows * m * dim) +
            n_kv * t.key_state * rows * m * dim);
}

void mn__prefix_sum_forward(const mn__prefix_sum *l, const mn__env *env, mn__shape s,
                            const mn__prefix_in *in, mn__real *y, mn__prefix_saved *saved)
{
    pass p = {.l = l, .s = s, .in = in, .y = y, .ld_y = l->heads.n_head * l->heads.dim};
    if (saved) {
        p.below = mn__take_reals(env, s.n_seq * l->heads.n_head * s.len);
        *saved = (mn__prefix_saved){*in, y, p.below};
    }
    const size_t mark = mn__tape_mark(env->tape);
    p.rooms = mn__half_rooms(env);
    p.scratch_size = space_size(l);
    p.scratch = mn__take_reals(env, (size_t)mn__env_threads(env) * p.scratch_size);
    count(l, env, s, (times){1, 1, 1, 1});
    mn__each(env, s.n_seq * l->heads.n_kv, 1, forward_heads, &p);
    mn__tape_cut(env->tape, mark);
}

/* a and b of a chunk's rows. */
static void split_gradient(const chunk *c, const space *w)
{
    const pass *p = c->p;
    for (size_t i = 0; i < c->n; i++) {
        const mn__real *dy = p->dy + c->y_at + i * p->ld_y, *y = p->y_in + c->y_at + i * p->ld_y;
        const mn__real below = p->below[c->below_at + i];
        const bool clamped = below < p->l->floor;
        const mn__real inv = 1 / (clamped ? p->l->floor : below);
        for (size_t x = 0; x < c->dim; x++) w->a[i * c->dim + x] = dy[x] * inv;
        w->b[i] = clamped ? 0 : -mn__dot(dy, y, c->dim) * inv;
    }
}

/* back [n][CHUNK] = <a_i, v_j> + b_i, masked. */
static void backward_tile(const chunk *c, const space *w)
{
    masked(c, w->a, c->dim, c->v, c->ld, c->dim, w->back);
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j <= i; j++) w->back[i * CHUNK + j] += w->b[i];
}

static void queries(const chunk *c, const space *w)
{
    mn__real *dq = c->p->out->q + c->q_at;
    const mn__mm own = {.m = c->n,
                        .n = c->m,
                        .k = c->n,
                        .a = w->back,
                        .b = c->k,
                        .c = dq,
                        .ld_a = CHUNK,
                        .ld_b = c->m,
                        .ld_c = c->m,
                        .room = c->room};
    const mn__mm before = {.m = c->n,
                           .n = c->m,
                           .k = c->dim,
                           .a = w->a,
                           .b = w->state,
                           .c = dq,
                           .ld_a = c->dim,
                           .ld_b = c->dim,
                           .ld_c = c->m,
                           .add = true,
                           .room = c->room};
    split_gradient(c, w);
    backward_tile(c, w);
    mn__mm_nn(&own);
    mn__mm_nt(&before);
    for (size_t i = 0; i < c->n; i++) mn__axpy(dq + i * c->m, w->b[i], w->sum, c->m);
}

/* dk and dv of a chunk from what lies behind it: state is R, sum is w. */
static void keys_from_behind(const chunk *c, const space *w)
{
    const pass *p = c->p;
    mn__real *dk = p->out->k + c->k_at, *dv = p->out->v + c->v_at;
    const mn__mm key = {.m = c->n,
                        .n = c->m,
                        .k = c->dim,
                        .a = c->v,
                        .b = w->state,
                        .c = dk,
                        .ld_a = c->ld,
                        .ld_b = c->dim,
                        .ld_c = c->m,
                        .room = c->room};
    const mn__mm value = {.m = c->n,
                          .n = c->dim,
                          .k = c->m,
                          .a = c->k,
                          .b = w->state,
                          .c = dv,
                          .ld_a = c->m,
                          .ld_b = c->dim,
                          .ld_c = c->ld,
                          .room = c->room};
    mn__mm_nt(&key);
    mn__mm_nn(&value);
    for (size_t i = 0; i < c->n; i++) mn__axpy(dk + i * c->m, 1, w->sum, c->m);
}

/* And from queries of the chunk itself, of one head. */
static void keys_from_within(const chunk *c, const space *w)
{
    const pass *p = c->p;
    const mn__mm key = {.m = c->n,
                        .n = c->m,
                        .k = c->n,
                        .a = w->back,
                        .b = c->q,
                        .c = p->out->k + c->k_at,
                        .ld_a = CHUNK,
                        .ld_b = c->m,
                        .ld_c = c->m,
                        .add = true,
                        .room = c->room};
    const mn__mm value = {.m = c->n,
                          .n = c->dim,
                          .k = c->n,
                          .a = w->tile,
                          .b = w->a,
                          .c = p->out->v + c->v_at,
                          .ld_a = CHUNK,
                          .ld_b = c->dim,
                          .ld_c = c->ld,
                          .add = true,
                          .room = c->room};
    split_gradient(c, w);
    backward_tile(c, w);
    masked(c, c->q, c->m, c->k, c->m, c->m, w->tile);
    mn__mm_tn(&key);
    mn__mm_tn(&value);
}

/* Queries of a chunk into R and w. */
static void absorb_queries(const chunk *c, const space *w)
{
    const mn__mm p = {.m = c->m,
                      .n = c->dim,
                      .k = c->n,
                      .a = c->q,
                      .b = w->a,
                      .c = w->state,
                      .ld_a = c->m,
                      .ld_b = c->dim,
                      .ld_c = c->dim,
                      .add = true,
                      .room = c->room};
    split_gradient(c, w);
    mn__mm_tn(&p);
    for (size_t i = 0; i < c->n; i++) mn__axpy(w->sum, w->b[i], c->q + i * c->m, c->m);
}

static void backward_heads(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__heads *heads = &p->l->heads;
    const size_t n_group = heads->n_head / heads->n_kv, n_chunk = (p->s.len + CHUNK - 1) / CHUNK;
    const space w = space_of(p, thread);
    for (size_t item = begin; item < end; item++) {
        const size_t kv = item % heads->n_kv, seq = item / heads->n_kv, h0 = kv * n_group;
        forget(p, &w);
        for (size_t i = 0; i < n_chunk; i++) {
            for (size_t h = h0; h < h0 + n_group; h++) {
                const chunk c = chunk_of(p, &w, seq, h, i * CHUNK);
                queries(&c, &w);
            }
            const chunk c = chunk_of(p, &w, seq, h0, i * CHUNK);
            absorb(&c, &w);
        }
        forget(p, &w);
        for (size_t i = n_chunk; i-- > 0;) {
            const chunk c = chunk_of(p, &w, seq, h0, i * CHUNK);
            keys_from_behind(&c, &w);
            for (size_t h = h0; h < h0 + n_group; h++) {
                const chunk own = chunk_of(p, &w, seq, h, i * CHUNK);
                keys_from_within(&own, &w);
            }
            for (size_t h = h0; h < h0 + n_group; h++) {
                const chunk own = chunk_of(p, &w, seq, h, i * CHUNK);
                absorb_queries(&own, &w);
            }
        }
    }
}

void mn__prefix_sum_backward(const mn__prefix_sum *l, const mn__env *env, mn__shape s,
                             const mn__prefix_saved *saved, const mn__real *dy,
                             const mn__prefix_grad *out)
{
    const size_t mark = mn__tape_mark(env->tape);
    pass p = {.l = l, .s = s, .in = &saved->in, .out = out, .y_in = saved->y, .dy = dy};
    p.below = saved->below;
    p.ld_y = l->heads.n_head * l->heads.dim;
    p.rooms = mn__half_rooms(env);
    p.scratch_size = space_size(l);
    p.scratch = mn__take_reals(env, (size_t)mn__env_threads(env) * p.scratch_size);
    count(l, env, s, (times){3, 3, 2, 3});
    mn__each(env, s.n_seq * l->heads.n_kv, 1, backward_heads, &p);
    mn__tape_cut(env->tape, mark);
}
