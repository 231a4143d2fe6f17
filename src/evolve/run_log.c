/* run_log.c: the log of a run. */
#include "evolve/run_log.h"

#include <stdio.h>

#include "base/diag.h"

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

/* name, text */
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

static const mn__log_kind kind = {.application = 0x6d6e6c67 /* "mnlg" */,
                                  .version = 1,
                                  .of = "an evolution",
                                  .schema = schema,
                                  .add = sql_text,
                                  .n_add = SQL_COUNT};

static mn_status drop_from(const mn__run_log *l, uint64_t generation, mn_diag *diag)
{
    char text[256];
    unsigned long long g = generation;
    snprintf(text, sizeof text,
             "BEGIN; DELETE FROM candidate WHERE generation >= %llu; DELETE FROM generation WHERE "
             "generation >= %llu; DELETE FROM stage WHERE generation >= %llu; COMMIT",
             g, g, g);
    return mn__log_file_exec(l, text, diag);
}

mn_status mn__run_log_open(mn__run_log **out, const char *path, uint64_t generation, mn_diag *diag)
{
    mn_status st = mn__log_file_open(out, path, &kind, true, diag);
    if (st == MN_OK) st = drop_from(*out, generation, diag);
    if (st == MN_OK) return MN_OK;
    mn__run_log_close(*out);
    *out = NULL;
    return st;
}

void mn__run_log_close(mn__run_log *l)
{
    mn__log_file_close(l);
}

/* ---- rows ---- */

static mn_status add_stage(const mn__run_log *l, const mn__log_stage *s, mn_diag *diag)
{
    mn__log_row b = mn__log_row_begin(l, ADD_STAGE);
    mn__log_row_integer(&b, s->stage);
    mn__log_row_text(&b, s->tasks);
    mn__log_row_text(&b, s->fidelity);
    mn__log_row_integer(&b, s->generation);
    mn__log_row_integer(&b, s->n_item);
    mn__log_row_real(&b, s->held_out);
    mn__log_row_real(&b, s->held_out_kept);
    return mn__log_row_add(&b, diag);
}

static mn_status add_generation(const mn__run_log *l, const mn__log_generation *r, mn_diag *diag)
{
    mn__log_row b = mn__log_row_begin(l, ADD_GENERATION);
    const double real[] = {r->best,       r->mean,       r->median,   r->sigma,
                           r->axis_ratio, r->kept_share, r->held_out, r->held_out_kept};
    const uint64_t count[] = {r->is_saved,    r->n_prompt, r->n_left,
                              r->n_candidate, r->n_failed, r->evaluations};
    mn__log_row_integer(&b, r->generation);
    mn__log_row_integer(&b, r->stage);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) mn__log_row_real(&b, real[i]);
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) mn__log_row_integer(&b, count[i]);
    mn__log_row_real(&b, r->seconds);
    mn__log_row_text(&b, r->prompts);
    return mn__log_row_add(&b, diag);
}

static mn_status add_candidate(const mn__run_log *l, const mn__log_generation *r, size_t i,
                               mn_diag *diag)
{
    mn__log_row b = mn__log_row_begin(l, ADD_CANDIDATE);
    mn__log_row_integer(&b, r->generation);
    mn__log_row_integer(&b, i);
    mn__log_row_real(&b, r->loss[i]);
    mn__log_row_real(&b, r->kept[i]);
    return mn__log_row_add(&b, diag);
}

mn_status mn__run_log_add(mn__run_log *l, const mn__log_generation *row, const mn__log_stage *stage,
                          mn_diag *diag)
{
    mn_status st;
    MN_TRY(mn__log_file_exec(l, "BEGIN IMMEDIATE", diag));
    if (stage) MN_TRY(add_stage(l, stage, diag));
    MN_TRY(add_generation(l, row, diag));
    for (size_t i = 0; row->loss && i < row->n_candidate; i++)
        MN_TRY(add_candidate(l, row, i, diag));
    MN_TRY(mn__log_file_exec(l, "COMMIT", diag));
done:
    if (st != MN_OK) mn__log_file_roll_back(l);
    return st;
}

mn_status mn__run_log_items(const mn__run_log *l, size_t stage, uint64_t *n_item, mn_diag *diag)
{
    char text[64];
    json_t *rows = json_array();
    snprintf(text, sizeof text, "SELECT n_item FROM stage WHERE stage = %zu", stage);
    mn_status st = mn__log_file_read(l, text, rows, diag);
    const json_t *row = json_array_get(rows, 0);
    *n_item = (uint64_t)json_integer_value(json_object_get(row, "n_item"));
    json_decref(rows);
    return st;
}

mn_status mn__run_log_read(const char *path, json_t **out, mn_diag *diag)
{
    mn_status st;
    mn__run_log *l = NULL;
    json_t *stages = json_array(), *generations = json_array();
    *out = NULL;
    MN_TRY(mn__log_file_open(&l, path, &kind, false, diag));
    MN_TRY(mn__log_file_read(l, "SELECT * FROM stage ORDER BY stage", stages, diag));
    MN_TRY(mn__log_file_read(l,
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
