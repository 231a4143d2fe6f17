/* gguf_write.c: keys and the tensor list are laid out by ggml, tensor data is streamed behind them
 * a piece at a time, so that a file may be far larger than memory. */
#include "gguf/gguf_write.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20 }; /* of floats, roughly, in one conversion */

struct tensor {
    mn__gguf_source source;
    enum ggml_type type;
    int64_t row, n_row; /* elements of a row, rows */
};

struct mn__gguf_writer {
    struct gguf_context *ctx;
    struct tensor *tensors;
    size_t n_tensor, room;
    mn_status st; /* of the first mistake */
    mn_diag diag;
};

mn_status mn__gguf_writer_new(mn__gguf_writer **out, mn_diag *diag)
{
    *out = NULL;
    mn__gguf_writer *w = mn__alloc_zero(MN_MEM_OTHER, sizeof *w);
    if (!w) return mn__fail(diag, MN_ENOMEM, "out of memory for a GGUF writer");
    w->ctx = gguf_init_empty();
    *out = w;
    return MN_OK;
}

void mn__gguf_writer_free(mn__gguf_writer *w)
{
    if (!w) return;
    gguf_free(w->ctx);
    mn__free(w->tensors);
    mn__free(w);
}

/* Whether to go on with a key: ggml would abort on these. */
static bool accept_key(mn__gguf_writer *w, const char *key)
{
    if (w->st != MN_OK) return false;
    if (!key[0]) w->st = mn__fail(&w->diag, MN_EINPUT, "a key without a name");
    if (strcmp(key, GGUF_KEY_GENERAL_ALIGNMENT) == 0)
        w->st = mn__fail(&w->diag, MN_EINPUT, "%s is set by the writer", key);
    return w->st == MN_OK;
}

void mn__gguf_set_u32(mn__gguf_writer *w, const char *key, uint32_t value)
{
    if (accept_key(w, key)) gguf_set_val_u32(w->ctx, key, value);
}

void mn__gguf_set_i32(mn__gguf_writer *w, const char *key, int32_t value)
{
    if (accept_key(w, key)) gguf_set_val_i32(w->ctx, key, value);
}

void mn__gguf_set_u64(mn__gguf_writer *w, const char *key, uint64_t value)
{
    if (accept_key(w, key)) gguf_set_val_u64(w->ctx, key, value);
}

void mn__gguf_set_f32(mn__gguf_writer *w, const char *key, float value)
{
    if (accept_key(w, key)) gguf_set_val_f32(w->ctx, key, value);
}

void mn__gguf_set_f64(mn__gguf_writer *w, const char *key, double value)
{
    if (accept_key(w, key)) gguf_set_val_f64(w->ctx, key, value);
}

void mn__gguf_set_bool(mn__gguf_writer *w, const char *key, bool value)
{
    if (accept_key(w, key)) gguf_set_val_bool(w->ctx, key, value);
}

void mn__gguf_set_str(mn__gguf_writer *w, const char *key, const char *value)
{
    if (accept_key(w, key)) gguf_set_val_str(w->ctx, key, value);
}

void mn__gguf_set_strs(mn__gguf_writer *w, const char *key, const char *const *values, size_t n)
{
    /* ggml's parameter lacks a const; it only reads. */
    if (accept_key(w, key)) gguf_set_arr_str(w->ctx, key, (const char **)(uintptr_t)values, n);
}

void mn__gguf_set_array(mn__gguf_writer *w, const char *key, enum gguf_type type, const void *data,
                        size_t n)
{
    assert(type != GGUF_TYPE_STRING && type != GGUF_TYPE_ARRAY && type < GGUF_TYPE_COUNT);
    if (accept_key(w, key)) gguf_set_arr_data(w->ctx, key, type, data, n);
}

void mn__gguf_set_keys_of(mn__gguf_writer *w, const mn__gguf *from)
{
    if (w->st != MN_OK) return;
    gguf_set_kv(w->ctx, mn__gguf_get_context(from));
    gguf_remove_key(w->ctx, GGUF_KEY_GENERAL_ALIGNMENT); /* this file is laid out by the default */
}

void mn__gguf_set_keys_under(mn__gguf_writer *w, const mn__gguf *from, const char *prefix)
{
    const struct gguf_context *all = mn__gguf_get_context(from);
    if (w->st != MN_OK) return;
    struct gguf_context *some = gguf_init_empty();
    gguf_set_kv(some, all);
    for (int64_t i = 0; i < gguf_get_n_kv(all); i++)
        if (strncmp(gguf_get_key(all, i), prefix, strlen(prefix)) != 0)
            gguf_remove_key(some, gguf_get_key(all, i));
    gguf_set_kv(w->ctx, some);
    gguf_free(some);
}

/* The types that ggml_quantize_chunk converts to without a matrix; it aborts on the others. */
static bool converts_from_floats(enum ggml_type type)
{
    switch (type) {
    case GGML_TYPE_F32:
    case GGML_TYPE_F16:
    case GGML_TYPE_BF16: return true;
    case GGML_TYPE_Q8_1:
    case GGML_TYPE_Q8_K: return false; /* formats of activations */
    default: return ggml_is_quantized(type) && !ggml_quantize_requires_imatrix(type);
    }
}

static bool is_known(enum ggml_type type)
{
    if ((unsigned)type >= GGML_TYPE_COUNT) return false;
    const struct ggml_type_traits *t = ggml_get_type_traits(type);
    return t->type_size > 0 && t->blck_size > 0;
}

static mn_status check_name(mn__gguf_writer *w, const char *name)
{
    size_t n = strlen(name);
    if (n < 1 || n >= GGML_MAX_NAME)
        return mn__fail(&w->diag, MN_EINPUT,
                        "tensor '%s': a name of 1 to %d bytes wanted, one of %zu found", name,
                        GGML_MAX_NAME - 1, n);
    if (gguf_find_tensor(w->ctx, name) >= 0)
        return mn__fail(&w->diag, MN_EINPUT, "tensor '%s' appears twice", name);
    return MN_OK;
}

/* Fills `t` and `n_element`, or tells what is wrong. */
static mn_status check_shape(mn__gguf_writer *w, const char *name, const int64_t ne[4],
                             struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < GGML_MAX_DIMS; i++) {
        if (ne[i] < 1)
            return mn__fail(&w->diag, MN_ERANGE, "tensor '%s': dimension %d is %" PRId64, name, i,
                            ne[i]);
        if (!mn__mul_size(n, (size_t)ne[i], &n) || n > INT64_MAX / 16)
            return mn__fail(&w->diag, MN_ERANGE, "tensor '%s': its dimensions multiply too high",
                            name);
    }
    if (ne[0] % ggml_blck_size(t->type))
        return mn__fail(&w->diag, MN_EINPUT,
                        "tensor '%s': rows in multiples of %" PRId64 " wanted for %s, %" PRId64
                        " found",
                        name, ggml_blck_size(t->type), ggml_type_name(t->type), ne[0]);
    t->row = ne[0];
    t->n_row = (int64_t)n / ne[0];
    return MN_OK;
}

static mn_status check_source(mn__gguf_writer *w, const char *name, const struct tensor *t)
{
    const mn__gguf_source *s = &t->source;
    bool has_floats = s->floats || s->fill_floats;
    if ((s->bytes != NULL) + (s->floats != NULL) + (s->fill_bytes != NULL) +
            (s->fill_floats != NULL) !=
        1)
        return mn__fail(&w->diag, MN_EINPUT, "tensor '%s': exactly one source wanted", name);
    if (has_floats && !converts_from_floats(t->type))
        return mn__fail(&w->diag, MN_EINPUT, "tensor '%s': floats cannot be converted to %s", name,
                        ggml_type_name(t->type));
    return MN_OK;
}

static mn_status make_room(mn__gguf_writer *w)
{
    if (w->n_tensor < w->room) return MN_OK;
    size_t room = w->room ? 2 * w->room : 64;
    struct tensor *tensors = mn__alloc_array(MN_MEM_OTHER, room, sizeof *tensors);
    if (!tensors)
        return mn__fail(&w->diag, MN_ENOMEM, "out of memory for the tensor list of a GGUF file");
    if (w->n_tensor) memcpy(tensors, w->tensors, w->n_tensor * sizeof *tensors);
    mn__free(w->tensors);
    w->tensors = tensors;
    w->room = room;
    return MN_OK;
}

/* ggml wants its own struct; only type, shape and name of it are read. */
static void list_tensor(mn__gguf_writer *w, const char *name, enum ggml_type type,
                        const int64_t ne[4])
{
    struct ggml_tensor t = {.type = type};
    memcpy(t.ne, ne, sizeof t.ne);
    t.nb[0] = ggml_type_size(type);
    t.nb[1] = ggml_row_size(type, ne[0]);
    for (int i = 2; i < GGML_MAX_DIMS; i++) t.nb[i] = t.nb[i - 1] * (size_t)ne[i - 1];
    ggml_set_name(&t, name);
    gguf_add_tensor(w->ctx, &t);
}

void mn__gguf_add_tensor(mn__gguf_writer *w, const char *name, enum ggml_type type,
                         const int64_t ne[4], const mn__gguf_source *source)
{
    mn_status st;
    struct tensor t = {.source = *source, .type = type};
    if (w->st != MN_OK) return;
    MN_TRY(check_name(w, name));
    if (!is_known(type)) {
        st = mn__fail(&w->diag, MN_EINPUT, "tensor '%s': unknown type %d", name, (int)type);
        goto done;
    }
    MN_TRY(check_shape(w, name, ne, &t));
    MN_TRY(check_source(w, name, &t));
    MN_TRY(make_room(w));
    list_tensor(w, name, type, ne);
    w->tensors[w->n_tensor++] = t;
done:
    w->st = st;
}

static mn_status put(FILE *file, const void *data, size_t n, mn_diag *diag)
{
    if (n == 0 || fwrite(data, 1, n, file) == n) return MN_OK;
    return mn__fail(diag, MN_EIO, "cannot write: %s", strerror(errno));
}

static mn_status put_padding(FILE *file, size_t written, mn_diag *diag)
{
    static const char zeros[GGUF_DEFAULT_ALIGNMENT];
    size_t beyond = written % sizeof zeros;
    return put(file, zeros, beyond ? sizeof zeros - beyond : 0, diag);
}

static mn_status put_meta(const mn__gguf_writer *w, FILE *file, mn_diag *diag)
{
    size_t n = gguf_get_meta_size(w->ctx); /* padded already */
    void *meta = mn__alloc(MN_MEM_OTHER, n);
    if (!meta) return mn__fail(diag, MN_ENOMEM, "out of memory for the keys of a GGUF file");
    gguf_get_meta_data(w->ctx, meta);
    mn_status st = put(file, meta, n, diag);
    mn__free(meta);
    return st;
}

/* Rows [row, row + n_row) of a tensor in its own type: a pointer into the source, or made in `out`
 * by way of `floats`. */
static mn_status make_rows(const struct tensor *t, int64_t row, int64_t n_row, float *floats,
                           void **out, mn_diag *diag)
{
    const mn__gguf_source *s = &t->source;
    if (s->bytes) {
        *out = (char *)(uintptr_t)s->bytes + (size_t)row * ggml_row_size(t->type, t->row);
        return MN_OK;
    }
    if (s->fill_bytes) return s->fill_bytes(s->ctx, row, n_row, *out, diag);
    const float *from = floats;
    if (s->floats) {
        from = s->floats + row * t->row;
    } else {
        mn_status st = s->fill_floats(s->ctx, row, n_row, floats, diag);
        if (st != MN_OK) return st;
    }
    ggml_quantize_chunk(t->type, from, *out, 0, n_row, t->row, NULL);
    return MN_OK;
}

static mn_status put_tensor(const struct tensor *t, FILE *file, mn_diag *diag)
{
    mn_status st;
    size_t row_bytes = ggml_row_size(t->type, t->row), float_bytes = (size_t)t->row * sizeof(float);
    int64_t piece = PIECE_BYTES / (int64_t)float_bytes;
    if (piece < 1) piece = 1;
    if (piece > t->n_row) piece = t->n_row;
    void *made = mn__alloc_array(MN_MEM_OTHER, (size_t)piece, row_bytes);
    float *floats = mn__alloc_array(MN_MEM_OTHER, (size_t)piece, float_bytes);
    if (!made || !floats) {
        st = mn__fail(diag, MN_ENOMEM,
                      "out of memory while converting rows of %" PRId64 " elements", t->row);
        goto done;
    }
    for (int64_t row = 0; row < t->n_row; row += piece) {
        int64_t n_row = t->n_row - row < piece ? t->n_row - row : piece;
        void *rows = made;
        MN_TRY(make_rows(t, row, n_row, floats, &rows, diag));
        MN_TRY(put(file, rows, (size_t)n_row * row_bytes, diag));
    }
    st = put_padding(file, (size_t)t->n_row * row_bytes, diag);
done:
    mn__free(floats);
    mn__free(made);
    return st;
}

mn_status mn__gguf_write(mn__gguf_writer *w, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__atomic a = {0};
    if (w->st != MN_OK) return mn__fail(diag, w->st, "%s: %s", path, w->diag.text);
    MN_TRY(mn__atomic_open(&a, path, diag));
    st = put_meta(w, a.file, diag);
    for (size_t i = 0; st == MN_OK && i < w->n_tensor; i++) {
        st = put_tensor(&w->tensors[i], a.file, diag);
        if (st != MN_OK)
            mn__diag_prefix(diag, "tensor '%s'", gguf_get_tensor_name(w->ctx, (int64_t)i));
    }
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", path);
        goto done;
    }
    MN_TRY(mn__atomic_commit(&a, diag));
done:
    mn__atomic_abort(&a);
    return st;
}
