/* gguf_key.c: typed access to keys. ggml's getters abort when asked for another type than is
 * stored; so the stored type is always asked first, and one reader each for integers, numbers,
 * booleans and strings serves scalars and arrays alike. */
#include "gguf/gguf_key.h"

#include "base/diag.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(enum gguf_type type)
{
    switch (type) {
    case GGUF_TYPE_UINT8: return "uint8";
    case GGUF_TYPE_INT8: return "int8";
    case GGUF_TYPE_UINT16: return "uint16";
    case GGUF_TYPE_INT16: return "int16";
    case GGUF_TYPE_UINT32: return "uint32";
    case GGUF_TYPE_INT32: return "int32";
    case GGUF_TYPE_FLOAT32: return "float32";
    case GGUF_TYPE_BOOL: return "bool";
    case GGUF_TYPE_STRING: return "string";
    case GGUF_TYPE_ARRAY: return "array";
    case GGUF_TYPE_UINT64: return "uint64";
    case GGUF_TYPE_INT64: return "int64";
    case GGUF_TYPE_FLOAT64: return "float64";
    case GGUF_TYPE_COUNT: break;
    }
    return "unknown";
}

/* One key found: a scalar is an array of one here, except that strings come through their own
 * getters. */
struct value {
    const mn__gguf *g;
    const char *key;
    int64_t id;
    bool is_array;
    enum gguf_type type;
    size_t n;
    const void *data;
};

/* False when there is no such key. */
static bool find(const mn__gguf *g, const char *key, struct value *v)
{
    const struct gguf_context *ctx = mn__gguf_get_context(g);
    *v = (struct value){.g = g, .key = key, .id = gguf_find_key(ctx, key), .n = 1};
    if (v->id < 0) return false;
    v->type = gguf_get_kv_type(ctx, v->id);
    v->is_array = v->type == GGUF_TYPE_ARRAY;
    if (v->is_array) {
        v->type = gguf_get_arr_type(ctx, v->id);
        v->n = gguf_get_arr_n(ctx, v->id);
    }
    if (v->type == GGUF_TYPE_STRING) return true;
    v->data = v->is_array ? gguf_get_arr_data(ctx, v->id) : gguf_get_val_data(ctx, v->id);
    return true;
}

static mn_status fail_absent(const mn__gguf *g, const char *key, mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT, "%s: key %s wanted, none found", mn__gguf_name(g), key);
}

static mn_status fail_type(const struct value *v, const char *wanted, mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT, "%s: %s: %s wanted, %s%s found", mn__gguf_name(v->g), v->key,
                    wanted, v->is_array ? "array of " : "", type_name(v->type));
}

#define ELEMENT(v, i, type) ((const type *)(v)->data)[i]

/* Element i of any integer type as sign and magnitude; false for other types. */
static bool read_integer(const struct value *v, size_t i, int64_t *low, uint64_t *high)
{
    *low = 0;
    *high = 0;
    switch (v->type) {
    case GGUF_TYPE_UINT8: *high = ELEMENT(v, i, uint8_t); return true;
    case GGUF_TYPE_UINT16: *high = ELEMENT(v, i, uint16_t); return true;
    case GGUF_TYPE_UINT32: *high = ELEMENT(v, i, uint32_t); return true;
    case GGUF_TYPE_UINT64: *high = ELEMENT(v, i, uint64_t); return true;
    case GGUF_TYPE_INT8: *low = ELEMENT(v, i, int8_t); break;
    case GGUF_TYPE_INT16: *low = ELEMENT(v, i, int16_t); break;
    case GGUF_TYPE_INT32: *low = ELEMENT(v, i, int32_t); break;
    case GGUF_TYPE_INT64: *low = ELEMENT(v, i, int64_t); break;
    default: return false;
    }
    if (*low > 0) {
        *high = (uint64_t)*low;
        *low = 0;
    }
    return true;
}

static mn_status read_u32(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    int64_t low;
    uint64_t high;
    if (!read_integer(v, i, &low, &high)) return fail_type(v, "an integer", diag);
    if (low < 0)
        return mn__fail(diag, MN_ERANGE, "%s: %s: 0 to %" PRIu32 " wanted, %" PRId64 " found",
                        mn__gguf_name(v->g), v->key, UINT32_MAX, low);
    if (high > UINT32_MAX)
        return mn__fail(diag, MN_ERANGE, "%s: %s: 0 to %" PRIu32 " wanted, %" PRIu64 " found",
                        mn__gguf_name(v->g), v->key, UINT32_MAX, high);
    *(uint32_t *)out = (uint32_t)high;
    return MN_OK;
}

/* A float of either width; false for other types. */
static bool read_float(const struct value *v, size_t i, double *x)
{
    if (v->type == GGUF_TYPE_FLOAT32)
        *x = (double)ELEMENT(v, i, float);
    else if (v->type == GGUF_TYPE_FLOAT64)
        *x = ELEMENT(v, i, double);
    return v->type == GGUF_TYPE_FLOAT32 || v->type == GGUF_TYPE_FLOAT64;
}

static mn_status read_f64(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    double x = 0;
    if (!read_float(v, i, &x)) return fail_type(v, "a float", diag);
    if (!isfinite(x))
        return mn__fail(diag, MN_ERANGE, "%s: %s: a finite number wanted, %g found",
                        mn__gguf_name(v->g), v->key, x);
    *(double *)out = x;
    return MN_OK;
}

static mn_status read_f32(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    double x = 0;
    if (!read_float(v, i, &x)) return fail_type(v, "a float", diag);
    if (!isfinite((float)x))
        return mn__fail(diag, MN_ERANGE, "%s: %s: a finite float32 wanted, %g found",
                        mn__gguf_name(v->g), v->key, x);
    *(float *)out = (float)x;
    return MN_OK;
}

static mn_status read_bool(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    if (v->type != GGUF_TYPE_BOOL) return fail_type(v, "a bool", diag);
    *(bool *)out = ELEMENT(v, i, int8_t) != 0;
    return MN_OK;
}

static mn_status read_u64(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    int64_t low;
    uint64_t high;
    if (!read_integer(v, i, &low, &high)) return fail_type(v, "an integer", diag);
    if (low < 0)
        return mn__fail(diag, MN_ERANGE, "%s: %s: 0 or more wanted, %" PRId64 " found",
                        mn__gguf_name(v->g), v->key, low);
    *(uint64_t *)out = high;
    return MN_OK;
}

static mn_status read_any_f64(const struct value *v, size_t i, void *out, mn_diag *diag)
{
    if (v->type != GGUF_TYPE_FLOAT64) return fail_type(v, "float64", diag);
    *(double *)out = ELEMENT(v, i, double);
    return MN_OK;
}

typedef mn_status reader(const struct value *v, size_t i, void *out, mn_diag *diag);

/* A scalar key that must be there. */
static mn_status need(const mn__gguf *g, const char *key, reader *read, void *out, mn_diag *diag)
{
    struct value v;
    if (!find(g, key, &v)) return fail_absent(g, key, diag);
    if (v.is_array) return fail_type(&v, "a single value", diag);
    return read(&v, 0, out, diag);
}

bool mn__gguf_has(const mn__gguf *g, const char *key)
{
    return gguf_find_key(mn__gguf_get_context(g), key) >= 0;
}

mn_status mn__gguf_need_u32(const mn__gguf *g, const char *key, uint32_t *out, mn_diag *diag)
{
    return need(g, key, read_u32, out, diag);
}

mn_status mn__gguf_get_u32(const mn__gguf *g, const char *key, uint32_t fallback, uint32_t *out,
                           mn_diag *diag)
{
    if (mn__gguf_has(g, key)) return mn__gguf_need_u32(g, key, out, diag);
    *out = fallback;
    return MN_OK;
}

mn_status mn__gguf_need_size(const mn__gguf *g, const char *key, uint32_t most, uint32_t *out,
                             mn_diag *diag)
{
    uint32_t n = 0;
    mn_status st = mn__gguf_need_u32(g, key, &n, diag);
    if (st != MN_OK) return st;
    if (n < 1 || n > most)
        return mn__fail(diag, MN_ERANGE, "%s: %s: 1 to %" PRIu32 " wanted, %" PRIu32 " found",
                        mn__gguf_name(g), key, most, n);
    *out = n;
    return MN_OK;
}

mn_status mn__gguf_need_f32(const mn__gguf *g, const char *key, float *out, mn_diag *diag)
{
    return need(g, key, read_f32, out, diag);
}

mn_status mn__gguf_get_f32(const mn__gguf *g, const char *key, float fallback, float *out,
                           mn_diag *diag)
{
    if (mn__gguf_has(g, key)) return mn__gguf_need_f32(g, key, out, diag);
    *out = fallback;
    return MN_OK;
}

mn_status mn__gguf_need_f64(const mn__gguf *g, const char *key, double *out, mn_diag *diag)
{
    return need(g, key, read_f64, out, diag);
}

mn_status mn__gguf_need_bool(const mn__gguf *g, const char *key, bool *out, mn_diag *diag)
{
    return need(g, key, read_bool, out, diag);
}

mn_status mn__gguf_get_bool(const mn__gguf *g, const char *key, bool fallback, bool *out,
                            mn_diag *diag)
{
    if (mn__gguf_has(g, key)) return mn__gguf_need_bool(g, key, out, diag);
    *out = fallback;
    return MN_OK;
}

mn_status mn__gguf_need_str(const mn__gguf *g, const char *key, const char **out, mn_diag *diag)
{
    struct value v;
    if (!find(g, key, &v)) return fail_absent(g, key, diag);
    if (v.is_array || v.type != GGUF_TYPE_STRING) return fail_type(&v, "string", diag);
    *out = gguf_get_val_str(mn__gguf_get_context(g), v.id);
    return MN_OK;
}

mn_status mn__gguf_get_str(const mn__gguf *g, const char *key, const char *fallback,
                           const char **out, mn_diag *diag)
{
    if (mn__gguf_has(g, key)) return mn__gguf_need_str(g, key, out, diag);
    *out = fallback;
    return MN_OK;
}

mn_status mn__gguf_need_u64(const mn__gguf *g, const char *key, uint64_t *out, mn_diag *diag)
{
    return need(g, key, read_u64, out, diag);
}

mn_status mn__gguf_need_any_f64(const mn__gguf *g, const char *key, double *out, mn_diag *diag)
{
    return need(g, key, read_any_f64, out, diag);
}

/* A value per layer: where it goes, and what stands in for an absent key. */
struct layers {
    size_t n, size; /* how many, bytes of one */
    const void *fallback;
    void *out;
};

/* The first pass only asks, so that nothing is written over before all is known to be good. */
static mn_status each(const mn__gguf *g, const char *key, reader *read, const struct layers *l,
                      mn_diag *diag)
{
    struct value v;
    unsigned char one[sizeof(uint64_t)];
    bool is_there = find(g, key, &v);
    assert(l->size <= sizeof one);
    if (!is_there && !l->fallback) return fail_absent(g, key, diag);
    if (is_there && v.is_array && v.n != l->n)
        return mn__fail(diag, MN_EINPUT, "%s: %s: an array of %zu wanted, one of %zu found",
                        mn__gguf_name(g), key, l->n, v.n);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < l->n; i++) {
            mn_status st = is_there ? read(&v, v.is_array ? i : 0, one, diag) : MN_OK;
            if (st != MN_OK) return st;
            unsigned char *out = (unsigned char *)l->out + i * l->size;
            if (pass == 1) memcpy(out, is_there ? one : l->fallback, l->size);
        }
    }
    return MN_OK;
}

mn_status mn__gguf_each_u32(const mn__gguf *g, const char *key, const uint32_t *fallback, size_t n,
                            uint32_t *out, mn_diag *diag)
{
    return each(g, key, read_u32, &(struct layers){n, sizeof *out, fallback, out}, diag);
}

mn_status mn__gguf_each_f32(const mn__gguf *g, const char *key, const float *fallback, size_t n,
                            float *out, mn_diag *diag)
{
    return each(g, key, read_f32, &(struct layers){n, sizeof *out, fallback, out}, diag);
}

mn_status mn__gguf_each_bool(const mn__gguf *g, const char *key, const bool *fallback, size_t n,
                             bool *out, mn_diag *diag)
{
    return each(g, key, read_bool, &(struct layers){n, sizeof *out, fallback, out}, diag);
}

mn_status mn__gguf_need_array(const mn__gguf *g, const char *key, enum gguf_type type,
                              mn__gguf_array *out, mn_diag *diag)
{
    struct value v;
    char wanted[32];
    if (!find(g, key, &v)) return fail_absent(g, key, diag);
    snprintf(wanted, sizeof wanted, "array of %s", type_name(type));
    if (!v.is_array || v.type != type) return fail_type(&v, wanted, diag);
    *out = (mn__gguf_array){.type = type, .n = v.n, .data = v.n ? v.data : NULL, .id = v.id};
    return MN_OK;
}

const char *mn__gguf_array_str(const mn__gguf *g, const mn__gguf_array *a, size_t i)
{
    assert(a->type == GGUF_TYPE_STRING && i < a->n);
    return gguf_get_arr_str(mn__gguf_get_context(g), a->id, i);
}

size_t mn__gguf_n_key(const mn__gguf *g)
{
    return (size_t)gguf_get_n_kv(mn__gguf_get_context(g));
}

const char *mn__gguf_key_name(const mn__gguf *g, size_t i)
{
    assert(i < mn__gguf_n_key(g));
    return gguf_get_key(mn__gguf_get_context(g), (int64_t)i);
}

void mn__gguf_key_text(const mn__gguf *g, size_t i, char *out, size_t out_size)
{
    const struct gguf_context *ctx = mn__gguf_get_context(g);
    struct value v;
    int64_t low;
    uint64_t high;
    if (!find(g, mn__gguf_key_name(g, i), &v)) return;
    const char *type = type_name(v.type);
    if (v.is_array) {
        snprintf(out, out_size, "array of %zu %s", v.n, type);
    } else if (v.type == GGUF_TYPE_STRING) {
        snprintf(out, out_size, "%s \"%s\"", type, gguf_get_val_str(ctx, v.id));
    } else if (v.type == GGUF_TYPE_BOOL) {
        snprintf(out, out_size, "%s %s", type, ELEMENT(&v, 0, int8_t) ? "true" : "false");
    } else if (v.type == GGUF_TYPE_FLOAT32) {
        snprintf(out, out_size, "%s %.9g", type, (double)ELEMENT(&v, 0, float));
    } else if (v.type == GGUF_TYPE_FLOAT64) {
        snprintf(out, out_size, "%s %.17g", type, ELEMENT(&v, 0, double));
    } else if (read_integer(&v, 0, &low, &high) && low < 0) {
        snprintf(out, out_size, "%s %" PRId64, type, low);
    } else {
        snprintf(out, out_size, "%s %" PRIu64, type, high);
    }
}
