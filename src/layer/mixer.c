/* mixer.c: x -> queries, keys, values -> (norm of heads) -> rotation -> attention -> (output). */
#include "layer/mixer.h"

#include <string.h>
#include "base/diag.h"
#include "layer/ops.h"

enum { ROW_GRAIN = 64 };

static mn__mixer *self_of(mn__layer *l)
{
    return (mn__mixer *)l;
}

/* The kinds of attention. */
static void softmax_forward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__qkv *in,
                            mn__real *y, bool keep)
{
    mn__causal_softmax_forward(&l->core.softmax, env, s, in, y,
                               keep ? &l->saved.core.softmax : NULL);
}

static void softmax_backward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                             const mn__qkv_grad *out)
{
    mn__causal_softmax_backward(&l->core.softmax, env, s, &l->saved.core.softmax, dy, out);
}

static void performer_forward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__qkv *in,
                              mn__real *y, bool keep)
{
    mn__performer_forward(&l->core.performer, env, s, in, y,
                          keep ? &l->saved.core.performer : NULL);
}

static void performer_backward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                               const mn__qkv_grad *out)
{
    mn__performer_backward(&l->core.performer, env, s, &l->saved.core.performer, dy, out);
}

static void cosformer_forward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__qkv *in,
                              mn__real *y, bool keep)
{
    mn__cosformer_forward(&l->core.cosformer, env, s, in, y,
                          keep ? &l->saved.core.cosformer : NULL);
}

static void cosformer_backward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                               const mn__qkv_grad *out)
{
    mn__cosformer_backward(&l->core.cosformer, env, s, &l->saved.core.cosformer, dy, out);
}

static void linformer_forward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__qkv *in,
                              mn__real *y, bool keep)
{
    mn__linformer_forward(&l->core.linformer, env, s, in, y,
                          keep ? &l->saved.core.linformer : NULL);
}

static void linformer_backward(mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                               const mn__qkv_grad *out)
{
    mn__linformer_backward(&l->core.linformer, env, s, &l->saved.core.linformer, dy, out);
}

static const struct {
    void (*forward)(mn__mixer *l, const mn__env *env, mn__shape s, const mn__qkv *in, mn__real *y,
                    bool keep);
    void (*backward)(mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *dy,
                     const mn__qkv_grad *out);
} cores[] = {
    [MN__MIX_SOFTMAX] = {softmax_forward, softmax_backward},
    [MN__MIX_PERFORMER] = {performer_forward, performer_backward},
    [MN__MIX_COSFORMER] = {cosformer_forward, cosformer_backward},
    [MN__MIX_LINFORMER] = {linformer_forward, linformer_backward},
};

static size_t q_width(const mn__mixer *l)
{
    return l->sizes.heads.n_head * l->sizes.heads.dim;
}

static size_t kv_width(const mn__mixer *l)
{
    return l->sizes.heads.n_kv * l->sizes.heads.dim;
}

static size_t packed_width(const mn__mixer *l)
{
    return mn__mixer_packed(l);
}

static void declare(mn__layer *layer, mn__params *list, const char *prefix)
{
    static const char *const names[] = {"q", "k", "v"};
    mn__mixer *l = self_of(layer);
    char name[MN__PARAM_NAME];
    if (l->sizes.n_bit)
        mn__memory_layer_declare(&l->memory, list, prefix, names);
    else
        mn__dense_declare(&l->qkv, list, mn__param_join(name, prefix, "qkv"));
    if (l->sizes.has_qk_norm) {
        mn__rms_norm_declare(&l->q_norm, list, mn__param_join(name, prefix, "q_norm"));
        mn__rms_norm_declare(&l->k_norm, list, mn__param_join(name, prefix, "k_norm"));
    }
    if (l->sizes.kind == MN__MIX_PERFORMER) mn__performer_declare(&l->core.performer, list, prefix);
    if (l->sizes.kind == MN__MIX_LINFORMER) mn__linformer_declare(&l->core.linformer, list, prefix);
    if (l->sizes.has_out) mn__dense_declare(&l->out, list, mn__param_join(name, prefix, "out"));
}

/* Columns of wide rows to and from rows of their own. */
typedef struct columns {
    mn__real *to;
    const mn__real *from;
    size_t ld_to, ld_from, width;
} columns;

static void copy_rows(void *arg, size_t begin, size_t end, int thread)
{
    const columns *c = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        memcpy(c->to + i * c->ld_to, c->from + i * c->ld_from, c->width * sizeof *c->to);
}

static void copy_columns(const mn__env *env, size_t n, columns c)
{
    mn__each(env, n, ROW_GRAIN, copy_rows, &c);
}

/* Some heads of every row of packed values. */
typedef struct some_heads {
    const mn__rms_norm *norm;
    mn__real *at; /* in rows packed_width apart */
    size_t width; /* of all of them */
} some_heads;

/* Normed in place; spare [n][width]. What backward needs stays on the tape. */
static void norm_heads(const mn__mixer *l, const mn__env *env, size_t n, const some_heads *h,
                       mn__real *spare, mn__rms_norm_saved *saved)
{
    const size_t ld = packed_width(l), width = h->width;
    mn__real *raw = mn__take_reals(env, n * width);
    copy_columns(env, n, (columns){raw, h->at, width, ld, width});
    mn__rms_norm_forward(h->norm, env, n * (width / h->norm->width), raw, spare, saved);
    copy_columns(env, n, (columns){h->at, spare, ld, width, width});
}

/* Their gradients, through the norm, in place. */
static void unnorm_heads(const mn__mixer *l, const mn__env *env, size_t n, const some_heads *h,
                         const mn__rms_norm_saved *saved)
{
    const size_t mark = mn__tape_mark(env->tape), ld = packed_width(l), width = h->width;
    mn__real *dy = mn__take_reals(env, n * width), *dx = mn__take_reals(env, n * width);
    copy_columns(env, n, (columns){dy, h->at, width, ld, width});
    mn__rms_norm_backward(h->norm, env, n * (width / h->norm->width), saved, dy, dx);
    copy_columns(env, n, (columns){h->at, dx, ld, width, width});
    mn__tape_cut(env->tape, mark);
}

static void project(mn__mixer *l, const mn__env *env, size_t n, const mn__real *x, mn__real *packed,
                    bool keep)
{
    mn__real *const part[] = {packed, packed + q_width(l), packed + q_width(l) + kv_width(l)};
    if (l->sizes.n_bit)
        mn__memory_layer_forward(&l->memory, env, n, x, part, packed_width(l),
                                 keep ? &l->saved.memory : NULL);
    else
        mn__dense_forward(&l->qkv, env, n, x, packed);
}

static void turn(const mn__mixer *l, const mn__env *env, mn__shape s, const mn__real *table,
                 mn__real *packed, bool back)
{
    const mn__heads *h = &l->sizes.heads;
    const mn__turn t = {h->n_head + h->n_kv, h->dim, packed_width(l), packed, back};
    mn__rotary_turn(&l->sizes.rotary, env, s, table, &t);
}

static mn__qkv qkv_of(const mn__mixer *l, const mn__real *packed)
{
    return (mn__qkv){.q = packed,
                     .k = packed + q_width(l),
                     .v = packed + q_width(l) + kv_width(l),
                     .ld = packed_width(l)};
}

static void forward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *x,
                    mn__real *y, bool keep)
{
    mn__mixer *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, ld = packed_width(l);
    mn__real *table = mn__rotary_table(&l->sizes.rotary, env, s.len),
             *packed = mn__take_reals(env, n * ld), *heads = mn__take_reals(env, n * q_width(l));
    const mn__qkv in = qkv_of(l, packed);
    project(l, env, n, x, packed, keep);
    if (l->sizes.has_qk_norm) { /* `heads` is still free */
        const some_heads q = {&l->q_norm, packed, q_width(l)},
                         k = {&l->k_norm, packed + q_width(l), kv_width(l)};
        norm_heads(l, env, n, &q, heads, keep ? &l->saved.q_norm : NULL);
        norm_heads(l, env, n, &k, heads, keep ? &l->saved.k_norm : NULL);
    }
    turn(l, env, s, table, packed, false);
    cores[l->sizes.kind].forward(l, env, s, &in, heads, keep);
    if (l->sizes.has_out)
        mn__dense_forward(&l->out, env, n, heads, y);
    else
        copy_columns(env, n, (columns){y, heads, q_width(l), q_width(l), q_width(l)});
    if (!keep) {
        mn__tape_cut(env->tape, mark);
        return;
    }
    l->saved.x = x;
    l->saved.table = table;
    l->saved.packed = packed;
    l->saved.heads = heads;
}

static void backward(mn__layer *layer, const mn__env *env, mn__shape s, const mn__real *dy,
                     mn__real *dx)
{
    mn__mixer *l = self_of(layer);
    const size_t mark = mn__tape_mark(env->tape), n = s.n_seq * s.len, ld = packed_width(l);
    mn__real *packed = mn__take_reals(env, n * ld);
    const mn__qkv_grad out = {packed, packed + q_width(l), packed + q_width(l) + kv_width(l)};
    const mn__real *const part[] = {out.q, out.k, out.v}, *d_heads = dy;
    if (l->sizes.has_out) {
        mn__real *d = mn__take_reals(env, n * q_width(l));
        mn__dense_backward(&l->out, env, n, l->saved.heads, dy, d);
        d_heads = d;
    }
    cores[l->sizes.kind].backward(l, env, s, d_heads, &out);
    turn(l, env, s, l->saved.table, packed, true);
    if (l->sizes.has_qk_norm) {
        const some_heads q = {&l->q_norm, out.q, q_width(l)}, k = {&l->k_norm, out.k, kv_width(l)};
        unnorm_heads(l, env, n, &q, &l->saved.q_norm);
        unnorm_heads(l, env, n, &k, &l->saved.k_norm);
    }
    if (l->sizes.n_bit)
        mn__memory_layer_backward(&l->memory, env, n, &l->saved.memory, part, ld, dx);
    else
        mn__dense_backward(&l->qkv, env, n, l->saved.x, packed, dx);
    mn__tape_cut(env->tape, mark);
}

static void fill(mn__layer *layer, uint64_t seed)
{
    mn__mixer *l = self_of(layer);
    if (l->sizes.kind == MN__MIX_PERFORMER) mn__performer_draw(&l->core.performer, seed, 0);
}

static const struct mn__layer_ops ops = {
    .name = "mixer", .declare = declare, .fill = fill, .forward = forward, .backward = backward};

static mn_status check_sizes(const mn__mixer_sizes *s, mn_diag *diag)
{
    const mn__heads *h = &s->heads;
    if (!h->dim || !h->n_kv || h->n_head % h->n_kv)
        return mn__fail(diag, MN_ERANGE, "attention: %zu query heads over %zu of keys, size %zu",
                        h->n_head, h->n_kv, h->dim);
    if (s->rotary.n_rot % 2 || s->rotary.n_rot > h->dim)
        return mn__fail(diag, MN_ERANGE,
                        "attention: an even number of rotated values up to %zu wanted, %zu found",
                        h->dim, s->rotary.n_rot);
    if (!s->has_out && h->n_head * h->dim != s->width)
        return mn__fail(diag, MN_ERANGE,
                        "attention without an output layer: %zu heads of %zu wanted to make width "
                        "%zu",
                        h->n_head, h->dim, s->width);
    if (s->n_bit && s->n_table * s->n_bit != s->width)
        return mn__fail(diag, MN_ERANGE,
                        "memory layers of attention: tables times bits is %zu x %zu, width %zu "
                        "wanted",
                        s->n_table, s->n_bit, s->width);
    if (s->kind == MN__MIX_COSFORMER && !s->context)
        return mn__fail(diag, MN_ERANGE, "cosFormer: the length of a context is wanted");
    if (s->kind == MN__MIX_LINFORMER && (!s->block || !s->n_slot))
        return mn__fail(diag, MN_ERANGE,
                        "Linformer: blocks of %zu positions and %zu slots cannot be", s->block,
                        s->n_slot);
    return MN_OK;
}

static void init_core(mn__mixer *l)
{
    const mn__mixer_sizes *s = &l->sizes;
    switch (s->kind) {
    case MN__MIX_SOFTMAX: l->core.softmax = (mn__causal_softmax){s->heads}; break;
    case MN__MIX_PERFORMER:
        l->core.performer = (mn__performer){.heads = s->heads, .eps = (mn__real)s->eps};
        l->core.performer.n_feature =
            s->n_feature ? s->n_feature : mn__performer_features(s->heads.dim);
        break;
    case MN__MIX_COSFORMER:
        l->core.cosformer = (mn__cosformer){s->heads, s->context, (mn__real)s->eps};
        break;
    case MN__MIX_LINFORMER:
        l->core.linformer =
            (mn__linformer){.heads = s->heads, .n_from = s->block, .n_slot = s->n_slot};
        break;
    }
}

mn_status mn__mixer_init(mn__mixer *l, const mn__mixer_sizes *s, mn_diag *diag)
{
    mn_status st = check_sizes(s, diag);
    if (st != MN_OK) return st;
    *l = (mn__mixer){.layer = {.ops = &ops, .n_in = s->width, .n_out = s->width}, .sizes = *s};
    l->qkv = (mn__dense){.n_in = s->width,
                         .n_out = packed_width(l),
                         .has_bias = s->has_bias,
                         .std = s->std_in,
                         .cut = s->cut};
    l->out = (mn__dense){.n_in = q_width(l),
                         .n_out = s->width,
                         .has_bias = s->has_bias,
                         .std = s->std_out,
                         .cut = s->cut};
    l->q_norm = (mn__rms_norm){.width = s->heads.dim, .eps = (mn__real)s->qk_eps};
    l->k_norm = l->q_norm;
    init_core(l);
    if (!s->n_bit) return MN_OK;
    l->memory = (mn__memory_layer){.n_table = s->n_table,
                                   .n_bit = s->n_bit,
                                   .score = s->score,
                                   .temperature = s->temperature,
                                   .n_share = 3,
                                   .share = {{.n_out = q_width(l), .std = s->std_in},
                                             {.n_out = kv_width(l), .std = s->std_in},
                                             {.n_out = kv_width(l), .std = s->std_in}}};
    return mn__memory_layer_check(&l->memory, "memory layers of attention", diag);
}
