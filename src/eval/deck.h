/* deck.h: the prompts of a run: tasks, each at its lengths, opened and counted once, and dealt row
 * by row over all of them. */
#ifndef MN_EVAL_DECK_H
#define MN_EVAL_DECK_H

#include "eval/source.h"
#include "mneme/eval.h"

typedef struct mn__deck_unit mn__deck_unit;

typedef struct mn__deck_params {
    const mn__task_ref *task; /* [n_task] */
    size_t n_task;
    mn__source_params source;
    const size_t *length; /* [n_length] of made rows; tasks that are only read take none */
    size_t n_length;
    uint64_t limit; /* most rows of a task, of one made at given depths: at each; 0: all, of made
                       ones source.n_made, or one at each depth */
    mn_eval_split split;
    void (*note)(const char *sentence, void *ctx); /* what was left out; NULL: nobody asks */
    /* Whether a row that is there counts, asked of each once in the order of prompts; NULL: all do.
     * The limit counts rows before that. */
    mn_status (*wants)(void *ctx, const mn__deck_unit *u, const mn__row *row, bool *wanted,
                       mn_diag *diag);
    void *ctx;
} mn__deck_params;

/* A task at a length. */
struct mn__deck_unit {
    mn__source *source;
    mn__task_ref ref;
    size_t length; /* 0: rows are read */
    uint64_t n_row;
    uint64_t *row; /* [n_row] numbers in the source; NULL: 0, 1, ... */
};

typedef struct mn__deck mn__deck;

/* params and what they point to are borrowed. Rows that are read are counted by reading them: what
 * is wrong with a file shows before hours of work. Of a set that was named, tasks whose files are
 * not there are left out with a note, unless nothing would be left of it. Errors as mn__source_open
 * and mn__source_get. */
mn_status mn__deck_open(mn__deck **out, const mn__deck_params *params, mn_diag *diag);
void mn__deck_close(mn__deck *d); /* NULL is fine */

size_t mn__deck_n_unit(const mn__deck *d);
const mn__deck_unit *mn__deck_get_unit(const mn__deck *d, size_t i);
/* Prompts: row by row over all units, so that a run that is cut short has seen some of each. */
uint64_t mn__deck_n_item(const mn__deck *d);
uint64_t mn__deck_n_bad(const mn__deck *d);        /* malformed lines that were left out */
const char *mn__deck_first_bad(const mn__deck *d); /* what was wrong with the first, or "" */

typedef struct mn__deck_item {
    size_t unit;
    uint64_t row; /* its number in the source */
} mn__deck_item;
mn__deck_item mn__deck_get_item(const mn__deck *d, uint64_t i);
/* The row of item i, the caller's to free. One thread at a time. */
mn_status mn__deck_get_row(mn__deck *d, uint64_t i, mn__row *out, bool *found, mn_diag *diag);

/* The side that a row is on: all questions about one text stand on the same. */
mn_eval_split mn__row_split(const mn__row *row);

#endif
