/* bind.h: tensors of the file become weights of the model, each with the shape that the keys
 * promise. Shared by the architectures: arch_*.c say which tensors there are. */
#ifndef MN_MODEL_BIND_H
#define MN_MODEL_BIND_H

#include "model/model.h"

/* A tensor: blk.LAYER.what, or just what with layer -1. Shape [n_in, n_out] as the file counts
 * (n_in runs fastest); n_out 0: [n_in]. */
typedef struct mn__wanted {
    int layer;
    const char *what;
    size_t n_in, n_out;
    bool optional; /* may be missing: the result is then empty and MN_OK */
} mn__wanted;

/* A matrix of any type that ggml can widen and multiply. MN_EINPUT: "blk.3.attn_k.weight: [576,
 * 192] wanted, [576, 64] found". */
mn_status mn__bind_weight(struct mn_model *m, const mn__wanted *want, mn__weight *out,
                          mn_diag *diag);
/* Any tensor of this name and shape (as mn__gguf_tensor counts), marked as used. */
mn_status mn__bind_tensor(struct mn_model *m, const char *name, const int64_t ne[4],
                          const mn__gguf_tensor **out, mn_diag *diag);
/* It as a weight: [ne[0], all of its other dimensions]; MN_EINPUT: a type that nothing multiplies.
 */
mn_status mn__bind_as_weight(const struct mn_model *m, const mn__gguf_tensor *t, mn__weight *out,
                             mn_diag *diag);
/* Norms, biases, factors: F32 in place, or an F16 or BF16 tensor widened into memory of the model.
 */
mn_status mn__bind_floats(struct mn_model *m, const mn__wanted *want, const float **out,
                          mn_diag *diag);

/* Everything a dense transformer has: token_embd, output (missing: tied to the embedding),
 * output_norm; per layer attn_norm, attn_q, attn_k, attn_v (or slices of attn_qkv) with biases
 * where the file has them, attn_output, ffn_norm, ffn_gate, ffn_up, ffn_down; and by `options`: */
enum {
    MN__BIND_HEAD_BIAS = 1,   /* output.bias may be there */
    MN__BIND_OUT_BIAS = 2,    /* attn_output.bias may be there */
    MN__BIND_HEAD_NORMS = 4,  /* attn_q_norm and attn_k_norm, [D] */
    MN__BIND_POST_NORMS = 8,  /* post_attention_norm and post_ffw_norm */
    MN__BIND_FUSED_GATE = 16, /* gate and up are the first and second half of ffn_up */
};
mn_status mn__bind_dense(struct mn_model *m, unsigned options, mn_diag *diag);
/* A tensor that nobody bound would change what the model computes: refuse the file and name it. */
mn_status mn__bind_check_all_used(const struct mn_model *m, mn_diag *diag);

/* Memory that lives as long as the model (WEIGHTS); NULL when refused. */
void *mn__model_own(struct mn_model *m, size_t bytes);
void mn__model_own_free(struct mn_model *m); /* all of it */

#endif
