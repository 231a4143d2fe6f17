/** @file status.h  What every call returns, and the sentence that goes with a failure. */
#ifndef MNEME_STATUS_H
#define MNEME_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define MN_API
#else
#define MN_API __attribute__((visibility("default")))
#endif

/* name, exit code of the command, text */
#define MN_STATUS_MAP(X)                              \
    X(OK, 0, "done")                                  \
    X(EFAIL, 1, "failed")                             \
    X(EUSAGE, 2, "wrong usage")                       \
    X(EINPUT, 3, "bad input")                         \
    X(ERANGE, 3, "value out of range")                \
    X(EIO, 1, "reading or writing failed")            \
    X(ENOMEM, 4, "out of memory")                     \
    X(EBUDGET, 4, "over budget")                      \
    X(EREQUIRE, 5, "a required threshold was missed") \
    X(ECANCEL, 130, "interrupted")

typedef enum mn_status {
#define X(name, code, text) MN_##name,
    MN_STATUS_MAP(X)
#undef X
        MN_STATUS_COUNT
} mn_status;

/** The sentence of a failure: what (file, offset, tensor, option), what was wanted, what was found.
 *  Owned by the caller; a call that succeeds leaves it alone. Always NUL-terminated. */
typedef struct mn_diag {
    char text[1024];
} mn_diag;

/** Short text of a status ("bad input"); never NULL. */
MN_API const char *mn_status_text(mn_status st);
/** Exit code that the command uses for a status. */
MN_API int mn_status_exit_code(mn_status st);
/** Version of the library, "major.minor.patch". */
MN_API const char *mn_version(void);

#ifdef __cplusplus
}
#endif
#endif
