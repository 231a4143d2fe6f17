/** @file policy.h  Which tokens a session forgets, and when.
 *
 *  A policy is written as a word with options, `name:key=value,key=value` (`snapkv:window=32`,
 *  `adakv:base=expected,eps=0.01`, `tova:pool=7`). docs/policies.md lists names, papers, options
 *  and defaults; mn_policy_list and mn_policy_option_list give the same to a program. */
#ifndef MNEME_POLICY_H
#define MNEME_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mn_policy_info {
    const char *name;    /* "snapkv" */
    const char *summary; /* one line */
    const char *paper;   /* "arXiv 2404.14469" or "" */
    const char *options; /* "window=32 pool=7 ...": its own, and other defaults of common ones */
} mn_policy_info;

/** An option that every policy understands. */
typedef struct mn_policy_option {
    const char *key, *value; /* "pool", default "1" */
    const char *meaning;     /* a line or more */
} mn_policy_option;

/** An option of one policy; its default stands in mn_policy_info.options. */
typedef struct mn_policy_own_option {
    const char *policy, *key; /* "critical", "norm" */
    const char *meaning;      /* a line or more, with what departs from the paper */
} mn_policy_own_option;

/** All policies, in registry order; *n receives their number. The array is static. */
MN_API const mn_policy_info *mn_policy_list(size_t *n);
/** The common options; *n receives their number. The array is static. */
MN_API const mn_policy_option *mn_policy_option_list(size_t *n);
/** The options of single policies; *n receives their number. The array is static. */
MN_API const mn_policy_own_option *mn_policy_own_option_list(size_t *n);
/** Is this a policy the library knows, with options it knows? MN_EUSAGE with a sentence (nearest
 * name) if not. */
MN_API mn_status mn_policy_check(const char *spec, mn_diag *diag);

/** *needs: is it refused without a budget? Not where it keeps everything, nor where its scores say
 * what goes (a NAMM's, by threshold). Reads a NAMM's file.
 *  @return as mn_policy_check; MN_EIO, MN_EINPUT (the file). */
MN_API mn_status mn_policy_needs_budget(const char *spec, bool *needs, mn_diag *diag);

/** What records call a policy: as it is written, but a file stands there by its name and a hash of
 * its bytes instead of its path, `namm:file=any.namm.gguf#5d1c0a9be3f47720`. Reads that file.
 *  @return MN_OK; MN_ERANGE (more than cap bytes with the end); as mn_policy_check; MN_EIO,
 * MN_EINPUT (the file). */
MN_API mn_status mn_policy_name(const char *spec, char *out, size_t cap, mn_diag *diag);
/** Bytes of the first policy of a list with commas: in `snapkv:window=32,pool=7,h2o` a piece like
 * `pool=7` goes on with the policy before it. Behind it stands a comma or the end. */
MN_API size_t mn_policy_first(const char *list);

#ifdef __cplusplus
}
#endif
#endif
