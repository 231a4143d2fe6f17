/* golden_bh4.c: the kind `bh4`: the transform, the map, the blend, and all gradients. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "layer/bh4.h"

enum { SIZE_LIMIT = 1 << 16 };
static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct replay {
    mn__bh4 l;
    size_t n, padded, repeat;
    float *x, *y, *dy, *dx, *map; /* map [n][repeat * padded] */
} replay;

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__bh4_forward(&r->l, env, r->n, r->x, r->y);
    mn__bh4_backward(&r->l, env, r->n, r->x, r->dy, r->dx);
}

/* The whole map without blend: alpha 1 and no bias. */
static void map_pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__bh4 whole = r->l;
    float *none = mn__take_reals(env, r->repeat * r->padded);
    whole.alpha = 1;
    whole.n_out = r->repeat * r->padded;
    whole.bias.w = none;
    if (!mn__env_is_dry(env)) memset(none, 0, whole.n_out * sizeof *none);
    mn__bh4_forward(&whole, env, r->n, r->x, r->map);
}

static bool compare_transform(golden *g, const replay *r)
{
    float *x = calloc(r->n * r->padded, sizeof *x);
    if (!x) return golden_fail(g, "out of memory");
    for (size_t i = 0; i < r->n; i++) {
        memcpy(x + i * r->padded, r->x + i * r->l.n_in, r->l.n_in * sizeof *x);
        mn__hadamard(x + i * r->padded, r->padded);
    }
    bool ok = golden_compare(g, g->root, "fwht_of_x", x, r->n * r->padded, near);
    free(x);
    return ok;
}

static bool compare(golden *g, const replay *r)
{
    const mn__bh4 *l = &r->l;
    return compare_transform(g, r) &&
           golden_compare(g, g->root, "bh4", r->map, r->n * r->repeat * r->padded, near) &&
           golden_compare(g, g->root, "y", r->y, r->n * l->n_out, near) &&
           golden_compare(g, g->root, "grad_x", r->dx, r->n * l->n_in, near) &&
           golden_compare(g, g->root, "grad_weight", l->weight.g, mn__param_size(&l->weight),
                          near) &&
           golden_compare(g, g->root, "grad_bias", l->bias.g, l->n_out, near);
}

static bool read_sizes(golden *g, replay *r)
{
    const json_t *dims = json_object_get(g->root, "dims");
    if (!golden_fields(g, g->root, "",
                       "kind case dims alpha x weight bias fwht_of_x bh4 y grad_y grad_x "
                       "grad_weight grad_bias note") ||
        !golden_size(g, dims, "B", 1, SIZE_LIMIT, &r->n) ||
        !golden_size(g, dims, "d_in", 1, SIZE_LIMIT, &r->l.n_in) ||
        !golden_size(g, dims, "d_out", 1, SIZE_LIMIT, &r->l.n_out) ||
        !golden_size(g, dims, "block", 1, SIZE_LIMIT, &r->l.block) ||
        !golden_real(g, g->root, "alpha", &r->l.alpha))
        return false;
    if (r->l.block & (r->l.block - 1)) return golden_fail(g, "`block`: a power of two wanted");
    r->padded = mn__bh4_padded(&r->l);
    r->repeat = mn__bh4_repeats(&r->l);
    return golden_size(g, dims, "padded", r->padded, r->padded, &r->padded) &&
           golden_size(g, dims, "repeat", r->repeat, r->repeat, &r->repeat);
}

bool golden_bh4(golden *g)
{
    replay r = {.n = 0};
    golden_rig rig = {.w = NULL};
    if (!read_sizes(g, &r)) return false;
    mn__bh4_declare(&r.l, &rig.list, "");
    r.x = golden_floats(g, g->root, "x", (const size_t[]){r.n, r.l.n_in, 0});
    r.dy = golden_floats(g, g->root, "grad_y", (const size_t[]){r.n, r.l.n_out, 0});
    r.y = calloc(r.n * r.l.n_out, sizeof *r.y);
    r.dx = calloc(r.n * r.l.n_in, sizeof *r.dx);
    r.map = calloc(r.n * r.repeat * r.padded, sizeof *r.map);
    bool ok = r.x && r.dy && r.y && r.dx && r.map && golden_rig_bind(g, &rig) &&
              golden_rig_load(g, g->root, "weight", &r.l.weight) &&
              golden_rig_load(g, g->root, "bias", &r.l.bias) && golden_rig_run(g, &rig, pass, &r) &&
              golden_rig_run(g, &rig, map_pass, &r) && compare(g, &r);
    free(r.x);
    free(r.dy);
    free(r.y);
    free(r.dx);
    free(r.map);
    golden_rig_fini(&rig);
    return ok;
}
