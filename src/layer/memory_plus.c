/* memory_plus.c: y = sigmoid(w_g.x + b_g) (W_o (P silu(W_s x + b_s)) + b_o), P the memory's sum.
 * Ref: arXiv 2412.09764.
 *
 *   dhid = W_o' do,  dP = dhid silu(s),  ds = dhid P silu'(s),  dlogit = <g, o> a (1 - a),  do = a
 * g */
#include "layer/memory_plus.h"

#include "base/diag.h"
#include "layer/ops.h"
#include "layer/part.h"

enum { VALUE_GRAIN = 1 << 12, ROW_GRAIN = 64 };

mn_status mn__memory_plus_check(const mn__memory_plus *l, mn_diag *diag)
{
    const mn__pkm *m = &l->memory;
    if (!l->swilu && !l->project && m->value_width != m->width)
        return mn__fail(diag, MN_ERANGE,
                        "Memory+ without projection: values of width %zu wanted, %zu found",
                        m->width, m->value_width);
    return mn__pkm_check(m, diag);
}

static void declare_dense(mn__dense *l, mn__params *list, const char *prefix, const char *name)
{
    char path[MN__PARAM_NAME];
    l->std = 1 / sqrt((double)l->n_in);
    mn__dense_declare(l, list, mn__param_join(path, prefix, name));
    l->bias.init = MN__INIT_UNIFORM;
    l->bias.scale = l->std;
}

void mn__memory_plus_declare(mn__memory_plus *l, mn__params *list, const char *prefix)
{
    const size_t width = l->memory.width, value_width = l->memory.value_width;
    mn__pkm_declare(&l->memory, list, prefix);
    l->values_proj = (mn__dense){.n_in = value_width, .n_out = width, .has_bias = l->bias};
    l->swilu_proj = (mn__dense){.n_in = width, .n_out = value_width, .has_bias = l->bias};
    l->gating = (mn__dense){.n_in = width, .n_out = 1, .has_bias = true};
    if (l->swilu || l->project) declare_dense(&l->values_proj, list, prefix, "values_proj");
    if (l->swilu) declare_dense(&l->swilu_proj, list, prefix, "swilu_projection");
    if (l->gate) declare_dense(&l->gating, list, prefix, "gating");
}

typedef struct pass {
    const mn__memory_plus *l;
    const mn__memory_plus_saved *s;
    const mn__real *dy, *dhidden;
    mn__real *y, *dsum, *dswilu, *dout, *dlogit;
} pass;

static void open_values(void *arg, size_t begin, size_t end, int thread)
{
    const mn__memory_plus_saved *s = ((const pass *)arg)->s;
    (void)thread;
    for (size_t i = begin; i < end; i++) s->hidden[i] = s->sum[i] * mn__silu(s->swilu[i]);
}

static void gate_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->memory.width;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        p->s->gate[i] = mn__sigmoid(p->s->gate[i]);
        for (size_t c = i * width; c < (i + 1) * width; c++) p->y[c] = p->s->gate[i] * p->s->out[c];
    }
}

void mn__memory_plus_forward(const mn__memory_plus *l, const mn__env *env, size_t n,
                             const mn__real *x, mn__real *y, mn__memory_plus_saved *saved)
{
    size_t mark = mn__tape_mark(env->tape);
    const size_t n_y = n * l->memory.width, n_value = n * l->memory.value_width;
    const bool projects = l->swilu || l->project;
    mn__memory_plus_saved own, *s = saved ? saved : &own;
    *s = (mn__memory_plus_saved){.x = x, .out = l->gate ? mn__take_reals(env, n_y) : y};
    s->sum = projects ? mn__take_reals(env, n_value) : s->out;
    s->hidden = l->swilu ? mn__take_reals(env, n_value) : s->sum;
    mn__pkm_forward(&l->memory, env, n, x, s->sum, saved ? &saved->memory : NULL);
    pass p = {.l = l, .s = s, .y = y};
    if (l->swilu) {
        s->swilu = mn__take_reals(env, n_value);
        mn__dense_forward(&l->swilu_proj, env, n, x, s->swilu);
        mn__each(env, n_value, VALUE_GRAIN, open_values, &p);
    }
    if (projects) mn__dense_forward(&l->values_proj, env, n, s->hidden, s->out);
    if (l->gate) {
        s->gate = mn__take_reals(env, n);
        mn__dense_forward(&l->gating, env, n, x, s->gate);
        mn__each(env, n, ROW_GRAIN, gate_rows, &p);
    }
    if (!saved) mn__tape_cut(env->tape, mark);
}

static void back_gate(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t width = p->l->memory.width;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        mn__real a = p->s->gate[i];
        p->dlogit[i] = mn__dot(p->dy + i * width, p->s->out + i * width, width) * a * (1 - a);
        for (size_t c = i * width; c < (i + 1) * width; c++) p->dout[c] = a * p->dy[c];
    }
}

static void back_values(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__memory_plus_saved *s = p->s;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        p->dsum[i] = p->dhidden[i] * mn__silu(s->swilu[i]);
        p->dswilu[i] = p->dhidden[i] * s->sum[i] * mn__silu_slope(s->swilu[i]);
    }
}

/* dx += what comes back through one more projection of x. */
static void add_back(const mn__dense *l, const mn__env *env, size_t n, const mn__real *x,
                     const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__real *more = mn__take_reals(env, n * l->n_in);
    mn__dense_backward(l, env, n, x, dy, more);
    mn__each_add(env, dx, more, n * l->n_in);
    mn__tape_cut(env->tape, mark);
}

void mn__memory_plus_backward(const mn__memory_plus *l, const mn__env *env, size_t n,
                              const mn__memory_plus_saved *s, const mn__real *dy, mn__real *dx)
{
    size_t mark = mn__tape_mark(env->tape);
    const size_t n_value = n * l->memory.value_width;
    const mn__real *dout = dy, *dsum = dy;
    pass p = {.l = l, .s = s, .dy = dy};
    if (l->gate) {
        dout = dsum = p.dout = mn__take_reals(env, n * l->memory.width);
        p.dlogit = mn__take_reals(env, n);
        mn__each(env, n, ROW_GRAIN, back_gate, &p);
    }
    if (l->swilu || l->project) {
        mn__real *dhidden = mn__take_reals(env, n_value);
        mn__dense_backward(&l->values_proj, env, n, s->hidden, dout, dhidden);
        p.dhidden = dsum = dhidden;
    }
    if (l->swilu) {
        dsum = p.dsum = mn__take_reals(env, n_value);
        p.dswilu = mn__take_reals(env, n_value);
        mn__each(env, n_value, VALUE_GRAIN, back_values, &p);
    }
    mn__pkm_backward(&l->memory, env, n, &s->memory, dsum, dx);
    if (l->swilu) add_back(&l->swilu_proj, env, n, s->x, p.dswilu, dx);
    if (l->gate) add_back(&l->gating, env, n, s->x, p.dlogit, dx);
    mn__tape_cut(env->tape, mark);
}
