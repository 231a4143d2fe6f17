/** @file inspect.h  What is in a file: models, sessions and everything else this library writes. */
#ifndef MNEME_INSPECT_H
#define MNEME_INSPECT_H

#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One fact: section "file", "key", "tensor" (models), "lane" (sessions), "namm" or "note" (NAMMs);
 * name and value are borrowed during the call. */
typedef void (*mn_describe_fn)(const char *section, const char *name, const char *value, void *ctx);
/** Describe a GGUF file (a model or a NAMM) or a session file; nothing is loaded or run.
 *  @return MN_OK; MN_EINPUT (neither, or damaged: the sentence says where); MN_EIO. */
MN_API mn_status mn_file_describe(const char *path, mn_describe_fn fn, void *ctx, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
