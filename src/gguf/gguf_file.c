/* gguf_file.c: open means map, check every length, and only then let ggml's reader build its view
 * of the same bytes. */
#include "gguf/gguf_file.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "gguf/gguf_check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct mn__gguf {
    char *name;
    mn__map map; /* empty when the memory is somebody else's */
    const uint8_t *data;
    size_t size;
    struct gguf_context *ctx;
    size_t n_tensor;
    mn__gguf_tensor *tensors;        /* in file order */
    const mn__gguf_tensor **by_name; /* sorted */
};

static int compare_names(const void *a, const void *b)
{
    const mn__gguf_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static mn_status list_tensors(mn__gguf *g, mn_diag *diag)
{
    g->n_tensor = (size_t)gguf_get_n_tensors(g->ctx);
    g->tensors = mn__alloc_array(MN_MEM_OTHER, g->n_tensor, sizeof *g->tensors);
    g->by_name = mn__alloc_array(MN_MEM_OTHER, g->n_tensor, sizeof *g->by_name);
    if (!g->tensors || !g->by_name)
        return mn__fail(diag, MN_ENOMEM, "out of memory for its tensor list");
    const uint8_t *data = g->data + gguf_get_data_offset(g->ctx);
    for (size_t i = 0; i < g->n_tensor; i++) {
        mn__gguf_tensor *t = &g->tensors[i];
        int64_t id = (int64_t)i;
        t->name = gguf_get_tensor_name(g->ctx, id);
        t->type = gguf_get_tensor_type(g->ctx, id);
        memcpy(t->ne, gguf_get_tensor_ne(g->ctx, id), sizeof t->ne);
        t->data = data + gguf_get_tensor_offset(g->ctx, id);
        t->n_bytes = gguf_get_tensor_size(g->ctx, id);
        g->by_name[i] = t;
    }
    if (g->n_tensor > 1) qsort(g->by_name, g->n_tensor, sizeof *g->by_name, compare_names);
    return MN_OK;
}

static mn_status parse(mn__gguf *g, mn_diag *diag)
{
    const struct gguf_init_params params = {.no_alloc = true};
    mn_status st = mn__gguf_check(g->data, g->size, diag);
    if (st != MN_OK) return st;
    g->ctx = gguf_init_from_buffer(g->data, g->size, params);
    if (!g->ctx) return mn__fail(diag, MN_EFAIL, "ggml's reader refused what our check let pass");
    return list_tensors(g, diag);
}

static mn_status new_file(mn__gguf **out, const char *name, mn_diag *diag)
{
    mn__gguf *g = mn__alloc_zero(MN_MEM_OTHER, sizeof *g);
    if (g) g->name = mn__strdup(name);
    if (!g || !g->name) {
        mn__free(g);
        return mn__fail(diag, MN_ENOMEM, "%s: out of memory", name);
    }
    *out = g;
    return MN_OK;
}

mn_status mn__gguf_open(mn__gguf **out, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__gguf *g = NULL;
    *out = NULL;
    MN_TRY(new_file(&g, path, diag));
    MN_TRY(mn__map_open(&g->map, path, diag));
    g->data = g->map.data;
    g->size = g->map.size;
    st = parse(g, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", path);
        goto done;
    }
    *out = g;
    g = NULL;
done:
    mn__gguf_close(g);
    return st;
}

mn_status mn__gguf_open_memory(mn__gguf **out, const void *data, size_t size, const char *name,
                               mn_diag *diag)
{
    mn_status st;
    mn__gguf *g = NULL;
    *out = NULL;
    MN_TRY(new_file(&g, name, diag));
    g->data = data;
    g->size = size;
    st = parse(g, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", name);
        goto done;
    }
    *out = g;
    g = NULL;
done:
    mn__gguf_close(g);
    return st;
}

void mn__gguf_close(mn__gguf *g)
{
    if (!g) return;
    mn__free(g->by_name);
    mn__free(g->tensors);
    gguf_free(g->ctx);
    mn__map_close(&g->map);
    mn__free(g->name);
    mn__free(g);
}

const char *mn__gguf_name(const mn__gguf *g)
{
    return g->name;
}

size_t mn__gguf_size(const mn__gguf *g)
{
    return g->size;
}

uint64_t mn__gguf_hash(const mn__gguf *g)
{
    return mn__hash64(g->data, g->size, 0);
}

const struct gguf_context *mn__gguf_get_context(const mn__gguf *g)
{
    return g->ctx;
}

size_t mn__gguf_n_tensor(const mn__gguf *g)
{
    return g->n_tensor;
}

const mn__gguf_tensor *mn__gguf_get_tensor(const mn__gguf *g, size_t i)
{
    assert(i < g->n_tensor);
    return &g->tensors[i];
}

const mn__gguf_tensor *mn__gguf_find_tensor(const mn__gguf *g, const char *name)
{
    const mn__gguf_tensor wanted = {.name = name}, *key = &wanted;
    if (g->n_tensor == 0) return NULL;
    const mn__gguf_tensor **found =
        bsearch(&key, g->by_name, g->n_tensor, sizeof key, compare_names);
    return found ? *found : NULL;
}
