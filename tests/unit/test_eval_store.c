/* test_eval_store.c: records come back as they went in and in one order, keys stand once, shards
 * join, and files that are no store are refused in a sentence. Kills and full disks: fault/. */
#include "unit/eval_store_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- round trips ---- */

struct seen {
    uint32_t n;
    char last[256]; /* task, id, policy of the record before, in the order promised */
    char order[65536];
};

static mn_status see_run(void *ctx, int64_t key, const mn__store_run *run)
{
    mn__store_run wanted = store_run(1);
    int64_t *found = ctx;
    *found = key;
    assert_string_equal(run->created, wanted.created);
    assert_string_equal(run->version, wanted.version);
    assert_string_equal(run->git_commit, wanted.git_commit);
    assert_string_equal(run->machine, wanted.machine);
    assert_string_equal(run->model, wanted.model);
    assert_string_equal(run->model_hash, wanted.model_hash);
    assert_string_equal(run->chat_template, wanted.chat_template);
    assert_string_equal(run->evict, wanted.evict);
    assert_string_equal(run->options, wanted.options);
    assert_true(run->seed == wanted.seed && run->n_ctx == wanted.n_ctx);
    return MN_OK;
}

static void same_prompt(const mn__store_prompt *a, const mn__store_prompt *b)
{
    assert_string_equal(a->task, b->task);
    assert_string_equal(a->source_id, b->source_id);
    assert_string_equal(a->source_file, b->source_file);
    assert_string_equal(a->family, b->family);
    assert_string_equal(a->language, b->language);
    assert_string_equal(a->gold, b->gold);
    assert_string_equal(a->facts, b->facts);
    assert_true(a->hash == b->hash && a->n_token == b->n_token);
}

static void same_record(const mn__store_record *a, const mn__store_record *b)
{
    assert_string_equal(a->policy, b->policy);
    assert_string_equal(a->budget, b->budget);
    assert_string_equal(a->acts, b->acts);
    assert_string_equal(a->metric, b->metric);
    assert_string_equal(a->status, b->status);
    assert_string_equal(a->output, b->output);
    assert_string_equal(a->kept, b->kept);
    assert_true(a->seed == b->seed && a->score == b->score && a->n_gold == b->n_gold);
    assert_memory_equal(a->nll, b->nll, a->n_gold * sizeof(float));
    assert_memory_equal(a->kl, b->kl, a->n_gold * sizeof(float));
    assert_true(a->gold_bytes == b->gold_bytes && a->share_answer == b->share_answer);
    assert_true(a->share_prompt == b->share_prompt);
    assert_true(a->kv_bytes == b->kv_bytes && a->policy_bytes == b->policy_bytes);
    assert_true(a->peak_bytes == b->peak_bytes && a->prefill_s == b->prefill_s);
    assert_true(a->decode_s == b->decode_s && a->n_generated == b->n_generated);
}

static mn_status see_record(void *ctx, int64_t key, const mn__store_prompt *p,
                            const mn__store_record *r)
{
    struct seen *seen = ctx;
    store_sample x;
    char line[256];
    uint32_t i = p->n_token - 100, i_policy = (uint32_t)r->policy_bytes;
    assert_true(key > 0);
    store_fill(&x, i, i_policy);
    same_prompt(p, &x.prompt);
    same_record(r, &x.record);
    snprintf(line, sizeof line, "%s\1%s\1%s\1%s", p->task, p->source_id, r->policy, r->budget);
    assert_true(strcmp(seen->last, line) < 0); /* rising: in order, and nothing twice */
    snprintf(seen->last, sizeof seen->last, "%s", line);
    size_t used = strlen(seen->order);
    snprintf(seen->order + used, sizeof seen->order - used, "%s\n", line);
    seen->n++;
    return MN_OK;
}

static void look(mn__store *s, int64_t run, const char *task, struct seen *seen)
{
    mn__store_query q = {.run = run, .task = task};
    memset(seen, 0, sizeof *seen);
    assert_int_equal(mn__store_each_record(s, &q, see_record, seen, NULL), MN_OK);
}

static void test_round_trip(void **state)
{
    (void)state;
    static struct seen seen;
    const char *path = store_path("round");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    int64_t run = store_add_range(s, 0, 60), found = 0;
    look(s, run, NULL, &seen);
    assert_int_equal(seen.n, 240);
    mn__store_close(s);
    assert_int_equal(access(store_path("round-wal"), F_OK), -1); /* one file is left */
    s = store_open(path, MN_STORE_READ);
    assert_int_equal(mn__store_each_run(s, see_run, &found, NULL), MN_OK);
    assert_int_equal(found, run);
    look(s, run, NULL, &seen);
    assert_int_equal(seen.n, 240);
    look(s, run, "passkey", &seen);
    assert_int_equal(seen.n, 80);
    look(s, run, "absent", &seen);
    assert_int_equal(seen.n, 0);
    look(s, run + 1, NULL, &seen);
    assert_int_equal(seen.n, 0);
    mn__store_close(s);
}

static mn_status see_bare(void *ctx, int64_t key, const mn__store_prompt *p,
                          const mn__store_record *r)
{
    (void)key;
    (void)p;
    assert_null(r->output);
    assert_null(r->nll);
    assert_null(r->kl);
    assert_null(r->kept);
    assert_null(r->metric);
    assert_true(isnan(r->score) && isnan(r->share_answer) && isnan(r->share_prompt));
    assert_string_equal(r->status, "9,000 tokens, and the context holds 8,192");
    return *(int *)ctx == 1 ? MN_ECANCEL : MN_OK;
}

static void test_absent_fields(void **state)
{
    (void)state;
    store_sample x;
    mn__store *s = store_open(store_path("bare"), MN_STORE_WRITE);
    mn__store_run r = store_run(1);
    int64_t run;
    int stop = 0;
    assert_int_equal(mn__store_add_run(s, &r, &run, NULL), MN_OK);
    store_fill(&x, 1, 1);
    x.record.output = x.record.kept = x.record.metric = NULL;
    x.record.share_answer = x.record.share_prompt = NAN;
    x.record.nll = x.record.kl = NULL;
    x.record.score = NAN;
    x.record.status = "9,000 tokens, and the context holds 8,192";
    assert_true(store_add(s, run, &x));
    mn__store_query q = {.run = run};
    assert_int_equal(mn__store_each_record(s, &q, see_bare, &stop, NULL), MN_OK);
    stop = 1; /* what the visit returns ends it */
    assert_int_equal(mn__store_each_record(s, &q, see_bare, &stop, NULL), MN_ECANCEL);
    mn__store_close(s);
}

/* The means that people will ask for in SQL are those of the arrays. */
static void test_columns_for_people(void **state)
{
    (void)state;
    store_sample x;
    mn__store *s = store_open(store_path("people"), MN_STORE_WRITE);
    store_add_range(s, 4, 5); /* five tokens of the answer */
    store_fill(&x, 4, 1);
    double mean = 0;
    for (int t = 0; t < 5; t++) mean += (double)x.nll[t] / 5;
    assert_int_equal(store_number(s, "SELECT count(*) FROM record WHERE length(nll_token) = 20"),
                     4);
    int64_t nll = store_number(s, "SELECT round(nll * 1e6) FROM record");
    assert_int_equal(nll, llround(mean * 1e6));
    assert_int_equal(store_number(s, "SELECT count(*) FROM prompt WHERE hash = 'fedcba9876543214'"),
                     1);
    mn__store_close(s);
}

/* ---- keys stand once ---- */

static void test_no_duplicates(void **state)
{
    (void)state;
    store_sample x, y;
    mn__store *s = store_open(store_path("twice"), MN_STORE_WRITE);
    int64_t run = store_add_range(s, 0, 3), again, other;
    mn__store_run r = store_run(1);
    r.created = "2027-01-01T00:00:00Z";
    r.machine = r.model = "another place, the same work";
    assert_int_equal(mn__store_add_run(s, &r, &again, NULL), MN_OK);
    assert_int_equal(again, run);
    r.seed = 2;
    assert_int_equal(mn__store_add_run(s, &r, &other, NULL), MN_OK);
    assert_int_not_equal(other, run);
    store_fill(&x, 1, 2);
    y = x;
    y.record.output = "another";
    assert_false(store_add(s, run, &y)); /* the first stays */
    assert_true(store_add(s, other, &x));
    y = x;
    y.record.seed = 5;
    assert_true(store_add(s, run, &y));
    y = x;
    y.record.budget = "50%";
    assert_true(store_add(s, run, &y));
    y = x;
    y.prompt.hash ^= 1; /* read by another tokenizer: another prompt */
    assert_true(store_add(s, run, &y));
    assert_int_equal(store_number(s, "SELECT count(*) FROM record"), 16);
    assert_int_equal(store_number(s, "SELECT count(*) FROM prompt"), 4);
    assert_int_equal(store_number(s, "SELECT count(*) FROM record WHERE output = 'another'"), 0);
    mn__store_close(s);
}

static void test_run_id(void **state)
{
    (void)state;
    char a[17], b[17];
    mn__store_run base = store_run(1), r = base;
    mn__store_run_id(a, &base);
    assert_int_equal(strlen(a), 16);
    const char **text[] = {&r.version,       &r.git_commit, &r.model_hash,
                           &r.chat_template, &r.evict,      &r.options};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        r = base;
        *text[i] = "changed";
        mn__store_run_id(b, &r);
        assert_string_not_equal(a, b);
    }
    r = base;
    r.n_ctx++;
    mn__store_run_id(b, &r);
    assert_string_not_equal(a, b);
    r = base; /* what moves from one field to the next is another run */
    r.version = "0.1.0a";
    r.git_commit = "bc123";
    mn__store_run_id(b, &r);
    assert_string_not_equal(a, b);
    r = base;
    r.chat_template = base.evict;
    r.evict = base.chat_template;
    mn__store_run_id(b, &r);
    assert_string_not_equal(a, b);
}

static void test_has_record(void **state)
{
    (void)state;
    store_sample x;
    bool has = true;
    mn__store *s = store_open(store_path("has"), MN_STORE_WRITE);
    mn__store_place at = {.run = store_add_range(s, 0, 10)};
    store_fill(&x, 9, 3);
    assert_int_equal(mn__store_add_prompt(s, &x.prompt, &at.prompt, NULL), MN_OK);
    assert_int_equal(mn__store_has_record(s, at, &x.record, &has, NULL), MN_OK);
    assert_true(has);
    x.record.budget = "12.5%";
    assert_int_equal(mn__store_has_record(s, at, &x.record, &has, NULL), MN_OK);
    assert_false(has);
    mn_diag diag = {""};
    at.prompt += 1000;
    assert_int_equal(mn__store_add_record(s, at, &x.record, NULL, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "it lacks"));
    mn__store_close(s);
}

/* Both questions are answered by indices, and the visit sorts nothing. */
static void test_plans(void **state)
{
    (void)state;
    mn__store *s = store_open(store_path("plan"), MN_STORE_WRITE);
    const mn__store_sql which[] = {MN_STORE_HAS_RECORD, MN_STORE_EACH_RECORD};
    for (int i = 0; i < 2; i++) {
        char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(s->sql[which[i]]));
        sqlite3_stmt *plan = NULL;
        int n_index = 0;
        assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(plan, 3);
            assert_null(strstr(line, "TEMP B-TREE"));
            n_index += strstr(line, "INDEX") != NULL;
        }
        assert_int_equal(n_index, 1 + i);
        sqlite3_finalize(plan);
        sqlite3_free(sql);
    }
    mn__store_close(s);
}

/* ---- shards ---- */

static void test_merge(void **state)
{
    (void)state;
    static struct seen one, joined;
    mn__store_merged m;
    mn__store *s = store_open(store_path("one"), MN_STORE_WRITE);
    look(s, store_add_range(s, 0, 40), NULL, &one);
    mn__store_close(s);
    const char *shard = store_path("shard");
    mn__store *b = store_open(shard, MN_STORE_WRITE); /* stays open: its log is not folded in */
    mn__store_run r = store_run(9);
    int64_t unused;
    assert_int_equal(mn__store_add_run(b, &r, &unused, NULL), MN_OK); /* keys differ */
    store_add_range(b, 15, 40);
    s = store_open(store_path("rank0"), MN_STORE_WRITE);
    int64_t run = store_add_range(s, 0, 20);
    assert_int_equal(mn__store_merge(s, shard, &m, NULL), MN_OK);
    assert_true(m.n_run == 1 && m.n_prompt == 20 && m.n_record == 80);
    assert_true(m.n_duplicate == 20 && m.n_conflict == 0);
    look(s, run, NULL, &joined);
    assert_string_equal(joined.order, one.order); /* as if one had written all */
    assert_int_equal(mn__store_merge(s, shard, &m, NULL), MN_OK);
    assert_true(m.n_run == 0 && m.n_prompt == 0 && m.n_record == 0 && m.n_duplicate == 100);
    assert_int_equal(store_number(b, "SELECT count(*) FROM record"), 100);
    mn__store_close(b);
    mn__store_close(s);
}

static void test_merge_conflicts(void **state)
{
    (void)state;
    mn__store_merged m;
    const char *shard = store_path("differs");
    mn__store *s = store_open(shard, MN_STORE_WRITE);
    store_add_range(s, 0, 10);
    mn__store_close(s);
    store_tamper(shard, "UPDATE record SET prefill_s = 99, peak_bytes = 1");
    s = store_open(store_path("base"), MN_STORE_WRITE);
    store_add_range(s, 0, 10);
    assert_int_equal(mn__store_merge(s, shard, &m, NULL), MN_OK);
    assert_true(m.n_duplicate == 40 && m.n_conflict == 0); /* times may differ */
    const char *const change[] = {"status = 'bad'",      "output = NULL",       "score = NULL",
                                  "n_gold = 1000",       "nll_token = x'00'",   "kl_token = NULL",
                                  "kept = '[]'",         "kv_bytes = 1",        "policy_bytes = 9",
                                  "n_generated = 77",    "acts = 'reading'",    "metric = 'rouge'",
                                  "share_answer = NULL", "share_prompt = 0.01", "gold_bytes = 0"};
    for (uint64_t i = 0; i < sizeof change / sizeof *change; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "UPDATE record SET %s WHERE key = %d", change[i], (int)i + 1);
        store_tamper(shard, sql);
        assert_int_equal(mn__store_merge(s, shard, &m, NULL), MN_OK);
        assert_true(m.n_conflict == i + 1 && m.n_duplicate == 40 && m.n_record == 0);
        if (i == 0)
            assert_string_equal(m.conflict, "qasper 0, full, seed -2: status ok and bad");
        else if (i == 4) /* key 5: of the second prompt, which comes first by its task */
            assert_string_equal(m.conflict,
                                "passkey 7919, full, seed -2: another likelihood of the answer");
    }
    assert_int_equal(store_number(s, "SELECT count(*) FROM record WHERE status = 'ok'"), 40);
    mn__store_close(s);
}

static void merge_refused(mn__store *s, const char *path, mn_status wanted, const char *says)
{
    mn_diag diag = {""};
    mn__store_merged m = {.n_run = 77};
    assert_int_equal(mn__store_merge(s, path, &m, &diag), wanted);
    assert_non_null(strstr(diag.text, path));
    assert_non_null(strstr(diag.text, says));
    assert_int_equal(m.n_run, 77);
}

static void test_merge_refused(void **state)
{
    (void)state;
    const char *path = store_path("into"), *other = store_path("shard2");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, 0, 2);
    merge_refused(s, path, MN_EINPUT, "into itself");
    merge_refused(s, store_path("nowhere"), MN_EINPUT, "No such file");
    mn__store *b = store_open(other, MN_STORE_WRITE);
    store_add_range(b, 0, 2);
    mn__store_close(b);
    store_tamper(other, "PRAGMA user_version=7");
    merge_refused(s, other, MN_EINPUT, "version 7");
    /* One bad row at the end, and nothing at all is taken over. */
    store_tamper(other, "PRAGMA user_version=2; UPDATE prompt SET source_id = source_id || 'x';"
                        "PRAGMA ignore_check_constraints=1; PRAGMA writable_schema=1;"
                        "UPDATE sqlite_schema SET sql = replace(sql, 'status TEXT NOT NULL', "
                        "'status TEXT') WHERE name = 'record'");
    store_tamper(other, "UPDATE record SET status = NULL WHERE key = 8");
    merge_refused(s, other, MN_ERANGE, "status");
    assert_int_equal(store_number(s, "SELECT count(*) FROM prompt"), 2);
    store_add_range(s, 2, 3); /* and it goes on */
    mn__store_close(s);
}

/* ---- files that are no store ---- */

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_refused(void **state)
{
    (void)state;
    const char *path = store_path("no");
    store_refused(path, MN_STORE_READ, MN_EINPUT, "No such file");
    assert_int_equal(access(path, F_OK), -1); /* looking makes no file */
    store_refused(store_path("no/way"), MN_STORE_WRITE, MN_EIO, "cannot be opened");
    store_refused(store_folder, MN_STORE_WRITE, MN_EINPUT, "not a regular file");
    assert_int_equal(mkfifo(store_path("pipe"), 0600), 0);
    store_refused(store_path("pipe"), MN_STORE_READ, MN_EINPUT, "not a regular file");
    char text[5000];
    memset(text, 'a', sizeof text);
    write_file(path, text, sizeof text);
    store_refused(path, MN_STORE_READ, MN_EINPUT, "no SQLite database");
    store_refused(path, MN_STORE_WRITE, MN_EINPUT, "no SQLite database");
    write_file(path, "", 0);
    store_refused(path, MN_STORE_READ, MN_EINPUT, "empty");
    store_tamper(path, "CREATE TABLE mail(a)");
    store_refused(path, MN_STORE_READ, MN_EINPUT, "not one of mneme's");
    store_refused(path, MN_STORE_WRITE, MN_EINPUT, "not one of mneme's");
}

static void test_other_version(void **state)
{
    (void)state;
    const char *path = store_path("version");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, 0, 2);
    mn__store_close(s);
    store_tamper(path, "PRAGMA user_version=3");
    store_refused(path, MN_STORE_READ, MN_EINPUT, "version 3, and this mneme reads version 2");
    store_refused(path, MN_STORE_WRITE, MN_EINPUT, "version 3");
    store_tamper(path, "PRAGMA user_version=2; ALTER TABLE record DROP COLUMN kept");
    store_refused(path, MN_STORE_READ, MN_EINPUT, "kept");
}

/* A name that SQLite would take for something else is a file's name. */
static void test_odd_names(void **state)
{
    (void)state;
    char before[512];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(store_folder), 0);
    const char *const name[] = {":memory:", "file:x?mode=memory", "a b%20'\"c"};
    for (int i = 0; i < 3; i++) {
        mn__store *s = store_open(name[i], MN_STORE_WRITE);
        store_add_range(s, 0, 1);
        mn__store_close(s);
        assert_int_equal(access(name[i], F_OK), 0);
    }
    store_refused("gone", MN_STORE_READ, MN_EINPUT, "gone: No such");
    assert_int_equal(chdir(before), 0);
    mn_diag diag = {""};
    mn__store *s;
    assert_int_equal(mn__store_open(&s, "", MN_STORE_WRITE, &diag), MN_EINPUT);
}

/* As a user who may not write: in a child, since tests may run as root. A run that was killed
 * leaves the log's mark in the file: then not even reading is possible without writing. */
enum { CANNOT_LOOK = 77 };

static int try_read_only(const char *path, bool marked)
{
    mn__store *s = NULL;
    mn_diag diag = {""};
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 1;
    if (access(path, R_OK) != 0) return CANNOT_LOOK; /* a private folder above, and we were root */
    if (mn__store_open(&s, path, MN_STORE_WRITE, &diag) != MN_EIO) return 2;
    if (!strstr(diag.text, path) || !strstr(diag.text, "may not be written")) return 3;
    mn_status st = mn__store_open(&s, path, MN_STORE_READ, &diag);
    if (st != (marked ? MN_EIO : MN_OK)) return 4;
    if (marked && (!strstr(diag.text, path) || !strstr(diag.text, "beside it"))) return 6;
    if (!marked && sqlite3_exec(s->db, "SELECT * FROM record", NULL, NULL, NULL) != SQLITE_OK)
        return 5;
    mn__store_close(s);
    return 0;
}

static void test_read_only_file(void **state)
{
    (void)state;
    const char *path = store_path("fixed");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, 0, 2);
    mn__store_close(s);
    for (int marked = 0; marked < 2; marked++) {
        if (marked) store_tamper(path, "PRAGMA journal_mode=WAL");
        assert_int_equal(chmod(path, 0444), 0);
        assert_int_equal(chmod(store_folder, 0555), 0);
        int status = -1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(try_read_only(path, marked));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(chmod(store_folder, 0700), 0);
        assert_int_equal(chmod(path, 0644), 0);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == CANNOT_LOOK) skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static mn_status count_one(void *ctx, int64_t key, const mn__store_prompt *p,
                           const mn__store_record *r)
{
    (void)key;
    (void)p;
    (void)r;
    ++*(int *)ctx;
    return MN_OK;
}

/* Open, read all: what became of it. */
static mn_status read_whole(const char *path, int *n, mn_diag *diag)
{
    mn__store *s = NULL;
    *n = 0;
    mn_status st = mn__store_open(&s, path, MN_STORE_READ, diag);
    mn__store_query q = {.run = 1};
    if (st == MN_OK) st = mn__store_each_record(s, &q, count_one, n, diag);
    mn__store_close(s);
    return st;
}

/* Each byte of the header and of the first page's table of contents changed in turn: refused with a
 * sentence, or, where the byte does not matter, read in full. */
static void test_damaged_header(void **state)
{
    (void)state;
    const char *path = store_path("damaged");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, 0, 30);
    mn__store_close(s);
    static unsigned char whole[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t size = fread(whole, 1, sizeof whole, f);
    fclose(f);
    assert_true(size > 8192 && size < sizeof whole);
    int n, n_refused = 0;
    for (size_t at = 0; at < 128; at++) {
        mn_diag diag = {""};
        whole[at] ^= 0xa5;
        write_file(path, whole, size);
        mn_status st = read_whole(path, &n, &diag);
        whole[at] ^= 0xa5;
        if (at < 16) assert_int_equal(st, MN_EINPUT);
        if (st == MN_OK) {
            assert_int_equal(n, 120);
        } else {
            assert_true(st == MN_EINPUT || st == MN_EIO);
            assert_non_null(strstr(diag.text, path));
            n_refused++;
        }
    }
    assert_true(n_refused >= 40);
    for (size_t part = 1; part < 8; part++) { /* cut short */
        mn_diag diag = {""};
        write_file(path, whole, size * part / 8);
        mn_status st = read_whole(path, &n, &diag);
        assert_true(st == MN_EINPUT || st == MN_EIO);
        assert_non_null(strstr(diag.text, path));
    }
}

static void test_damaged_rows(void **state)
{
    (void)state;
    const char *path = store_path("rows");
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, 0, 2);
    mn__store_close(s);
    const char *const change[] = {"UPDATE record SET nll_token = x'0011' WHERE key = 3",
                                  "UPDATE record SET n_gold = 4294967296 WHERE key = 2",
                                  "UPDATE record SET n_generated = -1 WHERE key = 2",
                                  ("PRAGMA ignore_check_constraints=1;"
                                   "UPDATE record SET acts = 'often' WHERE key = 2"),
                                  "UPDATE prompt SET hash = 'xyz' WHERE key = 2",
                                  "UPDATE prompt SET n_token = 1e12 WHERE key = 1"};
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        int n;
        mn_diag diag = {""};
        char copy[64];
        snprintf(copy, sizeof copy, "rows-%zu", i);
        const char *bad = store_path(copy);
        store_tamper(path, "PRAGMA wal_checkpoint");
        char clone[720];
        snprintf(clone, sizeof clone, "VACUUM INTO '%s'", bad);
        store_tamper(path, clone);
        assert_int_equal(read_whole(bad, &n, &diag), MN_OK);
        store_tamper(bad, change[i]);
        assert_int_equal(read_whole(bad, &n, &diag), MN_EINPUT);
        assert_non_null(strstr(diag.text, "damaged"));
        assert_non_null(strstr(diag.text, bad));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_absent_fields),
        cmocka_unit_test(test_columns_for_people),
        cmocka_unit_test(test_no_duplicates),
        cmocka_unit_test(test_run_id),
        cmocka_unit_test(test_has_record),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_conflicts),
        cmocka_unit_test(test_merge_refused),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_other_version),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_read_only_file),
        cmocka_unit_test(test_damaged_header),
        cmocka_unit_test(test_damaged_rows),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
