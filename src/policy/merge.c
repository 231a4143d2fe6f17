/* merge.c: values of dropped tokens folded into survivors of their lane (option merge=). Keys stay.
 *
 *   similar, after kvpress's MergingPress: token e goes to the survivor t whose key is most similar
 *   by cosine c (as stored; equal: the newer), if c >= merge_min and c > 0, with weight
 *     w[e] = c |v[e]| / (|v[e]| + |v[t]| + 1e-6)
 *     v[t] <- (v[t] + sum of w[e] v[e]) / (1 + sum of w[e])
 *   later, after CaM: with a chance of S[e] over the mean of S in its window, the `merge_reach`
 *   survivors that follow it (m of them where fewer do), the token is spread over them
 *     v[t] <- v[t] + sum of v[e] / m[e]
 *
 * Norms and values are those before the event. Every survivor may take values in, protected ones
 * too, and begins each event with weight 1: what it took in earlier is not remembered. S are the
 * scores that chose; with h2o they are CaM's attention sums. Where a lane has scores below 0, all
 * are lifted until the lowest is 0. The draw is named by (seed, layer, head, token).
 * Deviations: all dropped tokens are folded, at every event (kvpress's CAM: while writing, as many
 * as were written since the last one); no merge_fraction. A rewind takes nothing out again.
 * Cost per lane and event, r tokens dropped and k kept: similar r*k*D multiply-adds, later
 * r*merge_reach*D. r*k is at most n*n/4: a part of what attention cost to read these n tokens. */
#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "policy/policy_kind.h"

enum { PURPOSE = 0x6d657267, ROWS = 256, TOKENS = MN__PAGE_TOKENS };

typedef struct merge {
    mn__revalue revalue; /* first: the cache hands it back */
    const mn__cache *c;
    const mn__lane *lane;
    const mn__policy *p;
    const mn__quota *q;
    const uint32_t *keep;
    size_t n_keep, n_gone, d;
    uint32_t *gone;   /* [n_gone] dropped slots */
    uint32_t *to;     /* [n_gone] survivor, or the first of the window, by its number */
    float *weight;    /* [n_gone] 0: not folded */
    uint32_t *target; /* [revalue.n] survivors that change, by their number */
    uint32_t *slot;   /* [revalue.n] and by their slot */
    uint32_t
        *first; /* [n_keep] similar: 1 + first dropped token of a survivor; later: is it a target */
    uint32_t *next; /* [n_gone] similar: 1 + the next one, 0: none */
    float *x, *y;   /* [D] */
    float *keys;    /* [ROWS][D] of dropped tokens */
    float *kept;    /* [TOKENS][D] of survivors */
    float *page;    /* the same as a page */
    float *dots;    /* [ROWS][TOKENS] */
    float *inverse; /* [TOKENS] of the norms of `kept` */
} merge;

/* ---- workspace ---- */

static size_t lay_out(merge *m, float *base, size_t d, size_t n)
{
    size_t at = 0, slots = mn__pad16(n), row = mn__pad16(d), size[14];
    float *piece[14];
    for (int i = 0; i < 7; i++) size[i] = slots;
    size[7] = size[8] = row;
    size[9] = ROWS * row;
    size[10] = TOKENS * row;
    size[11] = 2 * TOKENS * row;
    size[12] = ROWS * TOKENS;
    size[13] = TOKENS;
    for (int i = 0; i < 14; i++) {
        piece[i] = base ? base + at : NULL;
        at += size[i];
    }
    m->gone = (uint32_t *)(void *)piece[0];
    m->to = (uint32_t *)(void *)piece[1];
    m->target = (uint32_t *)(void *)piece[2];
    m->slot = (uint32_t *)(void *)piece[3];
    m->first = (uint32_t *)(void *)piece[4];
    m->next = (uint32_t *)(void *)piece[5];
    m->weight = piece[6];
    m->x = piece[7];
    m->y = piece[8];
    m->keys = piece[9];
    m->kept = piece[10];
    m->page = piece[11];
    m->dots = piece[12];
    m->inverse = piece[13];
    return at;
}

size_t mn__merge_floats(const mn__policy *p, size_t head_dim, size_t n)
{
    merge m;
    return p->merge == MN__MERGE_NONE ? 0 : lay_out(&m, NULL, head_dim, n);
}

/* ---- rows ---- */

/* Keys of the slots slot[0, n) as rows [n][D]. */
static void gather(const merge *m, const uint32_t *slot, size_t n, float *k)
{
    for (size_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && slot[i + run] == slot[i] + run; run++) {
        }
        mn__lane_read(m->c, m->lane, slot[i], run, k + i * m->d, NULL);
    }
}

static float *read_value(const merge *m, uint32_t slot, float *v)
{
    mn__lane_read(m->c, m->lane, slot, 1, NULL, v);
    return v;
}

static double norm(const float *x, size_t d)
{
    double sum = 0;
    for (size_t c = 0; c < d; c++) sum += (double)x[c] * (double)x[c];
    return sqrt(sum);
}

static float inverse_norm(const float *x, size_t d)
{
    return (float)(1 / fmax(norm(x, d), 1e-6));
}

static void add(float *v, const float *x, float weight, size_t d)
{
    for (size_t c = 0; c < d; c++) v[c] += weight * x[c];
}

static void list_gone(merge *m, size_t n)
{
    for (size_t i = 0, j = 0; i < n; i++)
        if (j < m->n_keep && m->keep[j] == i)
            j++;
        else
            m->gone[m->n_gone++] = (uint32_t)i;
}

/* Survivors that `first` marks become the targets, rising. */
static void list_targets(merge *m)
{
    for (size_t t = 0; t < m->n_keep; t++) {
        if (!m->first[t]) continue;
        m->target[m->revalue.n] = (uint32_t)t;
        m->slot[m->revalue.n++] = m->keep[t];
    }
    m->revalue.slot = m->slot;
}

/* ---- similar ---- */

/* The survivors [first, first + n) against n_row dropped tokens from `at` on: better ones are noted
 * with dot / |survivor| as their weight. */
static void compare(merge *m, size_t at, size_t n_row, size_t first, size_t n)
{
    const void *page = m->page;
    gather(m, m->keep + first, n, m->kept);
    for (size_t t = 0; t < n; t++) m->inverse[t] = inverse_norm(m->kept + t * m->d, m->d);
    m->c->kern->page_put_f32(m->page, 0, m->kept, m->d, m->kept, m->d, n, m->d);
    m->c->kern->qk_f32(m->dots, TOKENS, m->keys, m->d, n_row, &page, n, m->d, NULL);
    for (size_t r = 0; r < n_row; r++)
        for (size_t t = 0; t < n; t++) {
            float x = m->dots[r * TOKENS + t] * m->inverse[t];
            if (!(x >= m->weight[at + r])) continue;
            m->weight[at + r] = x;
            m->to[at + r] = (uint32_t)(first + t);
        }
}

/* From the best dot to the weight. */
static void weigh(merge *m, size_t e, const float *key)
{
    double cosine = (double)m->weight[e] * (double)inverse_norm(key, m->d);
    double gone = norm(read_value(m, m->gone[e], m->x), m->d),
           kept = norm(read_value(m, m->keep[m->to[e]], m->y), m->d),
           w = cosine * gone / (gone + kept + 1e-6);
    m->weight[e] = cosine >= m->p->merge_min && w > 0 && isfinite(w) ? (float)w : 0;
}

static void find_similar(merge *m)
{
    for (size_t e = 0; e < m->n_gone; e++) {
        m->weight[e] = -INFINITY;
        m->to[e] = 0;
    }
    for (size_t at = 0, n_row; at < m->n_gone; at += n_row) {
        n_row = m->n_gone - at < ROWS ? m->n_gone - at : ROWS;
        gather(m, m->gone + at, n_row, m->keys);
        for (size_t t = 0; t < m->n_keep; t += TOKENS)
            compare(m, at, n_row, t, m->n_keep - t < TOKENS ? m->n_keep - t : TOKENS);
        for (size_t r = 0; r < n_row; r++) weigh(m, at + r, m->keys + r * m->d);
    }
    for (size_t e = m->n_gone; e-- > 0;) {
        if (m->weight[e] == 0) continue;
        m->next[e] = m->first[m->to[e]];
        m->first[m->to[e]] = (uint32_t)e + 1;
    }
}

static void blend(const mn__revalue *r, size_t i, float *v)
{
    const merge *m = (const merge *)r;
    double sum = 1;
    for (uint32_t e = m->first[m->target[i]]; e; e = m->next[e - 1]) {
        add(v, read_value(m, m->gone[e - 1], m->x), m->weight[e - 1], m->d);
        sum += (double)m->weight[e - 1];
    }
    for (size_t c = 0; c < m->d; c++) v[c] = (float)((double)v[c] / sum);
}

/* ---- later ---- */

/* What lifts the lane's lowest score to 0, if any is below. */
static double lift(const mn__quota *q)
{
    double low = 0;
    for (size_t i = 0; i < q->n; i++)
        if (isfinite(q->score[i]) && (double)q->score[i] < low) low = (double)q->score[i];
    return -low;
}

static double lifted(const merge *m, uint32_t slot, double by)
{
    double x = (double)m->q->score[slot] + by;
    return x > 0 ? x : 0;
}

static bool draw(const merge *m, size_t e, size_t window, uint64_t seed, double by)
{
    double mean = 0, own = lifted(m, m->gone[e], by);
    for (size_t t = 0; t < window; t++) mean += lifted(m, m->keep[m->to[e] + t], by);
    mean /= (double)window;
    uint64_t lane = (uint64_t)m->q->layer << 32 | m->q->head;
    double u = mn__rng_uniform(seed, PURPOSE, lane, (uint32_t)m->q->token[m->gone[e]]);
    return u * mean < own; /* u < own / mean, where the mean is 0 too */
}

static void spread_later(merge *m, uint64_t seed)
{
    double by = lift(m->q);
    for (size_t e = 0, t = 0; e < m->n_gone; e++) {
        while (t < m->n_keep && m->keep[t] < m->gone[e]) t++;
        size_t left = m->n_keep - t, window = left < m->p->merge_reach ? left : m->p->merge_reach;
        m->to[e] = (uint32_t)t;
        m->weight[e] = window && draw(m, e, window, seed, by) ? 1 / (float)window : 0;
        for (size_t i = 0; i < window && m->weight[e] > 0; i++) m->first[t + i] = 1;
    }
}

/* First dropped token whose window reaches survivor t; windows rise with their tokens. */
static size_t first_over(const merge *m, size_t t)
{
    size_t lo = 0, hi = m->n_gone;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->to[mid] + m->p->merge_reach <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void take_in(const mn__revalue *r, size_t i, float *v)
{
    const merge *m = (const merge *)r;
    size_t t = m->target[i];
    for (size_t e = first_over(m, t); e < m->n_gone && m->to[e] <= t; e++)
        if (m->weight[e] > 0) add(v, read_value(m, m->gone[e], m->x), m->weight[e], m->d);
}

mn_status mn__merge_keep(const mn__policy *p, mn__cache *c, const mn__quota *q,
                         const uint32_t *keep, uint64_t seed, float *work)
{
    bool similar = p->merge == MN__MERGE_SIMILAR;
    merge m = {.revalue = {.value = similar ? blend : take_in},
               .c = c,
               .lane = q->lane,
               .p = p,
               .q = q,
               .keep = keep,
               .n_keep = q->keep,
               .d = c->shape.head_dim};
    lay_out(&m, work, m.d, q->n);
    list_gone(&m, q->n);
    memset(m.first, 0, m.n_keep * sizeof *m.first);
    if (m.n_keep == 0)
        m.n_gone = 0;
    else if (similar)
        find_similar(&m);
    else
        spread_later(&m, seed);
    list_targets(&m);
    return mn__lane_keep_revalued(c, q->layer, q->head, keep, q->keep, &m.revalue);
}
