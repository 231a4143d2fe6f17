/* pool.h: fixed-size pages for K and V. Free pages go back to the system at once (madvise), so that
 * the ledger and the resident size both show what was forgotten. Pages are counted by reference;
 * all calls are thread-safe. */
#ifndef MN_POOL_H
#define MN_POOL_H

#include <stddef.h>
#include "cache/cache.h"

/* page bytes for a type and head size: K and V of 64 slots, rounded up to the system page. */
size_t mn__pool_page_bytes(mn__kv_type type, size_t head_dim);
mn_status mn__pool_new(mn__pool **out, mn__kv_type type, size_t head_dim, mn_diag *diag);
void mn__pool_free(mn__pool *p);
/* n pages into page[0..n), all or none; contents zero. MN_ENOMEM over the ledger's limit. */
mn_status mn__pool_take(mn__pool *p, void **page, size_t n);
void mn__pool_share(mn__pool *p, void *page); /* one more reference */
void mn__pool_give(mn__pool *p, void *page);  /* one less; the last returns the memory */
int mn__pool_is_shared(const mn__pool *p, const void *page);
size_t mn__pool_bytes(const mn__pool *p); /* held by live pages, each once */
/* Bookkeeping (OTHER) of the pool and its slabs while n_page pages live: for plans. */
size_t mn__pool_overhead_bytes(mn__kv_type type, size_t head_dim, size_t n_page);

#endif
