/* arch_mneme.c: models that were trained here (mneme export): the options of the file make the very
 * layers that learnt (lm/learner.h), and their parameters stay in the map. */
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "gguf/gguf_key.h"
#include "layer/hits.h"
#include "lm/config_gguf.h"
#include "lm/tensor.h"
#include "model/archs.h"
#include "model/bind.h"
#include "model/keys.h"

/* ---- keys ---- */

/* Sizes stand in the file twice: as options, and by the names that other tools know. */
static mn_status check_twins(const struct mn_model *m, mn_diag *diag)
{
    const mn__config *c = m->config;
    const struct {
        const char *key, *option;
        size_t found, wanted;
    } twin[] = {
        {"block_count", "model.blocks", m->n_layer, c->model_blocks},
        {"embedding_length", "model.width", m->n_embd, c->model_width},
        {"feed_forward_length", "model.hidden", m->n_ff, c->model_hidden},
        {"context_length", "model.context", m->n_ctx_train, c->model_context},
        {"attention.head_count", "model.heads", m->n_head, c->model_heads},
        {"attention.head_count_kv", "model.kv_heads", m->n_kv_head, c->model_kv_heads},
        {"attention.key_length", "model.width / model.heads", m->head_dim,
         c->model_width / c->model_heads},
    };
    for (size_t i = 0; i < sizeof twin / sizeof *twin; i++)
        if (twin[i].found != twin[i].wanted)
            return mn__fail(diag, MN_EINPUT, "%s: mneme.%s: %zu wanted, as %s has it, %zu found",
                            mn__gguf_name(m->file), twin[i].key, twin[i].wanted, twin[i].option,
                            twin[i].found);
    if (m->norm_eps < (float)c->model_norm_eps || m->norm_eps > (float)c->model_norm_eps)
        return mn__fail(diag, MN_EINPUT,
                        "%s: mneme.attention.layer_norm_rms_epsilon: %g wanted, as model.norm_eps "
                        "has it, %g found",
                        mn__gguf_name(m->file), c->model_norm_eps, (double)m->norm_eps);
    return MN_OK;
}

static size_t n_rotated(const mn__config *c)
{
    const double dim = (double)(c->model_width / c->model_heads);
    return (size_t)(c->model_rotary_share * dim) / 2 * 2;
}

/* Attention of the other kinds turns heads by itself, as it was trained. */
static mn_status read_rope(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    const size_t n_rot = n_rotated(m->config);
    if (n_rot && m->config->model_mixer == MN__MIX_SOFTMAX) {
        mn_status st = mn__keys_rope(m, p, (mn__rope_style){.neox = true}, diag);
        if (st == MN_OK && m->rope.n_rot != n_rot)
            st = mn__fail(diag, MN_EINPUT,
                          "%s: mneme.rope.dimension_count: %zu wanted, as model.rotary_share has "
                          "it, %zu found",
                          mn__gguf_name(m->file), n_rot, m->rope.n_rot);
        return st;
    }
    if (p->rope_scaling != MN_ROPE_MODEL || p->rope_factor != 0 || p->rope_base != 0)
        return mn__fail(diag, MN_EUSAGE, "%s: its attention has no rotation that can be stretched",
                        mn__gguf_name(m->file));
    m->rope = m->rope_local = (mn__rope){.neox = true, .magnitude = 1};
    for (size_t i = 0; i < m->n_layer; i++) m->layer_rope[i] = &m->rope;
    return MN_OK;
}

/* A file in float32 is there to be computed in float32, which signs that choose rows and lists of
 * best keys are sensitive to; a level that was asked for stays. */
static void choose_level(struct mn_model *m, const mn_model_params *p)
{
    const mn__gguf_tensor *t = mn__gguf_find_tensor(m->file, "embedding");
    const bool is_asked = p->cpu && strcmp(p->cpu, "auto") != 0;
    if (t && t->type == GGML_TYPE_F32 && !is_asked && mn__product_is_bf16(&m->kern))
        mn__kern_init(&m->kern, MN__CPU_AVX512);
}

static mn_status read_keys(struct mn_model *m, const mn_model_params *p, mn_diag *diag)
{
    mn_status st;
    mn__config *c = mn__model_own(m, sizeof *c);
    if (!c) return mn__fail(diag, MN_ENOMEM, "%s: no memory", mn__gguf_name(m->file));
    MN_TRY(mn__keys_common(m, diag));
    MN_TRY(mn__config_take(c, m->file, diag));
    m->config = c;
    MN_TRY(check_twins(m, diag));
    MN_TRY(read_rope(m, p, diag));
    choose_level(m, p);
done:
    return st;
}

/* ---- parameters ---- */

static mn_status no_memory(const struct mn_model *m, const char *what, mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "%s: no memory for %s", mn__gguf_name(m->file), what);
}

static mn_status wrong_type(const struct mn_model *m, const mn__gguf_tensor *t, const char *wanted,
                            mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT, "%s: %s: %s wanted, %s found", mn__gguf_name(m->file), t->name,
                    wanted, ggml_type_name(t->type));
}

/* One matrix, or one for each item of the first of three dimensions. */
static mn_status bind_matrix(struct mn_model *m, const mn__param *p, const mn__gguf_tensor *t,
                             mn__stored *out, mn_diag *diag)
{
    mn__weight all;
    const size_t n = p->n_dim > 2 ? p->dim[0] : 1;
    const mn_status st = mn__bind_as_weight(m, t, &all, diag);
    if (st != MN_OK) return st;
    out->matrix = mn__model_own(m, n * sizeof *out->matrix);
    if (!out->matrix) return no_memory(m, t->name, diag);
    out->n_matrix = n;
    all.n_out /= n;
    for (size_t i = 0; i < n; i++) {
        out->matrix[i] = all;
        out->matrix[i].data += i * all.n_out * all.row_bytes;
    }
    if (all.n_in > m->max_in) m->max_in = all.n_in;
    return MN_OK;
}

static mn_status bind_scales(struct mn_model *m, const mn__param *p, size_t n_row, mn__stored *out,
                             mn_diag *diag)
{
    char name[MN__PARAM_NAME + sizeof MN__SCALE_SUFFIX];
    const mn__gguf_tensor *t;
    const int64_t ne[4] = {1, (int64_t)n_row, 1, 1};
    snprintf(name, sizeof name, "%s" MN__SCALE_SUFFIX, p->name);
    const mn_status st = mn__bind_tensor(m, name, ne, &t, diag);
    if (st != MN_OK) return st;
    if (t->type != GGML_TYPE_F32) return wrong_type(m, t, "f32", diag);
    out->scale = t->data;
    return MN_OK;
}

/* Rows are counted in 32 bits, in the parts that cores weigh. */
static mn_status bind_table(struct mn_model *m, mn__param *p, const mn__gguf_tensor *t,
                            mn__stored *out, mn_diag *diag)
{
    const size_t n_row = mn__param_size(p) / p->row;
    if (t->type == GGML_TYPE_F32) {
        p->w = (float *)t->data; /* inference reads */
        return MN_OK;
    }
    if (n_row > UINT32_MAX / MN__CORES_MAX)
        return mn__fail(diag, MN_EINPUT, "%s: %s: at most %u rows wanted, %zu found",
                        mn__gguf_name(m->file), t->name, UINT32_MAX / MN__CORES_MAX, n_row);
    p->stored = out;
    if (t->type == GGML_TYPE_BF16)
        out->bf16 = t->data;
    else if (t->type == GGML_TYPE_I8)
        out->q8 = t->data;
    else
        return wrong_type(m, t, "f32, bf16 or i8", diag);
    return out->q8 ? bind_scales(m, p, n_row, out, diag) : MN_OK;
}

/* States may be changed when the layers are refreshed, so they are copied. */
static mn_status bind_floats(struct mn_model *m, mn__param *p, const mn__gguf_tensor *t,
                             mn_diag *diag)
{
    if (t->type != GGML_TYPE_F32) return wrong_type(m, t, "f32", diag);
    p->w = (float *)t->data;
    if (p->group != MN__PARAM_STATE) return MN_OK;
    p->w = mn__model_own(m, t->n_bytes);
    if (!p->w) return no_memory(m, t->name, diag);
    memcpy(p->w, t->data, t->n_bytes);
    return MN_OK;
}

static mn_status bind_param(struct mn_model *m, mn__param *p, mn__stored *stored, mn_diag *diag)
{
    const mn__gguf_tensor *t;
    int64_t ne[4];
    mn__tensor_shape(p, ne);
    const mn_status st = mn__bind_tensor(m, p->name, ne, &t, diag);
    if (st != MN_OK) return st;
    if (p->row) return bind_table(m, p, t, stored, diag);
    if (!p->is_matrix) return bind_floats(m, p, t, diag);
    p->stored = stored;
    return bind_matrix(m, p, t, stored, diag);
}

/* Layers make lists as long as their tables: a file that claims larger ones than it can hold is not
 * to be believed. */
static mn_status check_tables(const struct mn_model *m, mn_diag *diag)
{
    const size_t keys = m->config->memory_keys;
    const bool has_table = m->config->model_arch >= MN__ARCH_PKM &&
                           m->config->model_arch <= MN__ARCH_ULTRAMEM_V2 &&
                           strcmp(m->config->memory_insert, "no_mem") != 0;
    if (has_table && keys * keys > mn__gguf_size(m->file))
        return mn__fail(diag, MN_EINPUT,
                        "%s: mneme.memory.keys: %zu, but a table of as many rows squared does not "
                        "fit into %zu bytes",
                        mn__gguf_name(m->file), keys, mn__gguf_size(m->file));
    if (m->config->model_vocab != m->n_vocab)
        return mn__fail(diag, MN_EINPUT,
                        "%s: mneme.model.vocab: the tokenizer's %zu tokens wanted, %zu found",
                        mn__gguf_name(m->file), m->n_vocab, m->config->model_vocab);
    return MN_OK;
}

/* What policies and sessions ask of any model. */
static void fill_layers(struct mn_model *m)
{
    const mn__learner *l = m->lm;
    m->embd = l->lm.embedding.stored->matrix[0];
    m->head = l->lm.tied ? m->embd : l->lm.head.stored->matrix[0];
    for (size_t i = 0; i < m->n_layer; i++) {
        m->layer[i].rope = m->layer_rope[i];
        if (l->mixer[i].sizes.has_out) m->layer[i].o = l->mixer[i].out.weight.stored->matrix[0];
    }
}

static mn_status bind(struct mn_model *m, mn_diag *diag)
{
    mn_status st;
    MN_TRY(check_tables(m, diag));
    st = mn__learner_layers(&m->lm, m->config, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__gguf_name(m->file));
        return st == MN_ENOMEM ? st : MN_EINPUT;
    }
    const mn__params *list = &m->lm->list;
    m->stored = mn__model_own(m, list->n * sizeof *m->stored);
    if (!m->stored) MN_TRY(no_memory(m, "its parameters", diag));
    for (size_t i = 0; i < list->n; i++) MN_TRY(bind_param(m, list->at[i], &m->stored[i], diag));
    mn__learner_refresh(m->lm);
    MN_TRY(mn__learner_settle(m->lm, diag));
    fill_layers(m);
done:
    return st;
}

size_t mn__model_state_bytes(const struct mn_model *m, size_t n_ctx)
{
    return m->lm ? m->n_layer * mn__mixer_state(&m->lm->mixer[0], n_ctx) * sizeof(float) : 0;
}

/* cosFormer's weights are cosines of distances up to the context: beyond it they turn negative. */
size_t mn__model_longest(const struct mn_model *m)
{
    return m->lm && m->config->model_mixer == MN__MIX_COSFORMER ? m->n_ctx_train : SIZE_MAX;
}

const struct mn__arch mn__arch_mneme = {MN__LM_ARCHITECTURE, read_keys, bind};
