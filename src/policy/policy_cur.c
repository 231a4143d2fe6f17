/* policy_cur.c: norms of key and value relative to their neighbours. Ref: kvpress.
 *
 *   within each window of 16 slots: a[i] = |k[i]|^2 / sum |k|^2, b[i] = |v[i]|^2 / sum |v|^2
 *   S[i] = a[i] b[i] / sum over the lane
 *
 * Deviations: sinks are protected by mask.
 * Needs: keys and values. Cost: 2*n*D multiply-adds per head and event, no state. */
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct cur_scorer {
    mn__scorer scorer;
    size_t window;
} cur_scorer;

static double square(const float *x, size_t d)
{
    double sum = 0;
    for (size_t c = 0; c < d; c++) sum += (double)x[c] * x[c];
    return sum;
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    return mn__page_of_rows(s, shape, n) + 2 * mn__pad16(n);
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    size_t window = ((const cur_scorer *)s)->window, d = v->cache->shape.head_dim;
    float *k = v->scratch, *x = k + MN__PAGE_TOKENS * d, *kk = x + MN__PAGE_TOKENS * d,
          *vv = kk + mn__pad16(v->n);
    double total = 0;
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        size_t n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
        mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, k, x);
        for (size_t j = 0; j < n; j++) {
            kk[i + j] = (float)square(k + j * d, d);
            vv[i + j] = (float)square(x + j * d, d);
        }
    }
    for (size_t i = 0; i < v->n; i += window) {
        size_t end = i + window < v->n ? i + window : v->n;
        double sum_k = 0, sum_v = 0;
        for (size_t j = i; j < end; j++) {
            sum_k += kk[j];
            sum_v += vv[j];
        }
        for (size_t j = i; j < end; j++) {
            out[j] = sum_k > 0 && sum_v > 0 ? (float)(kk[j] / sum_k * (vv[j] / sum_v)) : 0;
            total += out[j];
        }
    }
    for (size_t i = 0; i < v->n && total > 0; i++) out[i] = (float)(out[i] / total);
}

static const struct mn__scorer_ops ops = {
    .name = "cur", .score = score, .scratch_floats = scratch_floats, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    cur_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer.ops = &ops;
    mn_status st = mn__spec_size(s, "window", 1, 65536, &self->window, diag);
    if (st == MN_OK)
        *out = &self->scorer;
    else
        mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_cur = {.make = make, .kvpress = "sinks=4"};
