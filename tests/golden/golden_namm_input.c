/* golden_namm_input.c: kinds of what a NAMM looks at: `stft_ema`, `norm_stats`, `tables`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "golden/golden.h"
#include "mneme/model.h"
#include "model/model.h"
#include "policy/namm_input.h"
#include "policy/namm_stats.h"
#include "tiny_model.h"

enum { TOKENS_MAX = 1 << 16, HEADS_MAX = 1 << 10, FEATURES_MAX = 1 << 12 };
#define FEATURE_TOLERANCE 2e-6

/* ---- stft_ema: spectrograms over several updates with evictions between them ---- */

/* One head's tokens. */
typedef struct lane {
    mn__cache cache;
    mn__lane lane;
    struct mn__kern kern;
    uint8_t *state;
    size_t n, size;
    int64_t *token;
} lane;

/* Rows of one update in pieces of at most n_step, never across a border of 16. */
static void show(lane *l, const mn__namm_stft *t, const double *attn, size_t n_new, size_t n_all,
                 size_t n_step)
{
    float *p = calloc(16 * n_all, sizeof *p);
    for (size_t r = 0, n; p && r < n_new; r += n) {
        size_t border = 16 - (size_t)(l->cache.n_seen + (int64_t)r) % 16;
        n = n_new - r < n_step ? n_new - r : n_step;
        n = n < border ? n : border;
        for (size_t i = 0; i < n * n_all; i++) p[i] = (float)attn[r * n_all + i];
        const mn__seen seen = {.cache = &l->cache,
                               .n_group = 1,
                               .token0 = l->cache.n_seen + (int64_t)r,
                               .n_row = n,
                               .n_slot = n_all,
                               .p = p,
                               .ld = n_all};
        mn__namm_stft_observe(t, &seen, l->state, l->size);
    }
    free(p);
}

static bool compare_means(golden *g, const lane *l, const mn__namm_stft *t, const char *what,
                          const double *want, size_t n)
{
    float found[MN__NAMM_WINDOW_MAX];
    char at[160];
    for (size_t i = 0; i < n; i++) {
        mn__namm_stft_read(t, l->state + i * l->size, l->token[i], l->cache.n_seen, found);
        for (size_t f = 0; f < t->n_bin; f++) {
            snprintf(at, sizeof at, "%s: token %zu, bin %zu", what, i, f);
            if (!golden_near(g, at, want[i * t->n_bin + f], (double)found[f], FEATURE_TOLERANCE))
                return false;
        }
    }
    return true;
}

static bool gather(golden *g, lane *l, const json_t *keep)
{
    size_t n = json_array_size(keep);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(keep, i);
        size_t from = json_is_integer(v) ? (size_t)json_integer_value(v) : SIZE_MAX;
        if (from >= l->n || from < i) return golden_fail(g, "`retained`: ascending indices wanted");
        memmove(l->state + i * l->size, l->state + from * l->size, l->size);
        l->token[i] = l->token[from];
    }
    l->n = n;
    return true;
}

static bool one_update(golden *g, lane *l, const mn__namm_stft *t, const json_t *u, size_t n_head,
                       size_t head, size_t n_step)
{
    size_t n_new, n_all;
    char what[64];
    const json_t *kept = json_object_get(u, "retained");
    if (!golden_fields(g, u, "an update",
                       "n_new n_old n_all attn features retained ema_state_after") ||
        !golden_size(g, u, "n_new", 1, TOKENS_MAX, &n_new) ||
        !golden_size(g, u, "n_all", l->n + n_new, l->n + n_new, &n_all))
        return false;
    double *attn = golden_numbers(g, u, "attn", (const size_t[]){n_head, n_new, n_all, 0}, false),
           *want = golden_numbers(g, u, "features", (const size_t[]){n_head, n_all, t->n_bin, 0},
                                  false);
    l->state = realloc(l->state, n_all * l->size);
    l->token = realloc(l->token, n_all * sizeof *l->token);
    bool ok = attn && want && l->state && l->token;
    for (size_t i = l->n; ok && i < n_all; i++) {
        memset(l->state + i * l->size, 0, l->size);
        l->token[i] = l->cache.n_seen + (int64_t)(i - l->n);
    }
    if (ok) {
        show(l, t, attn + head * n_new * n_all, n_new, n_all, n_step);
        l->n = n_all;
        l->cache.n_seen += (int64_t)n_new;
        snprintf(what, sizeof what, "head %zu, after %lld queries", head,
                 (long long)l->cache.n_seen);
        ok = compare_means(g, l, t, what, want + head * n_all * t->n_bin, n_all);
    }
    free(attn);
    free(want);
    if (!ok || !json_is_array(kept)) return ok;
    const json_t *mine = json_array_get(kept, head);
    if (!json_is_array(mine)) return golden_fail(g, "`retained`: a list for each head wanted");
    want = golden_numbers(g, u, "ema_state_after",
                          (const size_t[]){n_head, json_array_size(mine), t->n_bin, 0}, false);
    ok = want && gather(g, l, mine) &&
         compare_means(g, l, t, "after the eviction", want + head * l->n * t->n_bin, l->n);
    free(want);
    return ok;
}

static bool one_head(golden *g, const mn__namm_stft *t, size_t n_head, size_t head, size_t n_step)
{
    const json_t *updates = json_object_get(g->root, "updates");
    lane l = {.size = mn__namm_stft_bytes(t)};
    bool ok = true;
    mn__kern_init(&l.kern, golden_level());
    l.cache =
        (mn__cache){.shape = {.n_layer = 1, .n_kv_head = 1}, .kern = &l.kern, .lane = &l.lane};
    for (size_t i = 0; ok && i < json_array_size(updates); i++)
        ok = one_update(g, &l, t, json_array_get(updates, i), n_head, head, n_step);
    free(l.state);
    free(l.token);
    return ok;
}

bool golden_stft_ema(golden *g)
{
    static const size_t steps[] = {16, 1, 7};
    mn__namm_stft t;
    mn__namm_spectrum of = {0};
    size_t n_head, n_bin;
    mn_diag diag = {""};
    if (!golden_fields(
            g, g->root, "",
            "kind case oracle seed note n_fft hop gamma window heads n_features updates") ||
        !golden_size(g, g->root, "n_fft", 2, MN__NAMM_WINDOW_MAX, &of.window) ||
        !golden_size(g, g->root, "hop", 1, of.window, &of.hop) ||
        !golden_real(g, g->root, "gamma", &of.gamma) ||
        !golden_size(g, g->root, "heads", 1, HEADS_MAX, &n_head) ||
        !golden_size(g, g->root, "n_features", of.window / 2 + 1, of.window / 2 + 1, &n_bin))
        return false;
    if (!json_array_size(json_object_get(g->root, "updates")))
        return golden_fail(g, "`updates`: a list is wanted");
    if (mn__namm_stft_init(&t, &of, false, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    double *window = golden_numbers(g, g->root, "window", (const size_t[]){of.window, 0}, false);
    bool ok = window != NULL;
    for (size_t m = 0; ok && m < of.window; m++)
        ok = golden_near(g, "window", window[m], (double)t.basis[m], FEATURE_TOLERANCE);
    for (size_t i = 0; ok && i < sizeof steps / sizeof *steps; i++)
        for (size_t h = 0; ok && h < n_head; h++) ok = one_head(g, &t, n_head, h, steps[i]);
    free(window);
    mn__namm_stft_fini(&t);
    return ok;
}

/* ---- norm_stats: running mean and variance ---- */

static bool near_all(golden *g, const char *what, const double *want, const double *found, size_t n,
                     double tolerance)
{
    char at[96];
    for (size_t i = 0; i < n; i++) {
        snprintf(at, sizeof at, "%s %zu", what, i);
        if (!golden_near(g, at, want[i], found[i], tolerance)) return false;
    }
    return true;
}

/* Three lists of obj, prefix and suffix around their names, against the statistics. */
static bool compare_stats(golden *g, const json_t *obj, const char *const name[3],
                          const mn__namm_stats *s)
{
    bool ok = true;
    for (int i = 0; ok && i < 3; i++) {
        double *want = golden_numbers(g, obj, name[i], (const size_t[]){s->n_col, 0}, false);
        ok = want != NULL;
        for (size_t c = 0; ok && c < s->n_col; c++) {
            double found = i == 0 ? s->mean[c] : i == 1 ? s->var[c] : s->count;
            ok = near_all(g, name[i], want + c, &found, 1, i == 2 ? 0 : 1e-6);
        }
        free(want);
    }
    return ok;
}

static bool compare_normalised(golden *g, const double *raw, const double *want, size_t n,
                               const mn__namm_stats *s)
{
    for (size_t i = 0; i < n; i++) {
        size_t c = i % s->n_col;
        double found = (raw[i] - s->mean[c]) / mn__namm_stats_deviation(s, c);
        if (!near_all(g, "normalised", want + i, &found, 1, 1e-4)) return false;
    }
    return true;
}

static bool add_update(golden *g, const json_t *u, size_t n_head, mn__namm_stats *s)
{
    size_t n_all, n_col = s->n_col;
    if (!golden_fields(g, u, "an update",
                       "n_new n_all new_sequence token_mask raw_features normalised run_mean "
                       "run_var run_num retained") ||
        !golden_size(g, u, "n_all", 1, TOKENS_MAX, &n_all))
        return false;
    const size_t shape[] = {n_head, n_all, n_col, 0};
    double *raw = golden_numbers(g, u, "raw_features", shape, false),
           *want = golden_numbers(g, u, "normalised", shape, false),
           *mask = golden_numbers(g, u, "token_mask", (const size_t[]){n_all, 0}, false);
    size_t n = n_head * n_all;
    float *x = calloc(n * n_col, sizeof *x);
    uint8_t *valid = calloc(n, 1);
    double *spare = calloc(2 * n_col, sizeof *spare);
    bool ok = raw && want && mask && x && valid && spare;
    for (size_t i = 0; ok && i < n * n_col; i++) x[i] = (float)raw[i];
    for (size_t i = 0; ok && i < n; i++) valid[i] = mask[i % n_all] != 0;
    if (ok) mn__namm_stats_add(s, x, n_col, n, valid, spare);
    ok = ok && compare_stats(g, u, (const char *const[]){"run_mean", "run_var", "run_num"}, s) &&
         compare_normalised(g, raw, want, n * n_col, s);
    free(raw);
    free(want);
    free(mask);
    free(x);
    free(valid);
    free(spare);
    return ok;
}

static bool check_merge(golden *g, const json_t *m)
{
    size_t n = json_array_size(json_object_get(m, "mean_a"));
    const size_t shape[] = {n, 0};
    double *x[6];
    static const char *const name[] = {"mean_a", "var_a", "num_a", "mean_b", "var_b", "num_b"},
                             *const merged[] = {"mean", "var", "num"};
    bool ok = n > 0 && golden_fields(g, m, "`merge_example`",
                                     "mean_a var_a num_a mean_b var_b num_b mean var num");
    for (int i = 0; i < 6; i++) {
        x[i] = n ? golden_numbers(g, m, name[i], shape, false) : NULL;
        ok = ok && x[i];
    }
    for (size_t c = 0; ok && c < n; c++) { /* each column has counts of its own */
        mn__namm_stats part = {.n_col = 1, .count = x[2][c], .mean = x[0] + c, .var = x[1] + c},
                       all = {.n_col = 1, .count = x[5][c], .mean = x[3] + c, .var = x[4] + c};
        mn__namm_stats_merge(&all, &part);
        x[5][c] = all.count;
    }
    for (int i = 0; ok && i < 3; i++) {
        double *want = golden_numbers(g, m, merged[i], shape, false);
        ok = want && near_all(g, merged[i], want, x[3 + i], n, i == 2 ? 0 : 1e-6);
        free(want);
    }
    for (int i = 0; i < 6; i++) free(x[i]);
    return ok || golden_fail(g, "`merge_example`: two triples and their merge wanted");
}

static bool check_frozen(golden *g, size_t n_head, const mn__namm_stats *s)
{
    const json_t *e = json_object_get(g->root, "frozen_example");
    size_t n_all = json_array_size(json_array_get(json_object_get(e, "raw_features"), 0));
    const size_t shape[] = {n_head, n_all, s->n_col, 0};
    if (!n_all || !golden_fields(g, e, "`frozen_example`", "raw_features normalised"))
        return golden_fail(g, "`frozen_example`: features wanted");
    double *raw = golden_numbers(g, e, "raw_features", shape, false),
           *want = golden_numbers(g, e, "normalised", shape, false);
    bool ok = raw && want && compare_normalised(g, raw, want, n_head * n_all * s->n_col, s);
    free(raw);
    free(want);
    return ok;
}

bool golden_norm_stats(golden *g)
{
    const json_t *updates = json_object_get(g->root, "updates");
    static const char *const frozen[] = {"frozen_mean", "frozen_var", "frozen_num"};
    size_t n_col, n_head;
    if (!golden_fields(
            g, g->root, "",
            "kind case oracle seed note n_features heads updates frozen_mean frozen_var frozen_num "
            "frozen_example merge_example") ||
        !golden_size(g, g->root, "n_features", 1, FEATURES_MAX, &n_col) ||
        !golden_size(g, g->root, "heads", 1, HEADS_MAX, &n_head))
        return false;
    if (!json_array_size(updates)) return golden_fail(g, "`updates`: a list is wanted");
    mn__namm_stats s = {.n_col = n_col,
                        .mean = calloc(n_col, sizeof(double)),
                        .var = calloc(n_col, sizeof(double))};
    bool ok = s.mean && s.var;
    for (size_t i = 0; ok && i < json_array_size(updates); i++)
        ok = add_update(g, json_array_get(updates, i), n_head, &s);
    ok = ok && compare_stats(g, g->root, frozen, &s) && check_frozen(g, n_head, &s) &&
         check_merge(g, json_object_get(g->root, "merge_example"));
    free(s.mean);
    free(s.var);
    return ok;
}

/* ---- tables: ages, and the stretched rotation ---- */

/* Rows of a lane whose tokens have these ages, newest last. */
static bool fill_ages(golden *g, const double *age, size_t n, size_t dim, double base, float *x)
{
    mn__namm namm = {.stride = 1, .age_dim = dim, .age_base = base, .n_group = 1, .group = {"age"}};
    mn__namm_input *in = NULL;
    mn_diag diag = {""};
    mn__cache cache = {.n_seen = (int64_t)age[n - 1] + 1};
    int32_t *token = calloc(n, sizeof *token);
    float *ones = calloc(2 * dim, sizeof *ones);
    bool ok = token && ones;
    for (size_t i = 0; ok && i < n; i++) token[i] = (int32_t)(age[n - 1] - age[n - 1 - i]);
    for (size_t i = 0; ok && i < dim; i++) ones[i] = 1;
    namm.net.n_in = dim;
    namm.deviation = ones;
    namm.mean = ones + dim;
    if (ok && mn__namm_input_new(&in, &namm, false, &diag) != MN_OK)
        ok = golden_fail(g, "%s", diag.text);
    if (ok) {
        const mn__score_view v = {.cache = &cache, .n = n, .token = token};
        mn__namm_input_fill(in, &v, NULL, x, NULL);
    }
    mn__namm_input_free(in);
    free(token);
    free(ones);
    return ok;
}

static bool check_ages(golden *g, const json_t *r)
{
    size_t n = json_array_size(json_object_get(r, "ages")), dim;
    double base;
    if (!golden_fields(g, r, "an age table", "max_position dim max_freq ages embedding") ||
        !golden_size(g, r, "dim", 2, FEATURES_MAX, &dim) || !golden_real(g, r, "max_freq", &base))
        return false;
    if (!n) return golden_fail(g, "`ages`: a list is wanted");
    double *age = golden_numbers(g, r, "ages", (const size_t[]){n, 0}, false),
           *want = golden_numbers(g, r, "embedding", (const size_t[]){n, dim, 0}, false);
    float *x = calloc(n * dim, sizeof *x);
    bool ok = age && want && x;
    for (size_t i = 0; ok && i < n; i++)
        if (age[i] < (i ? age[i - 1] + 1 : 0) || age[i] > 1 << 30)
            ok = golden_fail(g, "`ages`: ascending ages wanted");
    ok = ok && (*age == 0 || golden_fail(g, "`ages`: the newest token's, 0, comes first")) &&
         fill_ages(g, age, n, dim, base, x);
    for (size_t i = 0; ok && i < n * dim; i++) {
        char what[64];
        snprintf(what, sizeof what, "age %g, column %zu", age[i / dim], i % dim);
        ok = golden_near(g, what, want[i], (double)x[(n - 1 - i / dim) * dim + i % dim], 2e-6);
    }
    free(age);
    free(want);
    free(x);
    return ok;
}

/* The rule of Llama with alpha is the library's NTK rule with the factor alpha f - (alpha - 1). */
static bool check_rotation(golden *g, const json_t *r)
{
    double base, factor, alpha, scaled;
    size_t d;
    tiny_model_params tiny;
    mn_model_params params;
    mn_model *m = NULL;
    mn_diag diag = {""};
    if (!golden_fields(g, r, "a rotation", "head_dim base factor alpha scaled_base inv_freq") ||
        !golden_size(g, r, "head_dim", 4, 256, &d) || !golden_real(g, r, "base", &base) ||
        !golden_real(g, r, "factor", &factor) || !golden_real(g, r, "alpha", &alpha) ||
        !golden_real(g, r, "scaled_base", &scaled))
        return false;
    double *want = golden_numbers(g, r, "inv_freq", (const size_t[]){d / 2, 0}, false);
    const char *path = tiny_model_path("rotation.gguf");
    tiny_model_default(&tiny, "llama");
    tiny.head_dim = (uint32_t)d;
    tiny.rope_base = (float)base;
    mn_model_params_default(&params);
    params.rope_scaling = MN_ROPE_NTK;
    params.rope_factor = (float)(alpha * factor - (alpha - 1));
    bool ok = want && tiny_model_write(path, &tiny);
    if (ok && mn_model_open(&m, path, &params, &diag) != MN_OK)
        ok = golden_fail(g, "%s", diag.text);
    ok = ok && near_all(g, "inverse frequency", want, m->rope.freq, d / 2, 2e-6);
    if (ok) {
        double found = pow(m->rope.freq[1], -(double)d / 2) / scaled, one = 1;
        ok = near_all(g, "scaled base, relative", &one, &found, 1, 2e-6);
    }
    mn_model_free(m);
    free(want);
    return ok;
}

bool golden_tables(golden *g)
{
    const json_t *ages = json_object_get(g->root, "recency"),
                 *rotations = json_object_get(g->root, "ntk_rope");
    if (!golden_fields(g, g->root, "", "kind case oracle seed note recency ntk_rope")) return false;
    if (!json_array_size(ages) && !json_array_size(rotations))
        return golden_fail(g, "neither `recency` nor `ntk_rope`");
    for (size_t i = 0; i < json_array_size(ages); i++)
        if (!check_ages(g, json_array_get(ages, i))) return false;
    for (size_t i = 0; i < json_array_size(rotations); i++)
        if (!check_rotation(g, json_array_get(rotations, i))) return false;
    return true;
}
