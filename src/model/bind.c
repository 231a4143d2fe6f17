/* bind.c: looking tensors up, checking type and shape, cutting fused ones (bind.h). */
#include "model/bind.h"

#include <ggml-cpu.h>
#include <ggml.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { NAME_BYTES = 64, SHAPE_BYTES = 96 };

/* A block that the model frees with itself; what it holds follows on the next cache line. */
typedef struct mn__owned {
    struct mn__owned *next;
} mn__owned;

enum { OWNED_HEAD = 64 };

void *mn__model_own(struct mn_model *m, size_t bytes)
{
    size_t total;
    if (!mn__add_size(bytes, OWNED_HEAD, &total)) return NULL;
    mn__owned *block = mn__alloc_zero(MN_MEM_WEIGHTS, total);
    if (!block) return NULL;
    block->next = m->owned;
    m->owned = block;
    return (uint8_t *)block + OWNED_HEAD;
}

void mn__model_own_free(struct mn_model *m)
{
    while (m->owned) {
        mn__owned *next = m->owned->next;
        mn__free(m->owned);
        m->owned = next;
    }
}

static void write_name(const mn__wanted *want, char out[NAME_BYTES])
{
    if (want->layer < 0)
        snprintf(out, NAME_BYTES, "%s", want->what);
    else
        snprintf(out, NAME_BYTES, "blk.%d.%s", want->layer, want->what);
}

static void write_shape(const int64_t ne[4], int n_dim, char out[SHAPE_BYTES])
{
    size_t at = 0;
    while (n_dim < 4 && ne[n_dim] != 1) n_dim = 4;
    for (int i = 0; i < n_dim && at < SHAPE_BYTES; i++)
        at +=
            (size_t)snprintf(out + at, SHAPE_BYTES - at, "%s%lld", i ? ", " : "", (long long)ne[i]);
}

mn_status mn__bind_tensor(struct mn_model *m, const char *name, const int64_t ne[4],
                          const mn__gguf_tensor **out, mn_diag *diag)
{
    char wanted[SHAPE_BYTES], found[SHAPE_BYTES];
    int n_dim = ne[1] == 1 ? 1 : 2;
    const mn__gguf_tensor *t = mn__gguf_find_tensor(m->file, name);
    *out = t;
    write_shape(ne, n_dim, wanted);
    if (!t)
        return mn__fail(diag, MN_EINPUT, "%s: %s: [%s] wanted, the tensor is missing",
                        mn__gguf_name(m->file), name, wanted);
    if (memcmp(t->ne, ne, sizeof t->ne) != 0) {
        write_shape(t->ne, n_dim, found);
        return mn__fail(diag, MN_EINPUT, "%s: %s: [%s] wanted, [%s] found", mn__gguf_name(m->file),
                        name, wanted, found);
    }
    m->tensor_used[t - mn__gguf_get_tensor(m->file, 0)] = 1; /* the list is one array */
    return MN_OK;
}

/* The tensor, marked as used, in *out; NULL where an optional one is missing. */
static mn_status find(struct mn_model *m, const mn__wanted *want, const mn__gguf_tensor **out,
                      mn_diag *diag)
{
    char name[NAME_BYTES];
    const int64_t ne[4] = {(int64_t)want->n_in, want->n_out ? (int64_t)want->n_out : 1, 1, 1};
    write_name(want, name);
    *out = NULL;
    if (want->optional && !mn__gguf_find_tensor(m->file, name)) return MN_OK;
    return mn__bind_tensor(m, name, ne, out, diag);
}

static bool can_widen(enum ggml_type type)
{
    return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float;
}

mn_status mn__bind_as_weight(const struct mn_model *m, const mn__gguf_tensor *t, mn__weight *out,
                             mn_diag *diag)
{
    if (!can_widen(t->type) || !ggml_get_type_traits_cpu(t->type)->vec_dot)
        return mn__fail(diag, MN_EINPUT, "%s: %s: a type that can be multiplied wanted, %s found",
                        mn__gguf_name(m->file), t->name, ggml_type_name(t->type));
    *out = (mn__weight){.name = t->name,
                        .data = t->data,
                        .type = (int)t->type,
                        .n_in = (size_t)t->ne[0],
                        .n_out = (size_t)(t->ne[1] * t->ne[2] * t->ne[3]),
                        .row_bytes = ggml_row_size(t->type, t->ne[0])};
    return MN_OK;
}

mn_status mn__bind_weight(struct mn_model *m, const mn__wanted *want, mn__weight *out,
                          mn_diag *diag)
{
    const mn__gguf_tensor *t = NULL;
    mn_status st = find(m, want, &t, diag);
    *out = (mn__weight){0};
    if (st != MN_OK || !t) return st;
    return mn__bind_as_weight(m, t, out, diag);
}

mn_status mn__bind_floats(struct mn_model *m, const mn__wanted *want, const float **out,
                          mn_diag *diag)
{
    const mn__gguf_tensor *t = NULL;
    mn_status st = find(m, want, &t, diag);
    *out = NULL;
    if (st != MN_OK || !t) return st;
    if (t->type == GGML_TYPE_F32) {
        *out = t->data;
        return MN_OK;
    }
    if (t->type != GGML_TYPE_F16 && t->type != GGML_TYPE_BF16)
        return mn__fail(diag, MN_EINPUT, "%s: %s: f32, f16 or bf16 wanted, %s found",
                        mn__gguf_name(m->file), t->name, ggml_type_name(t->type));
    float *wide = mn__model_own(m, want->n_in * sizeof *wide);
    if (!wide)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory for %s", mn__gguf_name(m->file), t->name);
    ggml_get_type_traits(t->type)->to_float(t->data, wide, (int64_t)want->n_in);
    *out = wide;
    return MN_OK;
}

static mn_status bind_ends(struct mn_model *m, unsigned options, mn_diag *diag)
{
    mn_status st;
    const mn__wanted embd = {
        .layer = -1, .what = "token_embd.weight", .n_in = m->n_embd, .n_out = m->n_vocab};
    const mn__wanted head = {.layer = -1,
                             .what = "output.weight",
                             .n_in = m->n_embd,
                             .n_out = m->n_vocab,
                             .optional = true};
    const mn__wanted bias = {
        .layer = -1, .what = "output.bias", .n_in = m->n_vocab, .optional = true};
    const mn__wanted norm = {.layer = -1, .what = "output_norm.weight", .n_in = m->n_embd};
    MN_TRY(mn__bind_weight(m, &embd, &m->embd, diag));
    MN_TRY(mn__bind_weight(m, &head, &m->head, diag));
    if (!m->head.data) m->head = m->embd;
    if (options & MN__BIND_HEAD_BIAS) MN_TRY(mn__bind_floats(m, &bias, &m->head.bias, diag));
    MN_TRY(mn__bind_floats(m, &norm, &m->out_norm, diag));
done:
    return st;
}

/* Rows [row, row + n_out) of a weight. */
static mn__weight slice(const mn__weight *w, size_t row, size_t n_out)
{
    mn__weight part = *w;
    part.data += row * w->row_bytes;
    part.n_out = n_out;
    if (w->bias) part.bias += row;
    return part;
}

static mn_status bind_fused_qkv(struct mn_model *m, size_t layer, bool *is_fused, mn_diag *diag)
{
    mn__model_layer *l = &m->layer[layer];
    mn__weight all;
    size_t n_q = m->n_head * m->head_dim, n_kv = m->n_kv_head * m->head_dim;
    const mn__wanted want = {(int)layer, "attn_qkv.weight", m->n_embd, n_q + 2 * n_kv, true};
    const mn__wanted bias = {(int)layer, "attn_qkv.bias", n_q + 2 * n_kv, 0, true};
    mn_status st = mn__bind_weight(m, &want, &all, diag);
    *is_fused = all.data != NULL;
    if (st != MN_OK || !all.data) return st;
    st = mn__bind_floats(m, &bias, &all.bias, diag);
    l->q = slice(&all, 0, n_q);
    l->k = slice(&all, n_q, n_kv);
    l->v = slice(&all, n_q + n_kv, n_kv);
    return st;
}

static mn_status bind_one(struct mn_model *m, const mn__wanted *want, const char *bias,
                          mn__weight *out, mn_diag *diag)
{
    const mn__wanted b = {want->layer, bias, want->n_out, 0, true};
    mn_status st = mn__bind_weight(m, want, out, diag);
    return st == MN_OK && bias ? mn__bind_floats(m, &b, &out->bias, diag) : st;
}

static mn_status bind_attention(struct mn_model *m, size_t layer, unsigned options, mn_diag *diag)
{
    mn_status st;
    mn__model_layer *l = &m->layer[layer];
    int i = (int)layer;
    bool is_fused = false;
    size_t n_q = m->n_head * m->head_dim, n_kv = m->n_kv_head * m->head_dim, n_embd = m->n_embd;
    const mn__wanted norm = {i, "attn_norm.weight", n_embd, 0, false};
    const mn__wanted q = {i, "attn_q.weight", n_embd, n_q, false},
                     k = {i, "attn_k.weight", n_embd, n_kv, false};
    const mn__wanted v = {i, "attn_v.weight", n_embd, n_kv, false},
                     o = {i, "attn_output.weight", n_q, n_embd, false};
    MN_TRY(mn__bind_floats(m, &norm, &l->attn_norm, diag));
    MN_TRY(bind_fused_qkv(m, layer, &is_fused, diag));
    if (!is_fused) {
        MN_TRY(bind_one(m, &q, "attn_q.bias", &l->q, diag));
        MN_TRY(bind_one(m, &k, "attn_k.bias", &l->k, diag));
        MN_TRY(bind_one(m, &v, "attn_v.bias", &l->v, diag));
    }
    MN_TRY(bind_one(m, &o, options & MN__BIND_OUT_BIAS ? "attn_output.bias" : NULL, &l->o, diag));
    l->rope = m->layer_rope[layer];
    l->window = m->window[layer];
done:
    return st;
}

static mn_status bind_head_norms(struct mn_model *m, size_t layer, mn_diag *diag)
{
    mn__model_layer *l = &m->layer[layer];
    const mn__wanted q = {(int)layer, "attn_q_norm.weight", m->head_dim, 0, false};
    const mn__wanted k = {(int)layer, "attn_k_norm.weight", m->head_dim, 0, false};
    mn_status st = mn__bind_floats(m, &q, &l->q_norm, diag);
    return st == MN_OK ? mn__bind_floats(m, &k, &l->k_norm, diag) : st;
}

static mn_status bind_ffn(struct mn_model *m, size_t layer, unsigned options, mn_diag *diag)
{
    mn_status st;
    mn__model_layer *l = &m->layer[layer];
    int i = (int)layer;
    const mn__wanted norm = {i, "ffn_norm.weight", m->n_embd, 0, false};
    const mn__wanted gate = {i, "ffn_gate.weight", m->n_embd, m->n_ff, false},
                     up = {i, "ffn_up.weight", m->n_embd, m->n_ff, false};
    const mn__wanted both = {i, "ffn_up.weight", m->n_embd, 2 * m->n_ff, false},
                     down = {i, "ffn_down.weight", m->n_ff, m->n_embd, false};
    MN_TRY(mn__bind_floats(m, &norm, &l->ffn_norm, diag));
    if (options & MN__BIND_FUSED_GATE) {
        mn__weight all;
        MN_TRY(mn__bind_weight(m, &both, &all, diag));
        l->gate = slice(&all, 0, m->n_ff);
        l->up = slice(&all, m->n_ff, m->n_ff);
    } else {
        MN_TRY(mn__bind_weight(m, &gate, &l->gate, diag));
        MN_TRY(mn__bind_weight(m, &up, &l->up, diag));
    }
    MN_TRY(mn__bind_weight(m, &down, &l->down, diag));
done:
    return st;
}

static mn_status bind_post_norms(struct mn_model *m, size_t layer, mn_diag *diag)
{
    mn__model_layer *l = &m->layer[layer];
    const mn__wanted attn = {(int)layer, "post_attention_norm.weight", m->n_embd, 0, false};
    const mn__wanted ffn = {(int)layer, "post_ffw_norm.weight", m->n_embd, 0, false};
    mn_status st = mn__bind_floats(m, &attn, &l->attn_post_norm, diag);
    return st == MN_OK ? mn__bind_floats(m, &ffn, &l->ffn_post_norm, diag) : st;
}

mn_status mn__bind_dense(struct mn_model *m, unsigned options, mn_diag *diag)
{
    mn_status st;
    MN_TRY(bind_ends(m, options, diag));
    for (size_t i = 0; i < m->n_layer; i++) {
        MN_TRY(bind_attention(m, i, options, diag));
        if (options & MN__BIND_HEAD_NORMS) MN_TRY(bind_head_norms(m, i, diag));
        if (options & MN__BIND_POST_NORMS) MN_TRY(bind_post_norms(m, i, diag));
        MN_TRY(bind_ffn(m, i, options, diag));
    }
done:
    return st;
}

mn_status mn__bind_check_all_used(const struct mn_model *m, mn_diag *diag)
{
    for (size_t i = 0; i < mn__gguf_n_tensor(m->file); i++)
        if (!m->tensor_used[i])
            return mn__fail(diag, MN_EINPUT,
                            "%s: %s: architecture '%s' has no use for this tensor, and leaving it "
                            "out would change the model",
                            mn__gguf_name(m->file), mn__gguf_get_tensor(m->file, i)->name,
                            m->arch->name);
    return MN_OK;
}
