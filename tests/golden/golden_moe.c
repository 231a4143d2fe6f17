/* golden_moe.c: kind `moe`: router, experts, both losses. */
#include <stdlib.h>

#include "golden/golden_memory.h"
#include "layer/moe.h"

enum { SIZE_LIMIT = 1 << 16 };

typedef struct replay {
    golden_rig rig;
    golden_batch batch;
    mn__moe l;
    mn__moe_saved saved;
} replay;

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    mn__moe_forward(&r->l, env, r->batch.n, r->batch.x, r->batch.y, &r->saved);
    mn__moe_backward(&r->l, env, r->batch.n, &r->saved, r->batch.dy, r->batch.dx);
}

static bool make(golden *g, replay *r, size_t *n)
{
    const json_t *c = golden_part(g, "config"), *again = json_object_get(c, "renormalise");
    mn__moe *l = &r->l;
    mn_diag diag = {""};
    l->n_block = 1;
    if (!golden_layer_fields(g) ||
        !golden_fields(g, c, "config",
                       "tokens hidden ffn experts top_k moe_loss_weight moe_zloss_weight n_layers "
                       "renormalise seed") ||
        !golden_size(g, c, "tokens", 1, SIZE_LIMIT, n) ||
        !golden_size(g, c, "hidden", 1, SIZE_LIMIT, &l->width) ||
        !golden_size(g, c, "ffn", 1, SIZE_LIMIT, &l->inner) ||
        !golden_size(g, c, "experts", 1, SIZE_LIMIT, &l->n_expert) ||
        !golden_size(g, c, "top_k", 1, SIZE_LIMIT, &l->n_keep) ||
        !golden_size(g, c, "n_layers", 1, SIZE_LIMIT, &l->n_layer) ||
        !golden_real(g, c, "moe_loss_weight", &l->balance) ||
        !golden_real(g, c, "moe_zloss_weight", &l->z))
        return false;
    if (!json_is_boolean(again)) return golden_fail(g, "`renormalise`: true or false wanted");
    l->renormalise = json_is_true(again);
    if (mn__moe_check(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__moe_declare(l, &r->rig.list, "");
    return golden_rig_bind(g, &r->rig);
}

static bool run(golden *g, replay *r)
{
    mn__moe *l = &r->l;
    const json_t *out = golden_part(g, "outputs");
    size_t n = 0;
    double loss = 0;
    if (!make(g, r, &n)) return false;
    const golden_tie tie[] = {{.name = "router", .p = &l->router},
                              {.name = "w1", .p = &l->w1},
                              {.name = "v1", .p = &l->v1},
                              {.name = "w2", .p = &l->w2}};
    bool ok = golden_batch_read(g, n, l->width, l->width, 0, &r->batch) &&
              golden_ties_load(g, golden_part(g, "params"), tie, 4) &&
              golden_rig_run(g, &r->rig, pass, r);
    for (size_t i = 0; ok && i < n * l->width; i++)
        loss += (double)r->batch.y[i] * (double)r->batch.dy[i];
    return ok && golden_floats_out(g, "logits", r->saved.logit, n * l->n_expert) &&
           golden_floats_out(g, "probs", r->saved.prob, n * l->n_expert) &&
           golden_indices(g, out, "topk_idx", r->saved.expert, n * l->n_keep) &&
           golden_floats_out(g, "topk_weights", r->saved.weight, n * l->n_keep) &&
           golden_indices(g, out, "tokens_per_expert", r->saved.count, l->n_expert) &&
           golden_scalar(g, "main_loss", loss) &&
           golden_scalar(g, "lb_loss", (double)r->saved.balance) &&
           golden_scalar(g, "z_loss", (double)r->saved.z) &&
           golden_batch_compare(g, l->width, l->width, &r->batch) &&
           golden_ties_compare(g, golden_part(g, "grads"), tie, 4);
}

bool golden_moe(golden *g)
{
    replay r = {.batch = {.n = 0}};
    bool ok = run(g, &r);
    golden_batch_fini(&r.batch);
    golden_rig_fini(&r.rig);
    return ok;
}
