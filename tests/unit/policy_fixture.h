/* policy_fixture.h: a cache under a policy, fed by closed-form rows through a naive attention that
 * shows the policy what the real one would, for the tests of src/policy. */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

#include "policy_rows.h"
#include "tiny_model.h"

/* Sizes and rows of section 11; a test may change them before pf_open. */
static inline struct pf pf_golden(void)
{
    return (struct pf){.n_layer = 1,
                       .n_head = 4,
                       .n_kv_head = 2,
                       .d = 4,
                       .q = pf_golden_q,
                       .k = pf_golden_k,
                       .v = pf_golden_v,
                       .freq = {1, 0.01},
                       .n_thread = 1,
                       .type = MN__KV_F32};
}

static inline struct pf pf_random(size_t n_layer)
{
    return (struct pf){.n_layer = n_layer,
                       .n_head = 4,
                       .n_kv_head = 2,
                       .d = 8,
                       .q = pf_random_q,
                       .k = pf_random_k,
                       .v = pf_random_v,
                       .freq = {1, 0.1, 0.01, 0.001},
                       .n_thread = 1,
                       .type = MN__KV_F32};
}

static inline void pf_close(struct pf *f)
{
    mn__cache_free(f->cache);
    mn__pool_free(f->pool);
    mn__evictor_free(f->evictor);
    mn__gram_free(f->gram);
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
                                 .compact = f->compact,
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
    if (st == MN_OK) st = mn__cache_open_ring(f->cache, &f->diag);
    f->env = (mn__evict_env){.softmax_scale = (float)(1 / sqrt((double)f->d)),
                             .model_hook = f,
                             .output_norm = pf_output_norm,
                             .output_gram = pf_output_gram,
                             .seed = 1};
    if (st == MN_OK) st = mn__gram_new(&f->gram, f->policy, &f->shape, &f->env, f->team, &f->diag);
    f->env.gram = f->gram;
    return st;
}

static inline void pf_open(struct pf *f, const char *spec, const char *budget)
{
    mn_status st = pf_try(f, spec, budget);
    if (st != MN_OK) fail_msg("%s, %s: %s", spec, budget, f->diag.text);
}

/* One head of the group (g), or all added up: columns in two runs. */
static inline void pf_show(struct pf *f, mn__seen seen, bool head, const float *p, size_t n)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    uint8_t *state = mn__cache_lane(f->cache, seen.layer, seen.head)->state.data;
    size_t cut = n / 3;
    for (int part = 0; part < 2; part++) {
        seen.slot0 = part ? cut : 0;
        seen.n_slot = part ? n - cut : cut;
        seen.p = p + seen.slot0;
        (head ? s->ops->observe_head : s->ops->observe)(s, &seen,
                                                        state + seen.slot0 * f->shape.slot_bytes);
    }
}

static inline void pf_observe_columns(struct pf *f, size_t layer, size_t g, size_t n_new)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    mn__lane *l = mn__cache_lane(f->cache, layer, g);
    size_t n = l->n + n_new, n_group = f->n_head / f->n_kv_head;
    float *p = malloc(16 * n * sizeof *p), *sum = malloc(16 * n * sizeof *sum);
    double *row = malloc(n * sizeof *row);
    for (int64_t t = f->cache->n_seen, end = t + (int64_t)n_new, m; t < end; t += m) {
        m = 16 - t % 16 < end - t ? 16 - t % 16 : end - t;
        mn__seen seen = {.cache = f->cache,
                         .layer = layer,
                         .head = g,
                         .n_group = n_group,
                         .token0 = t,
                         .n_row = (size_t)m,
                         .ld = n};
        memset(sum, 0, 16 * n * sizeof *sum);
        for (seen.i_group = 0; seen.i_group < n_group; seen.i_group++) {
            for (int64_t r = 0; r < m; r++) {
                size_t at = (size_t)r * n;
                pf_attention(f, layer, g * n_group + seen.i_group, t + r, mn__lane_token(l), n,
                             row);
                for (size_t j = 0; j < n; j++) sum[at + j] += p[at + j] = (float)row[j];
            }
            if (s->wants_heads) pf_show(f, seen, true, p, n);
        }
        seen.i_group = 0;
        if (s->ops->observe) pf_show(f, seen, false, sum, n);
    }
    free(row);
    free(sum);
    free(p);
}

static inline void pf_observe(struct pf *f, size_t layer, size_t n_new)
{
    const mn__scorer *s = mn__policy_scorer(f->policy);
    if (!s) return;
    for (size_t g = 0; g < f->n_kv_head && (s->needs & MN__NEED_COLUMNS); g++)
        pf_observe_columns(f, layer, g, n_new);
    for (size_t h = 0; h < f->n_head && s->ops->observe_query; h++)
        for (size_t i = 0; i < n_new; i++) {
            double x[PF_DIM];
            float q[PF_DIM];
            int64_t t = f->cache->n_seen + (int64_t)i;
            pf_row(f, f->q, layer, h, t, false, x);
            for (size_t c = 0; c < f->d; c++) q[c] = (float)x[c];
            uint8_t *state =
                mn__cache_lane(f->cache, layer, h / (f->n_head / f->n_kv_head))->lane_state;
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

/* One step of n tokens: one is generated, several are read. */
static inline void pf_feed(struct pf *f, size_t n)
{
    if (n > 1) f->cache->n_prompt = f->cache->n_seen + (int64_t)n;
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
    mn__score_view view = {.cache = f->cache,
                           .layer = layer,
                           .head = head,
                           .n = l->n,
                           .token = mn__lane_token(l),
                           .state = l->state.data,
                           .lane_state = l->lane_state,
                           .softmax_scale = f->env.softmax_scale,
                           .model_hook = f,
                           .output_norm = pf_output_norm,
                           .seed = f->env.seed,
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

/* A file of this text, over the one of the call before. */
static inline const char *pf_write_file(const char *text)
{
    const char *path = tiny_model_path("profile");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

#endif
