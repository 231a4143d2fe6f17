/* heap_internal.h: what the files of the ledger share among themselves. */
#ifndef MN_BASE_HEAP_INTERNAL_H
#define MN_BASE_HEAP_INTERNAL_H

#include <stddef.h>

/* Mapped weight files: counted under WEIGHTS, never refused, and left out of what the limit is
 * held against. */
void mn__ledger_map(size_t bytes);
void mn__ledger_unmap(size_t bytes);

/* Under the address sanitizer: forbid or allow a range. Otherwise nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define MN__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MN__ASAN 1
#endif
#endif

#ifdef MN__ASAN
#include <sanitizer/asan_interface.h>
#define MN__POISON(p, n)   __asan_poison_memory_region(p, n)
#define MN__UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define MN__RED_ZONE       ((size_t)64)
#else
#define MN__POISON(p, n)   ((void)(p), (void)(n))
#define MN__UNPOISON(p, n) ((void)(p), (void)(n))
#define MN__RED_ZONE       ((size_t)0)
#endif

#endif
