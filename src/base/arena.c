/* arena.c: one block handed out piece by piece and taken back all at once. `high` remembers the
 * most ever used, so that a test can hold the plan against it. Under the address sanitizer
 * whatever is not handed out is forbidden. */
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
    /* `used` counts whole pieces and may pass `size` by the rounding of the last one. */
    if (a->used > a->size || bytes > a->size - a->used) return NULL;
    uint8_t *p = a->data + a->used;
    a->used += (bytes + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
    if (a->used > a->high) a->high = a->used;
    MN__UNPOISON(p, bytes);
    return p;
}

void mn__arena_reset(mn__arena *a)
{
    MN__POISON(a->data, a->size);
    a->used = 0;
}

void mn__arena_fini(mn__arena *a)
{
    if (a->data) MN__UNPOISON(a->data, a->size);
    mn__free(a->data);
    *a = (mn__arena){0};
}
