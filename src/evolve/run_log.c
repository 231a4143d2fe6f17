/* run_log.c: the log of a run. */
#include "evolve/run_log.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { APPLICATION = 0x6d6e6c67 /* "mnlg" */, VERSION = 1, WAIT_MS = 10000 };

/* kept_share: of all tokens. seconds: of the generation. prompts: JSON array of numbers. */
static const char *const schema =
    "CREATE TABLE stage(stage INTEGER PRIMARY KEY, tasks TEXT NOT NULL, fidelity TEXT NOT NULL,"
    " generation INTEGER NOT NULL, n_item INTEGER NOT NULL, held_out REAL,"
    " held_out_kept REAL) STRICT;"
    "CREATE TABLE generation(generation INTEGER PRIMARY KEY, stage INTEGER NOT NULL, best REAL,"
    " mean REAL, median REAL, sigma REAL NOT NULL, axis_ratio REAL NOT NULL, kept_share REAL,"
    " held_out REAL, held_out_kept REAL, is_saved INTEGER NOT NULL, n_prompt INTEGER NOT NULL,"
    " n_left INTEGER NOT NULL, n_candidate INTEGER NOT NULL, n_failed INTEGER NOT NULL,"
    " evaluations INTEGER NOT NULL, seconds REAL NOT NULL, prompts TEXT NOT NULL) STRICT;"
    "CREATE TABLE candidate(generation INTEGER NOT NULL, candidate INTEGER NOT NULL, loss REAL,"
    " kept_share REAL, PRIMARY KEY(generation, candidate)) STRICT, WITHOUT ROWID;";

/* name, text; compiled when a log is opened, which also shows that its tables are ours. */
#define SQL(X)                                                                              \
    X(ADD_STAGE, "INSERT INTO stage(stage, tasks, fidelity, generation, n_item, held_out, " \
                 "held_out_kept) VALUES(?,?,?,?,?,?,?)")                                    \
    X(ADD_GENERATION,                                                                       \
      "INSERT INTO generation(generation, stage, best, mean, median, sigma, axis_ratio, "   \
      "kept_share, held_out, held_out_kept, is_saved, n_prompt, n_left, n_candidate, "      \
      "n_failed, evaluations, seconds, prompts) "                                           \
      "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                                        \
    X(ADD_CANDIDATE, "INSERT INTO candidate(generation, candidate, loss, kept_share) "      \
                     "VALUES(?,?,?,?)")
enum sql {
#define X(name, text) name,
    SQL(X)
#undef X
        SQL_COUNT
};
static const char *const sql_text[] = {
#define X(name, text) text,
    SQL(X)
#undef X
};

struct mn__run_log {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *sql[SQL_COUNT];
};

/* ---- failures ---- */

static mn_status failed(const mn__run_log *l, int rc, mn_diag *diag)
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

static mn_status exec(const mn__run_log *l, const char *text, mn_diag *diag)
{
    int rc = sqlite3_exec(l->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MN_OK : failed(l, rc, diag);
}

static mn_status get_number(const mn__run_log *l, const char *text, int64_t *out, mn_diag *diag)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, text, -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? MN_OK : failed(l, rc, diag);
}

/* ---- open and close ---- */

static mn_status open_file(mn__run_log **out, const char *path, int flags, mn_diag *diag)
{
    mn__run_log *l = mn__alloc_zero(MN_MEM_OTHER, sizeof *l);
    *out = l;
    if (l) l->path = mn__strdup(path);
    if (!l || !l->path) return mn__fail(diag, MN_ENOMEM, "%s: no memory to open it", path);
    int rc = sqlite3_open_v2(path, &l->db, flags, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(l->db, WAIT_MS);
    return rc == SQLITE_OK ? MN_OK : failed(l, rc, diag);
}

/* A new file becomes a log; another must be one. */
static mn_status check_kind(const mn__run_log *l, bool writes, mn_diag *diag)
{
    mn_status st;
    char text[96];
    int64_t application = 0, version = 0, n_table = 0;
    MN_TRY(get_number(l, "PRAGMA application_id", &application, diag));
    MN_TRY(get_number(l, "PRAGMA user_version", &version, diag));
    MN_TRY(get_number(l, "SELECT count(*) FROM sqlite_schema", &n_table, diag));
    if (application == APPLICATION && version == VERSION) return MN_OK;
    if (application == APPLICATION)
        return mn__fail(diag, MN_EINPUT, "%s: a log of version %d wanted, %lld found", l->path,
                        VERSION, (long long)version);
    if (n_table || !writes)
        return mn__fail(diag, MN_EINPUT, "%s: not the log of an evolution", l->path);
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION, VERSION);
    MN_TRY(exec(l, "BEGIN IMMEDIATE", diag));
    MN_TRY(exec(l, schema, diag));
    MN_TRY(exec(l, text, diag));
    MN_TRY(exec(l, "COMMIT", diag));
done:
    return st;
}

static mn_status drop_from(const mn__run_log *l, uint64_t generation, mn_diag *diag)
{
    char text[256];
    unsigned long long g = generation;
    snprintf(text, sizeof text,
             "BEGIN; DELETE FROM candidate WHERE generation >= %llu; DELETE FROM generation WHERE "
             "generation >= %llu; DELETE FROM stage WHERE generation >= %llu; COMMIT",
             g, g, g);
    return exec(l, text, diag);
}

mn_status mn__run_log_open(mn__run_log **out, const char *path, uint64_t generation, mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__run_log *l = NULL;
    MN_TRY(open_file(&l, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, diag));
    MN_TRY(check_kind(l, true, diag));
    /* A log, so that readers do not wait for the writer; each generation must outlive the state
     * that follows it. */
    MN_TRY(exec(l, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", diag));
    for (int i = 0; i < SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v2(l->db, sql_text[i], -1, &l->sql[i], NULL);
        if (rc != SQLITE_OK) MN_TRY(failed(l, rc, diag));
    }
    MN_TRY(drop_from(l, generation, diag));
    *out = l;
    l = NULL;
done:
    mn__run_log_close(l);
    return st;
}

void mn__run_log_close(mn__run_log *l)
{
    if (!l) return;
    bool writes = l->sql[0] != NULL;
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(l->sql[i]);
    /* So that readers leave nothing beside it; with readers now, it stays as it is. */
    if (writes) (void)sqlite3_exec(l->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    sqlite3_close(l->db);
    mn__free(l->path);
    mn__free(l);
}

/* ---- rows ---- */

struct binder {
    sqlite3_stmt *sql;
    int at, rc;
};

static struct binder bind_to(const mn__run_log *l, enum sql which)
{
    sqlite3_reset(l->sql[which]);
    return (struct binder){l->sql[which], 0, SQLITE_OK};
}

static void put_integer(struct binder *b, uint64_t x)
{
    int rc = sqlite3_bind_int64(b->sql, ++b->at, (sqlite3_int64)x);
    if (b->rc == SQLITE_OK) b->rc = rc;
}

static void put_real(struct binder *b, double x) /* NAN becomes NULL */
{
    int rc = sqlite3_bind_double(b->sql, ++b->at, x);
    if (b->rc == SQLITE_OK) b->rc = rc;
}

static void put_text(struct binder *b, const char *x)
{
    int rc = sqlite3_bind_text(b->sql, ++b->at, x, -1, SQLITE_STATIC);
    if (b->rc == SQLITE_OK) b->rc = rc;
}

static mn_status carry_out(const mn__run_log *l, struct binder *b, mn_diag *diag)
{
    int rc = b->rc == SQLITE_OK ? sqlite3_step(b->sql) : b->rc;
    mn_status st = rc == SQLITE_DONE ? MN_OK : failed(l, rc, diag);
    sqlite3_reset(b->sql);
    return st;
}

static mn_status add_stage(const mn__run_log *l, const mn__log_stage *s, mn_diag *diag)
{
    struct binder b = bind_to(l, ADD_STAGE);
    put_integer(&b, s->stage);
    put_text(&b, s->tasks);
    put_text(&b, s->fidelity);
    put_integer(&b, s->generation);
    put_integer(&b, s->n_item);
    put_real(&b, s->held_out);
    put_real(&b, s->held_out_kept);
    return carry_out(l, &b, diag);
}

static mn_status add_generation(const mn__run_log *l, const mn__log_row *r, mn_diag *diag)
{
    struct binder b = bind_to(l, ADD_GENERATION);
    const double real[] = {r->best,       r->mean,       r->median,   r->sigma,
                           r->axis_ratio, r->kept_share, r->held_out, r->held_out_kept};
    const uint64_t count[] = {r->is_saved,    r->n_prompt, r->n_left,
                              r->n_candidate, r->n_failed, r->evaluations};
    put_integer(&b, r->generation);
    put_integer(&b, r->stage);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) put_real(&b, real[i]);
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) put_integer(&b, count[i]);
    put_real(&b, r->seconds);
    put_text(&b, r->prompts);
    return carry_out(l, &b, diag);
}

static mn_status add_candidate(const mn__run_log *l, const mn__log_row *r, size_t i, mn_diag *diag)
{
    struct binder b = bind_to(l, ADD_CANDIDATE);
    put_integer(&b, r->generation);
    put_integer(&b, i);
    put_real(&b, r->loss[i]);
    put_real(&b, r->kept[i]);
    return carry_out(l, &b, diag);
}

mn_status mn__run_log_add(mn__run_log *l, const mn__log_row *row, const mn__log_stage *stage,
                          mn_diag *diag)
{
    mn_status st;
    mn_diag ignored;
    MN_TRY(exec(l, "BEGIN IMMEDIATE", diag));
    if (stage) MN_TRY(add_stage(l, stage, diag));
    MN_TRY(add_generation(l, row, diag));
    for (size_t i = 0; row->loss && i < row->n_candidate; i++)
        MN_TRY(add_candidate(l, row, i, diag));
    MN_TRY(exec(l, "COMMIT", diag));
done:
    if (st != MN_OK) (void)exec(l, "ROLLBACK", &ignored); /* what failed first is told */
    return st;
}

/* ---- reading ---- */

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

/* All rows of a query as a list of objects. */
static mn_status read_rows(const mn__run_log *l, const char *text, json_t *out, mn_diag *diag)
{
    sqlite3_stmt *s = NULL;
    bool has_room = true;
    int rc = sqlite3_prepare_v2(l->db, text, -1, &s, NULL);
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

mn_status mn__run_log_read(const char *path, json_t **out, mn_diag *diag)
{
    mn_status st;
    mn__run_log *l = NULL;
    json_t *stages = json_array(), *generations = json_array();
    *out = NULL;
    MN_TRY(open_file(&l, path, SQLITE_OPEN_READONLY, diag));
    MN_TRY(check_kind(l, false, diag));
    MN_TRY(read_rows(l, "SELECT * FROM stage ORDER BY stage", stages, diag));
    MN_TRY(read_rows(l,
                     "SELECT generation, stage, best, mean, median, sigma, axis_ratio, "
                     "kept_share, held_out, held_out_kept, is_saved, n_prompt, n_left, "
                     "n_candidate, n_failed, evaluations, seconds FROM generation "
                     "ORDER BY generation",
                     generations, diag));
    *out = json_pack("{s:O,s:O}", "stages", stages, "generations", generations);
    if (!*out) st = mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path);
done:
    json_decref(stages);
    json_decref(generations);
    mn__run_log_close(l);
    return st;
}
