/* store_internal.h: what the files of the store share. */
#ifndef MN_EVAL_STORE_INTERNAL_H
#define MN_EVAL_STORE_INTERNAL_H

#include <sqlite3.h>
#include "eval/store.h"

enum { MN__STORE_MAX_GOLD = 1 << 24 };

#define MN__STORE_RUN_COLUMNS                                                                  \
    "id, created, version, git_commit, machine, model, model_hash, template, evict, options, " \
    "seed, n_ctx"
#define MN__STORE_PROMPT_COLUMNS \
    "task, source_id, source_file, family, language, gold, facts, hash, n_token"
#define MN__STORE_RECORD_COLUMNS                                                           \
    "policy, budget, seed, acts, metric, status, output, score, n_gold, gold_bytes, nll, " \
    "nll_token, kl, kl_token, share_answer, share_prompt, kept, kv_bytes, policy_bytes, "  \
    "peak_bytes, prefill_s, decode_s, n_generated"

/* name, text. Compiled when a store is opened, which also shows that its tables are ours. The order
 * of EACH_RECORD is that of two indices: nothing is sorted or held. */
#define MN__STORE_SQL(X)                                                                        \
    X(ADD_RUN, "INSERT INTO run(" MN__STORE_RUN_COLUMNS ") "                                    \
               "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT(id) DO NOTHING")     \
    X(FIND_RUN, "SELECT key FROM run WHERE id = ?1")                                            \
    X(ADD_PROMPT, "INSERT INTO prompt(" MN__STORE_PROMPT_COLUMNS ") "                           \
                  "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) "                                         \
                  "ON CONFLICT(task, source_id, hash) DO NOTHING")                              \
    X(FIND_PROMPT, "SELECT key FROM prompt WHERE task = ?1 AND source_id = ?2 AND hash = ?3")   \
    X(ADD_RECORD,                                                                               \
      "INSERT INTO record(run, prompt, " MN__STORE_RECORD_COLUMNS ") "                          \
      "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,"              \
      "?20,?21,?22,?23,?24,?25) ON CONFLICT(run, prompt, policy, budget, seed) DO NOTHING")     \
    X(HAS_RECORD, "SELECT 1 FROM record WHERE run = ?1 AND prompt = ?2 AND policy = ?3 AND "    \
                  "budget = ?4 AND seed = ?5")                                                  \
    X(EACH_RUN, "SELECT key, " MN__STORE_RUN_COLUMNS " FROM run ORDER BY created, id")          \
    X(EACH_RECORD, "SELECT prompt.key, " MN__STORE_PROMPT_COLUMNS ", " MN__STORE_RECORD_COLUMNS \
                   " FROM prompt CROSS JOIN record ON record.run = ?1 AND "                     \
                   "record.prompt = prompt.key WHERE ?2 IS NULL OR task = ?2 "                  \
                   "ORDER BY task, source_id, hash, policy, budget, seed")

typedef enum mn__store_sql {
#define X(name, text) MN_STORE_##name,
    MN__STORE_SQL(X)
#undef X
        MN_STORE_SQL_COUNT
} mn__store_sql;

struct mn__store {
    sqlite3 *db;
    char *file;       /* with "./" in front where it is relative: SQLite reads no meaning into it */
    const char *path; /* as the caller wrote it: the end of `file` */
    sqlite3_stmt *sql[MN_STORE_SQL_COUNT];
    bool writes;
};

/* The status and sentence of a result of SQLite. */
mn_status mn__store_failed(const mn__store *s, int rc, mn_diag *diag);
/* Run statements that return nothing. */
mn_status mn__store_exec(const mn__store *s, const char *sql, mn_diag *diag);
/* One step of a bound statement. *row may be NULL where none is expected. Not for visits: the
 * caller resets. */
mn_status mn__store_step(const mn__store *s, mn__store_sql which, bool *row, mn_diag *diag);
void mn__store_reset(const mn__store *s, mn__store_sql which);

#endif
