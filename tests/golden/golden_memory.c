/* golden_memory.c: what the golden files of memory layers have in common. */
#include "golden/golden_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const golden_tolerance golden_out = {.of_max = 2e-5, .floor = 1e-3},
                       golden_grad = {.of_max = 5e-5, .floor = 1e-3};

/* Exchanges the last two axes of x, which has them as [a][b]. */
static void swap_axes(const float *x, size_t n, size_t a, size_t b, float *out)
{
    for (size_t i = 0; i < n; i += a * b)
        for (size_t j = 0; j < a * b; j++) out[i + j % b * a + j / b] = x[i + j];
}

/* The parameter as the file has it, without values. */
static mn__param as_filed(const golden_tie *tie)
{
    mn__param p = *tie->p;
    size_t last = p.dim[p.n_dim - 1];
    if (tie->swap) {
        p.dim[p.n_dim - 1] = p.dim[p.n_dim - 2];
        p.dim[p.n_dim - 2] = last;
    }
    if (tie->n_row) {
        p.n_dim = 2;
        p.dim[0] = tie->n_row;
        p.dim[1] = last;
    }
    return p;
}

static bool load(golden *g, const json_t *params, const golden_tie *tie)
{
    mn__param p = as_filed(tie);
    size_t n = mn__param_size(tie->p);
    if (mn__param_size(&p) != n) return golden_fail(g, "`%s`: %zu numbers wanted", tie->name, n);
    p.w = calloc(n, sizeof *p.w);
    bool ok = p.w ? golden_rig_load(g, params, tie->name, &p) : golden_fail(g, "out of memory");
    if (ok && tie->swap)
        swap_axes(p.w, n, p.dim[p.n_dim - 2], p.dim[p.n_dim - 1], tie->p->w);
    else if (ok)
        memcpy(tie->p->w, p.w, n * sizeof *p.w);
    free(p.w);
    return ok;
}

bool golden_ties_load(golden *g, const json_t *params, const golden_tie *tie, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!load(g, params, tie + i)) return false;
    return true;
}

bool golden_ties_compare(golden *g, const json_t *grads, const golden_tie *tie, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mn__param *p = tie[i].p;
        size_t n_all = mn__param_size(p);
        float *x = calloc(n_all, sizeof *x);
        if (!x) return golden_fail(g, "out of memory");
        if (tie[i].swap)
            swap_axes(p->g, n_all, p->dim[p->n_dim - 2], p->dim[p->n_dim - 1], x);
        else
            memcpy(x, p->g, n_all * sizeof *x);
        bool ok = golden_compare(g, grads, tie[i].name, x, n_all, golden_grad);
        free(x);
        if (!ok) return golden_fail(g, "gradient of %s", tie[i].name);
    }
    return true;
}

bool golden_is_zero(golden *g, const json_t *obj, const char *name, size_t n)
{
    float *x = calloc(n, sizeof *x);
    bool ok = x ? golden_compare(g, obj, name, x, n, (golden_tolerance){0})
                : golden_fail(g, "out of memory");
    free(x);
    return ok;
}

const json_t *golden_part(const golden *g, const char *name)
{
    return json_object_get(g->root, name);
}

bool golden_layer_fields(golden *g)
{
    return golden_fields(g, g->root, "", "kind case config params inputs outputs grads meta");
}

bool golden_floats_out(golden *g, const char *name, const float *found, size_t n)
{
    return golden_compare(g, golden_part(g, "outputs"), name, found, n, golden_out);
}

bool golden_indices(golden *g, const json_t *obj, const char *name, const uint32_t *found, size_t n)
{
    float *x = calloc(n, sizeof *x);
    bool ok = x || golden_fail(g, "out of memory");
    for (size_t i = 0; ok && i < n; i++) {
        x[i] = (float)found[i];
        ok = found[i] < 1u << 24 || golden_fail(g, "%s: %u is no index", name, found[i]);
    }
    ok = ok && golden_compare(g, obj, name, x, n, (golden_tolerance){0});
    free(x);
    return ok;
}

bool golden_scalar(golden *g, const char *name, double found)
{
    float x = (float)found;
    return golden_floats_out(g, name, &x, 1);
}

bool golden_batch_read(golden *g, size_t n, size_t n_x, size_t n_y, size_t n_seq, golden_batch *b)
{
    const json_t *in = golden_part(g, "inputs");
    size_t flat[2][3] = {{n, n_x, 0}, {n, n_y, 0}},
           deep[2][4] = {{n_seq, n_seq ? n / n_seq : 0, n_x, 0},
                         {n_seq, n_seq ? n / n_seq : 0, n_y, 0}};
    *b = (golden_batch){.n = n};
    b->y = calloc(n * n_y, sizeof *b->y);
    b->dx = calloc(n * n_x, sizeof *b->dx);
    if (!b->y || !b->dx) return golden_fail(g, "out of memory");
    b->x = golden_floats(g, in, "x", n_seq ? deep[0] : flat[0]);
    b->dy = b->x ? golden_floats(g, in, "grad_out", n_seq ? deep[1] : flat[1]) : NULL;
    return b->dy && golden_fields(g, in, "inputs", "x grad_out");
}

bool golden_batch_compare(golden *g, size_t n_x, size_t n_y, const golden_batch *b)
{
    return golden_floats_out(g, "y", b->y, b->n * n_y) &&
           golden_compare(g, golden_part(g, "grads"), "input", b->dx, b->n * n_x, golden_grad);
}

void golden_batch_fini(golden_batch *b)
{
    free(b->x);
    free(b->dy);
    free(b->y);
    free(b->dx);
}

golden_tie *golden_list_add(golden_list *l, const char *prefix, const char *name, mn__param *p)
{
    golden_tie *t = &l->tie[l->n];
    snprintf(l->name[l->n], GOLDEN_NAME, "%s%s", prefix, name);
    *t = (golden_tie){.name = l->name[l->n++], .p = p};
    return t;
}

void golden_list_search(golden_list *l, const char *prefix, mn__tucker_search *s)
{
    golden_list_add(l, prefix, "keys", &s->keys)->swap = true;
    golden_list_add(l, prefix, "query_proj.weight", &s->query_proj.weight);
    golden_list_add(l, prefix, "query_norm.weight", &s->query_norm.scale);
    golden_list_add(l, prefix, "keys_norm.weight", &s->key_norm.scale);
    for (size_t c = 0; c < s->n_core; c++) {
        char core[40];
        snprintf(core, sizeof core, "tucker_core.%zu", c);
        golden_list_add(l, prefix, core, &s->cores[c]);
    }
}

bool golden_search_load(golden *g, const char *prefix, mn__tucker_search *s)
{
    const json_t *params = golden_part(g, "params");
    const size_t shape[] = {s->n_cell, 0};
    golden_list state = {.n = 0};
    char name[GOLDEN_NAME];
    golden_list_add(&state, prefix, "u", &s->u);
    golden_list_add(&state, prefix, "v", &s->v);
    snprintf(name, sizeof name, "%sshuffle_index", prefix);
    double *to = golden_numbers(g, params, name, shape, false);
    bool *seen = calloc(s->n_cell, sizeof *seen), ok = to && seen;
    for (size_t i = 0; ok && i < s->n_cell; i++) {
        size_t at = to[i] >= 0 && to[i] < (double)s->n_cell ? (size_t)to[i] : s->n_cell;
        ok = (at < s->n_cell && !seen[at]) || golden_fail(g, "`%s`: no permutation", name);
        if (ok) seen[s->shuffle[i] = (uint32_t)at] = true;
    }
    free(to);
    free(seen);
    return ok && golden_ties_load(g, params, state.tie, state.n);
}
