/* mixer_infer.c: a mixer's passes for inference: nothing is kept in the layer, and a sequence
 * carries what it needs from one run of positions to the next. */
#include <string.h>

#include "layer/mixer.h"
#include "layer/ops.h"

enum { ROW_GRAIN = 16 };

static size_t q_width(const mn__mixer *l)
{
    return l->sizes.heads.n_head * l->sizes.heads.dim;
}

static size_t kv_width(const mn__mixer *l)
{
    return l->sizes.heads.n_kv * l->sizes.heads.dim;
}

size_t mn__mixer_packed(const mn__mixer *l)
{
    return q_width(l) + 2 * kv_width(l);
}

void mn__mixer_project(const mn__mixer *l, const mn__env *env, size_t n, const mn__real *x,
                       mn__real *packed)
{
    mn__real *const part[] = {packed, packed + q_width(l), packed + q_width(l) + kv_width(l)};
    if (l->sizes.n_bit)
        mn__memory_layer_forward(&l->memory, env, n, x, part, mn__mixer_packed(l), NULL);
    else
        mn__dense_forward(&l->qkv, env, n, x, packed);
}

typedef struct turning {
    const mn__mixer *l;
    mn__real *packed, *table; /* table [n][n_rot/2][2]: cos and sin */
    size_t past;
} turning;

static void norm_head(const mn__rms_norm *norm, mn__real *x)
{
    const mn__real mean = mn__dot(x, x, norm->width) / (mn__real)norm->width,
                   less = 1 / mn__sqrt(mean + norm->eps);
    for (size_t i = 0; i < norm->width; i++) x[i] *= less * norm->scale.w[i];
}

static void angle_rows(const turning *p, size_t begin, size_t end)
{
    const mn__rotary *r = &p->l->sizes.rotary;
    const size_t half = r->n_rot / 2;
    for (size_t i = 0; i < half; i++) {
        const double freq = pow(r->base, -2.0 * (double)i / (double)r->n_rot);
        for (size_t row = begin; row < end; row++) {
            const double angle = (double)(p->past + row) * freq;
            p->table[(row * half + i) * 2] = (mn__real)cos(angle);
            p->table[(row * half + i) * 2 + 1] = (mn__real)sin(angle);
        }
    }
}

static void turn_head(mn__real *x, const mn__real *table, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const mn__real a = x[i], b = x[i + half], c = table[2 * i], s = table[2 * i + 1];
        x[i] = a * c - b * s;
        x[i + half] = b * c + a * s;
    }
}

/* A row's queries and keys: normed, and turned to its position. */
static void turn_rows(void *arg, size_t begin, size_t end, int thread)
{
    const turning *p = arg;
    const mn__mixer_sizes *s = &p->l->sizes;
    const size_t dim = s->heads.dim, half = s->rotary.n_rot / 2;
    (void)thread;
    angle_rows(p, begin, end);
    for (size_t row = begin; row < end; row++)
        for (size_t h = 0; h < s->heads.n_head + s->heads.n_kv; h++) {
            mn__real *x = p->packed + row * mn__mixer_packed(p->l) + h * dim;
            if (s->has_qk_norm) norm_head(h < s->heads.n_head ? &p->l->q_norm : &p->l->k_norm, x);
            turn_head(x, p->table + row * 2 * half, half);
        }
}

void mn__mixer_continue(const mn__mixer *l, const mn__env *env, size_t n, mn__real *packed,
                        const mn__carried *carried, mn__real *heads)
{
    const mn__shape s = {1, n};
    const mn__qkv in = {.q = packed,
                        .k = packed + q_width(l),
                        .v = packed + q_width(l) + kv_width(l),
                        .ld = mn__mixer_packed(l),
                        .carried = carried};
    const size_t mark = mn__tape_mark(env->tape);
    turning t = {l, packed, mn__take_reals(env, n * l->sizes.rotary.n_rot), carried->past};
    mn__each(env, n, ROW_GRAIN, turn_rows, &t);
    switch (l->sizes.kind) {
    case MN__MIX_SOFTMAX: break;
    case MN__MIX_PERFORMER:
        mn__performer_forward(&l->core.performer, env, s, &in, heads, NULL);
        break;
    case MN__MIX_COSFORMER:
        mn__cosformer_forward(&l->core.cosformer, env, s, &in, heads, NULL);
        break;
    case MN__MIX_LINFORMER: mn__linformer_continue(&l->core.linformer, env, n, &in, heads); break;
    }
    mn__tape_cut(env->tape, mark);
}

void mn__mixer_finish(const mn__mixer *l, const mn__env *env, size_t n, const mn__real *heads,
                      mn__real *y)
{
    if (l->sizes.has_out)
        mn__dense_forward(&l->out, env, n, heads, y);
    else if (!mn__env_is_dry(env))
        memcpy(y, heads, n * q_width(l) * sizeof *y);
}

size_t mn__mixer_state(const mn__mixer *l, size_t len)
{
    switch (l->sizes.kind) {
    case MN__MIX_SOFTMAX: break;
    case MN__MIX_PERFORMER: return mn__performer_state(&l->core.performer);
    case MN__MIX_COSFORMER: return mn__cosformer_state(&l->core.cosformer);
    case MN__MIX_LINFORMER: return mn__linformer_state(&l->core.linformer, len);
    }
    return 0;
}
