/* keys.c: sizes and options of a model from the keys of its file (keys.h). */
#include "model/keys.h"

#include <math.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/heap.h"
#include "gguf/gguf_key.h"

/* Generous limits: several times what published models of these architectures have, small enough
 * that the products of sizes below stay within 64 bits. */
enum {
    MAX_HEAD = 1024,
    MAX_HEAD_DIM = 512,
    MAX_EMBD = 1 << 17,
    MAX_FF = 1 << 20,
    MAX_CTX = 1 << 30
};

const char *mn__key_name(const struct mn_model *m, const char *what, char out[MN__KEY_BYTES])
{
    snprintf(out, MN__KEY_BYTES, "%s.%s", m->arch->name, what);
    return out;
}

mn_status mn__key_float(const struct mn_model *m, const char *what, mn__float_range range,
                        float *out, mn_diag *diag)
{
    char key[MN__KEY_BYTES];
    float x = 0;
    if (!mn__gguf_has(m->file, mn__key_name(m, what, key))) return MN_OK;
    mn_status st = mn__gguf_need_f32(m->file, key, &x, diag);
    if (st != MN_OK) return st;
    if (!(x >= range.lo && x <= range.hi))
        return mn__fail(diag, MN_EINPUT, "%s: %s: %g to %g wanted, %g found",
                        mn__gguf_name(m->file), key, (double)range.lo, (double)range.hi, (double)x);
    *out = x;
    return MN_OK;
}

/* A size in [1, most]; `fallback` where the key is missing, 0: it must be there. Of an array, one
 * value per layer, all must agree. */
static mn_status read_size(const struct mn_model *m, const char *what, uint32_t most,
                           size_t fallback, size_t *out, mn_diag *diag)
{
    char key[MN__KEY_BYTES];
    uint32_t each[MN__MAX_LAYER], missing = (uint32_t)fallback;
    size_t n = m->n_layer ? m->n_layer : 1;
    mn__key_name(m, what, key);
    mn_status st = mn__gguf_each_u32(m->file, key, fallback ? &missing : NULL, n, each, diag);
    if (st != MN_OK) return st;
    if (each[0] < 1 || each[0] > most)
        return mn__fail(diag, MN_EINPUT, "%s: %s: 1 to %u wanted, %u found", mn__gguf_name(m->file),
                        key, most, each[0]);
    for (size_t i = 1; i < n; i++)
        if (each[i] != each[0])
            return mn__fail(diag, MN_EINPUT,
                            "%s: %s: one value for all layers wanted, %u for layer 0 and %u for "
                            "layer %zu found",
                            mn__gguf_name(m->file), key, each[0], each[i], i);
    *out = each[0];
    return MN_OK;
}

static mn_status read_heads(struct mn_model *m, mn_diag *diag)
{
    mn_status st;
    size_t value_dim = 0;
    const char *name = mn__gguf_name(m->file);
    MN_TRY(read_size(m, "attention.head_count", MAX_HEAD, 0, &m->n_head, diag));
    MN_TRY(read_size(m, "attention.head_count_kv", MAX_HEAD, m->n_head, &m->n_kv_head, diag));
    if (m->n_head % m->n_kv_head != 0)
        return mn__fail(diag, MN_EINPUT,
                        "%s: query heads a multiple of KV heads wanted, %zu and %zu found", name,
                        m->n_head, m->n_kv_head);
    size_t usual = m->n_embd / m->n_head ? m->n_embd / m->n_head : 1;
    MN_TRY(read_size(m, "attention.key_length", MAX_HEAD_DIM, usual, &m->head_dim, diag));
    MN_TRY(read_size(m, "attention.value_length", MAX_HEAD_DIM, usual, &value_dim, diag));
    if (value_dim != m->head_dim)
        return mn__fail(diag, MN_EINPUT,
                        "%s: keys and values of one length wanted, %zu and %zu found", name,
                        m->head_dim, value_dim);
    if (m->head_dim % 2 != 0)
        return mn__fail(diag, MN_EINPUT, "%s: an even head size wanted, %zu found", name,
                        m->head_dim);
done:
    return st;
}

static mn_status refuse_experts(const struct mn_model *m, mn_diag *diag)
{
    char key[MN__KEY_BYTES];
    uint32_t n = 0;
    mn_status st = mn__gguf_get_u32(m->file, mn__key_name(m, "expert_count", key), 0, &n, diag);
    if (st == MN_OK && n > 0)
        return mn__fail(
            diag, MN_EINPUT,
            "%s: a mixture of %u experts, only dense models of architecture '%s' are run",
            mn__gguf_name(m->file), n, m->arch->name);
    return st;
}

mn_status mn__keys_common(struct mn_model *m, mn_diag *diag)
{
    mn_status st;
    char key[MN__KEY_BYTES];
    MN_TRY(refuse_experts(m, diag));
    MN_TRY(read_size(m, "block_count", MN__MAX_LAYER, 0, &m->n_layer,
                     diag)); /* from here on: how long arrays must be */
    MN_TRY(read_size(m, "embedding_length", MAX_EMBD, 0, &m->n_embd, diag));
    MN_TRY(read_size(m, "feed_forward_length", MAX_FF, 0, &m->n_ff, diag));
    MN_TRY(read_size(m, "context_length", MAX_CTX, 0, &m->n_ctx_train, diag));
    MN_TRY(read_heads(m, diag));
    MN_TRY(mn__gguf_need_f32(m->file, mn__key_name(m, "attention.layer_norm_rms_epsilon", key),
                             &m->norm_eps, diag));
    MN_TRY(mn__key_float(m, "attention.layer_norm_rms_epsilon", (mn__float_range){0, 1},
                         &m->norm_eps, diag));
    m->softmax_scale = 1.0f / sqrtf((float)m->head_dim);
    m->embd_scale = m->logit_scale = 1;
    m->logit_softcap = 0;
    m->act = MN__GLU_SILU;
    m->window = mn__alloc_zero(MN_MEM_WEIGHTS, m->n_layer * sizeof *m->window);
    m->layer_rope = mn__alloc_zero(MN_MEM_WEIGHTS, m->n_layer * sizeof *m->layer_rope);
    if (!m->window || !m->layer_rope)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory for its layers", mn__gguf_name(m->file));
done:
    return st;
}
