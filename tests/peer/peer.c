/* peer.c: running libllama (peer.h). */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama.h"

struct peer {
    struct llama_model *model;
    struct llama_context *context;
    struct llama_batch batch;
    uint32_t n_batch;
    int32_t n_past;
    size_t n_vocab;
};

static void stay_silent(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)level, (void)text, (void)ctx;
}

void peer_params_default(peer_params *p)
{
    *p = (peer_params){.n_batch = 512, .n_thread = 2, .kv_f32 = true, .rope_scaling = -1};
}

static struct llama_context *open_context(struct llama_model *model, const peer_params *p)
{
    struct llama_context_params c = llama_context_default_params();
    enum ggml_type kv = p->kv_f32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    c.n_ctx = p->n_ctx;
    c.n_batch = c.n_ubatch = p->n_batch;
    c.n_threads = c.n_threads_batch = p->n_thread;
    c.flash_attn_type = p->flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    c.type_k = c.type_v = kv;
    c.rope_scaling_type = (enum llama_rope_scaling_type)p->rope_scaling;
    c.rope_freq_base = p->rope_base;
    c.rope_freq_scale = p->rope_freq_scale;
    c.yarn_orig_ctx = p->yarn_orig_ctx;
    return llama_init_from_model(model, c);
}

peer *peer_open(const char *path, const peer_params *p)
{
    llama_log_set(stay_silent, NULL);
    llama_backend_init();
    peer *out = calloc(1, sizeof *out);
    if (!out) return NULL;
    struct llama_model_params m = llama_model_default_params();
    m.n_gpu_layers = 0;
    out->model = llama_model_load_from_file(path, m);
    if (out->model) out->context = open_context(out->model, p);
    if (!out->context) {
        fprintf(stderr, "%s: libllama cannot open it\n", path);
        peer_free(out);
        return NULL;
    }
    out->n_batch = p->n_batch;
    out->batch = llama_batch_init((int32_t)p->n_batch, 0, 1);
    out->n_vocab = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(out->model));
    return out;
}

void peer_free(peer *p)
{
    if (!p) return;
    if (p->batch.token) llama_batch_free(p->batch);
    if (p->context) llama_free(p->context);
    if (p->model) llama_model_free(p->model);
    free(p);
}

size_t peer_n_vocab(const peer *p)
{
    return p->n_vocab;
}

int32_t peer_tokenize(const peer *p, const char *text, size_t n_bytes, int32_t *token, size_t cap)
{
    int32_t n = llama_tokenize(llama_model_get_vocab(p->model), text, (int32_t)n_bytes, token,
                               (int32_t)cap, true, false);
    return n < 0 ? -1 : n;
}

static bool decode_chunk(peer *p, const int32_t *token, size_t n, float *logits)
{
    struct llama_batch *b = &p->batch;
    for (size_t i = 0; i < n; i++) {
        b->token[i] = token[i];
        b->pos[i] = p->n_past + (int32_t)i;
        b->n_seq_id[i] = 1;
        b->seq_id[i][0] = 0;
        b->logits[i] = logits != NULL || i + 1 == n;
    }
    b->n_tokens = (int32_t)n;
    if (llama_decode(p->context, *b) != 0) return false;
    p->n_past += (int32_t)n;
    for (size_t i = 0; logits && i < n; i++)
        memcpy(logits + i * p->n_vocab, llama_get_logits_ith(p->context, (int32_t)i),
               p->n_vocab * sizeof(float));
    return true;
}

bool peer_decode(peer *p, const int32_t *token, size_t n, size_t chunk, float *logits)
{
    if (chunk == 0 || chunk > p->n_batch) return false;
    for (size_t i = 0; i < n; i += chunk) {
        size_t n_row = n - i < chunk ? n - i : chunk;
        if (!decode_chunk(p, token + i, n_row, logits ? logits + i * p->n_vocab : NULL))
            return false;
    }
    return true;
}

void peer_clear(peer *p)
{
    llama_memory_clear(llama_get_memory(p->context), true);
    p->n_past = 0;
}
