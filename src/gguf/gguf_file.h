/* gguf_file.h: a GGUF file opened, checked and mapped. Knows keys and tensors, and no architecture.
 * Immutable once open, so any number of threads may read it; everything that it hands out is
 * borrowed until it is closed. */
#ifndef MN_GGUF_FILE_H
#define MN_GGUF_FILE_H

#include <ggml.h>
#include <gguf.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct mn__gguf mn__gguf;

typedef struct mn__gguf_tensor {
    const char *name;
    enum ggml_type type;
    int64_t ne[4]; /* elements per dimension, the contiguous one first; 1 where the tensor has fewer
                      dimensions */
    const void *data; /* in the map, aligned as general.alignment says (8 at least) */
    size_t n_bytes;
} mn__gguf_tensor;

/* Map and check a file. MN_EINPUT (not a sound GGUF file), MN_EIO, MN_ENOMEM, each with a sentence
 * that names the file. A file that another process cuts short while it is mapped ends this one by
 * SIGBUS, as with every mapped file. */
mn_status mn__gguf_open(mn__gguf **out, const char *path, mn_diag *diag);
/* The same from memory, which is borrowed until close; `name` stands in sentences. */
mn_status mn__gguf_open_memory(mn__gguf **out, const void *data, size_t size, const char *name,
                               mn_diag *diag);
void mn__gguf_close(mn__gguf *g); /* NULL is fine */

const char *mn__gguf_name(const mn__gguf *g); /* path, or the name given */
size_t mn__gguf_size(const mn__gguf *g);      /* bytes of the file */
uint64_t mn__gguf_hash(const mn__gguf *g);    /* mn__hash64 of all of them: reads the whole file */
/* ggml's own view, for what copies whole keys. Its getters abort on a wrong type: see gguf_key.h.
 */
const struct gguf_context *mn__gguf_get_context(const mn__gguf *g);

/* Tensors in file order; i in [0, n). */
size_t mn__gguf_n_tensor(const mn__gguf *g);
const mn__gguf_tensor *mn__gguf_get_tensor(const mn__gguf *g, size_t i);
const mn__gguf_tensor *mn__gguf_find_tensor(const mn__gguf *g,
                                            const char *name); /* NULL when there is none */

#endif
