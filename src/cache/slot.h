/* slot.h: one token's K and V inside the blocks of a page (layouts: kern/kern.h), moved as raw
 * elements so that nothing is rounded twice. Private to the cache. */
#ifndef MN_SLOT_H
#define MN_SLOT_H

#include "cache/cache.h"

enum { MN__HEAD_DIM_MAX = 512 }; /* largest head size: rows of one head live on the stack */

/* Of one channel of a key or value. */
size_t mn__kv_element_bytes(mn__kv_type type);

/* Copy n consecutive slots, each run inside one page of heads of size d. Source and destination
 * may be one page when the slots move down (to <= from). */
void mn__slot_move(mn__kv_type type, size_t d, void *dst, size_t to, const void *src, size_t from,
                   size_t n);
/* The key of slot i as it is stored, its d elements side by side, out of a page and into it. */
void mn__slot_get_raw(mn__kv_type type, size_t d, const void *page, size_t i, void *raw);
void mn__slot_put_raw(mn__kv_type type, size_t d, void *page, size_t i, const void *raw);
/* The same for the value of slot i. */
void mn__slot_put_raw_value(mn__kv_type type, size_t d, void *page, size_t i, const void *raw);
/* n slots of an 8-bit page from slot i as rows [n][d]; k or v may be NULL. scale_k, scale_v [n] */
void mn__slot_get_q8(const void *page, size_t i, size_t n, size_t d, const float *scale_k,
                     const float *scale_v, float *k, float *v);

#endif
