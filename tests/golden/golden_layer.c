/* golden_layer.c: arrays out of golden files, and passes of layers. */
#include "golden/golden_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

bool golden_array_read(golden *g, const json_t *obj, const char *name, size_t n_dim,
                       golden_array *out)
{
    const json_t *v = json_object_get(obj, name);
    size_t shape[GOLDEN_DIMS + 1] = {0};
    *out = (golden_array){.n_dim = n_dim, .n = 1};
    for (size_t i = 0; i < n_dim; i++, v = json_array_get(v, 0)) {
        shape[i] = out->dim[i] = json_array_size(v);
        out->n *= shape[i];
        if (!shape[i]) return golden_fail(g, "`%s`: lists %zu deep wanted", name, n_dim);
    }
    out->x = golden_numbers(g, obj, name, shape, false);
    return out->x != NULL;
}

float *golden_floats(golden *g, const json_t *obj, const char *name, const size_t *shape)
{
    size_t n = 1;
    for (const size_t *s = shape; *s; s++) n *= *s;
    double *x = golden_numbers(g, obj, name, shape, false);
    float *y = x ? calloc(n, sizeof *y) : NULL;
    for (size_t i = 0; y && i < n; i++) y[i] = (float)x[i];
    if (x && !y) golden_fail(g, "out of memory");
    free(x);
    return y;
}

static size_t count(const json_t *v)
{
    size_t n = 0;
    if (!json_is_array(v)) return 1;
    for (size_t i = 0; i < json_array_size(v); i++) n += count(json_array_get(v, i));
    return n;
}

static bool flatten(const json_t *v, double **out)
{
    if (json_is_number(v)) *(*out)++ = json_number_value(v);
    if (!json_is_array(v)) return json_is_number(v);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!flatten(json_array_get(v, i), out)) return false;
    return true;
}

static bool within(golden *g, const char *name, const double *want, const float *found, size_t n,
                   golden_tolerance t)
{
    double most = t.floor;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = 0; i < n; i++) {
        double tolerance = t.abs + t.rel * fabs(want[i]) + t.of_max * most;
        if (!(fabs((double)found[i] - want[i]) <= tolerance))
            return golden_fail(g, "%s, number %zu: %.9g wanted, %.9g found, tolerance %g", name, i,
                               want[i], (double)found[i], tolerance);
    }
    return true;
}

bool golden_compare(golden *g, const json_t *obj, const char *name, const float *found, size_t n,
                    golden_tolerance t)
{
    const json_t *v = json_object_get(obj, name);
    if (!v) return golden_fail(g, "`%s` is missing", name);
    if (count(v) != n)
        return golden_fail(g, "`%s`: %zu numbers wanted, %zu found", name, n, count(v));
    double *want = calloc(n ? n : 1, sizeof *want), *at = want;
    bool ok = want ? flatten(v, &at) || golden_fail(g, "`%s`: numbers are wanted", name)
                   : golden_fail(g, "out of memory");
    ok = ok && within(g, name, want, found, n, t);
    free(want);
    return ok;
}

static float *zeros(size_t n)
{
    return mn__alloc_zero(MN_MEM_OTHER, n * sizeof(float));
}

bool golden_rig_bind(golden *g, golden_rig *r)
{
    if (r->list.st != MN_OK) return golden_fail(g, "parameters cannot be declared");
    size_t n = mn__params_size(&r->list, false);
    r->w = zeros(n);
    r->gradient = zeros(n);
    r->state = zeros(mn__params_size(&r->list, true));
    mn__kern_init(&r->kern, golden_level());
    r->env = (mn__env){.team = mn__team_new(2), .kern = &r->kern, .tape = &r->tape};
    if (!r->w || !r->gradient || !r->state || !r->env.team) return golden_fail(g, "out of memory");
    mn__params_bind(&r->list, r->w, r->gradient, r->state);
    return true;
}

void golden_rig_fini(golden_rig *r)
{
    mn__free(r->w);
    mn__free(r->gradient);
    mn__free(r->state);
    mn__team_free(r->env.team);
    mn__tape_fini(&r->tape);
    mn__params_fini(&r->list);
    *r = (golden_rig){0};
}

bool golden_rig_load(golden *g, const json_t *obj, const char *name, const mn__param *p)
{
    size_t shape[MN__PARAM_DIMS + 1] = {0};
    for (int i = 0; i < p->n_dim; i++) shape[i] = p->dim[i];
    double *x = golden_numbers(g, obj, name, shape, false);
    for (size_t i = 0; x && i < mn__param_size(p); i++) p->w[i] = (float)x[i];
    free(x);
    return x != NULL;
}

bool golden_rig_run(golden *g, golden_rig *r, void (*pass)(const mn__env *env, void *arg),
                    void *arg)
{
    mn_diag diag = {""};
    if (mn__env_plan(&r->env, pass, arg, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    pass(&r->env, arg);
    return true;
}
