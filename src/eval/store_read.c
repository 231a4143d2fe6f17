/* store_read.c: visits to runs and records. What a file says is checked: it may have been written
 * by anybody. */
#include "eval/store_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

/* ---- a row, column by column ---- */

struct reader {
    sqlite3_stmt *sql;
    int at;
    bool wrong; /* a column held what it never should */
};

static const char *read_text(struct reader *r)
{
    return (const char *)sqlite3_column_text(r->sql, r->at++);
}

/* Never NULL; SQLite runs out of memory, or a foreign hand wrote the file. */
static const char *read_text_wanted(struct reader *r)
{
    const char *text = read_text(r);
    if (!text) r->wrong = true;
    return text ? text : "";
}

static int64_t read_integer(struct reader *r)
{
    return sqlite3_column_int64(r->sql, r->at++);
}

static uint32_t read_count(struct reader *r)
{
    int64_t n = read_integer(r);
    if (n < 0 || n > UINT32_MAX) r->wrong = true;
    return (uint32_t)n;
}

static double read_real(struct reader *r)
{
    int at = r->at++;
    return sqlite3_column_type(r->sql, at) == SQLITE_NULL ? NAN : sqlite3_column_double(r->sql, at);
}

static uint64_t read_hash(struct reader *r)
{
    const char *text = read_text_wanted(r);
    char *end;
    uint64_t hash = strtoull(text, &end, 16);
    if (end != text + 16 || *end) r->wrong = true;
    return hash;
}

/* When a policy evicts, one of three words. */
static const char *read_acts(struct reader *r)
{
    const char *text = read_text_wanted(r);
    if (strcmp(text, "never") && strcmp(text, "end") && strcmp(text, "reading")) r->wrong = true;
    return text;
}

/* A place of its own for an array: SQLite's is not aligned. */
struct tokens {
    float *data;
    size_t room;
};

static mn_status read_tokens(struct reader *r, struct tokens *to, size_t n, const float **out)
{
    int at = r->at;
    r->at += 2; /* the mean follows from the array */
    *out = NULL;
    const void *blob = sqlite3_column_blob(r->sql, at + 1);
    if (!blob) return MN_OK;
    if ((size_t)sqlite3_column_bytes(r->sql, at + 1) != n * sizeof(float)) {
        r->wrong = true;
        return MN_OK;
    }
    if (n > to->room) {
        mn__free(to->data);
        to->room = 0;
        to->data = mn__alloc_array(MN_MEM_OTHER, n, sizeof *to->data);
        if (!to->data) return MN_ENOMEM;
        to->room = n;
    }
    memcpy(to->data, blob, n * sizeof(float));
    *out = to->data;
    return MN_OK;
}

static mn_status row_is_wrong(const mn__store *s, const char *what, mn_diag *diag)
{
    if (sqlite3_errcode(s->db) == SQLITE_NOMEM) return mn__store_failed(s, SQLITE_NOMEM, diag);
    return mn__fail(diag, MN_EINPUT, "%s: damaged: a %s with a field that none can have", s->path,
                    what);
}

/* ---- runs ---- */

static void read_run(struct reader *r, mn__store_run *run)
{
    r->at++; /* id: follows from the rest */
    run->created = read_text_wanted(r);
    run->version = read_text_wanted(r);
    run->git_commit = read_text_wanted(r);
    run->machine = read_text_wanted(r);
    run->model = read_text_wanted(r);
    run->model_hash = read_text_wanted(r);
    run->chat_template = read_text_wanted(r);
    run->evict = read_text_wanted(r);
    run->options = read_text_wanted(r);
    run->seed = (uint64_t)read_integer(r);
    run->n_ctx = read_count(r);
}

mn_status mn__store_each_run(mn__store *s, mn__store_visit_run *visit, void *ctx, mn_diag *diag)
{
    mn_status st;
    bool row;
    mn__store_reset(s, MN_STORE_EACH_RUN);
    for (;;) {
        MN_TRY(mn__store_step(s, MN_STORE_EACH_RUN, &row, diag));
        if (!row) break;
        mn__store_run run;
        struct reader r = {.sql = s->sql[MN_STORE_EACH_RUN]};
        int64_t key = read_integer(&r);
        read_run(&r, &run);
        if (r.wrong) MN_TRY(row_is_wrong(s, "run", diag));
        MN_TRY(visit(ctx, key, &run));
    }
done:
    mn__store_reset(s, MN_STORE_EACH_RUN);
    return st;
}

/* ---- records ---- */

static void read_prompt(struct reader *r, mn__store_prompt *p)
{
    p->task = read_text_wanted(r);
    p->source_id = read_text_wanted(r);
    p->source_file = read_text_wanted(r);
    p->family = read_text_wanted(r);
    p->language = read_text_wanted(r);
    p->gold = read_text_wanted(r);
    p->facts = read_text_wanted(r);
    p->hash = read_hash(r);
    p->n_token = read_count(r);
}

static mn_status read_record(struct reader *r, mn__store_record *out, struct tokens room[2])
{
    mn_status st;
    out->policy = read_text_wanted(r);
    out->budget = read_text_wanted(r);
    out->seed = (uint64_t)read_integer(r);
    out->acts = read_acts(r);
    out->metric = read_text(r);
    out->status = read_text_wanted(r);
    out->output = read_text(r);
    out->score = read_real(r);
    out->n_gold = read_count(r);
    if (out->n_gold >= MN__STORE_MAX_GOLD) r->wrong = true;
    out->gold_bytes = (uint64_t)read_integer(r);
    MN_TRY(read_tokens(r, &room[0], out->n_gold, &out->nll));
    MN_TRY(read_tokens(r, &room[1], out->n_gold, &out->kl));
    out->share_answer = read_real(r);
    out->share_prompt = read_real(r);
    out->kept = read_text(r);
    out->kv_bytes = (uint64_t)read_integer(r);
    out->policy_bytes = (uint64_t)read_integer(r);
    out->peak_bytes = (uint64_t)read_integer(r);
    out->prefill_s = read_real(r);
    out->decode_s = read_real(r);
    out->n_generated = read_count(r);
done:
    return st;
}

mn_status mn__store_each_record(mn__store *s, const mn__store_query *q,
                                mn__store_visit_record *visit, void *ctx, mn_diag *diag)
{
    mn_status st;
    bool row;
    struct tokens room[2] = {{0}};
    sqlite3_stmt *sql = s->sql[MN_STORE_EACH_RECORD];
    mn__store_reset(s, MN_STORE_EACH_RECORD);
    int rc = sqlite3_bind_int64(sql, 1, q->run);
    if (rc == SQLITE_OK) rc = sqlite3_bind_text(sql, 2, q->task, -1, SQLITE_TRANSIENT);
    if (rc != SQLITE_OK) MN_TRY(mn__store_failed(s, rc, diag));
    for (;;) {
        MN_TRY(mn__store_step(s, MN_STORE_EACH_RECORD, &row, diag));
        if (!row) break;
        mn__store_prompt prompt;
        mn__store_record record;
        struct reader r = {.sql = sql};
        int64_t key = read_integer(&r);
        read_prompt(&r, &prompt);
        if (read_record(&r, &record, room) != MN_OK)
            MN_TRY(mn__store_failed(s, SQLITE_NOMEM, diag));
        if (r.wrong) MN_TRY(row_is_wrong(s, "record", diag));
        MN_TRY(visit(ctx, key, &prompt, &record));
    }
done:
    mn__store_reset(s, MN_STORE_EACH_RECORD);
    mn__free(room[0].data);
    mn__free(room[1].data);
    return st;
}
