/* tape.h: memory of one step of training: what forward keeps for backward, and scratch. It only
 * grows, and is cut back to a mark. A pass over it is first run dry: layers take what they will
 * take, compute nothing, and the tape learns how long it must be. */
#ifndef MN_LAYER_TAPE_H
#define MN_LAYER_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/heap.h"

/* One of zeros is dry: it hands out addresses that nobody may touch, and `peak` becomes the size to
 * reserve. */
typedef struct mn__tape {
    uint8_t *data;
    size_t size, used, peak;
} mn__tape;

/* `bytes` of memory in the place of a dry run; MN_ENOMEM leaves the tape dry. */
mn_status mn__tape_reserve(mn__tape *t, size_t bytes);
void mn__tape_fini(mn__tape *t); /* back to zeros */

/* n pieces of `size` bytes, 64-byte aligned, with anything in them; valid until the tape is cut
 * before them. Asking for more than the dry run did is our own bug. */
void *mn__tape_take(mn__tape *t, size_t n, size_t size);
static inline size_t mn__tape_mark(const mn__tape *t)
{
    return t->used;
}
static inline void mn__tape_cut(mn__tape *t, size_t mark)
{
    t->used = mark;
}
static inline bool mn__tape_is_dry(const mn__tape *t)
{
    return !t->data;
}

#endif
