/* policy_rows.h: the world of a policy under test: queries, keys and values in closed form (those
 * of the policies' specification, section 11, and normal noise), rotated, and their naive
 * attention. */
#ifndef POLICY_ROWS_H
#define POLICY_ROWS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "cache/cache.h"
#include "cache/pool.h"
#include "policy/policy_kind.h"

enum { PF_LAYERS = 8, PF_TOKENS = 2048, PF_DIM = 8, PF_HEADS = 8 };

/* Channel c of token i: query head, key or value head of a layer, before rotation. It depends on
 * nothing else. */
typedef double (*pf_value)(size_t layer, size_t head, int64_t i, size_t c);

/* Section 11 of the policies' specification. */
static inline double pf_golden_q(size_t l, size_t h, int64_t i, size_t c)
{
    (void)l;
    return sin(0.9 * (double)i + 1.7 * (double)c + 2.3 * (double)h + 0.5);
}

static inline double pf_golden_k(size_t l, size_t g, int64_t i, size_t c)
{
    (void)l;
    double x = cos(0.6 * (double)i - 1.1 * (double)c + 0.9 * (double)g + 0.2);
    return x * (1 + 0.5 * sin(1.3 * (double)i + (double)g));
}

static inline double pf_golden_v(size_t l, size_t g, int64_t i, size_t c)
{
    (void)l;
    return sin(0.4 * (double)i * (double)(c + 1) + 0.3 + 0.5 * (double)g) * (1 + 0.03 * (double)i);
}

static inline double pf_noise(uint32_t what, size_t l, size_t h, int64_t i, size_t c)
{
    return mn__rng_normal(5, what, ((uint64_t)l << 40) + ((uint64_t)h << 32) + (uint64_t)i,
                          (uint32_t)c);
}
static inline double pf_random_q(size_t l, size_t h, int64_t i, size_t c)
{
    return 2 * pf_noise(0, l, h, i, c);
}
static inline double pf_random_k(size_t l, size_t h, int64_t i, size_t c)
{
    return pf_noise(1, l, h, i, c);
}
static inline double pf_random_v(size_t l, size_t h, int64_t i, size_t c)
{
    return pf_noise(2, l, h, i, c);
}

struct pf {
    size_t n_layer, n_head, n_kv_head, d;
    pf_value q, k, v;
    double freq[PF_DIM / 2];
    int32_t window[PF_LAYERS];
    struct mn__kern kern;
    mn__rope rope;
    const mn__rope *rope_of[PF_LAYERS];
    mn__cache_shape shape;
    mn__pool *pool;
    mn__cache *cache;
    mn__policy *policy;
    mn__evictor *evictor;
    mn__team *team;
    mn__evict_env env;
    mn__gram *gram;
    mn_diag diag;
    int n_thread;
    bool adjacent; /* pairs of rotation side by side, not half a head apart */
    bool compact;  /* survivors move */
    mn__kv_type type;
};

/* Channel c of row a of the golden output projection's part for query head h. */
static inline double pf_output(const struct pf *f, size_t h, size_t a, size_t c)
{
    return cos(0.5 * (double)a + 0.8 * (double)(h * f->d + c));
}

/* |Wo[h] v|_1 of the golden output projection, mean over the group. */
static inline void pf_output_norm(const void *hook, size_t layer, size_t head, const float *v,
                                  size_t n_row, float *out)
{
    const struct pf *f = hook;
    size_t n_group = f->n_head / f->n_kv_head;
    (void)layer;
    for (size_t r = 0; r < n_row; r++) {
        double sum = 0;
        for (size_t g = 0; g < n_group; g++)
            for (size_t a = 0; a < 16; a++) {
                double dot = 0;
                for (size_t c = 0; c < f->d; c++)
                    dot += pf_output(f, head * n_group + g, a, c) * (double)v[r * f->d + c];
                sum += fabs(dot);
            }
        out[r] = (float)(sum / (double)n_group);
    }
}

static inline void pf_output_gram(const void *hook, size_t layer, size_t h, float *gram)
{
    const struct pf *f = hook;
    (void)layer;
    for (size_t i = 0; i < f->d; i++)
        for (size_t j = 0; j < f->d; j++) {
            double sum = 0;
            for (size_t a = 0; a < 16; a++) sum += pf_output(f, h, a, i) * pf_output(f, h, a, j);
            gram[i * f->d + j] = (float)sum;
        }
}

/* A row, and all that it was made of. */
struct pf_made {
    pf_value fn;
    size_t layer, head, d;
    int64_t i;
    int turn; /* 0: not rotated; 1: pairs half a head apart; 2: neighbours */
    double freq[PF_DIM / 2], x[PF_DIM];
};

static inline void pf_make_row(struct pf_made *m)
{
    for (size_t c = 0; c < m->d; c++) m->x[c] = m->fn(m->layer, m->head, m->i, c);
    for (size_t c = 0; c < m->d / 2 && m->turn; c++) {
        size_t first = m->turn == 2 ? 2 * c : c, second = m->turn == 2 ? 2 * c + 1 : c + m->d / 2;
        double a = m->freq[c] * (double)m->i, u = m->x[first], v = m->x[second];
        m->x[first] = cos(a) * u - sin(a) * v;
        m->x[second] = sin(a) * u + cos(a) * v;
    }
}

/* Rows are asked for again by every query that sees them: they are kept, as many as there is room
 * for. */
static inline void pf_row(const struct pf *f, pf_value fn, size_t layer, size_t head, int64_t i,
                          bool rotated, double *x)
{
    enum { N_KEPT = 1 << 13 };
    static struct pf_made kept[N_KEPT];
    int turn = !rotated ? 0 : f->adjacent ? 2 : 1;
    size_t at = ((size_t)i * 61 + layer * 17 + head * 5 + (size_t)turn + (uintptr_t)fn) % N_KEPT;
    struct pf_made *m = &kept[at];
    if (m->fn != fn || m->layer != layer || m->head != head || m->d != f->d || m->i != i ||
        m->turn != turn || memcmp(m->freq, f->freq, sizeof m->freq) != 0) {
        *m = (struct pf_made){
            .fn = fn, .layer = layer, .head = head, .d = f->d, .i = i, .turn = turn};
        memcpy(m->freq, f->freq, sizeof m->freq);
        pf_make_row(m);
    }
    memcpy(x, m->x, f->d * sizeof *x);
}

/* Attention of query head h of token t over the lane's tokens up to t: a full row. */
static inline void pf_attention(const struct pf *f, size_t layer, size_t h, int64_t t,
                                const int32_t *token, size_t n, double *p)
{
    double q[PF_DIM], k[PF_DIM], sum = 0;
    pf_row(f, f->q, layer, h, t, true, q);
    for (size_t i = 0; i < n; i++) {
        double dot = 0;
        pf_row(f, f->k, layer, h / (f->n_head / f->n_kv_head), token[i], true, k);
        for (size_t c = 0; c < f->d; c++) dot += q[c] * k[c];
        p[i] = token[i] <= t ? exp(dot / sqrt((double)f->d)) : 0;
        sum += p[i];
    }
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

#endif
