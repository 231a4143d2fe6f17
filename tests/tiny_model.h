/* tiny_model.h: GGUF files with random weights, small enough for a test to write and run them,
 * shaped so that what usually hides shows: grouped heads, a head size other than width/heads,
 * windows, every scaling of the rotation. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct gguf_context;

typedef struct tiny_model_params {
    const char *arch; /* "llama", "qwen2", "qwen3", "gemma3", "phi3", or any other name with the
                         tensors of llama */
    uint32_t n_layer, n_head, n_kv_head, head_dim, n_embd, n_ff, n_ctx;
    uint32_t n_rot;                 /* 0: head_dim */
    uint32_t window;                /* gemma3: attention.sliding_window; 0: not written */
    bool tied;                      /* no output.weight */
    bool bias;                      /* q, k, v biases; for llama also of the attention's output */
    bool fused;                     /* attn_qkv instead of attn_q, attn_k, attn_v (phi3 always) */
    float logit_softcap;            /* 0: not written */
    float rope_base, rope_base_swa; /* 0: not written */
    const char *rope_scaling;       /* "none", "linear", "yarn", "longrope"; NULL: not written */
    float rope_factor;              /* 0: not written */
    float rope_attn_factor;         /* 0: not written */
    uint32_t rope_orig_ctx;         /* 0: not written */
    bool rope_freqs;                /* llama: rope_freqs.weight */
    bool norm_f16;                  /* vectors as F16 */
    bool q8_0;                      /* matrices as Q8_0; their widths are multiples of 32 */
    uint64_t seed;
    /* what may be wrong with a file; NULL: nothing */
    const char *skip_tensor;                 /* leave this tensor out */
    const char *grow_tensor;                 /* one more output than it should have */
    const char *extra_tensor;                /* a vector [n_embd] of this name */
    void (*edit)(struct gguf_context *gguf); /* change keys, last */
} tiny_model_params;

/* llama-like sizes for `arch`: 2 layers (gemma3: 7, window 16), 4/2 heads, untied (gemma3: tied),
 * rope base 10000 (gemma3: a million). Heads have sizes that every kernel takes, but those of
 * qwen3, for which some leave the work to the plain ones. */
void tiny_model_default(tiny_model_params *p, const char *arch);
/* Write the model, weights F32 unless said otherwise. false: a message went to stderr. */
bool tiny_model_write(const char *path, const tiny_model_params *p);
/* Tokens of the vocabulary that goes with it. */
uint32_t tiny_model_n_vocab(const tiny_model_params *p);
/* A path of this process's own, for a file called `name`, in the folder for temporary files
 * (TMPDIR). The same string for the same name, valid to the end; at exit, after a failed test too,
 * the file and temporaries written for it are removed. */
const char *tiny_model_path(const char *name);

#endif
