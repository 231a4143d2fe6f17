/* model.c: opening a GGUF file for running (mneme/model.h): keys to sizes, tensors to weights,
 * copies for speed. What depends on the architecture is in arch_*.c. */
#include "model/model.h"

#include <ctype.h>
#include <ggml-cpu.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "gguf/gguf_key.h"
#include "model/archs.h"
#include "model/bind.h"
#include "model/pack.h"

enum { MAX_VOCAB = 1 << 22, HASHED_BYTES = 256 };

static const struct mn__arch *const archs[] = {
#define MN__ARCH(name) &mn__arch_##name,
#include "model/archs.def"
#undef MN__ARCH
};
enum { N_ARCH = sizeof archs / sizeof archs[0] };

void mn_model_params_default(mn_model_params *p)
{
    *p = (mn_model_params){.cpu = "auto", .pack = true, .pack_limit_bytes = (size_t)1 << 30};
}

static mn_status choose_kernels(struct mn_model *m, const char *cpu, mn_diag *diag)
{
    mn__cpu_level level;
    mn_status st = mn__cpu_level_parse(cpu ? cpu : "auto", &level, diag);
    if (st != MN_OK) return st;
    ggml_cpu_init();
    mn__kern_init(&m->kern, (int)level);
    return MN_OK;
}

static mn_status find_arch(struct mn_model *m, mn_diag *diag)
{
    char known[256] = "";
    size_t at = 0;
    const char *name = NULL;
    mn_status st = mn__gguf_need_str(m->file, "general.architecture", &name, diag);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < N_ARCH; i++) {
        if (strcmp(archs[i]->name, name) == 0) {
            m->arch = archs[i];
            return MN_OK;
        }
        if (at < sizeof known)
            at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "",
                                   archs[i]->name);
    }
    return mn__fail(diag, MN_EINPUT, "%s: unknown architecture '%.40s' (known: %s)",
                    mn__gguf_name(m->file), name, known);
}

static mn_status read_name(struct mn_model *m, mn_diag *diag)
{
    const char *path = mn__gguf_name(m->file), *slash = strrchr(path, '/'), *name = NULL;
    mn_status st = mn__gguf_get_str(m->file, "general.name", slash ? slash + 1 : path, &name, diag);
    if (st == MN_OK) snprintf(m->name, sizeof m->name, "%s", name);
    return st;
}

/* Nothing in it depends on how the weights are stored. */
static void make_identity(struct mn_model *m)
{
    snprintf(m->identity, sizeof m->identity,
             "%s (%s, %zu layers, %zu heads, %zu KV heads, head size %zu, width %zu, feed-forward "
             "%zu, vocabulary %zu)",
             m->name, m->arch->name, m->n_layer, m->n_head, m->n_kv_head, m->head_dim, m->n_embd,
             m->n_ff, m->n_vocab);
    mn__make_printable(m->identity, ' ');
}

static mn_status open_vocab(struct mn_model *m, mn_diag *diag)
{
    mn_status st = mn__vocab_open(&m->vocab, mn__gguf_get_context(m->file), diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", mn__gguf_name(m->file));
        return st;
    }
    int32_t n = mn__vocab_n_token(m->vocab);
    if (n < 1 || n > MAX_VOCAB)
        return mn__fail(diag, MN_EINPUT, "%s: 1 to %d tokens wanted, %d found",
                        mn__gguf_name(m->file), MAX_VOCAB, n);
    m->n_vocab = (size_t)n;
    return MN_OK;
}

static size_t count_elements(const mn__gguf_tensor *t)
{
    return (size_t)t->ne[0] * (size_t)t->ne[1] * (size_t)t->ne[2] *
           (size_t)t->ne[3]; /* the file's reader has checked the product */
}

/* n_params, and the type that most numbers of matrices have. */
static void count_params(struct mn_model *m)
{
    size_t of_type[GGML_TYPE_COUNT] = {0}, top = 0;
    for (size_t i = 0; i < mn__gguf_n_tensor(m->file); i++) {
        const mn__gguf_tensor *t = mn__gguf_get_tensor(m->file, i);
        m->n_params += count_elements(t);
        if (t->ne[1] > 1) of_type[t->type] += count_elements(t);
    }
    for (size_t i = 0; i < GGML_TYPE_COUNT; i++)
        if (of_type[i] > of_type[top]) top = i;
    snprintf(m->quant, sizeof m->quant, "%s", ggml_type_name((enum ggml_type)top));
    for (char *c = m->quant; *c; c++) *c = (char)toupper((unsigned char)*c);
}

static uint64_t hash_rope(const mn__rope *r, uint64_t hash)
{
    uint64_t words[2] = {r->n_rot, r->neox};
    hash = mn__hash64(words, sizeof words, hash);
    hash = mn__hash64(&r->magnitude, sizeof r->magnitude, hash);
    return r->freq ? mn__hash64(r->freq, r->n_rot / 2 * sizeof *r->freq, hash) : hash;
}

/* Two models of one name in saved sessions would have to share sizes, rotations, the list of
 * tensors and the first bytes of each. */
static void make_hash(struct mn_model *m)
{
    const uint64_t sizes[] = {m->n_layer, m->n_head, m->n_kv_head, m->head_dim,
                              m->n_embd,  m->n_ff,   m->n_vocab,   mn__gguf_size(m->file)};
    const float scales[] = {m->norm_eps, m->softmax_scale, m->embd_scale, m->logit_softcap,
                            m->logit_scale};
    uint64_t hash = mn__hash64(m->arch->name, strlen(m->arch->name), 0);
    hash = mn__hash64(sizes, sizeof sizes, hash);
    hash = mn__hash64(scales, sizeof scales, hash);
    hash = mn__hash64(m->window, m->n_layer * sizeof *m->window, hash);
    hash = hash_rope(&m->rope_local, hash_rope(&m->rope, hash));
    for (size_t i = 0; i < mn__gguf_n_tensor(m->file); i++) {
        const mn__gguf_tensor *t = mn__gguf_get_tensor(m->file, i),
                              *first = mn__gguf_get_tensor(m->file, 0);
        const int64_t place[2] = {(int64_t)t->type,
                                  (const uint8_t *)t->data - (const uint8_t *)first->data};
        hash = mn__hash64(t->name, strlen(t->name), hash);
        hash = mn__hash64(t->ne, sizeof t->ne, hash);
        hash = mn__hash64(place, sizeof place, hash);
        hash = mn__hash64(t->data, t->n_bytes < HASHED_BYTES ? t->n_bytes : HASHED_BYTES, hash);
    }
    m->hash = hash;
}

static mn_status bind_all(struct mn_model *m, mn_diag *diag)
{
    mn_status st;
    m->layer = mn__alloc_zero(MN_MEM_WEIGHTS, m->n_layer * sizeof *m->layer);
    if (!m->layer)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory for its layers", mn__gguf_name(m->file));
    MN_TRY(m->arch->bind(m, diag));
    MN_TRY(mn__bind_check_all_used(m, diag));
    make_hash(m);
done:
    return st;
}

/* Copies take no more than half of the memory there is, or of what a limit on it leaves: sessions
 * need the rest. */
static mn__pack_limits limits_of_copies(const mn_model_params *p)
{
    mn_mem_stats now;
    size_t limit = mn_mem_get_limit(), total = mn__memory_size() / 2;
    if (limit) {
        mn_mem_get_stats(&now);
        size_t left = limit > now.total_now ? (limit - now.total_now) / 2 : 0;
        total = left < total ? left : total;
    }
    return (mn__pack_limits){total, total < p->pack_limit_bytes ? total : p->pack_limit_bytes};
}

static mn_status open_parts(struct mn_model *m, const char *path, const mn_model_params *p,
                            mn_diag *diag)
{
    mn_status st;
    MN_TRY(choose_kernels(m, p->cpu, diag));
    MN_TRY(mn__gguf_open(&m->file, path, diag));
    m->tensor_used = mn__alloc_zero(MN_MEM_OTHER, mn__gguf_n_tensor(m->file));
    if (!m->tensor_used)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory for its list of tensors", path);
    MN_TRY(find_arch(m, diag));
    MN_TRY(read_name(m, diag));
    MN_TRY(m->arch->read_keys(m, p, diag));
    MN_TRY(open_vocab(m, diag));
    count_params(m);
    make_identity(m);
    if (!p->vocab_only) {
        MN_TRY(bind_all(m, diag));
        if (p->pack) mn__model_pack(m, limits_of_copies(p), p->product);
    }
done:
    mn__free(m->tensor_used);
    m->tensor_used = NULL;
    return st;
}

mn_status mn_model_open(mn_model **out, const char *path, const mn_model_params *params,
                        mn_diag *diag)
{
    mn_model_params p;
    *out = NULL;
    if (!path) return mn__fail(diag, MN_EUSAGE, "a path of a model wanted, none given");
    if (params)
        p = *params;
    else
        mn_model_params_default(&p);
    struct mn_model *m = mn__alloc_zero(MN_MEM_WEIGHTS, sizeof *m);
    if (!m) return mn__fail(diag, MN_ENOMEM, "%s: no memory for a model", path);
    mn_status st = open_parts(m, path, &p, diag);
    if (st != MN_OK) {
        mn_model_free(m);
        return st;
    }
    *out = m;
    return MN_OK;
}

void mn_model_free(mn_model *m)
{
    if (!m) return;
    mn__model_unpack(m);
    mn__learner_free(m->lm);
    mn__vocab_close(m->vocab);
    mn__free(m->layer);
    mn__free(m->layer_rope);
    mn__free(m->window);
    mn__model_own_free(m);
    mn__gguf_close(m->file);
    mn__free(m);
}

size_t mn__model_weights(const struct mn_model *m, mn__weight **out)
{
    size_t n = 0;
    for (size_t i = 0; !m->lm && m->layer && i < m->n_layer; i++) {
        mn__model_layer *l = &m->layer[i];
        mn__weight *const w[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof w / sizeof *w; j++, n++)
            if (out) out[n] = w[j];
    }
    for (size_t i = 0; m->lm && i < m->lm->list.n; i++) {
        const mn__param *p = m->lm->list.at[i];
        if (p == &m->lm->lm.embedding || p == &m->lm->lm.head) continue;
        for (size_t j = 0; j < m->stored[i].n_matrix; j++, n++)
            if (out) out[n] = &m->stored[i].matrix[j];
    }
    return n;
}

/* A mixture's token meets some of its experts. */
static double share_of(const mn_model *m, const mn__param *p)
{
    return m->lm && p->n_dim == 3 ? (double)m->config->experts_keep / (double)m->config->experts_n
                                  : 1;
}

/* Bytes and multiply-adds (twice) of all weights that a token's step multiplies with. */
static void count_step(const mn_model *m, size_t *bytes, double *flops)
{
    *bytes = m->layer ? m->head.n_out * m->head.row_bytes : 0;
    *flops = 0;
    for (size_t i = 0; !m->lm && m->layer && i < m->n_layer; i++) {
        const mn__model_layer *l = &m->layer[i];
        const mn__weight *w[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof w / sizeof *w; j++) {
            *bytes += w[j]->n_out * w[j]->row_bytes;
            *flops += 2.0 * (double)w[j]->n_out * (double)w[j]->n_in;
        }
    }
    for (size_t i = 0; m->lm && i < m->lm->list.n; i++) {
        const mn__param *p = m->lm->list.at[i];
        const double share = share_of(m, p);
        for (size_t j = 0;
             p != &m->lm->lm.embedding && p != &m->lm->lm.head && j < m->stored[i].n_matrix; j++) {
            const mn__weight *w = &m->stored[i].matrix[j];
            *bytes += (size_t)(share * (double)(w->n_out * w->row_bytes));
            *flops += 2.0 * share * (double)w->n_out * (double)w->n_in;
        }
    }
}

void mn_model_get_info(const mn_model *m, mn_model_info *out)
{
    size_t step_bytes;
    double step_flops;
    count_step(m, &step_bytes, &step_flops);
    *out = (mn_model_info){
        .name = m->name,
        .arch = m->arch->name,
        .quant = m->quant,
        .identity = m->identity,
        .n_layer = m->n_layer,
        .n_head = m->n_head,
        .n_kv_head = m->n_kv_head,
        .head_dim = m->head_dim,
        .n_embd = m->n_embd,
        .n_ff = m->n_ff,
        .n_vocab = m->n_vocab,
        .n_ctx_train = m->n_ctx_train,
        .window = m->window,
        .n_params = m->n_params,
        .file_bytes = mn__gguf_size(m->file),
        .step_weight_bytes = step_bytes,
        .step_flops = step_flops,
        .cpu = mn__cpu_level_name((mn__cpu_level)m->kern.level),
        .chat_template = mn__vocab_chat_template(m->vocab),
    };
}
