/* diag.h: filling the caller's mn_diag, and the one way to leave a function on failure. */
#ifndef MN_BASE_DIAG_H
#define MN_BASE_DIAG_H

#include "mneme/status.h"

/* Write the sentence (diag may be NULL) and return `st`, so that `return mn__fail(...)` reads as
 * one thought. */
mn_status mn__fail(mn_diag *diag, mn_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "prefix: " in front of what is there. */
void mn__diag_prefix(mn_diag *diag, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Keep the status in the local `st` and go to the exit label `done` on failure. */
#define MN_TRY(call)                \
    do {                            \
        st = (call);                \
        if (st != MN_OK) goto done; \
    } while (0)

/* Text from a file or a user must not drive a terminal: `instead` of each control character. */
void mn__make_printable(char *s, char instead);

/* The known name nearest to `word` (edit distance), or NULL when none is near. names ends with
 * NULL. */
const char *mn__nearest(const char *word, const char *const *names);

#endif
