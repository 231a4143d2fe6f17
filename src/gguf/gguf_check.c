/* gguf_check.c: walks a GGUF file from its first byte to its last tensor with checked arithmetic,
 * and refuses what ggml's reader would stumble over. The format is told at the head of ggml's
 * gguf.h. */
#include "gguf/gguf_check.h"

#include "base/diag.h"
#include "base/heap.h"

#include <ggml.h>
#include <gguf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_KEY_BYTES = 65535, /* by the format's specification */
    MIN_ALIGNMENT = 8,     /* likewise */
    SHOWN = 100,           /* bytes of a name that a sentence shows */
    MIN_KEY_RECORD = 8 + 1 + 4 + 1,
    MIN_TENSOR_RECORD = 8 + 1 + 4 + 8 + 4 + 8,
};

#define MAX_DATA ((uint64_t)1 << 62) /* sums of an offset and a size stay below 64 bits */

struct text {
    const char *at;
    size_t n;
};
#define SHOW(t) (int)((t).n < SHOWN ? (t).n : SHOWN), (t).at

struct walk {
    const uint8_t *data;
    size_t size, end, at; /* of the file, of what may be keys and tensor list, and how far we are */
    uint64_t n_tensor, n_key;
    uint32_t alignment;
    struct text *names;  /* of the keys, then of the tensors */
    uint64_t *data_ends; /* per tensor, from the start of the data */
    mn_diag *diag;
};

static mn_status take(struct walk *w, void *out, size_t n, const char *what)
{
    if (n > w->end - w->at) {
        if (w->end < w->size)
            return mn__fail(w->diag, MN_EINPUT,
                            "keys and tensor list of at most %zu bytes wanted, more found",
                            MN__GGUF_MAX_META);
        return mn__fail(w->diag, MN_EINPUT, "the file ends at byte %zu, inside %s", w->size, what);
    }
    memcpy(out, w->data + w->at, n);
    w->at += n;
    return MN_OK;
}

static mn_status skip(struct walk *w, uint64_t n, uint64_t size, const char *what)
{
    if (n > (w->end - w->at) / size)
        return mn__fail(w->diag, MN_EINPUT,
                        "%s claims %" PRIu64 " items of %" PRIu64 " bytes, %zu bytes are left",
                        what, n, size, w->end - w->at);
    w->at += (size_t)(n * size);
    return MN_OK;
}

static mn_status take_text(struct walk *w, struct text *out, const char *what)
{
    uint64_t n = 0;
    mn_status st = take(w, &n, sizeof n, what);
    if (st != MN_OK) return st;
    out->at = (const char *)w->data + w->at;
    st = skip(w, n, 1, what);
    if (st == MN_OK) out->n = (size_t)n;
    return st;
}

/* Keys and names end up as C strings: an empty one or one with a NUL inside could not be told from
 * another. */
static mn_status take_name(struct walk *w, struct text *out, size_t most, const char *what)
{
    mn_status st = take_text(w, out, what);
    if (st != MN_OK) return st;
    if (out->n == 0 || out->n > most)
        return mn__fail(w->diag, MN_EINPUT, "%s of 1 to %zu bytes wanted, one of %zu found", what,
                        most, out->n);
    if (memchr(out->at, '\0', out->n))
        return mn__fail(w->diag, MN_EINPUT, "%s '%.*s' holds a zero byte", what, SHOW(*out));
    return MN_OK;
}

static mn_status walk_header(struct walk *w)
{
    mn_status st;
    char magic[4];
    uint32_t version = 0;
    MN_TRY(take(w, magic, sizeof magic, "the header"));
    if (memcmp(magic, GGUF_MAGIC, sizeof magic) != 0)
        return mn__fail(w->diag, MN_EINPUT, "not a GGUF file: it starts with %02x %02x %02x %02x",
                        w->data[0], w->data[1], w->data[2], w->data[3]);
    MN_TRY(take(w, &version, sizeof version, "the header"));
    if (version && (version & 0xffff) == 0)
        return mn__fail(w->diag, MN_EINPUT,
                        "a big-endian GGUF file; only little-endian ones are read");
    if (version < 2 || version > GGUF_VERSION)
        return mn__fail(w->diag, MN_EINPUT, "GGUF version 2 or 3 wanted, %" PRIu32 " found",
                        version);
    MN_TRY(take(w, &w->n_tensor, sizeof w->n_tensor, "the header"));
    MN_TRY(take(w, &w->n_key, sizeof w->n_key, "the header"));
    size_t left = w->end - w->at;
    if (w->n_key > MN__GGUF_MAX_KEY || w->n_key > left / MIN_KEY_RECORD)
        return mn__fail(w->diag, MN_EINPUT,
                        "the header claims %" PRIu64 " keys, too many for the file's %zu bytes",
                        w->n_key, w->size);
    if (w->n_tensor > MN__GGUF_MAX_TENSOR || w->n_tensor > left / MIN_TENSOR_RECORD)
        return mn__fail(w->diag, MN_EINPUT,
                        "the header claims %" PRIu64 " tensors, too many for the file's %zu bytes",
                        w->n_tensor, w->size);
done:
    return st;
}

/* Bytes of a value of fixed size, 0 for the others and for unknown types. */
static uint64_t fixed_size(uint32_t type)
{
    switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL: return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16: return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32: return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64: return 8;
    default: return 0;
    }
}

static mn_status walk_strings(struct walk *w, uint64_t n, const char *what)
{
    struct text text;
    if (n > (w->end - w->at) / sizeof(uint64_t))
        return mn__fail(w->diag, MN_EINPUT, "%s claims %" PRIu64 " strings, %zu bytes are left",
                        what, n, w->end - w->at);
    for (uint64_t i = 0; i < n; i++) {
        mn_status st = take_text(w, &text, what);
        if (st != MN_OK) return st;
    }
    return MN_OK;
}

static mn_status walk_value(struct walk *w, const char *what)
{
    mn_status st;
    uint32_t type = 0;
    uint64_t n = 1;
    MN_TRY(take(w, &type, sizeof type, what));
    if (type == GGUF_TYPE_ARRAY) {
        MN_TRY(take(w, &type, sizeof type, what));
        MN_TRY(take(w, &n, sizeof n, what));
    }
    if (type == GGUF_TYPE_STRING) return walk_strings(w, n, what);
    if (!fixed_size(type))
        return mn__fail(w->diag, MN_EINPUT, "%s has the unknown type %" PRIu32, what, type);
    MN_TRY(skip(w, n, fixed_size(type), what));
done:
    return st;
}

static mn_status check_alignment(struct walk *w, size_t value_at)
{
    uint32_t type, alignment;
    memcpy(&type, w->data + value_at, sizeof type);
    if (type != GGUF_TYPE_UINT32)
        return mn__fail(w->diag, MN_EINPUT, "%s: uint32 wanted, type %" PRIu32 " found",
                        GGUF_KEY_GENERAL_ALIGNMENT, type);
    memcpy(&alignment, w->data + value_at + sizeof type, sizeof alignment);
    if (alignment < MIN_ALIGNMENT || (alignment & (alignment - 1)))
        return mn__fail(w->diag, MN_EINPUT,
                        "%s: a power of two from %d on wanted, %" PRIu32 " found",
                        GGUF_KEY_GENERAL_ALIGNMENT, MIN_ALIGNMENT, alignment);
    w->alignment = alignment;
    return MN_OK;
}

static mn_status walk_key(struct walk *w, struct text *key)
{
    const char reserved[] = GGUF_KEY_GENERAL_ALIGNMENT;
    char what[SHOWN + 16];
    mn_status st;
    MN_TRY(take_name(w, key, MAX_KEY_BYTES, "a key"));
    snprintf(what, sizeof what, "key '%.*s'", SHOW(*key));
    size_t value_at = w->at;
    MN_TRY(walk_value(w, what));
    if (key->n == sizeof reserved - 1 && memcmp(key->at, reserved, key->n) == 0)
        MN_TRY(check_alignment(w, value_at));
done:
    return st;
}

static mn_status walk_shape(struct walk *w, const char *what, size_t *n_element, size_t *row)
{
    mn_status st;
    uint32_t n_dim = 0;
    MN_TRY(take(w, &n_dim, sizeof n_dim, what));
    if (n_dim < 1 || n_dim > GGML_MAX_DIMS)
        return mn__fail(w->diag, MN_EINPUT, "%s: 1 to %d dimensions wanted, %" PRIu32 " found",
                        what, GGML_MAX_DIMS, n_dim);
    *n_element = 1;
    for (uint32_t i = 0; i < n_dim; i++) {
        int64_t n = 0;
        MN_TRY(take(w, &n, sizeof n, what));
        if (n < 1)
            return mn__fail(w->diag, MN_EINPUT, "%s: dimension %" PRIu32 " is %" PRId64, what, i,
                            n);
        if (!mn__mul_size(*n_element, (size_t)n, n_element) || *n_element > INT64_MAX)
            return mn__fail(w->diag, MN_EINPUT, "%s: its dimensions multiply beyond 64 bits", what);
        if (i == 0) *row = (size_t)n;
    }
done:
    return st;
}

/* One record of the tensor list. `data_end` holds where the tensor before ends, padded, and then
 * where this one does. */
static mn_status walk_tensor(struct walk *w, struct text *name, uint64_t *data_end)
{
    mn_status st;
    char what[SHOWN + 16];
    size_t n_element, row = 0, bytes, block;
    uint32_t type = 0;
    uint64_t offset = 0;
    MN_TRY(take_name(w, name, GGML_MAX_NAME - 1, "a tensor name"));
    snprintf(what, sizeof what, "tensor '%.*s'", SHOW(*name));
    MN_TRY(walk_shape(w, what, &n_element, &row));
    MN_TRY(take(w, &type, sizeof type, what));
    const struct ggml_type_traits *t =
        type < GGML_TYPE_COUNT ? ggml_get_type_traits((enum ggml_type)type) : NULL;
    if (!t || t->type_size == 0 || t->blck_size < 1)
        return mn__fail(w->diag, MN_EINPUT, "%s has the unknown type %" PRIu32, what, type);
    block = (size_t)t->blck_size;
    if (row % block)
        return mn__fail(w->diag, MN_EINPUT, "%s: rows in multiples of %zu wanted for %s, %zu found",
                        what, block, t->type_name, row);
    if (!mn__mul_size(n_element / block, t->type_size, &bytes) || bytes > MAX_DATA ||
        *data_end > MAX_DATA)
        return mn__fail(w->diag, MN_EINPUT, "%s: more bytes than any file has", what);
    MN_TRY(take(w, &offset, sizeof offset, what));
    uint64_t wanted = (*data_end + w->alignment - 1) & ~(uint64_t)(w->alignment - 1);
    if (offset != wanted)
        return mn__fail(w->diag, MN_EINPUT, "%s: offset %" PRIu64 " wanted, %" PRIu64 " found",
                        what, wanted, offset);
    *data_end = offset + bytes;
done:
    return st;
}

static int compare_texts(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Sorts the names, which nothing needs in their order any more. */
static mn_status refuse_twins(struct walk *w, struct text *names, uint64_t n, const char *what)
{
    if (n > 1) qsort(names, (size_t)n, sizeof *names, compare_texts);
    for (uint64_t i = 1; i < n; i++) {
        if (compare_texts(&names[i - 1], &names[i]) == 0)
            return mn__fail(w->diag, MN_EINPUT, "%s '%.*s' appears twice", what, SHOW(names[i]));
    }
    return MN_OK;
}

/* The data starts at the next multiple of the alignment behind the list. */
static mn_status check_data_ends(struct walk *w, const struct text *names)
{
    uint64_t mask = w->alignment - 1, begin = ((uint64_t)w->at + mask) & ~mask;
    for (uint64_t i = 0; i < w->n_tensor; i++) {
        if (begin > w->size || w->data_ends[i] > w->size - begin)
            return mn__fail(w->diag, MN_EINPUT,
                            "tensor '%.*s' needs the bytes %" PRIu64 " to %" PRIu64
                            ", the file ends at %zu",
                            SHOW(names[i]), begin + (i ? w->data_ends[i - 1] : 0),
                            begin + w->data_ends[i], w->size);
    }
    return MN_OK;
}

static mn_status walk_all(struct walk *w)
{
    mn_status st;
    uint64_t data_end = 0;
    MN_TRY(walk_header(w));
    w->names = mn__alloc_array(MN_MEM_OTHER, (size_t)(w->n_key + w->n_tensor), sizeof *w->names);
    w->data_ends = mn__alloc_array(MN_MEM_OTHER, (size_t)w->n_tensor, sizeof *w->data_ends);
    if (!w->names || !w->data_ends)
        return mn__fail(w->diag, MN_ENOMEM, "out of memory while checking the file");
    for (uint64_t i = 0; i < w->n_key; i++) MN_TRY(walk_key(w, &w->names[i]));
    struct text *tensors = w->names + w->n_key;
    for (uint64_t i = 0; i < w->n_tensor; i++) {
        MN_TRY(walk_tensor(w, &tensors[i], &data_end));
        w->data_ends[i] = data_end;
    }
    MN_TRY(check_data_ends(w, tensors));
    MN_TRY(refuse_twins(w, w->names, w->n_key, "key"));
    MN_TRY(refuse_twins(w, tensors, w->n_tensor, "tensor"));
done:
    return st;
}

mn_status mn__gguf_check(const uint8_t *data, size_t size, mn_diag *diag)
{
    struct walk w = {
        .data = data,
        .size = size,
        .end = size < MN__GGUF_MAX_META ? size : MN__GGUF_MAX_META,
        .alignment = GGUF_DEFAULT_ALIGNMENT,
        .diag = diag,
    };
    mn_status st = walk_all(&w);
    mn__free(w.names);
    mn__free(w.data_ends);
    return st;
}
