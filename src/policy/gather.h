/* gather.h: a scorer that never scores. While a prompt is read once under the full cache, it
 * gathers what several policies must see, each into a part of the state of its own, so that forks
 * of the cache may go on under any of them as if they had read the prompt themselves. */
#ifndef MN_GATHER_H
#define MN_GATHER_H

#include "cache/cache.h"
#include "policy/evict.h"

typedef struct mn__gather mn__gather;

/* Parts for n policies, by their specs; shape is without policy state. MN_EUSAGE: an unknown policy
 * or option. MN_ENOMEM. */
mn_status mn__gather_new(mn__gather **out, const char *const *spec, size_t n,
                         const mn__cache_shape *shape, mn_diag *diag);
void mn__gather_free(mn__gather *g); /* NULL is fine */
const mn__scorer *mn__gather_scorer(const mn__gather *g);
/* Where the state of a policy with p's options lies; NULL: it was not gathered for. */
const mn__state_part *mn__gather_find(const mn__gather *g, const mn__policy *p);
/* The policies gathered for: different ones, without those that see nothing (full). */
size_t mn__gather_count(const mn__gather *g);
const mn__policy *mn__gather_policy(const mn__gather *g, size_t i);

#endif
