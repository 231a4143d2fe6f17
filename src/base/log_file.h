/* log_file.h: a log of rows as one SQLite file, which grows by transactions. Statuses beside those
 * that are named: MN_EINPUT (no log of the kind, or of another version), MN_EIO, MN_EFAIL (held by
 * another process), MN_ENOMEM; the sentence names the file. */
#ifndef MN_BASE_LOG_FILE_H
#define MN_BASE_LOG_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

typedef struct mn__log_file mn__log_file;

/* What a log holds. Borrowed while one is open. */
typedef struct mn__log_kind {
    int32_t application, version; /* of the file */
    const char *of;               /* "an evolution", for sentences */
    const char *schema;           /* CREATE TABLE ...; */
    const char *const *add;       /* [n_add] statements that add a row each */
    size_t n_add;
} mn__log_kind;

/* Open to write, made when absent; or to read, which changes nothing. */
mn_status mn__log_file_open(mn__log_file **out, const char *path, const mn__log_kind *kind,
                            bool writes, mn_diag *diag);
void mn__log_file_close(mn__log_file *l); /* NULL is fine */

/* SQL without results: BEGIN IMMEDIATE, COMMIT, DELETE. */
mn_status mn__log_file_exec(const mn__log_file *l, const char *sql, mn_diag *diag);
/* Take back what BEGIN began, after a failure that is told. */
void mn__log_file_roll_back(const mn__log_file *l);

/* A row for kind->add[which]: its values in their order, then mn__log_row_add. */
typedef struct mn__log_row {
    const mn__log_file *log;
    size_t which;
    int at, rc;
} mn__log_row;
mn__log_row mn__log_row_begin(const mn__log_file *l, size_t which);
void mn__log_row_integer(mn__log_row *r, uint64_t x);
void mn__log_row_real(mn__log_row *r, double x);      /* NAN becomes NULL */
void mn__log_row_text(mn__log_row *r, const char *x); /* borrowed until the row is added */
mn_status mn__log_row_add(mn__log_row *r, mn_diag *diag);

/* All rows of a query, each an object, behind what `out` holds. */
mn_status mn__log_file_read(const mn__log_file *l, const char *query, json_t *out, mn_diag *diag);

#endif
