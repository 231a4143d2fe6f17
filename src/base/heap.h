/* heap.h: all heap of the library goes through here, tagged and counted (include/mneme/mem.h). */
#ifndef MN_BASE_HEAP_H
#define MN_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/mem.h"
#include "mneme/status.h"

/* 64-byte aligned memory. NULL when the system or the limit refuses; zero bytes give a valid
 * pointer. Red zones under sanitizers. */
void *mn__alloc(mn_mem_tag tag, size_t bytes);
void *mn__alloc_zero(mn_mem_tag tag, size_t bytes);
/* n * size with checked multiplication. */
void *mn__alloc_array(mn_mem_tag tag, size_t n, size_t size);
void mn__free(void *p); /* NULL is fine; the tag is remembered in front of the block */
char *mn__strdup(const char *s);
/* Room for one more than n in *array (NULL at first), which is made anew, twice as large, when the
 * n of *cap elements of `size` bytes are full. Tag OTHER. MN_ENOMEM: all stays as it was. */
mn_status mn__grow(void *array, size_t n, size_t *cap, size_t size);
#define MN__GROW(array, n, cap) mn__grow(&(array), (n), &(cap), sizeof *(array))

/* Count bytes that come from mmap. take: MN_ENOMEM when over the limit (nothing counted then). */
mn_status mn__ledger_take(mn_mem_tag tag, size_t bytes);
void mn__ledger_give(mn_mem_tag tag, size_t bytes);

bool mn__mul_size(size_t a, size_t b, size_t *out); /* false on overflow */
bool mn__add_size(size_t a, size_t b, size_t *out);
/* Up to whole system pages, as a span of this length is counted; SIZE_MAX when that overflows. */
size_t mn__whole_pages(size_t bytes);

/* A growable array whose address space is reserved once and whose pages come and go with its
 * length, so that growing never moves or mallocs and shrinking really returns memory. Counted in
 * the ledger by whole system pages. Beyond the length a large one faults; one of at most 128 KiB
 * does so under the address sanitizer alone. */
typedef struct mn__span {
    uint8_t *data;
    size_t reserved;  /* bytes of address space */
    size_t committed; /* bytes counted in the ledger, multiple of the system page */
    mn_mem_tag tag;
} mn__span;
mn_status mn__span_init(mn__span *s, mn_mem_tag tag,
                        size_t reserve_bytes); /* reserve only; nothing counted yet */
mn_status mn__span_resize(
    mn__span *s,
    size_t bytes); /* commit up to, or give back beyond, `bytes`; MN_ENOMEM, MN_ERANGE */
void mn__span_fini(mn__span *s);

/* One block handed out piece by piece: a session's or a step's workspace. One of zeros has no block
 * and measures instead: it hands out NULL, and `used` becomes the size to plan. */
typedef struct mn__arena {
    uint8_t *data;
    size_t size, used;
} mn__arena;
mn_status mn__arena_init(mn__arena *a, mn_mem_tag tag, size_t bytes);
/* 64-byte aligned; NULL when the plan was too small. With an arena of zeros it measures a plan:
 * `used` grows, NULL is returned. */
void *mn__arena_take(mn__arena *a, size_t bytes);
void mn__arena_fini(mn__arena *a);

#endif
