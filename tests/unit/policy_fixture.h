/* policy_fixture.h: a cache under a policy, fed by closed-form rows through a naive attention that shows
 * the policy what the real one would, for the tests of src/policy. */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

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

/* Channel c of token i: query head, key or value head of a layer, before rotation. */
typedef double (*pf_value)(size_t layer, size_t head, int64_t i, size_t c);

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
    mn_diag diag;
    int n_thread;
    bool adjacent; /* pairs of rotation side by side, not half a head apart */
    mn__kv_type type;
};

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
                for (size_t c = 0; c < f->d; c++) {
                    double b = (double)((head * n_group + g) * f->d + c);
                    dot += cos(0.5 * (double)a + 0.8 * b) * (double)v[r * f->d + c];
                }
                sum += fabs(dot);
            }
        out[r] = (float)(sum / (double)n_group);
    }
}

/* Sizes and rows of section 11; a test may change them before pf_open. */
static inline struct pf pf_golden(void)
{
    return (struct pf){.n_layer = 1, .n_head = 4, .n_kv_head = 2, .d = 4, .q = pf_golden_q, .k = pf_golden_k,
                       .v = pf_golden_v, .freq = {1, 0.01}, .n_thread = 1, .type = MN__KV_F32};
}

static inline struct pf pf_random(size_t n_layer)
{
    return (struct pf){.n_layer = n_layer, .n_head = 4, .n_kv_head = 2, .d = 8, .q = pf_random_q, .k = pf_random_k,
                       .v = pf_random_v, .freq = {1, 0.1, 0.01, 0.001}, .n_thread = 1, .type = MN__KV_F32};
}

static inline void pf_close(struct pf *f)
{
    mn__cache_free(f->cache);
    mn__pool_free(f->pool);
    mn__evictor_free(f->evictor);
    mn__policy_free(f->policy);
    mn__team_free(f->team);
}

static inline mn_status pf_try(struct pf *f, const char *spec, const char *budget)
{
    mn__budget b;
    f->rope = (mn__rope){.n_rot = f->d, .neox = !f->adjacent, .magnitude = 1, .freq = f->freq};
    for (size_t l = 0; l < f->n_layer; l++) f->rope_of[l] = &f->rope;
    mn__kern_init(&f->kern, MN__CPU_REF);
    f->shape = (mn__cache_shape){.n_layer = f->n_layer,
                                 .n_head = f->n_head,
                                 .n_kv_head = f->n_kv_head,
                                 .head_dim = f->d,
                                 .window = f->window,
                                 .rope = f->rope_of,
                                 .kv_type = f->type,
                                 .max_slots = PF_TOKENS,
                                 .max_step = 128};
    mn_status st = mn__budget_parse(budget, &b, &f->diag);
    if (st == MN_OK) st = mn__policy_new(&f->policy, spec, &b, &f->shape, &f->diag);
    if (st != MN_OK) return st;
    const mn__scorer *s = mn__policy_scorer(f->policy);
    f->shape.slot_bytes = s ? s->slot_bytes : 0;
    f->shape.lane_bytes = s ? s->lane_bytes : 0;
    f->shape.n_query_ring = s ? s->n_query_ring : 0;
    f->team = mn__team_new(f->n_thread);
    st = mn__evictor_new(&f->evictor, f->policy, &f->shape, f->n_thread, &f->diag);
    if (st == MN_OK) st = mn__pool_new(&f->pool, f->type, f->d, &f->diag);
    if (st == MN_OK) st = mn__cache_new(&f->cache, &f->shape, f->pool, &f->kern, &f->diag);
    f->env = (mn__evict_env){.softmax_scale = (float)(1 / sqrt((double)f->d)),
                             .model_hook = f,
                             .output_norm = pf_output_norm,
                             .seed = 1};
    return st;
}

static inline void pf_open(struct pf *f, const char *spec, const char *budget)
{
    mn_status st = pf_try(f, spec, budget);
    if (st != MN_OK) fail_msg("%s, %s: %s", spec, budget, f->diag.text);
}

static inline void pf_row(const struct pf *f, pf_value fn, size_t layer, size_t head, int64_t i,
                          bool rotated, double *x)
{
    for (size_t c = 0; c < f->d; c++) x[c] = fn(layer, head, i, c);
    for (size_t c = 0; c < f->d / 2 && rotated; c++) {
        size_t first = f->adjacent ? 2 * c : c, second = f->adjacent ? 2 * c + 1 : c + f->d / 2;
        double a = f->freq[c] * (double)i, u = x[first], v = x[second];
        x[first] = cos(a) * u - sin(a) * v;
        x[second] = sin(a) * u + cos(a) * v;
    }
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

static inline void pf_observe_columns(struct pf *f, size_t layer, size_t g, size_t n_new)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    mn__lane *l = mn__cache_lane(f->cache, layer, g);
    size_t n = l->n + n_new, n_group = f->n_head / f->n_kv_head, cut = n / 3;
    float *p = malloc(16 * n * sizeof *p);
    double *row = malloc(n * sizeof *row);
    for (int64_t t = f->cache->n_seen, end = t + (int64_t)n_new, m; t < end; t += m) {
        m = 16 - t % 16 < end - t ? 16 - t % 16 : end - t;
        for (size_t i = 0; i < n_group; i++) {
            for (int64_t r = 0; r < m; r++) {
                pf_attention(f, layer, g * n_group + i, t + r, mn__lane_token(l), n, row);
                for (size_t j = 0; j < n; j++) p[(size_t)r * n + j] = (float)row[j];
            }
            for (int part = 0; part < 2; part++) {
                size_t slot0 = part ? cut : 0, end_slot = part ? n : cut;
                mn__seen seen = {.cache = f->cache, .layer = layer, .head = g, .i_group = i,
                                 .n_group = n_group, .token0 = t, .n_row = (size_t)m,
                                 .slot0 = slot0, .n_slot = end_slot - slot0, .p = p + slot0, .ld = n};
                s->ops->observe(s, &seen, l->state.data + slot0 * f->shape.slot_bytes);
            }
        }
    }
    free(row);
    free(p);
}

static inline void pf_observe(struct pf *f, size_t layer, size_t n_new)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    if (!s) return;
    for (size_t g = 0; g < f->n_kv_head && s->ops->observe; g++)
        pf_observe_columns(f, layer, g, n_new);
    for (size_t h = 0; h < f->n_head && s->ops->observe_query; h++)
        for (size_t i = 0; i < n_new; i++) {
            double x[PF_DIM];
            float q[PF_DIM];
            int64_t t = f->cache->n_seen + (int64_t)i;
            pf_row(f, f->q, layer, h, t, false, x);
            for (size_t c = 0; c < f->d; c++) q[c] = (float)x[c];
            uint8_t *state = mn__cache_lane(f->cache, layer, h / (f->n_head / f->n_kv_head))->lane_state;
            s->ops->observe_query(s, f->cache, layer, h, t, q, f->d, 1, state);
        }
}

static inline void pf_write(struct pf *f, size_t layer, size_t i)
{
    int64_t t = f->cache->n_seen + (int64_t)i;
    double x[PF_DIM], y[PF_DIM];
    float k[PF_DIM], v[PF_DIM], q[PF_HEADS * PF_DIM];
    for (size_t g = 0; g < f->n_kv_head; g++) {
        pf_row(f, f->k, layer, g, t, true, x);
        pf_row(f, f->v, layer, g, t, false, y);
        for (size_t c = 0; c < f->d; c++) {
            k[c] = (float)x[c];
            v[c] = (float)y[c];
        }
        mn__lane_put(f->cache, mn__cache_lane(f->cache, layer, g), i, k, f->d, v, f->d, 1);
    }
    for (size_t h = 0; h < f->n_head; h++) {
        pf_row(f, f->q, layer, h, t, true, x);
        for (size_t c = 0; c < f->d; c++) q[h * f->d + c] = (float)x[c];
    }
    mn__cache_put_query(f->cache, layer, i, q);
}

/* One step of n tokens. */
static inline void pf_feed(struct pf *f, size_t n)
{
    assert_int_equal(mn__cache_reserve(f->cache, n, &f->diag), MN_OK);
    for (size_t layer = 0; layer < f->n_layer; layer++) {
        for (size_t i = 0; i < n; i++) pf_write(f, layer, i);
        pf_observe(f, layer, n);
    }
    mn__cache_commit(f->cache);
}

static inline mn_status pf_evict(struct pf *f, mn__event event)
{
    return mn__evict(f->evictor, f->policy, f->cache, f->team, event, &f->env, &f->diag);
}

/* Raw scores of a lane as the scorer gives them. */
static inline void pf_score(struct pf *f, size_t layer, size_t head, float *out)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    const mn__lane *l = mn__cache_lane(f->cache, layer, head);
    size_t n = s->ops->scratch_floats ? s->ops->scratch_floats(s, &f->shape, l->n) : 0;
    float *scratch = mn__alloc(MN_MEM_OTHER, (n + 1) * sizeof *scratch);
    mn__score_view view = {.cache = f->cache, .layer = layer, .head = head, .n = l->n,
                           .token = mn__lane_token(l), .state = l->state.data,
                           .lane_state = l->lane_state, .softmax_scale = f->env.softmax_scale,
                           .model_hook = f, .output_norm = pf_output_norm, .seed = f->env.seed,
                           .scratch = scratch};
    s->ops->score(s, &view, out);
    mn__free(scratch);
}

static inline size_t pf_held(const struct pf *f)
{
    size_t n = 0;
    for (size_t l = 0; l < f->n_layer; l++)
        for (size_t h = 0; h < f->n_kv_head && !f->window[l]; h++)
            n += mn__cache_lane(f->cache, l, h)->n;
    return n;
}

static inline bool pf_has(const struct pf *f, size_t layer, size_t head, int32_t token)
{
    const mn__lane *l = mn__cache_lane(f->cache, layer, head);
    for (size_t i = 0; i < l->n; i++)
        if (mn__lane_token(l)[i] == token) return true;
    return false;
}

#endif
