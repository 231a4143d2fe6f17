/* eval_store_fixture.h: a folder for stores, and records whose every field follows from a number.
 */
#ifndef TESTS_UNIT_EVAL_STORE_FIXTURE_H
#define TESTS_UNIT_EVAL_STORE_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/store.h"
#include "eval/store_internal.h"

static char store_folder[256];

/* PATH of a file in this test's folder; the last 16 asked for stay valid. */
static inline const char *store_path(const char *name)
{
    static char path[16][320];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", store_folder, name);
    return path[turn];
}

static inline int store_folder_make(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(store_folder, sizeof store_folder, "%s/mneme-store-XXXXXX",
             base && *base ? base : P_tmpdir);
    return mkdtemp(store_folder) ? 0 : -1;
}

static inline int store_folder_remove(void **state)
{
    (void)state;
    char command[320];
    snprintf(command, sizeof command, "rm -rf '%s'", store_folder);
    return system(command);
}

static inline mn__store *store_open(const char *path, mn__store_mode mode)
{
    mn_diag diag = {""};
    mn__store *s = NULL;
    mn_status st = mn__store_open(&s, path, mode, &diag);
    if (st != MN_OK) print_error("%s\n", diag.text);
    assert_int_equal(st, MN_OK);
    return s;
}

static inline mn__store_run store_run(uint64_t seed)
{
    return (mn__store_run){.created = "2026-01-31T12:00:00Z",
                           .version = "0.1.0",
                           .git_commit = "abc123",
                           .machine = "two processors",
                           .model = "models/tiny.gguf",
                           .model_hash = "00ff00ff00ff00ff",
                           .chat_template = "raw",
                           .evict = "prompt",
                           .options = "{\"n_predict\":32}",
                           .seed = seed,
                           .n_ctx = 8192};
}

/* Prompts 0, 1, ...: their names stand in another order than their numbers. */
enum { N_TASK = 3 };
typedef struct store_sample {
    char id[16], output[96];
    float nll[7], kl[7];
    mn__store_prompt prompt;
    mn__store_record record;
} store_sample;

static inline void store_fill(store_sample *x, uint32_t i_prompt, uint32_t i_policy)
{
    static const char *const task[N_TASK] = {"qasper", "passkey", "lambada"};
    static const char *const policy[] = {"full", "snapkv", "h2o:pool=7", "random"};
    snprintf(x->id, sizeof x->id, "%u", i_prompt * 7919 % 10007);
    snprintf(x->output, sizeof x->output, "answer %u '); DROP TABLE record;-- \xff\xe3\x81 %u",
             i_prompt, i_policy);
    for (uint32_t t = 0; t < 7; t++) {
        x->nll[t] = (float)(i_prompt * 7 + t) / 3;
        x->kl[t] = i_policy == 0 ? 0 : (float)(t + 1) / (float)(i_prompt + i_policy);
    }
    x->prompt = (mn__store_prompt){.task = task[i_prompt % N_TASK],
                                   .source_id = x->id,
                                   .source_file = "set.jsonl.zst",
                                   .family = "qa",
                                   .language = i_prompt % 2 ? "ja" : "en",
                                   .gold = "[\"\xe6\x9d\xb1\xe4\xba\xac\"]",
                                   .facts = "{\"depth\":0.5}",
                                   .hash = 0xfedcba9876543210u + i_prompt,
                                   .n_token = 100 + i_prompt};
    x->record = (mn__store_record){.policy = policy[i_policy % 4],
                                   .budget = i_policy == 0 ? "" : "25%",
                                   .seed = UINT64_MAX - 1,
                                   .acts = i_policy == 0 ? "never" : "end",
                                   .metric = "f1",
                                   .status = "ok",
                                   .output = x->output,
                                   .score = (double)i_prompt / 3,
                                   .nll = x->nll,
                                   .kl = x->kl,
                                   .n_gold = 1 + i_prompt % 7,
                                   .gold_bytes = 3 + i_prompt,
                                   .share_answer = i_policy == 0 ? 1 : 0.2625,
                                   .share_prompt = i_policy == 0 ? 1 : 0.25,
                                   .kept = "[[25,25],[25,25]]",
                                   .kv_bytes = ((uint64_t)1 << 40) + i_prompt,
                                   .policy_bytes = i_policy,
                                   .peak_bytes = 12345,
                                   .prefill_s = 1.5,
                                   .decode_s = 0.25,
                                   .n_generated = i_prompt};
}

/* Enter it; whether it is new. */
static inline bool store_add(mn__store *s, int64_t run, const store_sample *x)
{
    mn__store_place at = {.run = run};
    bool added = false;
    assert_int_equal(mn__store_add_prompt(s, &x->prompt, &at.prompt, NULL), MN_OK);
    assert_int_equal(mn__store_add_record(s, at, &x->record, &added, NULL), MN_OK);
    return added;
}

/* Prompts from..to-1, each under four policies. */
static inline int64_t store_add_range(mn__store *s, uint32_t from, uint32_t to)
{
    int64_t run;
    mn__store_run r = store_run(1);
    store_sample x;
    assert_int_equal(mn__store_add_run(s, &r, &run, NULL), MN_OK);
    for (uint32_t i = from; i < to; i++)
        for (uint32_t k = 0; k < 4; k++) {
            store_fill(&x, i, k);
            assert_true(store_add(s, run, &x));
        }
    return run;
}

static inline int64_t store_number(const mn__store *s, const char *sql)
{
    sqlite3_stmt *query = NULL;
    assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return n;
}

/* Another program changes the file. */
static inline void store_tamper(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
    sqlite3_close(db);
}

/* Opening for `mode` fails with this status, and a sentence that names the file and says this. */
static inline void store_refused(const char *path, mn__store_mode mode, mn_status wanted,
                                 const char *says)
{
    mn_diag diag = {""};
    mn__store *s = (mn__store *)&diag;
    mn_status st = mn__store_open(&s, path, mode, &diag);
    if (st != wanted || !strstr(diag.text, says)) print_error("%d: %s\n", st, diag.text);
    assert_int_equal(st, wanted);
    assert_null(s);
    assert_non_null(strstr(diag.text, path));
    assert_non_null(strstr(diag.text, says));
    assert_null(strchr(diag.text, '\n'));
}

#endif
