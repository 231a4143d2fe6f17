/* store_write.c: runs, prompts and records enter the file. */
#include "eval/store_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays enter the file as they lie");

/* ---- binding: a failure of one is kept until the end of the row ---- */

struct binder {
    sqlite3_stmt *sql;
    int at, rc;
};

static struct binder binder_of(const mn__store *s, mn__store_sql which)
{
    mn__store_reset(s, which);
    return (struct binder){.sql = s->sql[which], .at = 0, .rc = SQLITE_OK};
}

static void keep(struct binder *b, int rc)
{
    if (b->rc == SQLITE_OK) b->rc = rc;
}

/* Texts and arrays are the caller's until the step is made. NULL is SQL's NULL. */
static void bind_text(struct binder *b, const char *text)
{
    keep(b, sqlite3_bind_text(b->sql, ++b->at, text, -1, SQLITE_STATIC));
}

static void bind_integer(struct binder *b, uint64_t value)
{
    keep(b, sqlite3_bind_int64(b->sql, ++b->at, (sqlite3_int64)value));
}

static void bind_real(struct binder *b, double value)
{
    keep(b, sqlite3_bind_double(b->sql, ++b->at, value)); /* NAN becomes NULL */
}

static void bind_hash(struct binder *b, uint64_t hash)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
    keep(b, sqlite3_bind_text(b->sql, ++b->at, hex, -1, SQLITE_TRANSIENT));
}

/* Its mean and the array itself. */
static void bind_tokens(struct binder *b, const float *value, size_t n)
{
    if (!value || n == 0) {
        bind_real(b, NAN);
        keep(b, sqlite3_bind_null(b->sql, ++b->at));
        return;
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)value[i];
    bind_real(b, sum / (double)n);
    keep(b, sqlite3_bind_blob64(b->sql, ++b->at, value, n * sizeof *value, SQLITE_STATIC));
}

/* Make the step and let go of what was bound. *row may be NULL. */
static mn_status carry_out(const mn__store *s, mn__store_sql which, const struct binder *b,
                           bool *row, mn_diag *diag)
{
    if (b->rc != SQLITE_OK) return mn__store_failed(s, b->rc, diag);
    return mn__store_step(s, which, row, diag);
}

static mn_status find_key(const mn__store *s, mn__store_sql which, const struct binder *b,
                          int64_t *key, mn_diag *diag)
{
    bool found = false;
    mn_status st = carry_out(s, which, b, &found, diag);
    if (st == MN_OK && !found)
        st = mn__fail(diag, MN_EINPUT, "%s: what was just written is not there", s->path);
    if (st == MN_OK) *key = sqlite3_column_int64(s->sql[which], 0);
    mn__store_reset(s, which);
    return st;
}

/* ---- runs and prompts ---- */

static uint64_t hash_text(const char *text, uint64_t hash)
{
    return mn__hash64(text, strlen(text), hash);
}

void mn__store_run_id(char id[17], const mn__store_run *run)
{
    const char *const text[] = {run->version,       run->git_commit, run->model_hash,
                                run->chat_template, run->evict,      run->options};
    const uint64_t number[] = {run->seed, run->n_ctx};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) hash = hash_text(text[i], hash);
    hash = mn__hash64(number, sizeof number, hash);
    snprintf(id, 17, "%016llx", (unsigned long long)hash);
}

mn_status mn__store_add_run(mn__store *s, const mn__store_run *run, int64_t *key, mn_diag *diag)
{
    char id[17];
    mn__store_run_id(id, run);
    struct binder b = binder_of(s, MN_STORE_ADD_RUN);
    const char *const text[] = {id,           run->created, run->version,    run->git_commit,
                                run->machine, run->model,   run->model_hash, run->chat_template,
                                run->evict,   run->options};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) bind_text(&b, text[i]);
    bind_integer(&b, run->seed);
    bind_integer(&b, run->n_ctx);
    mn_status st = carry_out(s, MN_STORE_ADD_RUN, &b, NULL, diag);
    mn__store_reset(s, MN_STORE_ADD_RUN);
    if (st != MN_OK) return st;
    b = binder_of(s, MN_STORE_FIND_RUN);
    bind_text(&b, id);
    return find_key(s, MN_STORE_FIND_RUN, &b, key, diag);
}

mn_status mn__store_add_prompt(mn__store *s, const mn__store_prompt *prompt, int64_t *key,
                               mn_diag *diag)
{
    struct binder b = binder_of(s, MN_STORE_ADD_PROMPT);
    const char *const text[] = {prompt->task,   prompt->source_id, prompt->source_file,
                                prompt->family, prompt->language,  prompt->gold,
                                prompt->facts};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) bind_text(&b, text[i]);
    bind_hash(&b, prompt->hash);
    bind_integer(&b, prompt->n_token);
    mn_status st = carry_out(s, MN_STORE_ADD_PROMPT, &b, NULL, diag);
    mn__store_reset(s, MN_STORE_ADD_PROMPT);
    if (st != MN_OK) return st;
    b = binder_of(s, MN_STORE_FIND_PROMPT);
    bind_text(&b, prompt->task);
    bind_text(&b, prompt->source_id);
    bind_hash(&b, prompt->hash);
    return find_key(s, MN_STORE_FIND_PROMPT, &b, key, diag);
}

/* ---- records ---- */

static void bind_record(struct binder *b, mn__store_place at, const mn__store_record *r)
{
    bind_integer(b, (uint64_t)at.run);
    bind_integer(b, (uint64_t)at.prompt);
    bind_text(b, r->policy);
    bind_text(b, r->budget);
    bind_integer(b, r->seed);
    bind_text(b, r->acts);
    bind_text(b, r->metric);
    bind_text(b, r->status);
    bind_text(b, r->output);
    bind_real(b, r->score);
    bind_integer(b, r->n_gold);
    bind_integer(b, r->gold_bytes);
    bind_tokens(b, r->nll, r->n_gold);
    bind_tokens(b, r->kl, r->n_gold);
    bind_real(b, r->share_answer);
    bind_real(b, r->share_prompt);
    bind_text(b, r->kept);
    bind_integer(b, r->kv_bytes);
    bind_integer(b, r->policy_bytes);
    bind_integer(b, r->peak_bytes);
    bind_real(b, r->prefill_s);
    bind_real(b, r->decode_s);
    bind_integer(b, r->n_generated);
}

mn_status mn__store_add_record(mn__store *s, mn__store_place at, const mn__store_record *r,
                               bool *added, mn_diag *diag)
{
    assert(r->n_gold < MN__STORE_MAX_GOLD);
    struct binder b = binder_of(s, MN_STORE_ADD_RECORD);
    bind_record(&b, at, r);
    mn_status st = carry_out(s, MN_STORE_ADD_RECORD, &b, NULL, diag);
    if (st == MN_OK && added) *added = sqlite3_changes(s->db) > 0;
    mn__store_reset(s, MN_STORE_ADD_RECORD);
    return st;
}

mn_status mn__store_has_record(mn__store *s, mn__store_place at, const mn__store_record *r,
                               bool *has, mn_diag *diag)
{
    struct binder b = binder_of(s, MN_STORE_HAS_RECORD);
    bind_integer(&b, (uint64_t)at.run);
    bind_integer(&b, (uint64_t)at.prompt);
    bind_text(&b, r->policy);
    bind_text(&b, r->budget);
    bind_integer(&b, r->seed);
    mn_status st = carry_out(s, MN_STORE_HAS_RECORD, &b, has, diag);
    mn__store_reset(s, MN_STORE_HAS_RECORD);
    return st;
}
