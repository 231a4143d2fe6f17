/* golden_memory_layer.c: the kind `memory_layer`: choice, score, sum, and all gradients. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "layer/memory_layer.h"

enum { SIZE_LIMIT = 1 << 20 };
static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct replay {
    mn__memory_layer l;
    mn__memory_saved saved;
    size_t n;
    float *x, *y, *dy, *dx;
} replay;

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__memory_layer_forward(&r->l, env, r->n, r->x, &r->y, r->l.share[0].n_out, &r->saved);
    mn__memory_layer_backward(&r->l, env, r->n, &r->saved, (const float *const *)&r->dy,
                              r->l.share[0].n_out, r->dx);
}

static bool read_sizes(golden *g, replay *r)
{
    const json_t *dims = json_object_get(g->root, "dims");
    const char *score;
    size_t n_in;
    mn_diag diag = {""};
    r->l = (mn__memory_layer){.temperature = 1, .n_share = 1};
    if (!golden_fields(g, g->root, "",
                       "kind case score_mode temperature dims x tables bias code score y grad_y "
                       "grad_x grad_tables grad_bias note") ||
        !golden_fields(g, dims, "`dims`", "B K tau d_in d_out") ||
        !golden_size(g, dims, "B", 1, SIZE_LIMIT, &r->n) ||
        !golden_size(g, dims, "K", 1, SIZE_LIMIT, &r->l.n_table) ||
        !golden_size(g, dims, "tau", 1, MN__MEMORY_BITS, &r->l.n_bit) ||
        !golden_size(g, dims, "d_out", 1, SIZE_LIMIT, &r->l.share[0].n_out) ||
        !golden_text(g, g->root, "score_mode", &score))
        return false;
    n_in = r->l.n_table * r->l.n_bit;
    if (!golden_size(g, dims, "d_in", n_in, n_in, &n_in)) return false;
    if (strcmp(score, "prob_t") == 0)
        r->l.score = MN__SCORE_PROB;
    else if (strcmp(score, "l1_prob") != 0)
        return golden_fail(g, "`score_mode`: l1_prob or prob_t wanted, `%s` found", score);
    if (json_object_get(g->root, "temperature") &&
        !golden_real(g, g->root, "temperature", &r->l.temperature))
        return false;
    return mn__memory_layer_check(&r->l, "layer", &diag) == MN_OK ||
           golden_fail(g, "%s", diag.text);
}

static bool compare(golden *g, const replay *r)
{
    const mn__memory_share *s = &r->l.share[0];
    size_t n_choice = r->n * r->l.n_table, n_in = n_choice * r->l.n_bit;
    float *code = calloc(n_choice, sizeof *code);
    if (!code) return golden_fail(g, "out of memory");
    for (size_t i = 0; i < n_choice; i++) code[i] = r->saved.code[i];
    bool ok =
        golden_compare(g, g->root, "code", code, n_choice, (golden_tolerance){0}) &&
        golden_compare(g, g->root, "score", r->saved.score, n_choice, near) &&
        golden_compare(g, g->root, "y", r->y, r->n * s->n_out, near) &&
        golden_compare(g, g->root, "grad_x", r->dx, n_in, near) &&
        golden_compare(g, g->root, "grad_tables", s->tables.g, mn__param_size(&s->tables), near) &&
        golden_compare(g, g->root, "grad_bias", s->bias.g, s->n_out, near);
    free(code);
    return ok;
}

bool golden_memory_layer(golden *g)
{
    replay r = {.n = 0};
    golden_rig rig = {.w = NULL};
    if (!read_sizes(g, &r)) return false;
    const size_t n_in = r.l.n_table * r.l.n_bit, n_out = r.l.share[0].n_out;
    mn__memory_layer_declare(&r.l, &rig.list, "", NULL);
    bool ok = golden_rig_bind(g, &rig) &&
              golden_rig_load(g, g->root, "tables", &r.l.share[0].tables) &&
              golden_rig_load(g, g->root, "bias", &r.l.share[0].bias);
    if (ok) {
        r.x = golden_floats(g, g->root, "x", (const size_t[]){r.n, n_in, 0});
        r.dy = golden_floats(g, g->root, "grad_y", (const size_t[]){r.n, n_out, 0});
        r.y = calloc(r.n * n_out, sizeof *r.y);
        r.dx = calloc(r.n * n_in, sizeof *r.dx);
    }
    ok = ok && r.x && r.dy && r.y && r.dx && golden_rig_run(g, &rig, pass, &r) && compare(g, &r);
    free(r.x);
    free(r.dy);
    free(r.y);
    free(r.dx);
    golden_rig_fini(&rig);
    return ok;
}
