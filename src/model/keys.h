/* keys.h: a file's keys become sizes, options and tables of frequencies. Shared by the
 * architectures; every number passes its limits here, before anything is allocated from it. */
#ifndef MN_MODEL_KEYS_H
#define MN_MODEL_KEYS_H

#include "model/model.h"

enum { MN__KEY_BYTES = 128, MN__MAX_LAYER = 1024 };
/* "ARCH.what" of this model's architecture. */
const char *mn__key_name(const struct mn_model *m, const char *what, char out[MN__KEY_BYTES]);
/* "ARCH.what" as a float in [lo, hi]; *out stays as it is where the key is missing. MN_EINPUT with
 * the key, its limits and what was found. */
typedef struct mn__float_range {
    float lo, hi;
} mn__float_range;
mn_status mn__key_float(const struct mn_model *m, const char *what, mn__float_range range,
                        float *out, mn_diag *diag);

/* Sizes, norm_eps and context; plain choices for the rest (SiLU, 1/sqrt(D), no windows): what all
 * architectures have in common. Refuses mixtures of experts. Allocates m->window and m->layer_rope.
 */
mn_status mn__keys_common(struct mn_model *m, mn_diag *diag);

/* How one architecture rotates. */
typedef struct mn__rope_style {
    bool neox;           /* halves instead of adjacent pairs */
    bool has_freqs;      /* a tensor rope_freqs.weight divides the frequencies (Llama 3) */
    bool has_long_short; /* so do rope_factors_long.weight or ..._short.weight (LongRoPE) */
} mn__rope_style;
/* m->rope from the keys and the caller's wishes, for every layer. Extending the context by a factor
 * lifts m->n_ctx_train to it. NONE undoes the file's scaling; factors that are tensors stay (of
 * LongRoPE's, the short ones). LongRoPE otherwise takes the long factors when the trained context
 * is longer than the original one. */
mn_status mn__keys_rope(struct mn_model *m, const mn_model_params *p, mn__rope_style style,
                        mn_diag *diag);
/* m->rope_local: the rotation of sliding-window layers, of its own base and never scaled. After
 * mn__keys_rope. */
mn_status mn__keys_rope_local(struct mn_model *m, float base, mn_diag *diag);

#endif
