/* model.h: a model as the forward pass sees it. One block serves all architectures: arch_*.c turn
 * keys into these sizes and options and bind the weights; forward.c runs them. Immutable once open.
 */
#ifndef MN_MODEL_INTERNAL_H
#define MN_MODEL_INTERNAL_H

#include "base/cpu.h"
#include "gguf/gguf_file.h"
#include "kern/kern.h"
#include "layer/stored.h"
#include "lm/learner.h"
#include "mneme/model.h"
#include "tensor/linear.h"
#include "tensor/rope.h"
#include "text/vocab.h"

typedef struct mn__model_layer {
    const float *attn_norm;       /* [C] */
    mn__weight q, k, v, o;        /* slices of one fused tensor where the file has one (phi3) */
    const float *q_norm, *k_norm; /* [D] or NULL */
    const float *attn_post_norm;  /* [C] or NULL (gemma3) */
    const float *ffn_norm;        /* [C] */
    mn__weight gate, up, down;    /* slices of one fused tensor where the file has one (phi3) */
    const float *ffn_post_norm;   /* [C] or NULL */
    const mn__rope *rope;         /* this layer's rotation (gemma3 has two) */
    int32_t window;               /* 0: full attention */
} mn__model_layer;

struct mn_model {
    const struct mn__arch *arch;
    mn__gguf *file;
    mn__vocab *vocab;
    struct mn__kern kern;
    size_t n_layer, n_head, n_kv_head, head_dim, n_embd, n_ff, n_vocab, n_ctx_train;
    float norm_eps, softmax_scale, embd_scale /* 1 unless gemma */, logit_softcap /* 0: none */,
        logit_scale /* 1 */;
    mn__act act;
    int32_t *window;             /* [n_layer] */
    const mn__rope **layer_rope; /* [n_layer] */
    mn__rope rope, rope_local;
    mn__model_layer *layer;
    mn__weight embd, head; /* head == embd where tied */
    const float *out_norm; /* [C] */
    size_t n_params;
    uint64_t hash; /* of the metadata and tensor table: names the model in saved sessions */
    char name[96], quant[16], identity[320];
    size_t packed_bytes;     /* of our own copies of weights */
    bool reads_by_dots;      /* prompts are multiplied in 8 bits: all weights have packed dots */
    struct mn__owned *owned; /* tables and widened vectors that the pointers above lead to */
    /* Of architecture mneme: */
    const mn__config *config; /* owned; NULL: another architecture */
    mn__learner *lm;          /* its layers, bound to the file; NULL for others */
    mn__stored *stored;       /* owned: of each of its parameters, where not all zeros */
    size_t max_in;        /* inputs of the widest product beyond those that the sizes above name */
    uint8_t *tensor_used; /* [tensors of the file] while opening: which ones were bound; NULL
                            afterwards */
};

/* An architecture: its name in GGUF, how keys become sizes and options, how tensors are bound.
 * archs.def names them all. */
struct mn__arch {
    const char *name;
    mn_status (*read_keys)(struct mn_model *m, const mn_model_params *p, mn_diag *diag);
    mn_status (*bind)(struct mn_model *m, mn_diag *diag);
};

/* Weights that steps multiply with, beside the head: *out (NULL: only counted) is told one after
 * the other. */
size_t mn__model_weights(const struct mn_model *m, mn__weight **out);
/* What a sequence of up to n_ctx tokens carries where attention keeps no keys and values; 0: it
 * does keep them. */
size_t mn__model_state_bytes(const struct mn_model *m, size_t n_ctx);
/* The longest context that its attention has weights for; SIZE_MAX: any. */
size_t mn__model_longest(const struct mn_model *m);

/* Sum over the query heads of KV head `head` of |Wo[h] v|_1, divided by the group size; v
 * [n_row][D], out [n_row]. hook: the model. For policies that weigh values by what the output
 * projection makes of them. */
void mn__model_output_norm(const void *model, size_t layer, size_t head, const float *v,
                           size_t n_row, float *out);
/* Wo[h]' Wo[h] of query head h: gram [D][D], sums over the rows of Wo. */
void mn__model_output_gram(const void *model, size_t layer, size_t h, float *gram);

#endif
