/* log_file.c: what all logs share: the file's kind, statements kept ready, rows in and out. */
#include "base/log_file.h"

#include <math.h>
#include <sqlite3.h>

#include "base/diag.h"
#include "base/heap.h"

enum { WAIT_MS = 10000 };

struct mn__log_file {
    sqlite3 *db;
    char *path;
    const mn__log_kind *kind;
    sqlite3_stmt **add; /* [kind->n_add] */
    bool writes;
};

/* ---- failures ---- */

static mn_status failed(const mn__log_file *l, int rc, mn_diag *diag)
{
    int kind = rc & 0xff;
    if (kind == SQLITE_NOMEM) return mn__fail(diag, MN_ENOMEM, "%s: no memory for it", l->path);
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
        return mn__fail(diag, MN_EFAIL, "%s: another process has held it for %d seconds", l->path,
                        WAIT_MS / 1000);
    if (kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT || kind == SQLITE_ERROR)
        return mn__fail(diag, MN_EINPUT, "%s: not a log of a run, or damaged: %s", l->path,
                        sqlite3_errmsg(l->db));
    return mn__fail(diag, MN_EIO, "%s: reading or writing failed: %s", l->path,
                    sqlite3_errmsg(l->db));
}

mn_status mn__log_file_exec(const mn__log_file *l, const char *sql, mn_diag *diag)
{
    int rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MN_OK : failed(l, rc, diag);
}

void mn__log_file_roll_back(const mn__log_file *l)
{
    (void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
}

static mn_status get_number(const mn__log_file *l, const char *text, int64_t *out, mn_diag *diag)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, text, -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? MN_OK : failed(l, rc, diag);
}

/* ---- open and close ---- */

static mn_status open_file(mn__log_file **out, const char *path, const mn__log_kind *kind,
                           bool writes, mn_diag *diag)
{
    const int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    mn__log_file *l = mn__alloc_zero(MN_MEM_OTHER, sizeof *l);
    *out = l;
    if (l) l->path = mn__strdup(path);
    if (l) l->add = mn__alloc_zero(MN_MEM_OTHER, kind->n_add * sizeof(sqlite3_stmt *));
    if (!l || !l->path || !l->add)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory to open it", path);
    l->kind = kind;
    l->writes = writes;
    int rc = sqlite3_open_v2(path, &l->db, flags, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(l->db, WAIT_MS);
    return rc == SQLITE_OK ? MN_OK : failed(l, rc, diag);
}

/* A new file becomes a log; another must be one. */
static mn_status check_kind(const mn__log_file *l, mn_diag *diag)
{
    mn_status st;
    char text[96];
    int64_t application = 0, version = 0, n_table = 0;
    MN_TRY(get_number(l, "PRAGMA application_id", &application, diag));
    MN_TRY(get_number(l, "PRAGMA user_version", &version, diag));
    MN_TRY(get_number(l, "SELECT count(*) FROM sqlite_schema", &n_table, diag));
    if (application == l->kind->application && version == l->kind->version) return MN_OK;
    if (application == l->kind->application)
        return mn__fail(diag, MN_EINPUT, "%s: a log of version %d wanted, %lld found", l->path,
                        (int)l->kind->version, (long long)version);
    if (n_table || !l->writes)
        return mn__fail(diag, MN_EINPUT, "%s: not the log of %s", l->path, l->kind->of);
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             (int)l->kind->application, (int)l->kind->version);
    MN_TRY(mn__log_file_exec(l, "BEGIN IMMEDIATE", diag));
    MN_TRY(mn__log_file_exec(l, l->kind->schema, diag));
    MN_TRY(mn__log_file_exec(l, text, diag));
    MN_TRY(mn__log_file_exec(l, "COMMIT", diag));
done:
    return st;
}

/* Statements are compiled when a log is opened, which also shows that its tables are ours. */
static mn_status make_ready(const mn__log_file *l, mn_diag *diag)
{
    /* A log, so that readers do not wait for the writer; each row must outlive the state that
     * follows it. */
    mn_status st =
        mn__log_file_exec(l, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", diag);
    for (size_t i = 0; i < l->kind->n_add && st == MN_OK; i++) {
        int rc = sqlite3_prepare_v2(l->db, l->kind->add[i], -1, &l->add[i], NULL);
        if (rc != SQLITE_OK) st = failed(l, rc, diag);
    }
    return st;
}

mn_status mn__log_file_open(mn__log_file **out, const char *path, const mn__log_kind *kind,
                            bool writes, mn_diag *diag)
{
    mn_status st;
    mn__log_file *l = NULL;
    *out = NULL;
    MN_TRY(open_file(&l, path, kind, writes, diag));
    MN_TRY(check_kind(l, diag));
    if (writes) MN_TRY(make_ready(l, diag));
    *out = l;
    l = NULL;
done:
    mn__log_file_close(l);
    return st;
}

void mn__log_file_close(mn__log_file *l)
{
    if (!l) return;
    const bool is_ready = l->add && l->kind && l->kind->n_add && l->add[0];
    for (size_t i = 0; l->add && l->kind && i < l->kind->n_add; i++) sqlite3_finalize(l->add[i]);
    /* So that readers leave nothing beside it; with readers now, it stays as it is. */
    if (is_ready) (void)sqlite3_exec(l->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    sqlite3_close(l->db);
    mn__free(l->add);
    mn__free(l->path);
    mn__free(l);
}

/* ---- rows in ---- */

mn__log_row mn__log_row_begin(const mn__log_file *l, size_t which)
{
    sqlite3_reset(l->add[which]);
    return (mn__log_row){l, which, 0, SQLITE_OK};
}

static void keep(mn__log_row *r, int rc)
{
    if (r->rc == SQLITE_OK) r->rc = rc;
}

void mn__log_row_integer(mn__log_row *r, uint64_t x)
{
    keep(r, sqlite3_bind_int64(r->log->add[r->which], ++r->at, (sqlite3_int64)x));
}

void mn__log_row_real(mn__log_row *r, double x)
{
    keep(r, sqlite3_bind_double(r->log->add[r->which], ++r->at, x));
}

void mn__log_row_text(mn__log_row *r, const char *x)
{
    keep(r, sqlite3_bind_text(r->log->add[r->which], ++r->at, x, -1, SQLITE_STATIC));
}

mn_status mn__log_row_add(mn__log_row *r, mn_diag *diag)
{
    sqlite3_stmt *s = r->log->add[r->which];
    int rc = r->rc == SQLITE_OK ? sqlite3_step(s) : r->rc;
    mn_status st = rc == SQLITE_DONE ? MN_OK : failed(r->log, rc, diag);
    sqlite3_reset(s);
    return st;
}

/* ---- rows out ---- */

static json_t *column_json(sqlite3_stmt *s, int i)
{
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER: return json_integer(sqlite3_column_int64(s, i));
    case SQLITE_FLOAT: {
        double x = sqlite3_column_double(s, i);
        return isfinite(x) ? json_real(x) : json_null();
    }
    case SQLITE_TEXT: return json_string((const char *)sqlite3_column_text(s, i));
    default: return json_null();
    }
}

mn_status mn__log_file_read(const mn__log_file *l, const char *query, json_t *out, mn_diag *diag)
{
    sqlite3_stmt *s = NULL;
    bool has_room = true;
    int rc = sqlite3_prepare_v2(l->db, query, -1, &s, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        if ((rc = sqlite3_step(s)) != SQLITE_ROW) break;
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(s); i++)
            has_room &= !json_object_set_new(row, sqlite3_column_name(s, i), column_json(s, i));
        has_room &= !json_array_append_new(out, row);
    }
    sqlite3_finalize(s);
    if (!has_room) return mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", l->path);
    return rc == SQLITE_DONE ? MN_OK : failed(l, rc, diag);
}
