/** @file model.h  A GGUF file opened for running: weights mapped, immutable, shared by any number
 * of sessions and threads. */
#ifndef MNEME_MODEL_H
#define MNEME_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mn_model mn_model;

typedef enum mn_rope_scaling {
    MN_ROPE_MODEL,
    MN_ROPE_NONE,
    MN_ROPE_LINEAR,
    MN_ROPE_NTK,
    MN_ROPE_YARN
} mn_rope_scaling;

/** How rows of a prompt are multiplied with a quantised model. */
typedef enum mn_product {
    MN_PRODUCT_AUTO, /**< in 8 bits, as generated tokens are, where the processor multiplies bytes
                        (AVX512-VNNI) but has no tiles (level amx) and all weights have a packed
                        copy; else wide */
    MN_PRODUCT_WIDE  /**< rows in bf16 or f32, as the level has them */
} mn_product;

/** How to open a model. Fill with mn_model_params_default first. */
typedef struct mn_model_params {
    const char *cpu; /**< kernel level: "auto", "ref", "avx2", "avx512", "avx512bf16", "amx" */
    mn_rope_scaling rope_scaling; /**< MN_ROPE_MODEL: as the file says */
    float rope_factor; /**< context extension factor for the scaling above; 0: as the file says */
    float rope_base;   /**< 0: as the file says */
    bool vocab_only;   /**< tokenizer and metadata, no weights */
    bool pack; /**< own copies of the weights for speed (default: true); they are private to the
                    process, at most half of the machine's memory, and weights without one stay in
                    the mapped file, which processes share */
    size_t pack_limit_bytes; /**< by how much copies may exceed the rows of the file that they
                                  replace (default 1 GiB) */
    mn_product product;      /**< default: MN_PRODUCT_AUTO */
} mn_model_params;
MN_API void mn_model_params_default(mn_model_params *p);

/** Open a GGUF model.
 *  @param out  owned by the caller, mn_model_free; NULL on failure
 *  @return MN_OK; MN_EINPUT (not a GGUF file, truncated, unknown architecture, missing tensor or
 * wrong shape: the sentence says which); MN_EIO, MN_ENOMEM, MN_EUSAGE (unknown cpu level, or one
 * that this machine lacks). */
MN_API mn_status mn_model_open(mn_model **out, const char *path, const mn_model_params *params,
                               mn_diag *diag);
MN_API void mn_model_free(mn_model *m);

/** What the model is. Strings and arrays are borrowed from the model. */
typedef struct mn_model_info {
    const char *name, *arch, *quant; /* quant: the type most weights have, "Q4_1" */
    const char *identity; /* name and shape in words, for people and for comparing: the same in all
                             copies of a model, however they are quantised */
    size_t n_layer, n_head, n_kv_head, head_dim, n_embd, n_ff, n_vocab;
    size_t n_ctx_train;
    const int32_t *window; /* [n_layer] sliding window, 0: full attention */
    size_t n_params, file_bytes;
    size_t step_weight_bytes; /* weights that a decode step reads: all but the embedding, and the
                                 head */
    double step_flops; /* multiplications and additions of one token outside attention, without the
                          head */
    const char *cpu;   /* level the kernels were chosen for */
    const char *chat_template; /* NULL: none in the file */
} mn_model_info;
MN_API void mn_model_get_info(const mn_model *m, mn_model_info *out);

#ifdef __cplusplus
}
#endif
#endif
