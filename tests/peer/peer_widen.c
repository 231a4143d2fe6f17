/* peer_widen.c: a copy of a GGUF with every weight widened to F32, so that two engines can be
 * compared on the same numbers. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "ggml.h"
#include "gguf.h"

typedef struct widen {
    struct gguf_context *from, *to;
    struct ggml_context *names; /* shapes of the tensors, no data */
    FILE *in, *out;
} widen;

static bool is_integer(enum ggml_type type)
{
    return type == GGML_TYPE_I8 || type == GGML_TYPE_I16 || type == GGML_TYPE_I32 ||
           type == GGML_TYPE_I64 || type == GGML_TYPE_F64;
}

static bool write_header(widen *w)
{
    gguf_set_kv(w->to, w->from);
    gguf_set_val_u32(w->to, "general.file_type", 0);
    for (struct ggml_tensor *t = ggml_get_first_tensor(w->names); t;
         t = ggml_get_next_tensor(w->names, t)) {
        gguf_add_tensor(w->to, t);
        if (!is_integer(t->type)) gguf_set_tensor_type(w->to, ggml_get_name(t), GGML_TYPE_F32);
    }
    return gguf_write_to_file_ptr(w->to, w->out, true);
}

static bool pad(widen *w, size_t n_bytes)
{
    size_t align = gguf_get_alignment(w->to), rest = n_bytes % align;
    for (size_t i = rest ? rest : align; i < align; i++)
        if (fputc(0, w->out) == EOF) return false;
    return true;
}

static bool copy_tensor(widen *w, const struct ggml_tensor *t)
{
    int64_t id = gguf_find_tensor(w->from, ggml_get_name(t)), n = ggml_nelements(t);
    size_t n_bytes = ggml_nbytes(t),
           n_wide = is_integer(t->type) ? n_bytes : (size_t)n * sizeof(float);
    long at = (long)(gguf_get_data_offset(w->from) + gguf_get_tensor_offset(w->from, id));
    void *raw = malloc(n_bytes), *wide = malloc(n_wide);
    bool ok =
        raw && wide && fseek(w->in, at, SEEK_SET) == 0 && fread(raw, 1, n_bytes, w->in) == n_bytes;
    ggml_to_float_t to_float = ggml_get_type_traits(t->type)->to_float;
    bool as_is = is_integer(t->type) || t->type == GGML_TYPE_F32;
    if (ok && !as_is) {
        if (to_float)
            to_float(raw, wide, n);
        else
            ok = false;
    }
    ok = ok && fwrite(as_is ? raw : wide, 1, n_wide, w->out) == n_wide && pad(w, n_wide);
    free(raw);
    free(wide);
    return ok;
}

static bool copy_all(widen *w)
{
    if (!write_header(w)) return false;
    for (struct ggml_tensor *t = ggml_get_first_tensor(w->names); t;
         t = ggml_get_next_tensor(w->names, t))
        if (!copy_tensor(w, t)) return false;
    return true;
}

bool peer_write_f32(const char *from, const char *to)
{
    widen w = {0};
    w.from =
        gguf_init_from_file(from, (struct gguf_init_params){.no_alloc = true, .ctx = &w.names});
    w.to = gguf_init_empty();
    w.in = fopen(from, "rb");
    w.out = fopen(to, "wb");
    bool ok = w.from && w.to && w.in && w.out && copy_all(&w);
    if (w.out && fclose(w.out) != 0) ok = false;
    if (w.in) fclose(w.in);
    if (w.from) gguf_free(w.from);
    if (w.to) gguf_free(w.to);
    if (w.names) ggml_free(w.names);
    if (!ok) {
        fprintf(stderr, "%s: cannot widen it to %s\n", from, to);
        remove(to);
    }
    return ok;
}
