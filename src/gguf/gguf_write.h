/* gguf_write.h: GGUF files made from keys and tensors: models, NAMMs, checkpoints, and the tiny
 * models of tests. The file appears whole or not at all. One thread per writer. */
#ifndef MN_GGUF_WRITE_H
#define MN_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "gguf/gguf_file.h"

typedef struct mn__gguf_writer mn__gguf_writer;

/* Where a tensor's rows come from; exactly one of the four is set. A row is ne[0] elements, rows
 * count over the other dimensions. `bytes` and `floats` are borrowed until the file is written.
 * Floats are converted to the tensor's type (F32, F16, BF16, or a quantised type that needs no
 * importance matrix). */
typedef struct mn__gguf_source {
    const void *bytes;   /* all rows, in the tensor's type */
    const float *floats; /* all rows */
    /* Called on write for n_row rows from `row` on, in order, until all are there. */
    mn_status (*fill_bytes)(void *ctx, int64_t row, int64_t n_row, void *out, mn_diag *diag);
    mn_status (*fill_floats)(void *ctx, int64_t row, int64_t n_row, float *out, mn_diag *diag);
    void *ctx;
} mn__gguf_source;

mn_status mn__gguf_writer_new(mn__gguf_writer **out, mn_diag *diag);
void mn__gguf_writer_free(mn__gguf_writer *w); /* NULL is fine */

/* Set a key, or replace it. general.alignment is the writer's own and an empty name is none: the
 * first such mistake, or one of add_tensor, is kept and fails the write with its sentence, so that
 * a list of calls needs no check after each. */
void mn__gguf_set_u32(mn__gguf_writer *w, const char *key, uint32_t value);
void mn__gguf_set_i32(mn__gguf_writer *w, const char *key, int32_t value);
void mn__gguf_set_u64(mn__gguf_writer *w, const char *key, uint64_t value);
void mn__gguf_set_f32(mn__gguf_writer *w, const char *key, float value);
void mn__gguf_set_f64(mn__gguf_writer *w, const char *key, double value);
void mn__gguf_set_bool(mn__gguf_writer *w, const char *key, bool value);
void mn__gguf_set_str(mn__gguf_writer *w, const char *key, const char *value);
void mn__gguf_set_strs(mn__gguf_writer *w, const char *key, const char *const *values, size_t n);
/* n elements of any type but string and array; bools as int8_t of 0 and 1. */
void mn__gguf_set_array(mn__gguf_writer *w, const char *key, enum gguf_type type, const void *data,
                        size_t n);
/* All keys of an open file but its alignment. */
void mn__gguf_set_keys_of(mn__gguf_writer *w, const mn__gguf *from);
/* Those of its keys whose names begin with `prefix`. */
void mn__gguf_set_keys_under(mn__gguf_writer *w, const mn__gguf *from, const char *prefix);

/* Append a tensor: name of 1 to 63 bytes, not yet taken; ne[i] >= 1, ne[0] a multiple of the type's
 * block. Copies `source`. */
void mn__gguf_add_tensor(mn__gguf_writer *w, const char *name, enum ggml_type type,
                         const int64_t ne[4], const mn__gguf_source *source);

/* Write everything. MN_EINPUT or MN_ERANGE for a mistake made while building, MN_EIO, MN_ENOMEM, or
 * what a fill returned; on failure a file that stood there before still does. May be called again.
 */
mn_status mn__gguf_write(mn__gguf_writer *w, const char *path, mn_diag *diag);

#endif
