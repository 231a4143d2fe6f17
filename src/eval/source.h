/* source.h: the rows of a task by number, whether they are read or made. A row fits what its task
 * asks for: answers, or for MN__ASKS_CHOICE a choice. */
#ifndef MN_EVAL_SOURCE_H
#define MN_EVAL_SOURCE_H

#include "eval/maker.h"

typedef struct mn__source_params {
    const char *data;         /* data directory; NULL: none */
    const char *own;          /* path of the rows of a task over the user's own file */
    const char *text;         /* path of a text in place of the maker's own; NULL: its own */
    const mn__tokens *tokens; /* for made rows; borrowed until the source is closed */
    mn__rows_params rows;
    /* Made rows: */
    size_t length; /* most tokens of a filled prompt; 0: rows are read (the answer's room, max_new,
                      is the caller's to leave, as RULER does) */
    uint64_t seed;
    uint64_t n_made; /* how many */
    size_t n_depth;  /* row i has depth i % n_depth of so many even steps from 0 to 1; 0: drawn */
} mn__source_params;

typedef struct mn__source mn__source;

/* Whether the files are there that rows are read from, or made of. MN_EINPUT: one is not (the
 * sentence says where to put it). */
mn_status mn__source_look(mn__task_ref ref, const mn__source_params *params, mn_diag *diag);
/* set NULL: a task over the user's own file. MN_EINPUT: a file of rows or the text is not there
 * (the sentence says where to put it), or cannot be read; MN_EUSAGE: a length for a task that is
 * only read, none for one that is only made, a text for one that draws on none; MN_ENOMEM. */
mn_status mn__source_open(mn__source **out, mn__task_ref ref, const mn__source_params *params,
                          mn_diag *diag);
/* Row i, the caller's to free; *found is false beyond the last. Rows that are read are cheapest in
 * rising order: an earlier one begins anew. Errors as mn__rows_next and mn__make_row; MN_EINPUT
 * also for a row of the wrong kind, which skip_bad skips too. Made rows do not depend on what was
 * asked before. One thread at a time for a source. */
mn_status mn__source_get(mn__source *s, uint64_t i, mn__row *out, bool *found, mn_diag *diag);
/* Malformed lines skipped so far, and what was wrong with the first ("" if nothing). */
uint64_t mn__source_n_bad(const mn__source *s);
const char *mn__source_first_bad(const mn__source *s);
void mn__source_close(mn__source *s); /* NULL is fine */

#endif
