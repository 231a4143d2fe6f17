/* golden_tucker.c: kinds `svd_update`, `tdqkr`: cores, and retrieval by them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_memory.h"
#include "layer/tdqkr.h"
#include "layer/topm.h"
#include "layer/tucker.h"

enum { SIZE_LIMIT = 1 << 16, KEEP_LIMIT = 1 << 8 };

/* ---- svd_update ---- */

typedef struct svd {
    const json_t *at; /* the step */
    size_t r, n_head, n_core;
    double tau;
    float *u, *v;
} svd;

static bool compare(golden *g, const svd *s, const char *name, const float *found, size_t n,
                    golden_tolerance t)
{
    return golden_compare(g, s->at, name, found, n, t);
}

static bool compare_values(golden *g, const svd *s, const float *sum)
{
    enum { N = MN__TUCKER_RANK_MAX * MN__TUCKER_RANK_MAX };
    double c[N], left[N], right[N], value[MN__TUCKER_RANK_MAX];
    float found[KEEP_LIMIT];
    if (s->n_head * s->r > KEEP_LIMIT) return golden_fail(g, "too many heads");
    for (size_t h = 0; h < s->n_head; h++) {
        for (size_t i = 0; i < s->r * s->r; i++) c[i] = (double)sum[h * s->r * s->r + i];
        mn__tucker_svd(c, s->r, value, left, right);
        for (size_t i = 0; i < s->r; i++) found[h * s->r + i] = (float)value[i];
    }
    return compare(g, s, "singular_values", found, s->n_head * s->r, golden_out);
}

static bool replay_step(golden *g, svd *s, const float *core)
{
    const size_t n = s->n_head * s->r * s->r;
    float *sum = calloc(2 * n, sizeof *sum), *grad = sum + n;
    if (!sum) return golden_fail(g, "out of memory");
    for (size_t i = 0; i < s->n_core * n; i++) sum[i % n] += core[i];
    mn__tucker_refresh(sum, s->n_head, s->r, s->u, s->v);
    float loss = mn__tucker_loss(sum, s->n_head, s->r, s->tau, 1, grad);
    bool ok = compare(g, s, "core_sum", sum, n, golden_out) && compare_values(g, s, sum) &&
              compare(g, s, "u", s->u, s->n_head * s->r, golden_out) &&
              compare(g, s, "v", s->v, s->n_head * s->r, golden_out) &&
              compare(g, s, "aux_loss", &loss, 1, golden_out) &&
              compare(g, s, "aux_grad_core_sum", grad, n, golden_grad);
    free(sum);
    return ok;
}

static bool replay_sequence(golden *g, const json_t *seq, svd *s)
{
    const json_t *steps = json_object_get(seq, "steps");
    if (!golden_fields(g, seq, "a sequence", "rank head u_init v_init steps") ||
        !golden_size(g, seq, "rank", 1, MN__TUCKER_RANK_MAX, &s->r) ||
        !golden_size(g, seq, "head", 1, KEEP_LIMIT, &s->n_head))
        return false;
    if (!json_array_size(steps)) return golden_fail(g, "`steps`: a list is wanted");
    const size_t shape[] = {s->n_head, s->r, 0};
    s->u = golden_floats(g, seq, "u_init", shape);
    s->v = s->u ? golden_floats(g, seq, "v_init", shape) : NULL;
    bool ok = s->v != NULL;
    for (size_t i = 0; ok && i < json_array_size(steps); i++) {
        s->at = json_array_get(steps, i);
        s->n_core = json_array_size(json_object_get(s->at, "cores"));
        const size_t cores[] = {s->n_core, s->n_head, s->r, s->r, 0};
        float *core = s->n_core ? golden_floats(g, s->at, "cores", cores) : NULL;
        ok = core ? replay_step(g, s, core) : golden_fail(g, "`cores`: a list is wanted");
        if (!ok) golden_fail(g, "step %zu", i);
        free(core);
    }
    free(s->u);
    free(s->v);
    return ok;
}

bool golden_svd_update(golden *g)
{
    const json_t *config = golden_part(g, "config"), *all = golden_part(g, "sequences");
    svd s = {0};
    if (!golden_fields(g, g->root, "", "kind case config sequences") ||
        !golden_fields(g, config, "config", "tau seed") || !golden_real(g, config, "tau", &s.tau))
        return false;
    if (!json_array_size(all)) return golden_fail(g, "`sequences`: a list is wanted");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (!replay_sequence(g, json_array_get(all, i), &s)) return false;
    return true;
}

/* ---- tdqkr ---- */

typedef struct replay {
    golden_rig rig;
    mn__tdqkr t;
    mn__tdqkr_found found;
    mn__param key, core, u, v, query; /* query: for its gradients, which add up as a parameter's */
    size_t n;
    double tau;
    float *dweight, balance;
    bool of_balance;
} replay;

static bool read_tdqkr_sizes(golden *g, replay *r)
{
    const json_t *c = golden_part(g, "config");
    mn__tdqkr *t = &r->t;
    if (!golden_fields(g, c, "config",
                       "tokens head key_num kdim tucker_rank tucker_multihead knn tau seed") ||
        !golden_size(g, c, "tokens", 1, SIZE_LIMIT, &r->n) ||
        !golden_size(g, c, "head", 1, KEEP_LIMIT, &t->n_head) ||
        !golden_size(g, c, "key_num", 1, SIZE_LIMIT, &t->n_key) ||
        !golden_size(g, c, "kdim", 1, SIZE_LIMIT, &t->width) ||
        !golden_size(g, c, "tucker_rank", 1, MN__TUCKER_RANK_MAX, &t->rank) ||
        !golden_size(g, c, "tucker_multihead", 1, MN__CORES_MAX, &t->n_core) ||
        !golden_real(g, c, "tau", &r->tau))
        return false;
    size_t most = t->n_key < KEEP_LIMIT ? t->n_key : KEEP_LIMIT;
    return golden_size(g, c, "knn", 1, most, &t->n_keep);
}

static bool load_tdqkr(golden *g, replay *r)
{
    mn__tdqkr *t = &r->t;
    mn__params *list = &r->rig.list;
    mn__params_add(list, &r->key,
                   (mn__param){.dim = {t->n_head, 2, t->n_key, t->rank, t->width}, .n_dim = 5}, "",
                   "keys");
    mn__params_add(list, &r->core,
                   (mn__param){.dim = {t->n_core, t->n_head, t->rank, t->rank}, .n_dim = 4}, "",
                   "cores");
    mn__params_add(list, &r->u, (mn__param){.dim = {t->n_head, t->rank}, .n_dim = 2}, "", "u");
    mn__params_add(list, &r->v, (mn__param){.dim = {t->n_head, t->rank}, .n_dim = 2}, "", "v");
    mn__params_add(list, &r->query, (mn__param){.dim = {r->n, 2, t->width}, .n_dim = 3}, "",
                   "query");
    const golden_tie tie[] = {{.name = "keys", .p = &r->key, .swap = true},
                              {.name = "cores", .p = &r->core},
                              {.name = "u", .p = &r->u},
                              {.name = "v", .p = &r->v}},
                     in = {.name = "query", .p = &r->query};
    if (!golden_rig_bind(g, &r->rig) || !golden_ties_load(g, golden_part(g, "params"), tie, 4) ||
        !golden_ties_load(g, golden_part(g, "inputs"), &in, 1))
        return false;
    const size_t shape[] = {r->n, t->n_head * t->n_keep, t->n_core, 0};
    r->dweight = golden_floats(g, golden_part(g, "inputs"), "grad_best_core_scores", shape);
    t->key = r->key.w;
    t->u = r->u.w;
    t->v = r->v.w;
    for (size_t c = 0; c < t->n_core; c++)
        t->core[c] = r->core.w + c * t->n_head * t->rank * t->rank;
    return r->dweight != NULL;
}

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__tdqkr_grad grad = {.dquery = r->query.g, .dkey = r->key.g};
    for (size_t c = 0; c < r->t.n_core; c++)
        grad.dcore[c] = r->core.g + c * r->t.n_head * r->t.rank * r->t.rank;
    mn__tdqkr_forward(&r->t, env, r->n, r->query.w, &r->found);
    r->balance = mn__tdqkr_balance(&r->t, env, r->n, r->query.w, &r->found);
    if (r->of_balance)
        mn__tdqkr_balance_backward(&r->t, env, r->n, r->query.w, &r->found, 1, &grad);
    else
        mn__tdqkr_backward(&r->t, env, r->n, r->query.w, &r->found, r->dweight, &grad);
}

/* All scores of one axis: S, and the rank-one scores. */
static void score_axis(const replay *r, size_t axis, float *s, float *alpha)
{
    const mn__tdqkr *t = &r->t;
    const float *u = axis ? t->v : t->u;
    for (size_t i = 0; i < r->n * t->n_head * t->n_key; i++) {
        size_t h = i / t->n_key % t->n_head;
        const float *q = r->query.w + (i / t->n_key / t->n_head * 2 + axis) * t->width;
        alpha[i] = 0;
        for (size_t k = 0; k < t->rank; k++) {
            const float *key =
                t->key + (((h * 2 + axis) * t->n_key + i % t->n_key) * t->rank + k) * t->width;
            s[i * t->rank + k] = 0;
            for (size_t c = 0; c < t->width; c++) s[i * t->rank + k] += q[c] * key[c];
            alpha[i] += u[h * t->rank + k] * s[i * t->rank + k];
        }
    }
}

/* The layer keeps scores of listed keys only: they are those. */
static bool compare_listed(golden *g, const replay *r, size_t axis, const float *s,
                           const float *alpha)
{
    static const char *const name[2] = {"row_idx", "col_idx"};
    const mn__tdqkr *t = &r->t;
    const size_t n = r->n * t->n_head, m = t->n_keep;
    uint32_t *list = calloc(n * m, sizeof *list);
    bool ok = list || golden_fail(g, "out of memory");
    for (size_t i = 0; ok && i < n * m; i++) {
        size_t at = (i / m * 2 + axis) * m + i % m, all = i / m * t->n_key + r->found.list[at];
        list[i] = r->found.list[at];
        ok = golden_near(g, "a listed score", (double)alpha[all], (double)r->found.alpha[at], 1e-5);
        for (size_t k = 0; ok && k < t->rank; k++)
            ok = golden_near(g, "a part of a listed score", (double)s[all * t->rank + k],
                             (double)r->found.score[at * t->rank + k], 1e-5);
    }
    ok = ok && golden_indices(g, golden_part(g, "outputs"), name[axis], list, n * m);
    free(list);
    return ok;
}

/* S_row' C S_col of one token's head. */
static float total_score(const replay *r, size_t head, const float *row, const float *col)
{
    const mn__tdqkr *t = &r->t;
    float sum = 0;
    for (size_t c = 0; c < t->n_core; c++)
        for (size_t i = 0; i < t->rank * t->rank; i++)
            sum += row[i / t->rank] * t->core[c][head * t->rank * t->rank + i] * col[i % t->rank];
    return sum;
}

/* The grid of listed keys, and the best of all cells there are, which the lists may miss. */
static bool compare_grids(golden *g, const replay *r, const float *row, const float *col)
{
    const mn__tdqkr *t = &r->t;
    const size_t n = r->n * t->n_head, m = t->n_keep, n_key = t->n_key, rank = t->rank;
    float *x = calloc(n * m * m + n_key * n_key + n * m + m, sizeof *x), *grid = x,
          *all = x + n * m * m, *best = all + n_key * n_key;
    uint32_t *cell = calloc(n * m, sizeof *cell);
    bool ok = (x && cell) || golden_fail(g, "out of memory");
    for (size_t i = 0; ok && i < n; i++) {
        const uint32_t *list = r->found.list + i * 2 * m;
        const float *a = row + i * n_key * rank, *b = col + i * n_key * rank;
        for (size_t k = 0; k < m * m; k++)
            grid[i * m * m + k] =
                total_score(r, i % t->n_head, a + list[k / m] * rank, b + list[m + k % m] * rank);
        for (size_t k = 0; k < n_key * n_key; k++)
            all[k] = total_score(r, i % t->n_head, a + k / n_key * rank, b + k % n_key * rank);
        mn__topm(all, n_key * n_key, m, cell + i * m, best + i * m, best + n * m);
    }
    ok = ok && golden_floats_out(g, "grid_total", grid, n * m * m) &&
         golden_indices(g, golden_part(g, "outputs"), "exact_topk_idx", cell, n * m) &&
         golden_floats_out(g, "exact_topk_scores", best, n * m);
    free(x);
    free(cell);
    return ok;
}

static bool compare_lists(golden *g, const replay *r)
{
    static const char *const names[2][2] = {{"S_row", "a_row"}, {"S_col", "a_col"}};
    const mn__tdqkr *t = &r->t;
    const size_t n = r->n * t->n_head * t->n_key;
    float *s = calloc(n * (2 * t->rank + 1), sizeof *s), *alpha = s + 2 * n * t->rank;
    bool ok = s || golden_fail(g, "out of memory");
    for (size_t axis = 0; ok && axis < 2; axis++) {
        float *one = s + axis * n * t->rank;
        score_axis(r, axis, one, alpha);
        ok = golden_floats_out(g, names[axis][0], one, n * t->rank) &&
             golden_floats_out(g, names[axis][1], alpha, n) &&
             compare_listed(g, r, axis, one, alpha);
    }
    ok = ok && compare_grids(g, r, s, s + n * t->rank);
    free(s);
    return ok;
}

static bool compare_cells(golden *g, const replay *r)
{
    const mn__tdqkr *t = &r->t;
    const size_t n = r->n * t->n_head * t->n_keep;
    float *total = calloc(n, sizeof *total);
    bool ok = total || golden_fail(g, "out of memory");
    double loss = 0;
    for (size_t i = 0; ok && i < n * t->n_core; i++) {
        total[i / t->n_core] += r->found.weight[i];
        loss += (double)r->found.weight[i] * (double)r->dweight[i];
    }
    ok = ok && golden_floats_out(g, "best_total", total, n) &&
         golden_indices(g, golden_part(g, "outputs"), "best_idx", r->found.cell, n) &&
         golden_floats_out(g, "best_core_scores", r->found.weight, n * t->n_core) &&
         golden_scalar(g, "loss", loss) && golden_scalar(g, "balance_loss", (double)r->balance);
    free(total);
    return ok;
}

static bool compare_aux(golden *g, const replay *r)
{
    const mn__tdqkr *t = &r->t;
    const size_t n = t->n_head * t->rank * t->rank;
    svd s = {.at = golden_part(g, "outputs"), .r = t->rank, .n_head = t->n_head};
    float *sum = calloc(2 * n, sizeof *sum);
    bool ok = sum || golden_fail(g, "out of memory");
    for (size_t i = 0; ok && i < t->n_core * n; i++) sum[i % n] += r->core.w[i];
    if (ok) {
        float loss = mn__tucker_loss(sum, t->n_head, t->rank, r->tau, 1, sum + n);
        ok = golden_scalar(g, "aux_loss", (double)loss) && compare_values(g, &s, sum) &&
             golden_compare(g, golden_part(g, "grads"), "aux_wrt_core", sum + n, n, golden_grad);
    }
    free(sum);
    return ok;
}

static bool compare_grads(golden *g, const replay *r)
{
    const mn__tdqkr *t = &r->t;
    const size_t n = t->n_head * t->rank * t->rank;
    const json_t *grads = golden_part(g, "grads");
    const golden_tie tie[] = {{.name = "query", .p = (mn__param *)&r->query},
                              {.name = "keys", .p = (mn__param *)&r->key, .swap = true}};
    if (!golden_ties_compare(g, grads, tie, 2)) return false;
    for (size_t c = 0; c < t->n_core; c++) {
        char name[32];
        snprintf(name, sizeof name, "core%zu", c);
        if (!golden_compare(g, grads, name, r->core.g + c * n, n, golden_grad)) return false;
    }
    return true;
}

static bool compare_balance(golden *g, replay *r)
{
    const golden_tie tie[] = {{.name = "balance_wrt_query", .p = &r->query},
                              {.name = "balance_wrt_keys", .p = &r->key, .swap = true}};
    memset(r->rig.gradient, 0, mn__params_size(&r->rig.list, false) * sizeof *r->rig.gradient);
    r->of_balance = true;
    return golden_rig_run(g, &r->rig, pass, r) &&
           golden_ties_compare(g, golden_part(g, "grads"), tie, 2);
}

bool golden_tdqkr(golden *g)
{
    replay r = {0};
    bool ok = golden_layer_fields(g) && read_tdqkr_sizes(g, &r) && load_tdqkr(g, &r) &&
              golden_rig_run(g, &r.rig, pass, &r) && compare_lists(g, &r) && compare_cells(g, &r) &&
              compare_aux(g, &r) && compare_grads(g, &r) && compare_balance(g, &r);
    free(r.dweight);
    golden_rig_fini(&r.rig);
    return ok;
}
