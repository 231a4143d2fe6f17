/* gguf_key.h: keys by name and type. A wrong type or a value out of range is a sentence, never an
 * abort: "model.gguf: tokenizer.ggml.model: string wanted, uint32 found". Integers of any width
 * serve where their value fits. */
#ifndef MN_GGUF_KEY_H
#define MN_GGUF_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "gguf/gguf_file.h"

/* need: the key must be there. get: `fallback` stands in where it is not. Both: MN_EINPUT for a
 * value of another type, MN_ERANGE for an integer that does not fit or a number that is not finite;
 * `*out` untouched on failure. Strings are borrowed. */
mn_status mn__gguf_need_u32(const mn__gguf *g, const char *key, uint32_t *out, mn_diag *diag);
mn_status mn__gguf_get_u32(const mn__gguf *g, const char *key, uint32_t fallback, uint32_t *out,
                           mn_diag *diag);
mn_status mn__gguf_need_f32(const mn__gguf *g, const char *key, float *out, mn_diag *diag);
mn_status mn__gguf_get_f32(const mn__gguf *g, const char *key, float fallback, float *out,
                           mn_diag *diag);
mn_status mn__gguf_need_f64(const mn__gguf *g, const char *key, double *out, mn_diag *diag);
mn_status mn__gguf_need_bool(const mn__gguf *g, const char *key, bool *out, mn_diag *diag);
mn_status mn__gguf_get_bool(const mn__gguf *g, const char *key, bool fallback, bool *out,
                            mn_diag *diag);
mn_status mn__gguf_need_str(const mn__gguf *g, const char *key, const char **out, mn_diag *diag);
mn_status mn__gguf_get_str(const mn__gguf *g, const char *key, const char *fallback,
                           const char **out, mn_diag *diag);
mn_status mn__gguf_need_u64(const mn__gguf *g, const char *key, uint64_t *out, mn_diag *diag);
/* Of float64, NaN and infinite ones too: states, which come back as they went. */
mn_status mn__gguf_need_any_f64(const mn__gguf *g, const char *key, double *out, mn_diag *diag);
bool mn__gguf_has(const mn__gguf *g, const char *key);

/* need_u32 within [1, most]; for sizes that memory will be taken by. Beyond: MN_ERANGE. */
mn_status mn__gguf_need_size(const mn__gguf *g, const char *key, uint32_t most, uint32_t *out,
                             mn_diag *diag);

/* A value per layer: a scalar counts for all n, an array must have exactly n. NULL fallback: the
 * key must be there. */
mn_status mn__gguf_each_u32(const mn__gguf *g, const char *key, const uint32_t *fallback, size_t n,
                            uint32_t *out, mn_diag *diag);
mn_status mn__gguf_each_f32(const mn__gguf *g, const char *key, const float *fallback, size_t n,
                            float *out, mn_diag *diag);
mn_status mn__gguf_each_bool(const mn__gguf *g, const char *key, const bool *fallback, size_t n,
                             bool *out, mn_diag *diag);

/* An array as it lies in the file's view. MN_EINPUT when absent or of another element type. */
typedef struct mn__gguf_array {
    enum gguf_type type;
    size_t n;
    const void *data; /* n elements of the type; NULL for strings and empty arrays */
    int64_t id;       /* of the key */
} mn__gguf_array;
mn_status mn__gguf_need_array(const mn__gguf *g, const char *key, enum gguf_type type,
                              mn__gguf_array *out, mn_diag *diag);
const char *mn__gguf_array_str(const mn__gguf *g, const mn__gguf_array *a,
                               size_t i); /* i < n; type string */

/* Keys in file order, i in [0, n), and a short text of a value: 'uint32 30', 'string "llama"',
 * 'array of 49152 string'. */
size_t mn__gguf_n_key(const mn__gguf *g);
const char *mn__gguf_key_name(const mn__gguf *g, size_t i);
void mn__gguf_key_text(const mn__gguf *g, size_t i, char *out, size_t out_size);

#endif
