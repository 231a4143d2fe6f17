/* golden_namm_step.c: kinds of what a NAMM keeps: `selection` from given scores, `full_step` from
 * given attention, update by update, through a cache under the policy. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cache/pool.h"
#include "golden/golden.h"
#include "policy/namm_input.h"
#include "policy/policy_kind.h"

enum { TOKENS_MAX = 1 << 14, HEADS_MAX = 64, LAYERS_MAX = 64, HEAD_DIM = 16 };

/* ---- selection ---- */

/* A case's heads; arrays of all of them. */
typedef struct choice {
    size_t n_head, n, cap; /* cap SIZE_MAX: none */
    bool top_k;
    mn__quota quota[HEADS_MAX];
    float *score, *spare;
    int32_t *token;
    uint8_t *mask;
    uint32_t *keep;
} choice;

static bool read_choice(golden *g, const json_t *c, choice *x)
{
    const json_t *cap = json_object_get(c, "cache_size"), *scores = json_object_get(c, "scores");
    const char *kind;
    *x = (choice){.n_head = json_array_size(scores), .cap = SIZE_MAX};
    x->n = json_array_size(json_array_get(scores, 0));
    if (!golden_fields(g, c, "a case",
                       "note kind cache_size token_mask scores n_nonneg_per_head n_keep "
                       "retained") ||
        !golden_text(g, c, "kind", &kind))
        return false;
    x->top_k = strcmp(kind, "topk") == 0;
    if (!x->top_k && strcmp(kind, "binary") != 0)
        return golden_fail(g, "`kind`: binary or topk wanted, `%s` found", kind);
    if (!x->n || !x->n_head || x->n_head > HEADS_MAX)
        return golden_fail(g, "`scores`: 1 to %d heads with tokens wanted", HEADS_MAX);
    if (!json_is_null(cap) && !golden_size(g, c, "cache_size", 1, SIZE_MAX / 2, &x->cap))
        return false;
    size_t all = x->n_head * x->n;
    x->score = calloc(all, sizeof *x->score);
    x->spare = calloc(x->n, sizeof *x->spare);
    x->token = calloc(x->n, sizeof *x->token);
    x->mask = calloc(all, 1);
    x->keep = calloc(x->n, sizeof *x->keep);
    double *s = golden_numbers(g, c, "scores", (const size_t[]){x->n_head, x->n, 0}, false),
           *valid = golden_numbers(g, c, "token_mask", (const size_t[]){x->n, 0}, false);
    bool ok = s && valid && x->score && x->spare && x->token && x->mask && x->keep;
    for (size_t i = 0; ok && i < all; i++)
        x->score[i] = valid[i % x->n] != 0 ? (float)s[i] : -FLT_MAX;
    for (size_t i = 0; ok && i < x->n; i++) x->token[i] = (int32_t)i;
    free(s);
    free(valid);
    return ok;
}

static void free_choice(choice *x)
{
    free(x->score);
    free(x->spare);
    free(x->token);
    free(x->mask);
    free(x->keep);
}

/* Quotas as an event has them before anything is judged. */
static void begin_choice(choice *x, size_t n_tail)
{
    for (size_t h = 0; h < x->n_head; h++) {
        x->quota[h] = (mn__quota){.token = x->token,
                                  .n = x->n,
                                  .n_tail = n_tail,
                                  .protect = n_tail,
                                  .keep = x->n < x->cap ? x->n : x->cap,
                                  .score = x->score + h * x->n,
                                  .gain = 1,
                                  .mask = x->mask + h * x->n};
        memset(x->quota[h].mask, 0, x->n);
        memset(x->quota[h].mask + x->n - n_tail, MN__MASK_PROTECTED, n_tail);
    }
}

static bool count_nonneg(golden *g, const json_t *c, choice *x)
{
    const mn__policy p = {.judge = MN__JUDGE_ALWAYS};
    double *want = golden_numbers(g, c, "n_nonneg_per_head", (const size_t[]){x->n_head, 0}, false);
    bool ok = want != NULL;
    begin_choice(x, 1); /* the newest counts, whether it is protected or not */
    for (size_t h = 0; ok && h < x->n_head; h++) {
        x->quota[h].keep = x->n;
        mn__judge_tokens(&p, &x->quota[h]);
        ok = golden_near(g, "`n_nonneg_per_head`", want[h], (double)x->quota[h].keep, 0);
    }
    free(want);
    return ok;
}

static bool compare_kept(golden *g, const char *what, const uint32_t *keep, size_t n,
                         const json_t *want)
{
    if (!json_is_array(want) || json_array_size(want) != n)
        return golden_fail(g, "%s: %zu tokens are kept, %zu wanted", what, n,
                           json_array_size(want));
    for (size_t i = 0; i < n; i++)
        if (json_integer_value(json_array_get(want, i)) != (json_int_t)keep[i])
            return golden_fail(g, "%s: token %u in place %zu, %lld wanted", what, keep[i], i,
                               (long long)json_integer_value(json_array_get(want, i)));
    return true;
}

static bool select_case(golden *g, const json_t *c, choice *x)
{
    const mn__policy p = {.judge = x->top_k ? MN__JUDGE_NONE : MN__JUDGE_LAYER};
    const json_t *retained = json_object_get(c, "retained");
    size_t n_keep;
    char what[64];
    if (!golden_size(g, c, "n_keep", 1, x->n, &n_keep) || !count_nonneg(g, c, x)) return false;
    begin_choice(x, !x->top_k);
    if (!x->top_k) mn__judge_layer(&p, x->quota, x->n_head);
    for (size_t h = 0; h < x->n_head; h++) {
        size_t n = mn__select(&p, &x->quota[h], NULL, x->spare, x->keep);
        snprintf(what, sizeof what, "head %zu", h);
        if (!golden_near(g, "`n_keep`", (double)n_keep, (double)n, 0) ||
            !compare_kept(g, what, x->keep, n, json_array_get(retained, h)))
            return false;
    }
    return true;
}

bool golden_selection(golden *g)
{
    const json_t *cases = json_object_get(g->root, "cases");
    bool ok = golden_fields(g, g->root, "", "kind case oracle seed note cases");
    if (ok && !json_array_size(cases)) ok = golden_fail(g, "`cases`: a list is wanted");
    for (size_t i = 0; ok && i < json_array_size(cases); i++) {
        choice x;
        const char *note = json_string_value(json_object_get(json_array_get(cases, i), "note"));
        ok = read_choice(g, json_array_get(cases, i), &x) &&
             select_case(g, json_array_get(cases, i), &x);
        free_choice(&x);
        if (!ok && !*g->why) golden_fail(g, "case %zu (%s): cannot be read", i, note ? note : "");
    }
    return ok;
}

/* ---- full_step ---- */

typedef struct step {
    mn__namm namm;
    mn__namm_input *input;
    mn__namm_stft stft;
    mn__policy *policy;
    mn__evictor *evictor;
    mn__team *team;
    mn__pool *pool;
    mn__cache *cache;
    mn__cache_shape shape;
    struct mn__kern kern;
    size_t n_layer, n_kv, n_head, n_bin;
    mn_diag diag;
} step;

static const int32_t no_window[LAYERS_MAX];

static float *read_floats(golden *g, const char *name, size_t n)
{
    double *x = golden_numbers(g, g->root, name, (const size_t[]){n, 0}, false);
    float *out = x ? calloc(n, sizeof *out) : NULL;
    for (size_t i = 0; out && i < n; i++) out[i] = (float)x[i];
    free(x);
    return out;
}

static bool read_shape(golden *g, step *s)
{
    mn__namm *n = &s->namm;
    size_t group, start, n_in, n_bin;
    const json_t *r = g->root;
    *n = (mn__namm){.stride = 1, .n_group = 2, .group = {"age", "spectrum"}};
    if (!golden_fields(
            g, r, "",
            "kind case oracle seed note layers kv_heads q_heads group_size update_interval "
            "chunk total_tokens n_fft hop gamma recency_dim recency_max_freq "
            "recency_max_position start_recency_from hidden_dim num_heads cache_size "
            "n_features emb_dim n_params params norm_mean norm_var chunks updates") ||
        !golden_size(g, r, "layers", 1, LAYERS_MAX, &s->n_layer) ||
        !golden_size(g, r, "kv_heads", 1, HEADS_MAX, &s->n_kv) ||
        !golden_size(g, r, "q_heads", s->n_kv, HEADS_MAX, &s->n_head) ||
        !golden_size(g, r, "group_size", s->n_head / s->n_kv, s->n_head / s->n_kv, &group) ||
        !golden_size(g, r, "update_interval", 1, TOKENS_MAX, &n->update) ||
        !golden_size(g, r, "n_fft", 2, MN__NAMM_WINDOW_MAX, &n->spectrum.window) ||
        !golden_size(g, r, "hop", 1, n->spectrum.window, &n->spectrum.hop) ||
        !golden_real(g, r, "gamma", &n->spectrum.gamma) ||
        !golden_size(g, r, "recency_dim", 2, 1024, &n->age_dim) ||
        !golden_real(g, r, "recency_max_freq", &n->age_base) ||
        !golden_size(g, r, "start_recency_from", 0, 0, &start) ||
        !golden_size(g, r, "hidden_dim", 1, 1024, &n->net.hidden) ||
        !golden_size(g, r, "num_heads", 1, 64, &n->net.n_head))
        return false;
    s->n_bin = n->spectrum.window / 2 + 1;
    n->net.n_in = n->age_dim + s->n_bin;
    n->net.head = MN__NAMM_BAM;
    n->net.bias = n->net.mult = n->net.exact = true;
    return golden_size(g, r, "emb_dim", n->net.n_in, n->net.n_in, &n_in) &&
           golden_size(g, r, "n_features", s->n_bin, s->n_bin, &n_bin);
}

static bool read_numbers(golden *g, step *s)
{
    mn__namm *n = &s->namm;
    size_t n_param = mn__namm_net_params(&n->net), found;
    if (!golden_size(g, g->root, "n_params", n_param, n_param, &found)) return false;
    n->param = read_floats(g, "params", n_param);
    n->mean = calloc(n->net.n_in, sizeof *n->mean);
    n->deviation = calloc(n->net.n_in, sizeof *n->deviation);
    float *mean = read_floats(g, "norm_mean", s->n_bin),
          *var = read_floats(g, "norm_var", s->n_bin);
    bool ok = n->param && n->mean && n->deviation && mean && var;
    for (size_t e = 0; ok && e < n->net.n_in; e++) {
        bool is_age = e < n->age_dim;
        n->mean[e] = is_age ? 0 : mean[e - n->age_dim];
        n->deviation[e] = is_age ? 1 : fmaxf(sqrtf(var[e - n->age_dim]), 1e-7f);
    }
    free(mean);
    free(var);
    return ok;
}

static bool open_step(golden *g, step *s)
{
    const json_t *cap = json_object_get(g->root, "cache_size");
    mn__budget budget = {0};
    if (!json_is_null(cap)) {
        budget.kind = MN__BUDGET_TOKENS;
        if (!golden_size(g, g->root, "cache_size", 1, TOKENS_MAX, &budget.amount)) return false;
    }
    mn__kern_init(&s->kern, golden_level());
    s->shape = (mn__cache_shape){.n_layer = s->n_layer,
                                 .n_head = s->n_head,
                                 .n_kv_head = s->n_kv,
                                 .head_dim = HEAD_DIM,
                                 .window = no_window,
                                 .kv_type = MN__KV_F32,
                                 .max_slots = TOKENS_MAX,
                                 .max_step = TOKENS_MAX};
    s->team = mn__team_new(2);
    mn_diag *d = &s->diag;
    bool ok = s->team &&
              mn__policy_new_of(&s->policy, "namm:rule=layer,sinks=0,recent=1,state=f32", &s->namm,
                                &budget, &s->shape, d) == MN_OK &&
              mn__namm_input_new(&s->input, &s->namm, false, d) == MN_OK &&
              mn__namm_stft_init(&s->stft, &s->namm.spectrum, false, d) == MN_OK;
    if (!ok) return golden_fail(g, "%s", d->text);
    const mn__scorer *scorer = mn__policy_scorer(s->policy);
    s->shape.slot_bytes = scorer->slot_bytes;
    ok = mn__evictor_new(&s->evictor, s->policy, &s->shape, 2, d) == MN_OK &&
         mn__pool_new(&s->pool, MN__KV_F32, HEAD_DIM, d) == MN_OK &&
         mn__cache_new(&s->cache, &s->shape, s->pool, &s->kern, d) == MN_OK &&
         mn__cache_open_ring(s->cache, d) == MN_OK;
    return ok || golden_fail(g, "%s", d->text);
}

static void close_step(step *s)
{
    mn__cache_free(s->cache);
    mn__pool_free(s->pool);
    mn__evictor_free(s->evictor);
    mn__policy_free(s->policy);
    mn__namm_input_free(s->input);
    mn__namm_stft_fini(&s->stft);
    mn__team_free(s->team);
    free(s->namm.param);
    free(s->namm.mean);
    free(s->namm.deviation);
}

/* attn [query head of the group][n_new][token]: one hop, rows [r, r + n_row). */
static void show(step *s, size_t layer, size_t head, const double *attn, size_t n_new, size_t n,
                 size_t r, size_t n_row)
{
    const mn__scorer *scorer = mn__policy_scorer(s->policy);
    float *p = calloc(n_row * n, sizeof *p);
    for (size_t g = 0; p && g < s->n_head / s->n_kv; g++)
        for (size_t i = 0; i < n_row * n; i++) p[i] += (float)attn[(g * n_new + r) * n + i];
    const mn__seen seen = {.cache = s->cache,
                           .layer = layer,
                           .head = head,
                           .n_group = s->n_head / s->n_kv,
                           .token0 = s->cache->n_seen + (int64_t)r,
                           .n_row = n_row,
                           .n_slot = n,
                           .p = p,
                           .ld = n};
    if (p) scorer->ops->observe(scorer, &seen, mn__cache_lane(s->cache, layer, head)->state.data);
    free(p);
}

static void show_layer(step *s, size_t layer, const double *attn, size_t n_new, size_t n)
{
    size_t n_group = s->n_head / s->n_kv;
    for (size_t h = 0; h < s->n_kv; h++)
        for (size_t r = 0, n_row; r < n_new; r += n_row) {
            n_row = 16 - (size_t)(s->cache->n_seen + (int64_t)r) % 16;
            n_row = n_row < n_new - r ? n_row : n_new - r;
            show(s, layer, h, attn + h * n_group * n_new * n, n_new, n, r, n_row);
        }
}

static bool read_chunk(golden *g, step *s, const json_t *c, size_t n_new)
{
    const json_t *layers = json_object_get(c, "attn");
    float zero[HEAD_DIM] = {0};
    if (json_array_size(layers) != s->n_layer)
        return golden_fail(g, "`attn`: a list for each layer wanted");
    if (mn__cache_reserve(s->cache, n_new, &s->diag) != MN_OK)
        return golden_fail(g, "%s", s->diag.text);
    for (size_t l = 0; l < s->n_layer; l++) {
        size_t n = mn__cache_lane(s->cache, l, 0)->n + n_new;
        json_t *wrap = json_pack("{sO}", "attn", json_array_get(layers, l));
        double *attn =
            golden_numbers(g, wrap, "attn", (const size_t[]){s->n_head, n_new, n, 0}, false);
        for (size_t h = 0; h < s->n_kv; h++)
            for (size_t i = 0; i < n_new; i++)
                mn__lane_put(s->cache, mn__cache_lane(s->cache, l, h), i, zero, 0, zero, 0, 1);
        if (attn) show_layer(s, l, attn, n_new, n);
        json_decref(wrap);
        if (!attn) return false;
        free(attn);
    }
    mn__cache_commit(s->cache);
    return true;
}

static bool near_rows(golden *g, const char *what, const double *want, const float *found, size_t n,
                      size_t n_col, double tolerance)
{
    char at[160];
    for (size_t i = 0; i < n * n_col; i++) {
        snprintf(at, sizeof at, "%s: token %zu, column %zu", what, i / n_col, i % n_col);
        if (!golden_near(g, at, want[i], (double)found[i], tolerance)) return false;
    }
    return true;
}

/* One lane's averages, inputs and scores; want: of all heads. */
static bool compare_lane(golden *g, step *s, size_t layer, size_t head, double *const want[3])
{
    static const char *const name[3] = {"ema_raw", "embeddings", "scores"};
    const double tolerance[3] = {2e-6, 2e-4, 5e-4};
    const mn__lane *l = mn__cache_lane(s->cache, layer, head);
    const mn__scorer *scorer = mn__policy_scorer(s->policy);
    size_t E = s->namm.net.n_in, n = l->n, n_col[3] = {s->n_bin, E, 1};
    float *x[3] = {calloc(n * s->n_bin, sizeof(float)), calloc(n * E, sizeof(float)),
                   calloc(n, sizeof(float))};
    size_t n_scratch = scorer->ops->scratch_floats(scorer, &s->shape, n);
    float *scratch = mn__alloc(MN_MEM_OTHER, n_scratch * sizeof *scratch);
    bool ok = x[0] && x[1] && x[2] && scratch;
    char what[96];
    if (ok) {
        const mn__score_view v = {.cache = s->cache,
                                  .layer = layer,
                                  .head = head,
                                  .n = n,
                                  .token = mn__lane_token(l),
                                  .state = l->state.data,
                                  .scratch = scratch};
        for (size_t i = 0; i < n; i++)
            mn__namm_stft_read(&s->stft, v.state + i * scorer->slot_bytes, v.token[i],
                               s->cache->n_seen, x[0] + i * s->n_bin);
        mn__namm_input_fill(s->input, &v, scratch, x[1], scratch);
        scorer->ops->score(scorer, &v, x[2]);
    }
    for (int i = 0; ok && i < 3; i++) {
        snprintf(what, sizeof what, "%s after %lld tokens, layer %zu, head %zu", name[i],
                 (long long)s->cache->n_seen, layer, head);
        ok = near_rows(g, what, want[i] + head * n * n_col[i], x[i], n, n_col[i], tolerance[i]);
    }
    for (int i = 0; i < 3; i++) free(x[i]);
    mn__free(scratch);
    return ok;
}

static bool compare_layer(golden *g, step *s, size_t layer, const json_t *u)
{
    size_t n = mn__cache_lane(s->cache, layer, 0)->n, E = s->namm.net.n_in, found;
    if (!golden_fields(g, u, "a layer",
                       "n_all ema_raw embeddings scores n_keep retained positions_after") ||
        !golden_size(g, u, "n_all", n, n, &found))
        return false;
    double *want[3] = {
        golden_numbers(g, u, "ema_raw", (const size_t[]){s->n_kv, n, s->n_bin, 0}, false),
        golden_numbers(g, u, "embeddings", (const size_t[]){s->n_kv, n, E, 0}, false),
        golden_numbers(g, u, "scores", (const size_t[]){s->n_kv, n, 0}, false)};
    bool ok = want[0] && want[1] && want[2];
    for (size_t h = 0; ok && h < s->n_kv; h++) ok = compare_lane(g, s, layer, h, want);
    for (int i = 0; i < 3; i++) free(want[i]);
    return ok;
}

/* before: the tokens that each lane held, [layer][head][n]. */
static bool compare_survivors(golden *g, step *s, size_t layer, const json_t *u,
                              const int32_t *before)
{
    const json_t *retained = json_object_get(u, "retained"),
                 *positions = json_object_get(u, "positions_after");
    size_t n_keep;
    if (!golden_size(g, u, "n_keep", 1, TOKENS_MAX, &n_keep)) return false;
    for (size_t h = 0; h < s->n_kv; h++) {
        const mn__lane *l = mn__cache_lane(s->cache, layer, h);
        const json_t *index = json_array_get(retained, h), *pos = json_array_get(positions, h);
        char what[96];
        snprintf(what, sizeof what, "after %lld tokens, layer %zu, head %zu",
                 (long long)s->cache->n_seen, layer, h);
        if (!golden_near(g, what, (double)n_keep, (double)l->n, 0) ||
            !compare_kept(g, what, (const uint32_t *)mn__lane_pos(l), l->n, pos))
            return false;
        for (size_t i = 0; i < l->n; i++) {
            size_t from = (size_t)json_integer_value(json_array_get(index, i));
            if (json_array_size(index) != l->n || from >= TOKENS_MAX ||
                before[h * TOKENS_MAX + from] != mn__lane_token(l)[i])
                return golden_fail(g, "%s: `retained` names other tokens", what);
        }
    }
    return true;
}

static bool one_update(golden *g, step *s, const json_t *u)
{
    const json_t *layers = json_object_get(u, "layers");
    mn__evict_env env = {.softmax_scale = 1};
    size_t after;
    int32_t *before = calloc(s->n_layer * s->n_kv * TOKENS_MAX, sizeof *before);
    bool ok = before && golden_fields(g, u, "an update", "after_tokens layers") &&
              golden_size(g, u, "after_tokens", (size_t)s->cache->n_seen, (size_t)s->cache->n_seen,
                          &after);
    if (ok && json_array_size(layers) != s->n_layer)
        ok = golden_fail(g, "`layers`: one for each layer wanted");
    for (size_t l = 0; ok && l < s->n_layer; l++) {
        ok = compare_layer(g, s, l, json_array_get(layers, l));
        for (size_t h = 0; h < s->n_kv; h++) {
            const mn__lane *lane = mn__cache_lane(s->cache, l, h);
            memcpy(before + (l * s->n_kv + h) * TOKENS_MAX, lane->token.data, lane->n * 4);
        }
    }
    if (ok && !mn__evict_due(s->policy, s->cache, MN__EVENT_CHUNK))
        ok = golden_fail(g, "after %zu tokens: no event is due", after);
    if (ok && mn__evict(s->evictor, s->policy, s->cache, s->team, MN__EVENT_CHUNK, &env,
                        &s->diag) != MN_OK)
        ok = golden_fail(g, "%s", s->diag.text);
    for (size_t l = 0; ok && l < s->n_layer; l++)
        ok = compare_survivors(g, s, l, json_array_get(layers, l),
                               before + l * s->n_kv * TOKENS_MAX);
    free(before);
    return ok;
}

static bool run_chunks(golden *g, step *s)
{
    const json_t *chunks = json_object_get(g->root, "chunks"),
                 *updates = json_object_get(g->root, "updates");
    size_t n_update = 0, start, n;
    if (!json_array_size(chunks)) return golden_fail(g, "`chunks`: a list is wanted");
    for (size_t i = 0; i < json_array_size(chunks); i++) {
        const json_t *c = json_array_get(chunks, i), *is_update = json_object_get(c, "is_update");
        size_t seen = (size_t)s->cache->n_seen;
        if (!golden_fields(g, c, "a chunk", "start n is_update attn") ||
            !golden_size(g, c, "start", seen, seen, &start) ||
            !golden_size(g, c, "n", 1, TOKENS_MAX - seen, &n) || !read_chunk(g, s, c, n))
            return false;
        if (json_is_true(is_update) || json_integer_value(is_update) != 0) {
            if (!one_update(g, s, json_array_get(updates, n_update++))) return false;
        } else if (mn__evict_due(s->policy, s->cache, MN__EVENT_CHUNK)) {
            return golden_fail(g, "after %zu tokens: an event is due", start + n);
        }
    }
    return n_update == json_array_size(updates) ||
           golden_fail(g, "`updates`: %zu wanted, %zu found", n_update, json_array_size(updates));
}

bool golden_full_step(golden *g)
{
    step s;
    memset(&s, 0, sizeof s);
    bool ok = read_shape(g, &s) && read_numbers(g, &s) && open_step(g, &s) && run_chunks(g, &s);
    close_step(&s);
    return ok || golden_fail(g, "out of memory");
}
