/* draft.h: text that grows while it is written. */
#ifndef MN_EVAL_DRAFT_H
#define MN_EVAL_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

/* Starts as all zero. When the heap refuses once, what follows is dropped and `failed` stays set,
 * so that it is asked once, at the end. */
typedef struct mn__draft {
    char *text; /* [n] and a NUL behind it; NULL while nothing was written. May hold NUL bytes */
    size_t n, cap;
    bool failed;
} mn__draft;

void mn__draft_put(mn__draft *d, const char *bytes, size_t n);
void mn__draft_str(mn__draft *d, const char *text);
void mn__draft_fmt(mn__draft *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Append a document, compact, keys sorted. doc NULL (no memory for it): the draft has failed.
 * Returns whether all is well. */
struct json_t;
bool mn__draft_json(mn__draft *d, const struct json_t *doc);
/* Back to empty; the memory stays for what comes next. */
void mn__draft_clear(mn__draft *d);
void mn__draft_free(mn__draft *d);
/* The text, "" when nothing was written. */
const char *mn__draft_text(const mn__draft *d);

#endif
