/* runner_fixture.h: a run over a few rows of one's own, by a tiny model. */
#ifndef MN_TEST_RUNNER_FIXTURE_H
#define MN_TEST_RUNNER_FIXTURE_H

#include <unistd.h>

#include "eval/runner.h"
#include "eval_fixture.h"
#include "eval_store_fixture.h"
#include "session_fixture.h"

static const mn__case run_cases[] = {{.policy = "full", .budget = ""},
                                     {.policy = "full", .budget = "", .no_context = true},
                                     {.policy = "h2o", .budget = "40%"},
                                     {.policy = "keydiff", .budget = "40"}};
enum { RUN_CASES = sizeof run_cases / sizeof *run_cases };

typedef struct runner_fixture {
    mn_model *m;
    mn__own_task own;
    mn__task_ref ref;
    mn__runner_params p;
    const char *store;
    char note[512]; /* the last */
    int n_note, n_tick;
} runner_fixture;

static inline void run_note(const char *sentence, void *ctx)
{
    runner_fixture *f = ctx;
    snprintf(f->note, sizeof f->note, "%s", sentence);
    f->n_note++;
}

static inline void run_tick(uint64_t n_done, uint64_t n_total, void *ctx)
{
    assert_true(n_done <= n_total);
    ((runner_fixture *)ctx)->n_tick++;
}

/* `text`: the rows. The store is a new one. */
static inline void run_make(runner_fixture *f, const char *arch, const char *metric,
                            const char *text)
{
    memset(f, 0, sizeof *f);
    f->m = fix_model(arch);
    const char *path = ef_write_text("runner.jsonl", text);
    f->store = store_path("runner.sqlite");
    unlink(f->store);
    mn__own_task_init(&f->own, path, metric, NULL, 4);
    f->ref.task = &f->own.task;
    f->p = (mn__runner_params){.model = f->m,
                               .run = store_run(1),
                               .session = fix_params("full", ""),
                               .cases = run_cases,
                               .n_case = RUN_CASES,
                               .deck = {.task = &f->ref, .n_task = 1, .source = {.own = path}},
                               .max_gold = 4,
                               .n_side = 2,
                               .n_worker = 1,
                               .note = run_note,
                               .progress = run_tick,
                               .ctx = f};
    f->p.run.n_ctx = 256;
    f->p.session.n_ctx = 256 + 4 + 64;
}

static inline void run_drop(runner_fixture *f)
{
    mn_model_free(f->m);
}

/* Opened and run; the status of whichever failed. */
static inline mn_status run_try(runner_fixture *f, mn__runner_result *out, mn_diag *diag)
{
    mn__runner *r;
    f->n_note = f->n_tick = 0;
    *out = (mn__runner_result){0};
    mn_status st = mn__runner_open(&r, &f->p, diag);
    if (st == MN_OK) st = mn__runner_run(r, f->store, out, diag);
    mn__runner_close(r);
    return st;
}

static inline int64_t run_count(const runner_fixture *f, const char *sql)
{
    mn__store *s = store_open(f->store, MN_STORE_READ);
    int64_t n = store_number(s, sql);
    mn__store_close(s);
    return n;
}

#endif
