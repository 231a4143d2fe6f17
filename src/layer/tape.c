/* tape.c: a block that is handed out upwards, or the measure of one. */
#include "layer/tape.h"

#include <assert.h>

enum { PIECE_ALIGN = 64 };

mn_status mn__tape_reserve(mn__tape *t, size_t bytes)
{
    uint8_t *data = mn__alloc(MN_MEM_SCRATCH, bytes);
    if (!data) return MN_ENOMEM;
    mn__tape_fini(t);
    *t = (mn__tape){.data = data, .size = bytes};
    return MN_OK;
}

void mn__tape_fini(mn__tape *t)
{
    mn__free(t->data);
    *t = (mn__tape){0};
}

void *mn__tape_take(mn__tape *t, size_t n, size_t size)
{
    size_t at = t->used, bytes = 0;
    bool fits = mn__mul_size(n, size, &bytes) && mn__add_size(bytes, PIECE_ALIGN - 1, &bytes);
    bytes &= ~(size_t)(PIECE_ALIGN - 1);
    fits = fits && mn__add_size(at, bytes, &t->used);
    if (!fits) t->used = SIZE_MAX; /* no block is that long: the reservation will be refused */
    if (t->used > t->peak) t->peak = t->used;
    if (!t->data) return (void *)((uintptr_t)PIECE_ALIGN + (fits ? at : 0));
    assert(t->used <= t->size);
    return t->data + at;
}
