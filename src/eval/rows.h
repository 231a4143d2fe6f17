/* rows.h: rows of an evaluation set, one JSON object a line, from .jsonl, .jsonl.xz, .jsonl.zst.
 *
 * A row asks for an answer:   context, input (or question), answers (or answer): texts or numbers,
 * or is a choice:             context or contexts, continuations, gold,
 * and may tell of itself:     all_classes (or options), language, dataset (or task), _id (or id,
 *                             source_id), length, depth, max_tokens. Other keys are passed over. */
#ifndef MN_EVAL_ROWS_H
#define MN_EVAL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"

/* Texts are UTF-8 without NUL bytes, NUL-terminated, "" when the row has none. */
typedef struct mn__row {
    const char *context, *input;
    const char *const *answers; /* [n_answer] */
    size_t n_answer;
    const char *const *classes; /* [n_class] */
    size_t n_class;
    const char *const *contexts;      /* [n_choice], equal ones when the row has one `context` */
    const char *const *continuations; /* [n_choice] */
    size_t n_choice, gold;            /* n_choice 0: no choice; gold < n_choice */
    const char *id, *dataset, *language;
    int64_t length, max_tokens; /* as the set says; 0: it does not */
    double depth;               /* of what is asked for in the context, 0 to 1; NAN: not told */
    uint64_t line;              /* in the file, from 1; 0: made, not read */
    void *block;                /* owns all of the above */
} mn__row;

/* A copy of `view` in one block (view->block is not looked at). MN_ENOMEM. */
mn_status mn__row_copy(mn__row *out, const mn__row *view, mn_diag *diag);
void mn__row_free(mn__row *row); /* one of zeros is fine */

/* Of all that an answer to the row is scored by: answers, classes, question, continuations and
 * which of them is right. */
uint64_t mn__row_hash(const mn__row *row);

/* One line's object. MN_EINPUT with a sentence that begins with the key or says why it is no JSON;
 * `where` goes in front. */
mn_status mn__row_parse(mn__row *out, const char *line, size_t n, const char *where, mn_diag *diag);

typedef struct mn__rows_params {
    bool skip_bad;      /* count malformed lines instead of failing */
    size_t max_line;    /* bytes; 0: 64 MiB */
    uint64_t max_bytes; /* of the whole set, unpacked; 0: 16 GiB */
} mn__rows_params;

typedef struct mn__rows mn__rows;

/* params NULL: the defaults. */
mn_status mn__rows_open(mn__rows **out, const char *path, const mn__rows_params *params,
                        mn_diag *diag);
/* The next row, the caller's to free; *found is false at the end (blank lines are none). MN_EINPUT:
 * a malformed line, named `path:line`, after which reading may go on; an archive that is damaged or
 * too large, where skip_bad does not help. MN_EIO, MN_ENOMEM. */
mn_status mn__rows_next(mn__rows *r, mn__row *out, bool *found, mn_diag *diag);
const char *mn__rows_path(const mn__rows *r);
uint64_t mn__rows_n_bad(const mn__rows *r);        /* lines skipped so far */
const char *mn__rows_first_bad(const mn__rows *r); /* what was wrong with the first, or "" */
void mn__rows_close(mn__rows *r);                  /* NULL is fine */

#endif
