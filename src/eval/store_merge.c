/* store_merge.c: what another process wrote to a file of its own joins the records of a run. Rows
 * meet by what they are (a run's id, a prompt's task, source and hash), since keys differ from file
 * to file. All is done by SQLite in one transaction: memory does not grow with the files. */
#include "eval/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/diag.h"

/* A record of the other file with its run and prompt there and here. CROSS: in this order, each by
 * an index. */
#define OTHERS                                                             \
    " FROM other.record AS o"                                              \
    " CROSS JOIN other.run AS o_run ON o_run.key = o.run"                  \
    " CROSS JOIN other.prompt AS o_prompt ON o_prompt.key = o.prompt"      \
    " CROSS JOIN main.run AS m_run ON m_run.id = o_run.id"                 \
    " CROSS JOIN main.prompt AS m_prompt ON m_prompt.task = o_prompt.task" \
    " AND m_prompt.source_id = o_prompt.source_id AND m_prompt.hash = o_prompt.hash"
/* Those whose key is here already. */
#define TWICE                                                                              \
    OTHERS " CROSS JOIN main.record AS m ON m.run = m_run.key AND m.prompt = m_prompt.key" \
           " AND m.policy = o.policy AND m.budget = o.budget AND m.seed = o.seed"
/* Results that may not differ: what the same work gives again each time, unlike the clock and what
 * else the process held. */
#define DIFFER                                                                                   \
    "(m.status IS NOT o.status OR m.output IS NOT o.output OR m.metric IS NOT o.metric"          \
    " OR m.score IS NOT o.score OR m.n_gold IS NOT o.n_gold OR m.gold_bytes IS NOT o.gold_bytes" \
    " OR m.nll_token IS NOT o.nll_token OR m.kl_token IS NOT o.kl_token OR m.acts IS NOT o.acts" \
    " OR m.share_answer IS NOT o.share_answer OR m.share_prompt IS NOT o.share_prompt"           \
    " OR m.kept IS NOT o.kept OR m.kv_bytes IS NOT o.kv_bytes"                                   \
    " OR m.policy_bytes IS NOT o.policy_bytes OR m.n_generated IS NOT o.n_generated)"

static const char *const insert_runs =
    "INSERT INTO main.run(" MN__STORE_RUN_COLUMNS ") SELECT " MN__STORE_RUN_COLUMNS
    " FROM other.run WHERE true ON CONFLICT(id) DO NOTHING";
static const char *const insert_prompts =
    "INSERT INTO main.prompt(" MN__STORE_PROMPT_COLUMNS ") SELECT " MN__STORE_PROMPT_COLUMNS
    " FROM other.prompt WHERE true ON CONFLICT(task, source_id, hash) DO NOTHING";
static const char *const insert_records =
    "INSERT INTO main.record(run, prompt, " MN__STORE_RECORD_COLUMNS ")"
    " SELECT m_run.key, m_prompt.key, o.policy, o.budget, o.seed, o.acts, o.metric, o.status,"
    " o.output, o.score, o.n_gold, o.gold_bytes, o.nll, o.nll_token, o.kl, o.kl_token,"
    " o.share_answer, o.share_prompt, o.kept, o.kv_bytes, o.policy_bytes, o.peak_bytes,"
    " o.prefill_s, o.decode_s, o.n_generated" OTHERS
    " WHERE true ON CONFLICT(run, prompt, policy, budget, seed) DO NOTHING";
static const char *const count_twice = "SELECT count(*), coalesce(sum(" DIFFER "), 0)" TWICE;
static const char *const first_conflict =
    "SELECT m_prompt.task || ' ' || m_prompt.source_id || ', ' || m.policy"
    " || CASE m.budget WHEN '' THEN '' ELSE '@' || m.budget END"
    " || ', seed ' || m.seed || ': ' || CASE"
    " WHEN m.status IS NOT o.status THEN 'status ' || m.status || ' and ' || o.status"
    " WHEN m.score IS NOT o.score THEN 'score ' || ifnull(m.score, 'none') || ' and '"
    " || ifnull(o.score, 'none')"
    " WHEN m.output IS NOT o.output THEN 'another output'"
    " WHEN m.metric IS NOT o.metric THEN 'another metric'"
    " WHEN (m.n_gold, m.nll_token) IS NOT (o.n_gold, o.nll_token)"
    " THEN 'another likelihood of the answer'"
    " WHEN m.kl_token IS NOT o.kl_token THEN 'another divergence'"
    " ELSE 'another cache' END" TWICE " WHERE " DIFFER
    " ORDER BY m_prompt.task, m_prompt.source_id, m.policy, m.budget, m.seed LIMIT 1";

static mn_status insert(const mn__store *s, const char *sql, uint64_t *n, mn_diag *diag)
{
    mn_status st = mn__store_exec(s, sql, diag);
    if (st == MN_OK) *n = (uint64_t)sqlite3_changes64(s->db);
    return st;
}

/* Prepare, make one step; the caller finalizes. */
static mn_status ask(const mn__store *s, const char *sql, sqlite3_stmt **row, mn_diag *diag)
{
    int rc = sqlite3_prepare_v2(s->db, sql, -1, row, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(*row);
    return rc == SQLITE_ROW ? MN_OK : mn__store_failed(s, rc, diag);
}

static mn_status compare(const mn__store *s, mn__store_merged *out, mn_diag *diag)
{
    mn_status st;
    sqlite3_stmt *row = NULL;
    MN_TRY(ask(s, count_twice, &row, diag));
    out->n_duplicate = (uint64_t)sqlite3_column_int64(row, 0);
    out->n_conflict = (uint64_t)sqlite3_column_int64(row, 1);
    if (out->n_conflict > 0) {
        sqlite3_finalize(row);
        row = NULL;
        MN_TRY(ask(s, first_conflict, &row, diag));
        const char *text = (const char *)sqlite3_column_text(row, 0);
        snprintf(out->conflict, sizeof out->conflict, "%s", text ? text : "");
        mn__make_printable(out->conflict, ' ');
    }
done:
    sqlite3_finalize(row);
    return st;
}

static mn_status merge(const mn__store *s, mn__store_merged *out, mn_diag *diag)
{
    mn_status st = mn__store_exec(s, "BEGIN IMMEDIATE", diag);
    if (st != MN_OK) return st;
    MN_TRY(insert(s, insert_runs, &out->n_run, diag));
    MN_TRY(insert(s, insert_prompts, &out->n_prompt, diag));
    MN_TRY(compare(s, out, diag));
    MN_TRY(insert(s, insert_records, &out->n_record, diag));
    MN_TRY(mn__store_exec(s, "COMMIT", diag));
done:
    if (st != MN_OK) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static bool same_file(const mn__store *a, const mn__store *b)
{
    struct stat x, y;
    return stat(a->file, &x) == 0 && stat(b->file, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static mn_status attach(const mn__store *s, const mn__store *other, mn_diag *diag)
{
    sqlite3_stmt *sql = NULL;
    int rc = sqlite3_prepare_v2(s->db, "ATTACH ?1 AS other", -1, &sql, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(sql, 1, other->file, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK) rc = sqlite3_step(sql);
    sqlite3_finalize(sql);
    return rc == SQLITE_DONE ? MN_OK : mn__store_failed(other, rc, diag);
}

mn_status mn__store_merge(mn__store *s, const char *path, mn__store_merged *out, mn_diag *diag)
{
    mn_status st;
    mn__store *other = NULL; /* stays open: the file is a store, and remains one */
    bool attached = false;
    mn__store_merged found = {0};
    MN_TRY(mn__store_open(&other, path, MN_STORE_READ, diag));
    if (same_file(s, other))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: it cannot be merged into itself", path));
    MN_TRY(attach(s, other, diag));
    attached = true;
    st = merge(s, &found, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "merging %s", path);
        goto done;
    }
    *out = found;
done:
    if (attached) sqlite3_exec(s->db, "DETACH other", NULL, NULL, NULL);
    mn__store_close(other);
    return st;
}
