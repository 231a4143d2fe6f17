/* golden_attention.c: kinds `performer_causal`, `cosformer_causal`, `linformer`: attentions that
 * MemoryFormer is compared with, over [heads][seq][head_dim]. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "layer/causal_softmax.h"
#include "layer/cosformer.h"
#include "layer/linformer.h"
#include "layer/performer.h"

enum { SIZE_LIMIT = 1 << 16 };
static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct replay {
    mn__heads heads;
    mn__shape s;
    float *q, *k, *v, *y, *dy, *dq, *dk, *dv; /* rows of [heads][dim] */
    float *turned;                            /* of a comparison */
    mn__performer performer;
    mn__performer_saved performer_saved;
    mn__cosformer cosformer;
    mn__cosformer_saved cosformer_saved;
    mn__linformer linformer;
    mn__linformer_saved linformer_saved;
    mn__causal_softmax softmax;
} replay;

static size_t size_of(const replay *r)
{
    return r->heads.n_head * r->s.len * r->heads.dim;
}

/* Between [heads][seq][dim] and [seq][heads][dim]. */
static void turn(const replay *r, const float *from, float *to, bool back)
{
    const size_t n = r->s.len, h = r->heads.n_head, dim = r->heads.dim;
    for (size_t i = 0; i < h; i++)
        for (size_t t = 0; t < n; t++) {
            size_t theirs = (i * n + t) * dim, ours = (t * h + i) * dim;
            memcpy(to + (back ? theirs : ours), from + (back ? ours : theirs), dim * sizeof *to);
        }
}

static float *read_rows(golden *g, const replay *r, const char *name)
{
    const size_t shape[] = {r->heads.n_head, r->s.len, r->heads.dim, 0};
    float *x = golden_floats(g, g->root, name, shape), *rows = calloc(size_of(r), sizeof *rows);
    if (x && rows) turn(r, x, rows, false);
    if (!x) {
        free(rows);
        rows = NULL;
    }
    free(x);
    return rows;
}

static bool compare(golden *g, replay *r, const char *name, const float *rows)
{
    turn(r, rows, r->turned, true);
    return golden_compare(g, g->root, name, r->turned, size_of(r), near);
}

static bool read_sizes(golden *g, replay *r)
{
    const json_t *dims = json_object_get(g->root, "dims");
    r->s.n_seq = 1;
    if (!golden_size(g, dims, "heads", 1, SIZE_LIMIT, &r->heads.n_head) ||
        !golden_size(g, dims, "seq", 1, SIZE_LIMIT, &r->s.len) ||
        !golden_size(g, dims, "head_dim", 1, SIZE_LIMIT, &r->heads.dim))
        return false;
    r->heads.n_kv = r->heads.n_head;
    r->q = read_rows(g, r, "q");
    r->k = read_rows(g, r, "k");
    r->v = read_rows(g, r, "v");
    r->dy = read_rows(g, r, "grad_y");
    float **const empty[] = {&r->y, &r->dq, &r->dk, &r->dv, &r->turned};
    bool ok = r->q && r->k && r->v && r->dy;
    for (size_t i = 0; i < 5; i++) {
        *empty[i] = calloc(size_of(r), sizeof **empty[i]);
        ok = ok && *empty[i];
    }
    return ok || golden_fail(g, "out of memory");
}

static mn__qkv in_of(const replay *r)
{
    return (mn__qkv){.q = r->q, .k = r->k, .v = r->v, .ld = r->heads.n_head * r->heads.dim};
}

static bool compare_gradients(golden *g, replay *r)
{
    return compare(g, r, "y", r->y) && compare(g, r, "grad_q", r->dq) &&
           compare(g, r, "grad_k", r->dk) && compare(g, r, "grad_v", r->dv);
}

static void done(replay *r)
{
    float *all[] = {r->q, r->k, r->v, r->y, r->dy, r->dq, r->dk, r->dv, r->turned};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* ---- performer_causal ---- */

static void performer_pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__qkv in = in_of(r);
    const mn__qkv_grad out = {r->dq, r->dk, r->dv};
    mn__performer_forward(&r->performer, env, r->s, &in, r->y, &r->performer_saved);
    mn__performer_backward(&r->performer, env, r->s, &r->performer_saved, r->dy, &out);
}

static void softmax_pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__qkv in = in_of(r);
    mn__causal_softmax_forward(&r->softmax, env, r->s, &in, r->y, NULL);
}

static bool compare_performer(golden *g, replay *r)
{
    const size_t n = r->heads.n_head * r->s.len * r->performer.n_feature;
    return golden_compare(g, g->root, "q_prime", r->performer_saved.qf, n, near) &&
           golden_compare(g, g->root, "k_prime", r->performer_saved.kf, n, near) &&
           compare_gradients(g, r);
}

bool golden_performer_causal(golden *g)
{
    replay r = {.q = NULL};
    golden_rig rig = {.w = NULL};
    double eps = 0;
    bool ok = golden_fields(g, g->root, "",
                            "kind case dims eps q k v projection q_prime k_prime y grad_y grad_q "
                            "grad_k grad_v exact_softmax_y note") &&
              read_sizes(g, &r) &&
              golden_size(g, json_object_get(g->root, "dims"), "features", 1, SIZE_LIMIT,
                          &r.performer.n_feature) &&
              golden_real(g, g->root, "eps", &eps);
    r.performer.heads = r.softmax.heads = r.heads;
    r.performer.eps = (float)eps;
    r.performer.key_max = true;
    if (ok) mn__performer_declare(&r.performer, &rig.list, "");
    ok = ok && golden_rig_bind(g, &rig) &&
         golden_rig_load(g, g->root, "projection", &r.performer.projection) &&
         golden_rig_run(g, &rig, performer_pass, &r) && compare_performer(g, &r) &&
         golden_rig_run(g, &rig, softmax_pass, &r) && compare(g, &r, "exact_softmax_y", r.y);
    done(&r);
    golden_rig_fini(&rig);
    return ok;
}

/* ---- cosformer_causal ---- */

static void cosformer_pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__qkv in = in_of(r);
    const mn__qkv_grad out = {r->dq, r->dk, r->dv};
    mn__cosformer_forward(&r->cosformer, env, r->s, &in, r->y, &r->cosformer_saved);
    mn__cosformer_backward(&r->cosformer, env, r->s, &r->cosformer_saved, r->dy, &out);
}

bool golden_cosformer_causal(golden *g)
{
    replay r = {.q = NULL};
    golden_rig rig = {.w = NULL};
    double eps = 0;
    bool ok = golden_fields(g, g->root, "",
                            "kind case dims eps q k v y grad_y grad_q grad_k grad_v "
                            "min_denominator note") &&
              read_sizes(g, &r) &&
              golden_size(g, json_object_get(g->root, "dims"), "m", r.s.len, SIZE_LIMIT,
                          &r.cosformer.context) &&
              golden_real(g, g->root, "eps", &eps);
    r.cosformer.heads = r.heads;
    r.cosformer.floor = (float)eps;
    ok = ok && golden_rig_bind(g, &rig) && golden_rig_run(g, &rig, cosformer_pass, &r) &&
         compare_gradients(g, &r);
    done(&r);
    golden_rig_fini(&rig);
    return ok;
}

/* ---- linformer ---- */

static void linformer_pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__qkv in = in_of(r);
    const mn__qkv_grad out = {r->dq, r->dk, r->dv};
    mn__linformer_forward(&r->linformer, env, r->s, &in, r->y, &r->linformer_saved);
    mn__linformer_backward(&r->linformer, env, r->s, &r->linformer_saved, r->dy, &out);
}

/* The first rows and columns of a list of lists. */
static bool load_corner(golden *g, const char *name, const mn__param *p)
{
    golden_array a;
    if (!golden_array_read(g, g->root, name, 2, &a)) return false;
    bool ok = (a.dim[0] >= p->dim[0] && a.dim[1] >= p->dim[1]) ||
              golden_fail(g, "`%s`: at least [%zu][%zu] wanted, [%zu][%zu] found", name, p->dim[0],
                          p->dim[1], a.dim[0], a.dim[1]);
    for (size_t i = 0; ok && i < p->dim[0]; i++)
        for (size_t j = 0; j < p->dim[1]; j++)
            p->w[i * p->dim[1] + j] = (float)a.x[i * a.dim[1] + j];
    free(a.x);
    return ok;
}

static bool run_linformer(golden *g, replay *r, mn__linformer_kind kind, size_t n_from,
                          size_t n_slot, const char *y)
{
    golden_rig rig = {.w = NULL};
    r->linformer =
        (mn__linformer){.heads = r->heads, .kind = kind, .n_from = n_from, .n_slot = n_slot};
    mn__linformer_declare(&r->linformer, &rig.list, "");
    bool ok = golden_rig_bind(g, &rig) && load_corner(g, "E", &r->linformer.e) &&
              load_corner(g, "F", &r->linformer.f) && golden_rig_run(g, &rig, linformer_pass, r) &&
              compare(g, r, y, r->y);
    if (ok && kind == MN__LINFORMER_FULL)
        ok = compare_gradients(g, r) &&
             golden_compare(g, g->root, "grad_E", r->linformer.e.g, n_from * n_slot, near) &&
             golden_compare(g, g->root, "grad_F", r->linformer.f.g, n_from * n_slot, near);
    golden_rig_fini(&rig);
    return ok;
}

bool golden_linformer(golden *g)
{
    const json_t *dims = json_object_get(g->root, "dims");
    replay r = {.q = NULL};
    size_t n_slot = 0, block = 0, block_slots = 0;
    bool ok = golden_fields(g, g->root, "",
                            "kind case dims q k v E F y grad_y grad_q grad_k grad_v grad_E grad_F "
                            "y_slot_mask y_block_causal note") &&
              read_sizes(g, &r) && golden_size(g, dims, "proj", 1, SIZE_LIMIT, &n_slot) &&
              golden_size(g, dims, "block", 1, r.s.len, &block) &&
              golden_size(g, dims, "block_slots", 1, n_slot, &block_slots) &&
              run_linformer(g, &r, MN__LINFORMER_FULL, r.s.len, n_slot, "y") &&
              run_linformer(g, &r, MN__LINFORMER_MASK, r.s.len, n_slot, "y_slot_mask") &&
              run_linformer(g, &r, MN__LINFORMER_BLOCKS, block, block_slots, "y_block_causal");
    done(&r);
    return ok;
}
