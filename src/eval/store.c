/* store.c: opening and closing the file of records, and what can be wrong with it. */
#include "eval/store_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/heap.h"

enum {
    APPLICATION = 0x6d6e6576, /* "mnev": tells our files from other databases */
    VERSION = 2,
    WAIT_MS = 10000,
    CACHE_KIB = 2048
};

/* Hashes are 16 hex digits, seeds the 64 bits taken as a signed number, times UTC. *_token: f32,
 * little endian, one per token of the gold answer; nll and kl are their means. */
static const char *const schema =
    "CREATE TABLE run(key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL,"
    " version TEXT NOT NULL, git_commit TEXT NOT NULL, machine TEXT NOT NULL,"
    " model TEXT NOT NULL, model_hash TEXT NOT NULL, template TEXT NOT NULL, evict TEXT NOT NULL,"
    " options TEXT NOT NULL, seed INTEGER NOT NULL, n_ctx INTEGER NOT NULL) STRICT;"
    "CREATE TABLE prompt(key INTEGER PRIMARY KEY, task TEXT NOT NULL, source_id TEXT NOT NULL,"
    " source_file TEXT NOT NULL, family TEXT NOT NULL, language TEXT NOT NULL,"
    " gold TEXT NOT NULL, facts TEXT NOT NULL, hash TEXT NOT NULL, n_token INTEGER NOT NULL,"
    " UNIQUE(task, source_id, hash)) STRICT;"
    "CREATE TABLE record(key INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run,"
    " prompt INTEGER NOT NULL REFERENCES prompt, policy TEXT NOT NULL, budget TEXT NOT NULL,"
    " seed INTEGER NOT NULL, acts TEXT NOT NULL CHECK(acts IN ('never', 'end', 'reading')),"
    " metric TEXT, status TEXT NOT NULL, output TEXT, score REAL, n_gold INTEGER NOT NULL,"
    " gold_bytes INTEGER NOT NULL, nll REAL, nll_token BLOB, kl REAL, kl_token BLOB,"
    " share_answer REAL, share_prompt REAL, kept TEXT,"
    " kv_bytes INTEGER NOT NULL, policy_bytes INTEGER NOT NULL, peak_bytes INTEGER NOT NULL,"
    " prefill_s REAL NOT NULL, decode_s REAL NOT NULL, n_generated INTEGER NOT NULL,"
    " UNIQUE(run, prompt, policy, budget, seed)) STRICT;";

static const char *const sql_text[] = {
#define X(name, text) text,
    MN__STORE_SQL(X)
#undef X
};

/* ---- failures ---- */

mn_status mn__store_failed(const mn__store *s, int rc, mn_diag *diag)
{
    int reason = sqlite3_system_errno(s->db);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return mn__fail(diag, MN_ENOMEM, "%s: no memory to read or write it", s->path);
    case SQLITE_FULL:
        return mn__fail(diag, MN_EIO,
                        "%s: the disk is full; all records before stand there: make room and go on",
                        s->path);
    case SQLITE_READONLY:
        if (rc == SQLITE_READONLY || rc == SQLITE_READONLY_DBMOVED)
            return mn__fail(diag, MN_EIO, "%s: it may not be written", s->path);
        return mn__fail(
            diag, MN_EIO,
            "%s: a run that was cut short left it in need of a log beside it, which may "
            "not be written there: copy it, and what stands beside it, to another place",
            s->path);
    case SQLITE_CANTOPEN:
        return mn__fail(diag, MN_EIO, "%s: it or a file beside it cannot be opened: %s", s->path,
                        reason ? strerror(reason) : sqlite3_errmsg(s->db));
    case SQLITE_IOERR:
        return mn__fail(diag, MN_EIO, "%s: reading or writing failed: %s", s->path,
                        reason ? strerror(reason) : sqlite3_errmsg(s->db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mn__fail(diag, MN_EFAIL, "%s: another process has held it for %d seconds", s->path,
                        WAIT_MS / 1000);
    case SQLITE_NOTADB:
        return mn__fail(diag, MN_EINPUT, "%s: not a file of records (no SQLite database)", s->path);
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
            return mn__fail(diag, MN_ERANGE, "%s: a record of a run or prompt that it lacks",
                            s->path);
        return mn__fail(diag, MN_ERANGE, "%s: a row that it cannot take: %s", s->path,
                        sqlite3_errmsg(s->db));
    default:
        return mn__fail(diag, MN_EINPUT, "%s: damaged, or not a file of records: %s", s->path,
                        sqlite3_errmsg(s->db));
    }
}

mn_status mn__store_exec(const mn__store *s, const char *sql, mn_diag *diag)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MN_OK : mn__store_failed(s, rc, diag);
}

void mn__store_reset(const mn__store *s, mn__store_sql which)
{
    sqlite3_reset(s->sql[which]);
    sqlite3_clear_bindings(s->sql[which]);
}

mn_status mn__store_step(const mn__store *s, mn__store_sql which, bool *row, mn_diag *diag)
{
    int rc = sqlite3_step(s->sql[which]);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return mn__store_failed(s, rc, diag);
    if (row) *row = rc == SQLITE_ROW;
    return MN_OK;
}

/* ---- opening ---- */

static mn_status read_number(const mn__store *s, const char *sql, int64_t *out, mn_diag *diag)
{
    sqlite3_stmt *query = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &query, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(query);
    mn_status st = rc == SQLITE_ROW ? MN_OK : mn__store_failed(s, rc, diag);
    if (st == MN_OK) *out = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return st;
}

/* Is it ours, of our version? *empty: nothing has been written to it yet. In a transaction: its
 * answers are of one moment, though another process may be making the file. */
static mn_status identify(const mn__store *s, bool *empty, mn_diag *diag)
{
    mn_status st;
    int64_t n_table, application, version;
    MN_TRY(read_number(s, "SELECT count(*) FROM sqlite_schema", &n_table, diag));
    MN_TRY(read_number(s, "PRAGMA application_id", &application, diag));
    MN_TRY(read_number(s, "PRAGMA user_version", &version, diag));
    *empty = n_table == 0 && application == 0 && version == 0;
    if (*empty) return MN_OK;
    if (application != APPLICATION)
        return mn__fail(diag, MN_EINPUT, "%s: an SQLite database, but not one of mneme's records",
                        s->path);
    if (version != VERSION)
        return mn__fail(diag, MN_EINPUT,
                        "%s: records of version %lld, and this mneme reads version %d: take the "
                        "mneme that wrote them, or another folder",
                        s->path, (long long)version, VERSION);
done:
    return st;
}

/* Another process may do the same at this moment: whoever comes second finds the tables. */
static mn_status create(const mn__store *s, mn_diag *diag)
{
    bool empty = false;
    mn_status st = mn__store_exec(s, "BEGIN IMMEDIATE", diag);
    if (st != MN_OK) return st;
    MN_TRY(identify(s, &empty, diag));
    if (empty) {
        char stamp[96];
        sqlite3_snprintf(sizeof stamp, stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                         APPLICATION, VERSION);
        MN_TRY(mn__store_exec(s, schema, diag));
        MN_TRY(mn__store_exec(s, stamp, diag));
    }
    MN_TRY(mn__store_exec(s, "COMMIT", diag));
done:
    if (st != MN_OK) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static mn_status identify_alone(const mn__store *s, bool *empty, mn_diag *diag)
{
    mn_status st = mn__store_exec(s, "BEGIN", diag);
    if (st != MN_OK) return st;
    st = identify(s, empty, diag);
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
    return st;
}

/* Settings of this connection. Files come from others: what could run code in them stays off. */
static mn_status configure(const mn__store *s, mn_diag *diag)
{
    char cache[48];
    sqlite3_busy_timeout(s->db, WAIT_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_snprintf(sizeof cache, cache, "PRAGMA cache_size=-%d", CACHE_KIB);
    return mn__store_exec(s, cache, diag);
}

/* With a log beside the file, readers see the state before the write and nobody waits. Two that ask
 * for it at once would wait for each other: SQLite sends one of them away, to come again. */
static mn_status keep_a_log(const mn__store *s, mn_diag *diag)
{
    const int nap_ms = 5;
    int rc = SQLITE_BUSY;
    for (int waited = 0; (rc & 0xff) == SQLITE_BUSY && waited < WAIT_MS; waited += nap_ms) {
        if (waited > 0) sqlite3_sleep(nap_ms);
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? MN_OK : mn__store_failed(s, rc, diag);
}

/* The log is synced when it is folded into the file: a machine that loses power may lose the last
 * records, which are then measured again, and nothing else. */
static mn_status prepare_to_write(const mn__store *s, bool empty, mn_diag *diag)
{
    mn_status st;
    if (sqlite3_db_readonly(s->db, "main") == 1) return mn__store_failed(s, SQLITE_READONLY, diag);
    MN_TRY(keep_a_log(s, diag));
    MN_TRY(mn__store_exec(s, "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON", diag));
    if (empty) MN_TRY(create(s, diag));
done:
    return st;
}

static mn_status compile(mn__store *s, mn_diag *diag)
{
    for (int i = 0; i < MN_STORE_SQL_COUNT; i++) {
        int rc =
            sqlite3_prepare_v3(s->db, sql_text[i], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[i], NULL);
        if (rc != SQLITE_OK) return mn__store_failed(s, rc, diag);
    }
    return MN_OK;
}

/* SQLite would take some names for something else ("", ":memory:") and wait at a pipe. */
static mn_status look_at_path(const mn__store *s, mn__store_mode mode, mn_diag *diag)
{
    struct stat file;
    if (stat(s->file, &file) == 0) {
        if (S_ISREG(file.st_mode)) return MN_OK;
        return mn__fail(diag, MN_EINPUT, "%s: not a regular file", s->path);
    }
    if (errno == ENOENT && mode == MN_STORE_WRITE) return MN_OK;
    return mn__fail(diag, errno == ENOENT ? MN_EINPUT : MN_EIO, "%s: %s", s->path, strerror(errno));
}

static mn_status set_path(mn__store *s, const char *path)
{
    size_t n = strlen(path) + 1, front = path[0] == '/' ? 0 : 2;
    s->file = mn__alloc(MN_MEM_OTHER, front + n);
    if (!s->file) return MN_ENOMEM;
    memcpy(s->file, "./", front);
    memcpy(s->file + front, path, n);
    s->path = s->file + front;
    return MN_OK;
}

mn_status mn__store_open(mn__store **out, const char *path, mn__store_mode mode, mn_diag *diag)
{
    mn_status st;
    bool empty = false;
    *out = NULL;
    mn__store *s = mn__alloc_zero(MN_MEM_OTHER, sizeof *s);
    if (!s || set_path(s, path) != MN_OK) {
        mn__free(s);
        return mn__fail(diag, MN_ENOMEM, "no memory to open %s", path);
    }
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |=
        mode == MN_STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    MN_TRY(look_at_path(s, mode, diag));
    int rc = sqlite3_open_v2(s->file, &s->db, flags, NULL);
    if (rc != SQLITE_OK) MN_TRY(mn__store_failed(s, rc, diag));
    MN_TRY(configure(s, diag));
    MN_TRY(identify_alone(s, &empty, diag));
    if (mode == MN_STORE_WRITE)
        MN_TRY(prepare_to_write(s, empty, diag));
    else if (empty)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: empty, no records have been written yet", s->path));
    MN_TRY(compile(s, diag));
    s->writes = mode == MN_STORE_WRITE;
    *out = s;
    s = NULL;
done:
    mn__store_close(s);
    return st;
}

/* A writer that leaves, and is alone, folds the log into the file: one file that can be read from a
 * disk where nothing may be written. With others there it stays as it is, which is as sound. */
void mn__store_close(mn__store *s)
{
    if (!s) return;
    for (int i = 0; i < MN_STORE_SQL_COUNT; i++) sqlite3_finalize(s->sql[i]);
    if (s->writes) {
        sqlite3_busy_timeout(s->db, 0);
        sqlite3_exec(s->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(s->db);
    mn__free(s->file);
    mn__free(s);
}
