/* policy_keydiff.c: keys that are least like the others. Ref: arXiv 2504.15364.
 *
 *   u[i] = k[i]/|k[i]|, a = mean of u over the lane's slots at this event;  S[i] = -cos(k[i], a)
 *
 * Acts block by block while reading (block=128) and while writing, as in the paper.
 * Deviations: sinks are protected.
 * Needs: keys, rotated as stored. Cost: 2*n*D multiply-adds per head and event, no state. */
#include <math.h>
#include <string.h>
#include "policy/policy_kind.h"

/* Keys [i, i+n) as unit vectors; a zero key stays zero. */
static size_t unit_keys(const mn__score_view *v, size_t i, float *k)
{
    size_t d = v->cache->shape.head_dim,
           n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
    mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, k, NULL);
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t c = 0; c < d; c++) sum += (double)k[j * d + c] * k[j * d + c];
        double inv = sum > 0 ? 1 / sqrt(sum) : 0;
        for (size_t c = 0; c < d; c++) k[j * d + c] = (float)(k[j * d + c] * inv);
    }
    return n;
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    size_t d = v->cache->shape.head_dim;
    float *k = v->scratch, *anchor = k + MN__PAGE_TOKENS * d;
    double norm = 0;
    memset(anchor, 0, d * sizeof *anchor);
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        size_t n = unit_keys(v, i, k);
        for (size_t j = 0; j < n; j++)
            for (size_t c = 0; c < d; c++) anchor[c] += k[j * d + c];
    }
    for (size_t c = 0; c < d; c++) norm += (double)anchor[c] * anchor[c];
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        size_t n = unit_keys(v, i, k);
        for (size_t j = 0; j < n; j++) {
            double dot = 0;
            for (size_t c = 0; c < d; c++) dot += (double)k[j * d + c] * anchor[c];
            out[i + j] = norm > 0 ? (float)(-dot / sqrt(norm)) : 0;
        }
    }
}

static const struct mn__scorer_ops ops = {.name = "keydiff",
                                          .score = score,
                                          .scratch_floats = mn__page_of_rows,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_NOTHING, 0, diag);
}

const mn__policy_kind mn__kind_keydiff = {
    .make = make, .kvpress = "sinks=0 chunk=0 every=0", .paper = "sinks=0"};
