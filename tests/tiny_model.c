/* tiny_model.c: the writer of random models (tiny_model.h), over ggml's gguf.h. */
#include "tiny_model.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/rng.h"
#include "ggml.h"
#include "gguf.h"
#include "tiny_tokens.h"

typedef struct writer {
    const tiny_model_params *p;
    struct gguf_context *gguf;
    struct ggml_context *ggml;
    uint32_t n_tensor; /* names the random stream of the next tensor */
} writer;

void tiny_model_default(tiny_model_params *p, const char *arch)
{
    bool gemma3 = strcmp(arch, "gemma3") == 0;
    /* libllama's graphs of these two take the width for heads times head size */
    bool square = strcmp(arch, "qwen2") == 0 || strcmp(arch, "phi3") == 0;
    uint32_t head_dim = strcmp(arch, "qwen3") == 0 ? 24 : 32;
    *p = (tiny_model_params){
        .arch = arch,
        .n_layer = gemma3 ? 7 : 2,
        .n_head = 4,
        .n_kv_head = 2,
        .head_dim = square ? 16 : head_dim,
        .n_embd = 64,
        .n_ff = 96,
        .n_ctx = 256,
        .window = gemma3 ? 16 : 0,
        .tied = gemma3,
        .bias = strcmp(arch, "qwen2") == 0,
        .fused = strcmp(arch, "phi3") == 0,
        .rope_base = gemma3 ? 1000000.0f : 10000.0f, /* apart from the local 10000 */
        .seed = 1,
    };
}

/* ---- where ---- */

enum { PATH_MAX_BYTES = 256, MAX_PATH = 16 };

static struct {
    char path[MAX_PATH][PATH_MAX_BYTES], *name[MAX_PATH]; /* a name is the end of its path */
    size_t n;
    pid_t owner; /* children that a test forks remove nothing */
} given;

static void remove_given(void)
{
    if (getpid() != given.owner) return;
    for (size_t i = 0; i < given.n; i++) {
        char pattern[PATH_MAX_BYTES + 8];
        glob_t found;
        remove(given.path[i]);
        snprintf(pattern, sizeof pattern, "%s.tmp-*", given.path[i]);
        if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) continue;
        for (size_t k = 0; k < found.gl_pathc; k++) remove(found.gl_pathv[k]);
        globfree(&found);
    }
}

const char *tiny_model_path(const char *name)
{
    const char *dir = getenv("TMPDIR");
    for (size_t i = 0; i < given.n; i++)
        if (strcmp(given.name[i], name) == 0) return given.path[i];
    if (given.n == 0) {
        given.owner = getpid();
        atexit(remove_given);
    }
    char *path = given.path[given.n % MAX_PATH];
    int n = snprintf(path, PATH_MAX_BYTES, "%s/mneme-%ld-%s", dir ? dir : P_tmpdir, (long)getpid(),
                     name);
    if (given.n == MAX_PATH || n < 0 || n >= PATH_MAX_BYTES) {
        fprintf(stderr, "tiny_model_path: %s: one name too many, or too long a path\n", name);
        exit(1);
    }
    given.name[given.n++] = path + n - strlen(name);
    return path;
}

/* ---- keys and tensors ---- */

uint32_t tiny_model_n_vocab(const tiny_model_params *p)
{
    return tiny_tokens_count(p->arch);
}

static void set_u32(writer *w, const char *key, uint32_t value)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", w->p->arch, key);
    gguf_set_val_u32(w->gguf, full, value);
}

static void set_f32(writer *w, const char *key, float value)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", w->p->arch, key);
    gguf_set_val_f32(w->gguf, full, value);
}

static void write_keys(writer *w)
{
    const tiny_model_params *p = w->p;
    gguf_set_val_str(w->gguf, "general.architecture", p->arch);
    gguf_set_val_str(w->gguf, "general.name", "tiny");
    gguf_set_val_u32(w->gguf, "general.file_type", 0);
    set_u32(w, "block_count", p->n_layer);
    set_u32(w, "context_length", p->n_ctx);
    set_u32(w, "embedding_length", p->n_embd);
    set_u32(w, "feed_forward_length", p->n_ff);
    set_u32(w, "attention.head_count", p->n_head);
    set_u32(w, "attention.head_count_kv", p->n_kv_head);
    set_u32(w, "attention.key_length", p->head_dim);
    set_u32(w, "attention.value_length", p->head_dim);
    set_f32(w, "attention.layer_norm_rms_epsilon", 1e-5f);
    set_u32(w, "rope.dimension_count", p->n_rot ? p->n_rot : p->head_dim);
    if (p->window) set_u32(w, "attention.sliding_window", p->window);
    if (p->logit_softcap != 0) set_f32(w, "final_logit_softcapping", p->logit_softcap);
    if (p->rope_base != 0) set_f32(w, "rope.freq_base", p->rope_base);
    if (p->rope_base_swa != 0) set_f32(w, "rope.freq_base_swa", p->rope_base_swa);
    if (p->rope_factor != 0) set_f32(w, "rope.scaling.factor", p->rope_factor);
    if (p->rope_attn_factor != 0) set_f32(w, "rope.scaling.attn_factor", p->rope_attn_factor);
    if (p->rope_orig_ctx) set_u32(w, "rope.scaling.original_context_length", p->rope_orig_ctx);
    if (p->rope_scaling) {
        char full[128];
        snprintf(full, sizeof full, "%s.rope.scaling.type", p->arch);
        gguf_set_val_str(w->gguf, full, p->rope_scaling);
    }
}

static bool is_named(const char *name, const char *other)
{
    return other && strcmp(name, other) == 0;
}

static void fill(writer *w, struct ggml_tensor *t, float mean, float std)
{
    float block[32];
    for (int64_t i = 0; i < ggml_nelements(t); i++) {
        float x = mean + std * (float)mn__rng_normal(w->p->seed, w->n_tensor, (uint64_t)i, 0);
        block[i % 32] = x;
        if (t->type == GGML_TYPE_Q8_0 && i % 32 == 31)
            ggml_quantize_chunk(t->type, block, (char *)t->data + i / 32 * 34, 0, 1, 32, NULL);
        if (t->type == GGML_TYPE_Q8_0) continue;
        if (t->type == GGML_TYPE_F16)
            ((ggml_fp16_t *)t->data)[i] = ggml_fp32_to_fp16(x);
        else
            ((float *)t->data)[i] = x;
    }
    w->n_tensor++;
}

/* A tensor [n_out][n_in] of normals around `mean`. n_out 0: a vector. */
static struct ggml_tensor *add_tensor(writer *w, const char *name, uint32_t n_in, uint32_t n_out,
                                      float mean, float std)
{
    enum ggml_type type = n_out == 0 && w->p->norm_f16 ? GGML_TYPE_F16
                          : n_out && w->p->q8_0        ? GGML_TYPE_Q8_0
                                                       : GGML_TYPE_F32;
    uint32_t more = is_named(name, w->p->grow_tensor);
    struct ggml_tensor *t = n_out ? ggml_new_tensor_2d(w->ggml, type, n_in, n_out + more)
                                  : ggml_new_tensor_1d(w->ggml, type, n_in + more);
    ggml_set_name(t, name);
    fill(w, t, mean, std);
    if (!is_named(name, w->p->skip_tensor)) gguf_add_tensor(w->gguf, t);
    return t;
}

static void add_matrix(writer *w, const char *name, uint32_t n_in, uint32_t n_out, float gain)
{
    add_tensor(w, name, n_in, n_out, 0, gain / sqrtf((float)n_in));
}

static void add_layer_matrix(writer *w, uint32_t layer, const char *what, uint32_t n_in,
                             uint32_t n_out, float gain)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, what);
    add_matrix(w, name, n_in, n_out, gain);
}

static void add_layer_vector(writer *w, uint32_t layer, const char *what, uint32_t n, float mean)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s", layer, what);
    add_tensor(w, name, n, 0, mean, 0.2f);
}

/* Gains of q and k above one make attention sharp enough for a wrong rotation to show in the
 * logits. */
static void add_attention(writer *w, uint32_t i)
{
    const tiny_model_params *p = w->p;
    uint32_t n_q = p->n_head * p->head_dim, n_kv = p->n_kv_head * p->head_dim;
    bool norms = strcmp(p->arch, "qwen3") == 0 || strcmp(p->arch, "gemma3") == 0;
    add_layer_vector(w, i, "attn_norm.weight", p->n_embd, 1);
    if (p->fused) {
        add_layer_matrix(w, i, "attn_qkv", p->n_embd, n_q + 2 * n_kv, 1.5f);
        if (p->bias) add_layer_vector(w, i, "attn_qkv.bias", n_q + 2 * n_kv, 0);
    } else {
        add_layer_matrix(w, i, "attn_q", p->n_embd, n_q, 1.5f);
        add_layer_matrix(w, i, "attn_k", p->n_embd, n_kv, 1.5f);
        add_layer_matrix(w, i, "attn_v", p->n_embd, n_kv, 1);
        if (p->bias) {
            add_layer_vector(w, i, "attn_q.bias", n_q, 0);
            add_layer_vector(w, i, "attn_k.bias", n_kv, 0);
            add_layer_vector(w, i, "attn_v.bias", n_kv, 0);
        }
    }
    add_layer_matrix(w, i, "attn_output", n_q, p->n_embd, 1);
    if (p->bias && strcmp(p->arch, "llama") == 0)
        add_layer_vector(w, i, "attn_output.bias", p->n_embd, 0);
    if (norms) {
        add_layer_vector(w, i, "attn_q_norm.weight", p->head_dim, 1.5f);
        add_layer_vector(w, i, "attn_k_norm.weight", p->head_dim, 1.5f);
    }
}

static void add_ffn(writer *w, uint32_t i)
{
    const tiny_model_params *p = w->p;
    if (strcmp(p->arch, "gemma3") == 0) {
        add_layer_vector(w, i, "post_attention_norm.weight", p->n_embd, 2);
        /* ggml looks GELU up in a table of half floats: what that adds must stay small in logits
         * that are held against exact ones, so this sublayer speaks softly. */
        char name[64];
        snprintf(name, sizeof name, "blk.%u.post_ffw_norm.weight", i);
        add_tensor(w, name, p->n_embd, 0, 0.05f, 0.02f);
    }
    add_layer_vector(w, i, "ffn_norm.weight", p->n_embd, 1);
    if (strcmp(p->arch, "phi3") == 0) {
        add_layer_matrix(w, i, "ffn_up", p->n_embd, 2 * p->n_ff, 1);
    } else {
        add_layer_matrix(w, i, "ffn_gate", p->n_embd, p->n_ff, 1);
        add_layer_matrix(w, i, "ffn_up", p->n_embd, p->n_ff, 1);
    }
    add_layer_matrix(w, i, "ffn_down", p->n_ff, p->n_embd, 1);
}

/* Factors that grow with the wavelength, as trained ones do; `stretch` sets the long and the short
 * apart. */
static void add_rope_factors(writer *w, const char *name, float stretch)
{
    uint32_t n = (w->p->n_rot ? w->p->n_rot : w->p->head_dim) / 2;
    struct ggml_tensor *t = ggml_new_tensor_1d(w->ggml, GGML_TYPE_F32, n);
    float *x = t->data;
    for (uint32_t i = 0; i < n; i++) x[i] = 1 + stretch * (float)i / (float)n;
    ggml_set_name(t, name);
    gguf_add_tensor(w->gguf, t);
}

static void write_tensors(writer *w)
{
    const tiny_model_params *p = w->p;
    add_matrix(w, "token_embd.weight", p->n_embd, tiny_model_n_vocab(p), 3);
    add_tensor(w, "output_norm.weight", p->n_embd, 0, 1, 0.2f);
    if (!p->tied) add_matrix(w, "output.weight", p->n_embd, tiny_model_n_vocab(p), 3);
    if (p->rope_freqs) add_rope_factors(w, "rope_freqs.weight", 7);
    if (p->rope_scaling && strcmp(p->rope_scaling, "longrope") == 0) {
        add_rope_factors(w, "rope_factors_long.weight", 15);
        add_rope_factors(w, "rope_factors_short.weight", 2);
    }
    for (uint32_t i = 0; i < p->n_layer; i++) {
        add_attention(w, i);
        add_ffn(w, i);
    }
    if (p->extra_tensor) add_tensor(w, p->extra_tensor, p->n_embd, 0, 0, 1);
}

static size_t count_bytes(const tiny_model_params *p)
{
    size_t heads = (size_t)p->head_dim * (2 * p->n_head + 2 * p->n_kv_head + 4);
    size_t layer = (size_t)(p->n_embd + 1) * (heads + 3 * (size_t)p->n_ff + 16) + 2 * heads;
    size_t floats = layer * p->n_layer +
                    (size_t)p->n_embd * (2 * (size_t)tiny_model_n_vocab(p) + 5) + 4 * p->head_dim;
    return sizeof(float) * floats + (16 + 24 * (size_t)p->n_layer) * (ggml_tensor_overhead() + 64);
}

bool tiny_model_write(const char *path, const tiny_model_params *p)
{
    writer w = {.p = p};
    w.gguf = gguf_init_empty();
    w.ggml = ggml_init((struct ggml_init_params){.mem_size = count_bytes(p)});
    bool ok = w.gguf && w.ggml;
    if (ok) {
        write_keys(&w);
        tiny_tokens_write(w.gguf, p->arch);
        write_tensors(&w);
        if (p->edit) p->edit(w.gguf);
        ok = gguf_write_to_file(w.gguf, path, false);
    }
    if (!ok) fprintf(stderr, "%s: cannot write the tiny model\n", path);
    if (w.ggml) ggml_free(w.ggml);
    if (w.gguf) gguf_free(w.gguf);
    return ok;
}
