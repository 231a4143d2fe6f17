/* describe.h: what describe.c and its parts share: telling one fact to the caller's function. */
#ifndef MN_DESCRIBE_H
#define MN_DESCRIBE_H

#include "gguf/gguf_file.h"
#include "mneme/inspect.h"

typedef struct mn__teller {
    mn_describe_fn fn;
    void *ctx;
} mn__teller;

/* Name and value reach the caller without control characters, cut to 255 and 1023 bytes. */
void mn__tell(const mn__teller *t, const char *section, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* describe_namm.c: sections "file", "namm", "note". MN_EINPUT, MN_ENOMEM. */
mn_status mn__describe_namm(const mn__gguf *g, const mn__teller *t, mn_diag *diag);

#endif
