/** @file mem.h  The memory ledger: every byte that the library holds, by what it is for. */
#ifndef MNEME_MEM_H
#define MNEME_MEM_H

#include <stddef.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* name, what it counts */
#define MN_MEM_MAP(X)                                                                 \
    X(WEIGHTS, "weights") /* mapped files (whole) and packed or dequantised copies */ \
    X(KV, "kv")           /* pages of K and V and their positions */                  \
    X(SCRATCH, "scratch") /* activations and workspaces of a session */               \
    X(POLICY, "policy")   /* per-token and per-lane state of cache policies */        \
    X(GRAD, "grad")                                                                   \
    X(OPT, "opt")                                                                     \
    X(OTHER, "other")

typedef enum mn_mem_tag {
#define X(name, text) MN_MEM_##name,
    MN_MEM_MAP(X)
#undef X
        MN_MEM_COUNT
} mn_mem_tag;

/** Bytes held now and the most ever held, per tag and in total. */
typedef struct mn_mem_stats {
    size_t now[MN_MEM_COUNT], peak[MN_MEM_COUNT];
    size_t total_now, total_peak;
} mn_mem_stats;

/** Snapshot of the ledger of this process. Thread-safe. */
MN_API void mn_mem_get_stats(mn_mem_stats *out);
/** Set all peaks to what is held now. */
MN_API void mn_mem_reset_peak(void);
/** Name of a tag ("kv"). */
MN_API const char *mn_mem_tag_name(mn_mem_tag tag);
/** Refuse allocations that would lift the total above `bytes` (0: no limit). They fail with
 * MN_ENOMEM. Mapped weight files do not count: the system may drop their pages at any time. */
MN_API void mn_mem_set_limit(size_t bytes);
MN_API size_t mn_mem_get_limit(void);
/** Replace malloc and free (both or neither NULL). `alloc` returns 64-byte aligned memory or NULL.
 *  Call before anything else of the library. */
MN_API void mn_mem_set_allocator(void *(*alloc)(size_t bytes, void *ctx),
                                 void (*release)(void *p, void *ctx), void *ctx);
/** Resident size of this process in bytes, now and the most ever (0 where the system does not
 * tell). */
MN_API size_t mn_mem_resident(void);
MN_API size_t mn_mem_resident_peak(void);

#ifdef __cplusplus
}
#endif
#endif
