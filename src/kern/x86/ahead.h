/* ahead.h: asking for what is read next, where few rows (decode) wait for memory rather than for
 * arithmetic. One stream leaves the processor idle: its prefetcher follows each page of 4 KB on its
 * own and only so far. So the next MN__AHEAD parts come at once, a share of each in the time of one
 * part: the first of the one furthest ahead, ..., the last of the next one. */
#ifndef MN_KERN_AHEAD_H
#define MN_KERN_AHEAD_H

#include <immintrin.h>
#include "kern/kern.h"

struct ahead {
    const char *at[MN__AHEAD]; /* NULL: nothing to ask for */
};

static const struct ahead ahead_none = {{0}};

/* While part i is read, of n_part parts that lie `offset` bytes into their pages and are `bytes`
 * long; then: the parts that follow the last. */
static inline struct ahead ahead_of(const void *const *page, size_t i, size_t n_part, size_t offset,
                             size_t bytes, const void *const *then)
{
    struct ahead a = ahead_none;
    for (size_t j = 0; j < MN__AHEAD; j++) {
        size_t next = i + 1 + j;
        const char *part = next < n_part ? (const char *)page[next] + offset
                           : then        ? then[next - n_part]
                                         : NULL;
        if (part) a.at[j] = part + (MN__AHEAD - 1 - j) * (bytes / MN__AHEAD);
    }
    return a;
}

/* Past what has been asked for. */
static inline void ahead_pass(struct ahead *a, size_t bytes)
{
    for (size_t j = 0; j < MN__AHEAD; j++)
        if (a->at[j]) a->at[j] += bytes;
}

#endif
