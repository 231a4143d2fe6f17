/* golden_cma.c: kinds `cma_es` (generations of CMA-ES: candidates from a given basis, then the
 * update from given candidates and ratings), `cma_constants` and `fitness`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evolve/fitness.h"
#include "evolve/optimizer_internal.h"
#include "golden/golden.h"

enum { N_MOST = 512, LAMBDA_MOST = 4096, LIST_MOST = 1 << 20 };
static const double trace_tolerance = 5e-6, constant_tolerance = 2e-5, fitness_tolerance = 1e-6;

static bool relative(golden *g, const char *what, double want, double found, double tolerance)
{
    return golden_near(g, what, want, found, tolerance * fabs(want));
}

/* ---- constants ---- */

#define CONSTANTS(X)    \
    X(mu_eff, "mu_eff") \
    X(c_1, "c_1")       \
    X(c_mu, "c_mu")     \
    X(c_s, "c_sigma")   \
    X(d_s, "d_sigma")   \
    X(c_c, "c_c")       \
    X(e_norm, "expected_norm")

static bool compare_rates(golden *g, const json_t *obj, const mn__cma_rates *r)
{
    size_t elite;
    double want;
    if (!golden_size(g, obj, "elite_size", 1, r->lambda, &elite)) return false;
    if (elite != r->mu) return golden_fail(g, "elite_size: %zu wanted, %zu found", elite, r->mu);
#define X(member, name)                                          \
    if (!golden_real(g, obj, name, &want) ||                     \
        !relative(g, name, want, r->member, constant_tolerance)) \
        return false;
    CONSTANTS(X)
#undef X
    double *weight = golden_numbers(g, obj, "weights", (const size_t[]){r->lambda, 0}, false);
    bool ok = weight != NULL;
    for (size_t i = 0; i < r->lambda && ok; i++) {
        char what[64];
        snprintf(what, sizeof what, "weight %zu", i);
        ok = relative(g, what, weight[i], r->weight[i], constant_tolerance);
    }
    free(weight);
    return ok;
}

static bool one_row(golden *g, const json_t *obj)
{
    mn__cma_plan plan = {.covariance = MN_COVARIANCE_FULL, .is_exact = true};
    mn__cma_rates r;
    mn_diag diag = {{0}};
    if (!golden_fields(g, obj, "a row",
                       "n pop_size elite_ratio elite_size weights mu_eff c_1 c_mu c_sigma d_sigma "
                       "c_c expected_norm") ||
        !golden_size(g, obj, "n", 1, LIST_MOST, &plan.n) ||
        !golden_size(g, obj, "pop_size", 2, LAMBDA_MOST, &plan.lambda) ||
        !golden_real(g, obj, "elite_ratio", &plan.elite_ratio))
        return false;
    if (mn__cma_rates_init(&r, &plan, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    bool ok = compare_rates(g, obj, &r);
    mn__cma_rates_fini(&r);
    return ok;
}

bool golden_cma_constants(golden *g)
{
    const json_t *rows = json_object_get(g->root, "rows");
    if (!golden_fields(g, g->root, "", "kind case oracle seed note rows")) return false;
    if (!json_array_size(rows)) return golden_fail(g, "`rows`: a list is wanted");
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!one_row(g, json_array_get(rows, i))) return false;
    return true;
}

/* ---- traces ---- */

typedef struct trace {
    golden *g;
    size_t n, lambda, generation;
    mn_optimizer *o;
} trace;

static bool compare(const trace *t, const json_t *obj, const char *name, const double *found,
                    const size_t *shape)
{
    size_t count = 1;
    for (const size_t *s = shape; *s; s++) count *= *s;
    double *want = golden_numbers(t->g, obj, name, shape, false);
    bool ok = want != NULL;
    for (size_t i = 0; i < count && ok; i++) {
        char what[96];
        snprintf(what, sizeof what, "generation %zu: %s, number %zu", t->generation, name, i);
        ok = golden_near(t->g, what, want[i], found[i], trace_tolerance);
    }
    free(want);
    return ok;
}

static bool compare_one(const trace *t, const json_t *obj, const char *name, double found)
{
    double want;
    char what[96];
    snprintf(what, sizeof what, "generation %zu: %s", t->generation, name);
    return golden_real(t->g, obj, name, &want) &&
           golden_near(t->g, what, want, found, trace_tolerance);
}

/* What is drawn from: our own basis and scale make up their matrix. */
static bool check_basis(const trace *t, const json_t *obj)
{
    const mn__cma *c = &t->o->dist;
    size_t n = t->n;
    double *made = calloc(n * n, sizeof *made);
    if (!made) return golden_fail(t->g, "out of memory");
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                made[i * n + j] +=
                    c->scale[k] * c->scale[k] * c->basis[k * n + i] * c->basis[k * n + j];
    bool ok = compare(t, obj, "sampling_C", made, (const size_t[]){n, n, 0});
    free(made);
    return ok;
}

/* y from their basis, scale and z; ours are put back. */
static bool check_draw(const trace *t, const json_t *obj)
{
    mn__cma their = t->o->dist;
    size_t n = t->n, shape[] = {t->lambda, n, 0};
    double *b = golden_numbers(t->g, obj, "B", (const size_t[]){n, n, 0}, false);
    double *d = golden_numbers(t->g, obj, "D", (const size_t[]){n, 0}, false);
    double *z = golden_numbers(t->g, obj, "z", shape, false);
    double *rows = calloc(n * n, sizeof *rows), *y = calloc(t->lambda * n, sizeof *y);
    bool ok = b && d && z && rows && y;
    for (size_t i = 0; ok && i < n * n; i++) rows[i % n * n + i / n] = b[i];
    their.basis = rows;
    their.scale = d;
    for (size_t i = 0; ok && i < t->lambda; i++) mn__cma_shape(&their, z + i * n, y + i * n);
    ok = ok && compare(t, obj, "y", y, shape);
    free(b);
    free(d);
    free(z);
    free(rows);
    free(y);
    return ok;
}

/* Their y in place of what was drawn; then x. */
static bool take_candidates(const trace *t, const json_t *obj)
{
    mn_optimizer *o = t->o;
    size_t n = t->n, shape[] = {t->lambda, n, 0};
    double *y = golden_numbers(t->g, obj, "y", shape, false), *x = calloc(t->lambda * n, sizeof *x);
    bool ok = y && x;
    for (size_t i = 0; ok && i < t->lambda; i++) {
        memcpy(o->y + i * n, y + i * n, n * sizeof *y);
        mn__cma_whiten(&o->dist, y + i * n, o->z + i * n);
        mn_optimizer_ask(o, i, x + i * n);
    }
    ok = ok && compare(t, obj, "x", x, shape);
    free(y);
    free(x);
    return ok;
}

static bool learn(const trace *t, const json_t *obj)
{
    mn_diag diag = {{0}};
    mn_optimizer_info info;
    const mn__cma *c = &t->o->dist;
    size_t n = t->n, line[] = {n, 0};
    double *fitness = golden_numbers(t->g, obj, "fitness", (const size_t[]){t->lambda, 0}, false);
    if (!fitness) return false;
    mn_status st = mn_optimizer_tell(t->o, fitness, &diag);
    free(fitness);
    if (st != MN_OK) return golden_fail(t->g, "%s", diag.text);
    mn_optimizer_get_info(t->o, &info);
    return compare(t, obj, "mean", info.mean, line) && compare(t, obj, "p_sigma", c->p_s, line) &&
           compare(t, obj, "p_c", c->p_c, line) &&
           compare(t, obj, "C", c->c, (const size_t[]){n, n, 0}) &&
           compare(t, obj, "best_member", info.best_x, line) &&
           compare_one(t, obj, "sigma", info.sigma) &&
           compare_one(t, obj, "best_fitness", info.best);
}

static bool one_generation(const trace *t, const json_t *obj)
{
    return golden_fields(t->g, obj, "a generation",
                         "z sampling_C B D y x fitness mean sigma p_sigma p_c C h_sigma "
                         "best_member best_fitness") &&
           check_basis(t, obj) && check_draw(t, obj) && take_candidates(t, obj) && learn(t, obj);
}

static bool begin(trace *t)
{
    golden *g = t->g;
    mn_diag diag = {{0}};
    mn_optimizer_params p;
    mn_optimizer_params_default(&p);
    p.is_max = p.is_exact = p.is_endless = true;
    if (!golden_size(g, g->root, "n", 1, N_MOST, &p.n) ||
        !golden_size(g, g->root, "pop_size", 2, LAMBDA_MOST, &p.population) ||
        !golden_real(g, g->root, "elite_ratio", &p.elite_ratio) ||
        !golden_real(g, g->root, "init_sigma", &p.sigma))
        return false;
    double *mean = golden_numbers(g, g->root, "init_mean", (const size_t[]){p.n, 0}, false);
    if (!mean) return false;
    p.mean = mean;
    t->n = p.n;
    t->lambda = p.population;
    mn_status st = mn_optimizer_new(&t->o, &p, &diag);
    free(mean);
    return st == MN_OK || golden_fail(g, "%s", diag.text);
}

bool golden_cma_es(golden *g)
{
    trace t = {.g = g};
    const json_t *list = json_object_get(g->root, "generations");
    if (!golden_fields(g, g->root, "",
                       "kind case oracle seed note n pop_size elite_ratio elite_size init_sigma "
                       "init_mean weights weights_elite mu_eff c_1 c_mu c_sigma d_sigma c_c c_m "
                       "expected_norm generations"))
        return false;
    if (!json_array_size(list)) return golden_fail(g, "`generations`: a list is wanted");
    bool ok = begin(&t) && compare_rates(g, g->root, &t.o->dist.rates);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        t.generation = i;
        ok = one_generation(&t, json_array_get(list, i));
    }
    mn_optimizer_free(t.o);
    return ok;
}

/* ---- fitness ---- */

/* Row i of a list of lists, of any length. */
static double *row_of(golden *g, const json_t *obj, const char *name, size_t i, size_t *n)
{
    json_t *row = json_array_get(json_object_get(obj, name), i), *holder = json_object();
    *n = json_array_size(row);
    double *out = NULL;
    if (!*n || *n > LIST_MOST)
        golden_fail(g, "`%s`: a list for each task is wanted", name);
    else if (!json_object_set(holder, name, row))
        out = golden_numbers(g, holder, name, (const size_t[]){*n, 0}, false);
    json_decref(holder);
    return out;
}

static bool read_prompts(golden *g, const json_t *obj, size_t i, mn__fitness_task *out, size_t most)
{
    size_t n = 0;
    double *found = row_of(g, obj, "sample_idx", i, &n);
    size_t *prompt = found && n == out->n ? calloc(n, sizeof *prompt) : NULL;
    for (size_t k = 0; prompt && k < n; k++) {
        prompt[k] = (size_t)found[k];
        if (found[k] < 0 || prompt[k] >= most) {
            free(prompt);
            prompt = NULL;
        }
    }
    free(found);
    out->prompt = prompt;
    return prompt ||
           golden_fail(g, "`sample_idx`: task %zu: %zu indices below %zu wanted", i, out->n, most);
}

static bool compare_tasks(golden *g, const json_t *obj, const mn__fitness_task *t, size_t n)
{
    const size_t shape[] = {n, 0};
    double *percent = golden_numbers(g, obj, "task_score_percent", shape, false);
    double *normal = golden_numbers(g, obj, "normalised", shape, false), fitness = 0;
    bool ok = percent && normal && golden_real(g, obj, "fitness", &fitness);
    for (size_t i = 0; ok && i < n; i++)
        ok = relative(g, "task_score_percent", percent[i], mn__fitness_percent(&t[i]),
                      fitness_tolerance) &&
             relative(g, "normalised", normal[i], mn__fitness_normalised(&t[i]), fitness_tolerance);
    free(percent);
    free(normal);
    return ok && relative(g, "fitness", fitness, mn__fitness(t, n), fitness_tolerance);
}

static bool one_example(golden *g, const json_t *obj)
{
    size_t n = json_array_size(json_object_get(obj, "tasks")), most = 0;
    if (!golden_fields(g, obj, "an example",
                       "tasks sample_idx sample_scores reference_scores task_score_percent "
                       "normalised fitness"))
        return false;
    if (!n || n > N_MOST) return golden_fail(g, "`tasks`: a list is wanted");
    mn__fitness_task *t = calloc(n, sizeof *t);
    bool ok = t != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        t[i].score = row_of(g, obj, "sample_scores", i, &t[i].n);
        t[i].reference = row_of(g, obj, "reference_scores", i, &most);
        ok = t[i].score && t[i].reference && read_prompts(g, obj, i, &t[i], most);
    }
    ok = ok && compare_tasks(g, obj, t, n);
    for (size_t i = 0; t && i < n; i++) {
        free((void *)(uintptr_t)t[i].score);
        free((void *)(uintptr_t)t[i].reference);
        free((void *)(uintptr_t)t[i].prompt);
    }
    free(t);
    return ok;
}

bool golden_fitness(golden *g)
{
    const json_t *list = json_object_get(g->root, "examples");
    if (!golden_fields(g, g->root, "", "kind case oracle seed note examples")) return false;
    if (!json_array_size(list)) return golden_fail(g, "`examples`: a list is wanted");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!one_example(g, json_array_get(list, i))) return false;
    return true;
}
