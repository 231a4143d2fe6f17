/* train_log.c: the log of a training. */
#include "train/train_log.h"

#include <stdio.h>

#include "base/diag.h"

/* seconds: since the row before. */
static const char schema[] =
    "CREATE TABLE step(step INTEGER PRIMARY KEY, tokens INTEGER NOT NULL, loss REAL NOT NULL,"
    " aux REAL NOT NULL, valid_loss REAL, norm REAL NOT NULL, rate REAL NOT NULL,"
    " value_rate REAL NOT NULL, tokens_per_s REAL, gemm_peak_share REAL, seconds REAL) STRICT;"
    "CREATE TABLE sample(step INTEGER PRIMARY KEY, prompt TEXT NOT NULL, text TEXT NOT NULL)"
    " STRICT;";

enum { ADD_STEP, ADD_SAMPLE, N_ADD };
static const char *const add[N_ADD] = {
    [ADD_STEP] = "INSERT INTO step(step, tokens, loss, aux, valid_loss, norm, rate, value_rate, "
                 "tokens_per_s, gemm_peak_share, seconds) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    [ADD_SAMPLE] = "INSERT INTO sample(step, prompt, text) VALUES(?,?,?)",
};

static const mn__log_kind kind = {.application = 0x6d6e7472 /* "mntr" */,
                                  .version = 1,
                                  .of = "a training",
                                  .schema = schema,
                                  .add = add,
                                  .n_add = N_ADD};

mn_status mn__train_log_open(mn__log_file **out, const char *path, uint64_t step, mn_diag *diag)
{
    char text[160];
    const unsigned long long s = step;
    mn_status st = mn__log_file_open(out, path, &kind, true, diag);
    if (st != MN_OK) return st;
    snprintf(text, sizeof text,
             "BEGIN; DELETE FROM step WHERE step > %llu; DELETE FROM sample WHERE step > %llu; "
             "COMMIT",
             s, s);
    st = mn__log_file_exec(*out, text, diag);
    if (st == MN_OK) return MN_OK;
    mn__log_file_close(*out);
    *out = NULL;
    return st;
}

mn_status mn__train_log_line(const mn__log_file *l, const mn_train_line *line, mn_diag *diag)
{
    const double real[] = {
        line->loss,       line->aux,          line->valid_loss,      line->norm,   line->rate,
        line->value_rate, line->tokens_per_s, line->gemm_peak_share, line->seconds};
    mn__log_row r = mn__log_row_begin(l, ADD_STEP);
    mn__log_row_integer(&r, line->step);
    mn__log_row_integer(&r, line->tokens);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) mn__log_row_real(&r, real[i]);
    return mn__log_row_add(&r, diag);
}

mn_status mn__train_log_sample(const mn__log_file *l, const mn_train_sample *s, mn_diag *diag)
{
    mn__log_row r = mn__log_row_begin(l, ADD_SAMPLE);
    mn__log_row_integer(&r, s->step);
    mn__log_row_text(&r, s->prompt);
    mn__log_row_text(&r, s->text);
    return mn__log_row_add(&r, diag);
}

mn_status mn__train_log_read(const char *path, json_t **out, mn_diag *diag)
{
    mn_status st;
    mn__log_file *l = NULL;
    json_t *steps = json_array(), *samples = json_array();
    *out = NULL;
    MN_TRY(mn__log_file_open(&l, path, &kind, false, diag));
    MN_TRY(mn__log_file_read(l, "SELECT * FROM step ORDER BY step", steps, diag));
    MN_TRY(mn__log_file_read(l, "SELECT * FROM sample ORDER BY step", samples, diag));
    *out = json_pack("{s:O,s:O}", "steps", steps, "samples", samples);
    if (!*out) st = mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path);
done:
    json_decref(steps);
    json_decref(samples);
    mn__log_file_close(l);
    return st;
}
