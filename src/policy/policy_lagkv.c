/* policy_lagkv.c: tokens whose channels spread most on the scale of the stretch after them.
 * Ref: arXiv 2504.04704.
 *
 *   after the sinks, stretches of `lag` slots; lo, hi: per channel over stretch p+1
 *   z = (x - lo)/(hi - lo) for x in stretch p, of K and of V
 *   s[i] = standard deviation (divisor D-1) of z[i] over channels, softmax over the stretch
 *   S[i] = mean of K's and V's;  cross=0: its rank in the stretch, so that all are thinned alike
 *   the last whole stretch and what follows it stay
 *
 * Deviations: a lane shorter than sinks + 2*lag is left alone (kvpress then streams); hi - lo is
 * at least 1e-6 of their size.
 * Needs: keys and values. Cost: 6*n*D operations per head and event, no state. */
#include <float.h>
#include <math.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct lagkv_scorer {
    mn__scorer scorer;
    size_t lag, sinks;
    bool cross;
} lagkv_scorer;

/* Pieces of the scratch: a page of rows, for K and V lowest and highest of each channel and one
 * over their distance, two results of a stretch. */
typedef struct work {
    float *k, *v, *lo[2], *hi[2], *per[2], *spread[2];
} work;

static work lay_out(const mn__score_view *view, size_t lag)
{
    size_t d = view->cache->shape.head_dim;
    float *at = view->scratch;
    work w = {.k = at, .v = at + MN__PAGE_TOKENS * d};
    at += 2 * MN__PAGE_TOKENS * d;
    for (int x = 0; x < 2; x++, at += 3 * d) {
        w.lo[x] = at;
        w.hi[x] = at + d;
        w.per[x] = at + 2 * d;
    }
    w.spread[0] = at;
    w.spread[1] = at + lag;
    return w;
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    return mn__page_of_rows(s, shape, n) + 6 * shape->head_dim + 2 * ((const lagkv_scorer *)s)->lag;
}

static size_t read_rows(const mn__score_view *v, const work *w, size_t i, size_t end)
{
    size_t n = end - i < MN__PAGE_TOKENS ? end - i : MN__PAGE_TOKENS;
    mn__lane_read(v->cache, mn__cache_lane(v->cache, v->layer, v->head), i, n, w->k, w->v);
    return n;
}

static void widen_range(float *restrict lo, float *restrict hi, const float *row, size_t n_row,
                        size_t d)
{
    for (size_t j = 0; j < n_row; j++, row += d)
        for (size_t c = 0; c < d; c++) {
            lo[c] = row[c] < lo[c] ? row[c] : lo[c];
            hi[c] = row[c] > hi[c] ? row[c] : hi[c];
        }
}

static void find_range(const mn__score_view *v, const work *w, size_t begin, size_t end)
{
    size_t d = v->cache->shape.head_dim;
    for (int x = 0; x < 2; x++)
        for (size_t c = 0; c < d; c++) {
            w->lo[x][c] = FLT_MAX;
            w->hi[x][c] = -FLT_MAX;
        }
    for (size_t i = begin, n; i < end; i += n) {
        n = read_rows(v, w, i, end);
        widen_range(w->lo[0], w->hi[0], w->k, n, d);
        widen_range(w->lo[1], w->hi[1], w->v, n, d);
    }
    for (int x = 0; x < 2; x++)
        for (size_t c = 0; c < d; c++) {
            double lo = w->lo[x][c], hi = w->hi[x][c];
            w->per[x][c] = (float)(1 / fmax(hi - lo, 1e-6 * fmax(1, fmax(fabs(hi), fabs(lo)))));
        }
}

/* Standard deviation over the channels of where they lie in their ranges. */
static float spread_of(const float *row, const float *lo, const float *per, size_t d)
{
    double sum = 0, square = 0;
    for (size_t c = 0; c < d; c++) sum += (double)((row[c] - lo[c]) * per[c]);
    double mean = sum / (double)d;
    for (size_t c = 0; c < d; c++) {
        double z = (double)((row[c] - lo[c]) * per[c]) - mean;
        square += z * z;
    }
    return (float)sqrt(square / (double)(d > 1 ? d - 1 : 1));
}

static void softmax(float *x, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, x[i]);
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - top);
    for (size_t i = 0; i < n; i++) x[i] = (float)(exp(x[i] - top) / sum);
}

/* Place of each value among those of its stretch, over their number; on equal values the newer is
 * higher. */
static void rank(const float *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t below = 0;
        for (size_t j = 0; j < n; j++) below += x[j] < x[i] || (x[j] == x[i] && j < i);
        out[i] = (float)below / (float)n;
    }
}

static void score_stretch(const lagkv_scorer *self, const mn__score_view *v, const work *w,
                          size_t begin, float *out)
{
    size_t d = v->cache->shape.head_dim, end = begin + self->lag;
    find_range(v, w, end, end + self->lag);
    for (size_t i = begin, n; i < end; i += n) {
        n = read_rows(v, w, i, end);
        for (size_t j = 0; j < n; j++) {
            w->spread[0][i - begin + j] = spread_of(w->k + j * d, w->lo[0], w->per[0], d);
            w->spread[1][i - begin + j] = spread_of(w->v + j * d, w->lo[1], w->per[1], d);
        }
    }
    softmax(w->spread[0], self->lag);
    softmax(w->spread[1], self->lag);
    for (size_t i = 0; i < self->lag; i++)
        w->spread[0][i] = (w->spread[0][i] + w->spread[1][i]) / 2;
    if (self->cross)
        for (size_t i = 0; i < self->lag; i++) out[begin + i] = w->spread[0][i];
    else
        rank(w->spread[0], self->lag, out + begin);
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    const lagkv_scorer *self = (const lagkv_scorer *)s;
    work w = lay_out(v, self->lag);
    size_t first = 0;
    while (first < v->n && v->token[first] < (int64_t)self->sinks) first++;
    for (size_t i = 0; i < v->n; i++) out[i] = 0; /* sinks and tail are protected */
    for (size_t i = first; i + 2 * self->lag <= v->n; i += self->lag)
        score_stretch(self, v, &w, i, out);
}

static size_t tail(const mn__scorer *s, size_t n, size_t n_sink)
{
    size_t lag = ((const lagkv_scorer *)s)->lag, rest = n - n_sink;
    return rest < 2 * lag ? rest : lag + rest % lag;
}

static size_t tail_max(const mn__scorer *s)
{
    return 2 * ((const lagkv_scorer *)s)->lag;
}

static const struct mn__scorer_ops ops = {.name = "lagkv",
                                          .score = score,
                                          .scratch_floats = scratch_floats,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    mn_status st;
    size_t cross = 0;
    lagkv_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer.ops = &ops;
    MN_TRY(mn__spec_size(s, "lag", 1, 4096, &self->lag, diag));
    MN_TRY(mn__spec_size(s, "sinks", 0, SIZE_MAX / 2, &self->sinks, diag));
    MN_TRY(mn__spec_size(s, "cross", 0, 1, &cross, diag));
    self->cross = cross;
    *out = &self->scorer;
    self = NULL;
done:
    mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_lagkv = {.make = make,
                                        .tail = tail,
                                        .tail_max = tail_max,
                                        .kvpress = "sinks=4 lag=128",
                                        .paper = "sinks=16 lag=1024"};
