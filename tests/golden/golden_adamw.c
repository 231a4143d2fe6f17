/* golden_adamw.c: the kind `adamw_dense`: steps of AdamW over a table most of whose rows have no
 * gradient, made by a dense optimiser and by one that owes such rows their updates; and rates. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "train/adamw.h"
#include "train/cosine.h"

static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct replay {
    mn__param p;
    mn__adamw_config config;
    double lr[MN__ADAMW_GROUPS];
} replay;

/* One step with the file's gradient. Deferred: rows without a gradient are not announced, and only
 * those with one are compared. */
static bool one_step(golden *g, replay *r, mn__adamw *o, const json_t *step)
{
    const size_t width = r->p.row, n_row = mn__param_size(&r->p) / width;
    const size_t shape[] = {r->p.dim[0], r->p.dim[1], r->p.dim[2], 0};
    mn_diag diag = {""};
    float *grad = golden_floats(g, step, "grad", shape),
          *after = golden_floats(g, step, "params_after", shape);
    bool ok = grad && after && golden_fields(g, step, "a step", "grad params_after");
    for (size_t i = 0; ok && i < n_row; i++) {
        bool hit = false;
        for (size_t c = 0; c < width; c++) hit = hit || grad[i * width + c] != 0;
        if (hit && r->p.hook) r->p.hook->touch(r->p.hook, i);
    }
    if (ok) memcpy(r->p.g, grad, n_row * width * sizeof *grad);
    if (ok && mn__adamw_step(o, NULL, r->lr, 1, &diag) != MN_OK)
        ok = golden_fail(g, "%s", diag.text);
    for (size_t i = 0; ok && i < n_row * width; i++) {
        bool owed = r->p.hook && o->table->last[i / width] < o->step;
        if (!owed)
            ok = golden_near(g, "params_after", (double)after[i], (double)r->p.w[i],
                             near.abs + near.rel * fabs((double)after[i]));
    }
    free(grad);
    free(after);
    return ok;
}

static bool run(golden *g, replay *r, bool deferred)
{
    const json_t *steps = json_object_get(g->root, "steps");
    golden_rig rig = {.w = NULL};
    mn__adamw *o = NULL;
    mn_diag diag = {""};
    mn__params_add(&rig.list, &r->p, r->p, "", "table");
    bool ok = golden_rig_bind(g, &rig) && golden_rig_load(g, g->root, "initial", &r->p);
    r->config.deferred = deferred;
    if (ok && mn__adamw_new(&o, &rig.list, &r->config, &diag) != MN_OK)
        ok = golden_fail(g, "%s", diag.text);
    for (size_t i = 0; ok && i < json_array_size(steps); i++)
        ok = one_step(g, r, o, json_array_get(steps, i));
    if (ok) mn__adamw_flush(o, NULL);
    ok = ok && golden_compare(g, json_array_get(steps, json_array_size(steps) - 1), "params_after",
                              r->p.w, mn__param_size(&r->p), near);
    mn__adamw_free(o);
    golden_rig_fini(&rig);
    return ok;
}

static bool check_schedule(golden *g, const json_t *s)
{
    golden_array at, lr = {.x = NULL};
    mn__cosine c;
    double share;
    if (!golden_fields(g, s, "`schedule`", "max_lr min_lr total warmup_fraction iteration lr") ||
        !golden_real(g, s, "max_lr", &c.max) || !golden_real(g, s, "min_lr", &c.min) ||
        !golden_real(g, s, "total", &c.n_step) || !golden_real(g, s, "warmup_fraction", &share))
        return false;
    c.n_warmup = share * c.n_step;
    bool ok = golden_array_read(g, s, "iteration", 1, &at) && golden_array_read(g, s, "lr", 1, &lr);
    if (ok && at.n != lr.n) ok = golden_fail(g, "`schedule`: a rate for each iteration wanted");
    for (size_t i = 0; ok && i < at.n; i++)
        ok = golden_near(g, "lr", lr.x[i], mn__cosine_rate(&c, at.x[i]), 1e-6 * lr.x[i]);
    free(at.x);
    free(lr.x);
    return ok;
}

bool golden_adamw_dense(golden *g)
{
    golden_array initial;
    replay r = {.p = {.n_dim = 3, .group = MN__PARAM_DECAY}};
    double lr, decay;
    if (!golden_fields(g, g->root, "",
                       "kind case lr beta1 beta2 eps weight_decay initial steps schedule note") ||
        !golden_real(g, g->root, "lr", &lr) || !golden_real(g, g->root, "weight_decay", &decay) ||
        !golden_real(g, g->root, "beta1", &r.config.beta1) ||
        !golden_real(g, g->root, "beta2", &r.config.beta2) ||
        !golden_real(g, g->root, "eps", &r.config.eps) ||
        !golden_array_read(g, g->root, "initial", 3, &initial))
        return false;
    free(initial.x);
    memcpy(r.p.dim, initial.dim, 3 * sizeof *initial.dim);
    r.p.row = initial.dim[2];
    r.lr[MN__PARAM_DECAY] = lr;
    r.config.decay[MN__PARAM_DECAY] = decay;
    if (!json_array_size(json_object_get(g->root, "steps")))
        return golden_fail(g, "`steps`: a list is wanted");
    const json_t *schedule = json_object_get(g->root, "schedule");
    return run(g, &r, false) && run(g, &r, true) && (!schedule || check_schedule(g, schedule));
}
