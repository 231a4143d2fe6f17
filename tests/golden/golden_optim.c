/* golden_optim.c: kind `optim`: rates of value groups; steps of AdamW over a table with rows that
 * have no gradient, dense and selective. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "train/adamw.h"
#include "train/schedule.h"

/* The README's: rates 1e-9 relative, steps 5e-7. */
static const double rate_tolerance = 1e-9;
static const golden_tolerance step_tolerance = {.abs = 5e-7};

/* ---- rates ---- */

static bool compare_rates(golden *g, const json_t *obj, const char *name, const mn__schedule *s,
                          const mn__value_schedule *v, const golden_array *step)
{
    const size_t shape[] = {step->n, 0};
    double *want = golden_numbers(g, obj, name, shape, false);
    bool ok = want != NULL;
    for (size_t i = 0; ok && i < step->n; i++) {
        size_t at = (size_t)step->x[i];
        double found = v ? mn__schedule_value_rate(s, v, at) : mn__schedule_rate(s, at);
        ok = golden_near(g, name, want[i], found, rate_tolerance * want[i]);
    }
    free(want);
    return ok;
}

static bool check_rates(golden *g, const json_t *rates, const mn__schedule *s,
                        const golden_array *step)
{
    const json_t *groups = json_object_get(rates, "value_groups");
    const mn__value_schedule constant = {.times = 1, .share = 1, .constant = 1e-3};
    bool ok = golden_fields(g, rates, "`schedule`", "base value_groups memory_plus_values") &&
              compare_rates(g, rates, "base", s, NULL, step) &&
              compare_rates(g, rates, "memory_plus_values", s, &constant, step);
    if (ok && !json_array_size(groups)) return golden_fail(g, "`value_groups`: a list is wanted");
    for (size_t i = 0; ok && i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        mn__value_schedule v = {.constant = 0};
        ok = golden_fields(g, group, "a group", "times max_steps_rate lr") &&
             golden_real(g, group, "times", &v.times) &&
             golden_real(g, group, "max_steps_rate", &v.share) &&
             compare_rates(g, group, "lr", s, &v, step);
    }
    return ok;
}

static bool check_schedule(golden *g)
{
    const json_t *c = json_object_get(g->root, "config");
    mn__schedule s = {.first = 0.1};
    golden_array step;
    if (!golden_fields(g, c, "config", "base_lr warmup_steps max_steps alpha_f steps") ||
        !golden_real(g, c, "base_lr", &s.rate) || !golden_real(g, c, "alpha_f", &s.last) ||
        !golden_size(g, c, "warmup_steps", 0, 1 << 20, &s.n_warmup) ||
        !golden_size(g, c, "max_steps", 1, 1 << 20, &s.n_step) ||
        !golden_array_read(g, c, "steps", 1, &step))
        return false;
    bool ok = check_rates(g, json_object_get(g->root, "schedule"), &s, &step);
    free(step.x);
    return ok;
}

/* ---- steps ---- */

typedef struct replay {
    const json_t *at; /* the field `adamw` */
    mn__param p;
    mn__adamw_config config;
    double lr[MN__ADAMW_GROUPS];
} replay;

/* Rows with a gradient are announced, as a layer does that reads them. */
static bool one_step(golden *g, replay *r, mn__adamw *o, const float *grad, const json_t *want)
{
    const size_t n = mn__param_size(&r->p), width = r->p.row;
    mn_diag diag = {""};
    for (size_t i = 0; r->p.hook && i < n; i++)
        if (grad[i] < 0 || grad[i] > 0) r->p.hook->touch(r->p.hook, i / width);
    memcpy(r->p.g, grad, n * sizeof *grad);
    if (mn__adamw_step(o, NULL, r->lr, 1, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    if (!r->config.selective) mn__adamw_flush(o, NULL);
    return golden_fields(g, want, "a step", "param exp_avg exp_avg_sq") &&
           golden_compare(g, want, "param", r->p.w, n, step_tolerance) &&
           golden_compare(g, want, "exp_avg", o->m, n, step_tolerance) &&
           golden_compare(g, want, "exp_avg_sq", o->v, n, step_tolerance);
}

static bool run(golden *g, replay *r, const char *name)
{
    const json_t *want = json_object_get(r->at, name);
    const size_t n = mn__param_size(&r->p), n_step = json_array_size(want),
                 shape[] = {n_step, r->p.dim[0], r->p.dim[1], 0};
    golden_rig rig = {.w = NULL};
    mn__adamw *o = NULL;
    mn_diag diag = {""};
    if (!n_step) return golden_fail(g, "`%s`: a list is wanted", name);
    mn__params_add(&rig.list, &r->p, r->p, "", "table");
    float *grad = golden_floats(g, r->at, "grads", shape);
    bool ok = grad && golden_rig_bind(g, &rig) && golden_rig_load(g, r->at, "param0", &r->p);
    if (ok && mn__adamw_new(&o, &rig.list, &r->config, &diag) != MN_OK)
        ok = golden_fail(g, "%s", diag.text);
    for (size_t i = 0; ok && i < n_step; i++) {
        ok = one_step(g, r, o, grad + i * n, json_array_get(want, i));
        if (!ok) golden_fail(g, "%s, step %zu", name, i);
    }
    mn__adamw_free(o);
    golden_rig_fini(&rig);
    free(grad);
    return ok;
}

bool golden_optim(golden *g)
{
    replay r = {.at = json_object_get(g->root, "adamw")};
    golden_array first = {.x = NULL};
    double lr = 0;
    bool ok = golden_fields(g, g->root, "", "kind case config schedule adamw") &&
              golden_fields(g, r.at, "adamw",
                            "lr beta1 beta2 weight_decay eps param0 grads dense selective") &&
              golden_real(g, r.at, "lr", &lr) && golden_real(g, r.at, "beta1", &r.config.beta1) &&
              golden_real(g, r.at, "beta2", &r.config.beta2) &&
              golden_real(g, r.at, "eps", &r.config.eps) &&
              golden_real(g, r.at, "weight_decay", &r.config.decay[MN__PARAM_VALUES]) &&
              golden_array_read(g, r.at, "param0", 2, &first) && check_schedule(g);
    free(first.x);
    if (!ok) return false;
    r.lr[MN__PARAM_VALUES] = lr;
    r.p = (mn__param){.dim = {first.dim[0], first.dim[1]},
                      .n_dim = 2,
                      .group = MN__PARAM_VALUES,
                      .row = first.dim[1]};
    ok = run(g, &r, "dense");
    r.config.deferred = true; /* and owed: the same numbers once they are paid */
    ok = ok && run(g, &r, "dense");
    r.config.selective = true;
    return ok && run(g, &r, "selective");
}
