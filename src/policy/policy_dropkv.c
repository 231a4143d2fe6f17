/* policy_dropkv.c: what the output would lose. Ref: kvpress #284.
 *
 *   S[i] = sum over the last w queries t and the group of (p/(1-p))^2 |v[i] - o[h,t]|^2
 *   p = A[h,t,i], o the head's output: the exact squared change of o when token i alone is dropped
 *   and the softmax normalised again; 1 - p is at least 1e-6
 *
 * Deviations: sinks are protected.
 * Needs: MN__NEED_WINDOW and values. Cost: 3*w*n*D multiply-adds per query head and event; state:
 * the ring of queries. */
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct dropkv_scorer {
    mn__scorer scorer;
    size_t window;
} dropkv_scorer;

static size_t row_floats(size_t n)
{
    return (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    size_t window = ((const dropkv_scorer *)s)->window;
    return window * row_floats(n) + window * shape->head_dim + MN__PAGE_TOKENS * shape->head_dim;
}

static size_t read_values(const mn__score_view *v, size_t i, float *x)
{
    size_t n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
    mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, NULL, x);
    return n;
}

/* o [n_row][D] = p [n_row][ld] times the lane's values */
static void outputs(const mn__score_view *v, const float *p, size_t ld, size_t n_row, float *o,
                    float *x)
{
    size_t d = v->cache->shape.head_dim;
    memset(o, 0, n_row * d * sizeof *o);
    for (size_t i = 0, n; i < v->n; i += n) {
        n = read_values(v, i, x);
        for (size_t r = 0; r < n_row; r++)
            for (size_t j = 0; j < n; j++)
                for (size_t c = 0; c < d; c++) o[r * d + c] += p[r * ld + i + j] * x[j * d + c];
    }
}

static float loss(const float *p, size_t ld, size_t n_row, const float *o, const float *x, size_t d)
{
    double sum = 0;
    for (size_t r = 0; r < n_row; r++) {
        float far = 0;
        for (size_t c = 0; c < d; c++) far += (x[c] - o[r * d + c]) * (x[c] - o[r * d + c]);
        double odds = p[r * ld] / fmax(1.0 - (double)p[r * ld], 1e-6);
        sum += odds * odds * (double)far;
    }
    return (float)sum;
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    size_t window = ((const dropkv_scorer *)s)->window, d = v->cache->shape.head_dim,
           ld = row_floats(v->n);
    size_t n_group = v->cache->shape.n_head / v->cache->shape.n_kv_head;
    float *p = v->scratch, *o = p + window * ld, *x = o + window * d;
    memset(out, 0, v->n * sizeof *out);
    for (size_t g = 0; g < n_group; g++) {
        size_t n_row = mn__cache_window_probs(v->cache, v->layer, v->head * n_group + g, window,
                                              v->softmax_scale, p, ld);
        outputs(v, p, ld, n_row, o, x);
        for (size_t i = 0, n; i < v->n; i += n) {
            n = read_values(v, i, x);
            for (size_t j = 0; j < n; j++)
                out[i + j] += loss(p + i + j, ld, n_row, o, x + j * d, d);
        }
    }
}

static const struct mn__scorer_ops ops = {.name = "dropkv",
                                          .score = score,
                                          .scratch_floats = scratch_floats,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    dropkv_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    mn_status st = mn__spec_size(s, "window", 1, 65536, &self->window, diag);
    self->scorer =
        (mn__scorer){.ops = &ops, .needs = MN__NEED_WINDOW, .n_query_ring = self->window};
    if (st == MN_OK)
        *out = &self->scorer;
    else
        mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_dropkv = {.make = make, .kvpress = "sinks=0"};
