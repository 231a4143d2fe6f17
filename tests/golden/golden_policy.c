/* golden_policy.c: kind `policy_scores`: what a policy makes of given queries, keys and values, and
 * what it keeps. */
#include "unit/policy_fixture.h"

#include "golden/golden.h"

enum { STEP = 128 };

/* The rows of the file, where the fixture asks for them. */
static struct {
    size_t n, n_head, n_kv_head, d, width;
    double *q, *k, *v; /* [head][token][channel] */
    double *wo;        /* [width][n_head * d] */
} rows;

static double row_q(size_t layer, size_t head, int64_t i, size_t c)
{
    (void)layer;
    return rows.q[(head * rows.n + (size_t)i) * rows.d + c];
}

static double row_k(size_t layer, size_t head, int64_t i, size_t c)
{
    (void)layer;
    return rows.k[(head * rows.n + (size_t)i) * rows.d + c];
}

static double row_v(size_t layer, size_t head, int64_t i, size_t c)
{
    (void)layer;
    return rows.v[(head * rows.n + (size_t)i) * rows.d + c];
}

/* |Wo[h] v|_1, mean over the group. */
static void output_norm(const void *hook, size_t layer, size_t head, const float *v, size_t n_row,
                        float *out)
{
    size_t n_group = rows.n_head / rows.n_kv_head, d = rows.d;
    (void)hook;
    (void)layer;
    for (size_t r = 0; r < n_row; r++) {
        double sum = 0;
        for (size_t h = head * n_group; h < (head + 1) * n_group; h++)
            for (size_t a = 0; a < rows.width; a++) {
                double dot = 0;
                for (size_t c = 0; c < d; c++)
                    dot += rows.wo[a * rows.n_head * d + h * d + c] * (double)v[r * d + c];
                sum += fabs(dot);
            }
        out[r] = (float)(sum / (double)n_group);
    }
}

/* ---- the inputs ---- */

static void fill_queries_keys(const double *a, const double *b)
{
    for (size_t i = 0; i < rows.n; i++)
        for (size_t c = 0; c < rows.d; c++) {
            double t = (double)i, x = (double)c;
            for (size_t h = 0; h < rows.n_head; h++)
                rows.q[(h * rows.n + i) * rows.d + c] =
                    sin(a[0] * t + a[1] * x + a[2] * (double)h + a[3]);
            for (size_t g = 0; g < rows.n_kv_head; g++)
                rows.k[(g * rows.n + i) * rows.d + c] =
                    cos(b[0] * t + b[1] * x + b[2] * (double)g + b[3]) *
                    (1 + b[4] * sin(b[5] * t + (double)g));
        }
}

static void fill_values(const double *e, const double *f)
{
    for (size_t g = 0; g < rows.n_kv_head; g++)
        for (size_t i = 0; i < rows.n; i++)
            for (size_t c = 0; c < rows.d; c++)
                rows.v[(g * rows.n + i) * rows.d + c] =
                    sin(e[0] * (double)i * (double)(c + 1) + e[1] + e[2] * (double)g) *
                    (1 + e[3] * (double)i);
    for (size_t a = 0; a < rows.width; a++)
        for (size_t b = 0; b < rows.n_head * rows.d; b++)
            rows.wo[a * rows.n_head * rows.d + b] = cos(f[0] * (double)a + f[1] * (double)b);
}

static bool read_formula(golden *g, const json_t *f)
{
    if (!golden_fields(g, f, "`formula`", "q k v wo")) return false;
    double *q = golden_numbers(g, f, "q", (const size_t[]){4, 0}, false),
           *k = golden_numbers(g, f, "k", (const size_t[]){6, 0}, false);
    double *v = golden_numbers(g, f, "v", (const size_t[]){4, 0}, false),
           *wo = golden_numbers(g, f, "wo", (const size_t[]){2, 0}, false);
    size_t each = rows.n * rows.d;
    rows.q = calloc(rows.n_head * each, sizeof *rows.q);
    rows.k = calloc(rows.n_kv_head * each, sizeof *rows.k);
    rows.v = calloc(rows.n_kv_head * each, sizeof *rows.v);
    rows.wo = calloc(rows.width * rows.n_head * rows.d, sizeof *rows.wo);
    bool ok = q && k && v && wo && rows.q && rows.k && rows.v && rows.wo;
    if (ok) {
        fill_queries_keys(q, k);
        fill_values(v, wo);
    }
    free(q);
    free(k);
    free(v);
    free(wo);
    return ok || golden_fail(g, "out of memory");
}

static bool read_rows(golden *g)
{
    const json_t *shape = json_object_get(g->root, "shape"),
                 *formula = json_object_get(g->root, "formula");
    if (!golden_fields(g, shape, "`shape`", "tokens query_heads kv_heads head_dim width") ||
        !golden_size(g, shape, "tokens", 1, PF_TOKENS, &rows.n) ||
        !golden_size(g, shape, "query_heads", 1, PF_HEADS, &rows.n_head) ||
        !golden_size(g, shape, "kv_heads", 1, rows.n_head, &rows.n_kv_head) ||
        !golden_size(g, shape, "head_dim", 2, PF_DIM, &rows.d) ||
        !golden_size(g, shape, "width", 1, 65536, &rows.width))
        return false;
    if (rows.n_head % rows.n_kv_head || rows.d % 2)
        return golden_fail(g, "%zu query heads for %zu KV heads of %zu channels cannot be",
                           rows.n_head, rows.n_kv_head, rows.d);
    if (formula) return read_formula(g, formula);
    rows.q =
        golden_numbers(g, g->root, "q", (const size_t[]){rows.n_head, rows.n, rows.d, 0}, false);
    rows.k =
        golden_numbers(g, g->root, "k", (const size_t[]){rows.n_kv_head, rows.n, rows.d, 0}, false);
    rows.v =
        golden_numbers(g, g->root, "v", (const size_t[]){rows.n_kv_head, rows.n, rows.d, 0}, false);
    rows.wo = golden_numbers(g, g->root, "wo",
                             (const size_t[]){rows.width, rows.n_head * rows.d, 0}, false);
    return rows.q && rows.k && rows.v && rows.wo;
}

static void free_rows(void)
{
    free(rows.q);
    free(rows.k);
    free(rows.v);
    free(rows.wo);
    memset(&rows, 0, sizeof rows);
}

/* ---- a cache of these rows ---- */

/* The text comes in pieces of n_step tokens. */
static bool open_cache(golden *g, struct pf *f, const char *spec, const char *budget, size_t n_step)
{
    bool adjacent;
    *f = (struct pf){.n_layer = 1,
                     .n_head = rows.n_head,
                     .n_kv_head = rows.n_kv_head,
                     .d = rows.d,
                     .q = row_q,
                     .k = row_k,
                     .v = row_v,
                     .n_thread = 1,
                     .type = MN__KV_F32};
    double *freq = golden_numbers(g, g->root, "freq", (const size_t[]){rows.d / 2, 0}, false);
    if (!freq || !golden_pairs(g, g->root, &adjacent)) {
        free(freq);
        return false;
    }
    memcpy(f->freq, freq, rows.d / 2 * sizeof *freq);
    free(freq);
    f->adjacent = adjacent;
    if (pf_try(f, spec, budget) != MN_OK)
        return golden_fail(g, "%s, budget %s: %s", spec, budget, f->diag.text);
    mn__kern_init(&f->kern, golden_level());
    f->env.output_norm = output_norm;
    for (size_t i = 0; i < rows.n; i += n_step)
        pf_feed(f, rows.n - i < n_step ? rows.n - i : n_step);
    return true;
}

/* The rules between the scorer and the selection, as an event applies them to lanes that hold the
 * same tokens. */
static void share_and_pool(const struct pf *f, float *score)
{
    const mn__policy *p = f->policy;
    size_t n = rows.n, heads = rows.n_kv_head;
    float *spare = malloc(n * sizeof *spare);
    for (size_t i = 0; i < n && p->share != MN__SHARE_NONE; i++) {
        float sum = 0;
        for (size_t h = 0; h < heads; h++) sum += score[h * n + i];
        for (size_t h = 0; h < heads; h++) score[h * n + i] = sum / (float)heads;
    }
    for (size_t h = 0; h < heads && spare; h++)
        mn__pool_scores(score + h * n, n - p->recent, p->pool, p->pool_avg, spare);
    free(spare);
}

static bool compare_scores(golden *g, const struct pf *f, const char *spec, const double *want,
                           double tolerance)
{
    size_t n = rows.n, n_compared = 0;
    float *score = calloc(rows.n_kv_head * n, sizeof *score);
    bool ok = score != NULL;
    for (size_t h = 0; ok && h < rows.n_kv_head; h++) pf_score((struct pf *)f, 0, h, score + h * n);
    if (ok) share_and_pool(f, score);
    for (size_t i = 0; ok && i < rows.n_kv_head * n; i++) {
        char what[192];
        if (isnan(want[i])) continue;
        n_compared++;
        snprintf(what, sizeof what, "%s: score of head %zu, token %zu", spec, i / n, i % n);
        ok = golden_near(g, what, want[i], (double)score[i], tolerance);
    }
    free(score);
    return ok &&
           (n_compared || golden_fail(g, "%s: every score is null: nothing to compare", spec));
}

static bool check_scores(golden *g, const json_t *c, const char *spec, double tolerance)
{
    static const size_t steps[] = {STEP, 7, 1};
    double *want =
        golden_numbers(g, c, "scores", (const size_t[]){rows.n_kv_head, rows.n, 0}, true);
    bool ok = want != NULL;
    for (size_t i = 0; ok && i < sizeof steps / sizeof *steps; i++) {
        struct pf f;
        ok = open_cache(g, &f, spec, "100%", steps[i]) &&
             compare_scores(g, &f, spec, want, tolerance);
        pf_close(&f);
    }
    free(want);
    return ok;
}

static bool compare_lane(golden *g, const struct pf *f, const char *spec, size_t head,
                         const json_t *want)
{
    const mn__lane *l = mn__cache_lane(f->cache, 0, head);
    if (!json_is_array(want) || json_array_size(want) != l->n)
        return golden_fail(g, "%s: head %zu keeps %zu tokens, %zu wanted", spec, head, l->n,
                           json_array_size(want));
    for (size_t i = 0; i < l->n; i++) {
        const json_t *v = json_array_get(want, i);
        if (!json_is_integer(v) || json_integer_value(v) != mn__lane_token(l)[i])
            return golden_fail(g, "%s: head %zu keeps token %d in place %zu, %lld wanted", spec,
                               head, mn__lane_token(l)[i], i, (long long)json_integer_value(v));
    }
    return true;
}

static bool check_kept(golden *g, const json_t *c, const char *spec)
{
    struct pf f = {0};
    const char *budget;
    const json_t *kept = json_object_get(c, "kept");
    if (!golden_text(g, c, "budget", &budget)) return false;
    if (json_array_size(kept) != rows.n_kv_head)
        return golden_fail(g, "%s: `kept`: a list for each KV head is wanted", spec);
    bool ok = open_cache(g, &f, spec, budget, STEP);
    if (ok && pf_evict(&f, MN__EVENT_PROMPT_END) != MN_OK)
        ok = golden_fail(g, "%s: %s", spec, f.diag.text);
    for (size_t h = 0; ok && h < rows.n_kv_head; h++)
        ok = compare_lane(g, &f, spec, h, json_array_get(kept, h));
    pf_close(&f);
    return ok;
}

static bool one_case(golden *g, const json_t *c, double tolerance)
{
    const char *spec;
    bool has_scores = json_object_get(c, "scores"), has_kept = json_object_get(c, "kept");
    if (!golden_fields(g, c, "a case", "policy scores budget kept") ||
        !golden_text(g, c, "policy", &spec))
        return false;
    if (!has_scores && !has_kept) return golden_fail(g, "%s: neither `scores` nor `kept`", spec);
    return (!has_scores || check_scores(g, c, spec, tolerance)) &&
           (!has_kept || check_kept(g, c, spec));
}

bool golden_policy_scores(golden *g)
{
    const json_t *cases = json_object_get(g->root, "cases");
    double tolerance;
    if (!golden_fields(g, g->root, "",
                       "kind case oracle seed tolerance shape pairs freq formula q k v wo cases") ||
        !golden_real(g, g->root, "tolerance", &tolerance))
        return false;
    bool ok = read_rows(g);
    if (ok && !json_array_size(cases)) ok = golden_fail(g, "`cases`: a list is wanted");
    for (size_t i = 0; ok && i < json_array_size(cases); i++)
        ok = one_case(g, json_array_get(cases, i), tolerance);
    free_rows();
    return ok;
}
