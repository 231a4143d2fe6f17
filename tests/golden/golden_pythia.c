/* golden_pythia.c: the kind `pythia_block`: MemoryFormer's dense rival, a GPT-NeoX block whose two
 * layers read the same rows. */
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "layer/block.h"
#include "layer/dense_ffn.h"
#include "layer/mixer.h"

enum { SIZE_LIMIT = 1 << 16 };
static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct replay {
    size_t batch, seq, d, heads, n_rot, n_hidden;
    mn__mixer mixer;
    mn__dense_ffn ffn;
    mn__block block;
    float *x, *y, *dy, *dx;
} replay;

static bool make(golden *g, replay *r)
{
    const json_t *dims = json_object_get(g->root, "dims");
    mn_diag diag = {""};
    if (!golden_fields(g, g->root, "", "kind case dims params x y grad_y grad_x grads note") ||
        !golden_size(g, dims, "batch", 1, SIZE_LIMIT, &r->batch) ||
        !golden_size(g, dims, "seq", 1, SIZE_LIMIT, &r->seq) ||
        !golden_size(g, dims, "d", 1, SIZE_LIMIT, &r->d) ||
        !golden_size(g, dims, "heads", 1, r->d, &r->heads) ||
        !golden_size(g, dims, "rotary_dims", 0, r->d / r->heads, &r->n_rot))
        return false;
    r->n_hidden = json_array_size(json_object_get(json_object_get(g->root, "params"), "up_b"));
    const mn__mixer_sizes mix = {.width = r->d,
                                 .heads = {r->heads, r->heads, r->d / r->heads},
                                 .rotary = {r->n_rot, 10000},
                                 .has_bias = true,
                                 .has_out = true};
    if (mn__mixer_init(&r->mixer, &mix, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__dense_ffn_init(&r->ffn, &(mn__dense_ffn_sizes){.width = r->d,
                                                       .n_hidden = r->n_hidden,
                                                       .act = MN__ACT_GELU,
                                                       .has_bias = true});
    r->block = (mn__block){
        .parallel = true, .width = r->d, .mixer = &r->mixer.layer, .ffn = &r->ffn.layer};
    for (size_t i = 0; i < 2; i++) mn__norm_init(&r->block.norm[i], MN__NORM_LAYER, r->d, 1e-5);
    return true;
}

/* Rows of q, k, v of one head behind another, to all of q, then k, then v: and back. */
static void reorder(const replay *r, float *x, size_t width, bool back)
{
    const size_t dim = r->d / r->heads, n = 3 * r->d * width;
    float *copy = malloc(n * sizeof *copy);
    if (!copy) abort();
    memcpy(copy, x, n * sizeof *copy);
    for (size_t h = 0; h < r->heads; h++)
        for (size_t part = 0; part < 3; part++)
            for (size_t i = 0; i < dim; i++) {
                size_t theirs = (h * 3 + part) * dim + i, ours = part * r->d + h * dim + i,
                       to = back ? theirs : ours, from = back ? ours : theirs;
                memcpy(x + to * width, copy + from * width, width * sizeof *x);
            }
    free(copy);
}

enum { N_PARAM = 12 };
static const char *const param_name[N_PARAM] = {"ln1_w", "ln1_b", "ln2_w",  "ln2_b",
                                                "qkv_w", "qkv_b", "o_w",    "o_b",
                                                "up_w",  "up_b",  "down_w", "down_b"};

static void list_params(replay *r, mn__param *to[N_PARAM])
{
    mn__param *all[N_PARAM] = {&r->block.norm[0].layer.scale,
                               &r->block.norm[0].layer.bias,
                               &r->block.norm[1].layer.scale,
                               &r->block.norm[1].layer.bias,
                               &r->mixer.qkv.weight,
                               &r->mixer.qkv.bias,
                               &r->mixer.out.weight,
                               &r->mixer.out.bias,
                               &r->ffn.up.weight,
                               &r->ffn.up.bias,
                               &r->ffn.down.weight,
                               &r->ffn.down.bias};
    memcpy(to, all, sizeof all);
}

static bool load(golden *g, replay *r)
{
    const json_t *params = json_object_get(g->root, "params");
    mn__param *p[N_PARAM];
    list_params(r, p);
    for (size_t i = 0; i < N_PARAM; i++)
        if (!golden_rig_load(g, params, param_name[i], p[i])) return false;
    reorder(r, r->mixer.qkv.weight.w, r->d, false);
    reorder(r, r->mixer.qkv.bias.w, 1, false);
    return true;
}

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__shape s = {r->batch, r->seq};
    mn__block_forward(&r->block, env, s, r->x, r->y, true);
    mn__block_backward(&r->block, env, s, r->dy, r->dx);
}

static bool compare(golden *g, replay *r)
{
    const json_t *grads = json_object_get(g->root, "grads");
    const size_t size = r->batch * r->seq * r->d;
    mn__param *p[N_PARAM];
    bool ok = golden_compare(g, g->root, "y", r->y, size, near) &&
              golden_compare(g, g->root, "grad_x", r->dx, size, near);
    list_params(r, p);
    reorder(r, r->mixer.qkv.weight.g, r->d, true);
    reorder(r, r->mixer.qkv.bias.g, 1, true);
    for (size_t i = 0; ok && i < N_PARAM; i++)
        ok = golden_compare(g, grads, param_name[i], p[i]->g, mn__param_size(p[i]), near);
    return ok;
}

bool golden_pythia_block(golden *g)
{
    replay *r = calloc(1, sizeof *r);
    golden_rig rig = {.w = NULL};
    if (!r) return golden_fail(g, "out of memory");
    bool ok = make(g, r);
    if (ok) {
        const size_t shape[] = {r->batch, r->seq, r->d, 0}, size = r->batch * r->seq * r->d;
        mn__block_declare(&r->block, &rig.list, "block");
        r->x = golden_floats(g, g->root, "x", shape);
        r->dy = golden_floats(g, g->root, "grad_y", shape);
        r->y = calloc(size, sizeof *r->y);
        r->dx = calloc(size, sizeof *r->dx);
        ok = r->x && r->dy && r->y && r->dx && golden_rig_bind(g, &rig) && load(g, r) &&
             golden_rig_run(g, &rig, pass, r) && compare(g, r);
    }
    free(r->x);
    free(r->y);
    free(r->dy);
    free(r->dx);
    free(r);
    golden_rig_fini(&rig);
    return ok;
}
