/* arena.c: one block handed out piece by piece and given back as a whole, or the measure of one.
 * Under the address sanitizer whatever is not handed out is forbidden. */
#include "base/heap.h"
#include "base/heap_internal.h"

enum { PIECE_ALIGN = 64 };

mn_status mn__arena_init(mn__arena *a, mn_mem_tag tag, size_t bytes)
{
    *a = (mn__arena){0};
    uint8_t *data = mn__alloc(tag, bytes);
    if (!data) return MN_ENOMEM;
    *a = (mn__arena){.data = data, .size = bytes};
    MN__POISON(data, bytes);
    return MN_OK;
}

void *mn__arena_take(mn__arena *a, size_t bytes)
{
    size_t at = a->used, piece = (bytes + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
    /* `used` counts whole pieces and may pass `size` by the rounding of the last one. */
    if (a->data && (at > a->size || bytes > a->size - at)) return NULL;
    a->used += piece;
    if (!a->data) return NULL;
    MN__UNPOISON(a->data + at, bytes);
    return a->data + at;
}

void mn__arena_fini(mn__arena *a)
{
    if (a->data) MN__UNPOISON(a->data, a->size);
    mn__free(a->data);
    *a = (mn__arena){0};
}
