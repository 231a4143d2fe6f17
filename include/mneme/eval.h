/** @file eval.h  Policies at budgets over the prompts of benchmarks: records in a store, and what
 * they add up to: tables, and a page to read them on. */
#ifndef MNEME_EVAL_H
#define MNEME_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/session.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A task that can be asked for by name. Texts are static. */
typedef struct mn_eval_task {
    const char *name, *set; /* the set's name stands for all its tasks */
    const char *family, *metric;
    const char *about, *source; /* of the set */
    bool is_made;               /* can be made at any length */
} mn_eval_task;
/** Task i, from 0, in the order of the registry. Any thread; cost: a walk over the list.
 *  @return false beyond the last, *out untouched */
MN_API bool mn_eval_get_task(size_t i, mn_eval_task *out);

/** A way to score answers, 0 to 1, 1 the best. Texts are static. */
typedef struct mn_eval_metric {
    const char *name, *meaning, *source;
} mn_eval_metric;
/** Metric i, as mn_eval_get_task. */
MN_API bool mn_eval_get_metric(size_t i, mn_eval_metric *out);

/** Which rows of a set: rows are on one side for good, by a hash of the text that is read in them.
 * Made rows are on both. */
typedef enum mn_eval_split {
    MN_EVAL_SPLIT_ALL,
    MN_EVAL_SPLIT_TRAIN, /**< a quarter: what evolution may see */
    MN_EVAL_SPLIT_TEST   /**< the rest: what is reported of what was evolved */
} mn_eval_split;

/** What to evaluate. Fill with mn_eval_params_default first. Strings are borrowed during the call;
 * lists have commas between, of which those inside a policy (`pool=7`) are told apart. */
typedef struct mn_eval_params {
    const char *dir;             /**< folder of the store, results.sqlite; made when absent */
    const char *tasks;           /**< names of tasks and sets; NULL with task_file */
    const char *task_file;       /**< rows of the user's own, JSON lines, also .xz and .zst */
    const char *metric, *prompt; /**< of task_file; prompt NULL: context, blank line, input */
    const char *policies;        /**< SPEC, or SPEC@SIZE with a budget of its own; full, empty and,
                                    at each budget, the newest tokens and random always join */
    const char *budgets;         /**< default: "50%,25%,12.5%" */
    const char *data;            /**< where the sets lie; NULL: none */
    const char *haystack;        /**< text for made rows; NULL: the data's own */
    const char *dictionary;      /**< of metrics over words; NULL: where it is installed */
    const size_t *length;        /**< [n_length] tokens of made rows */
    size_t n_length, n_depth;    /**< n_depth: needles at so many even depths; 0: drawn */
    uint64_t limit;              /**< most rows of a task, with n_depth of each depth and length; 0:
                                    all, 20 of made ones, 1 of each depth */
    mn_eval_split split;         /**< default: all */
    bool skip_bad;               /**< count malformed lines instead of failing */
    bool chat;                   /**< the model's chat template around prompts */
    const char *chat_template;   /**< a built-in one instead */
    bool evict_context;          /**< policies act behind the context, the question follows */
    bool alone;                  /**< nothing joins, nothing is compared with the full cache: no
                                    divergence; for prompts whose full cache is too large to read */
    size_t max_new;              /**< 0: as each task says */
    size_t max_gold;             /**< tokens of the gold answer that are scored (64) */
    size_t n_side, n_worker;     /**< caches side by side (16), prompts at once (1) */
    mn_session_params session;   /**< n_ctx: of prompt and answer; n_thread: of all workers;
                                    policy and budget are not looked at */
    const char *model, *commit;  /**< names for the records; not NULL */
    int rank, n_rank;            /**< of several processes that share dir; 0 of 1 */
    /** Of several ranks, else NULL: waits until all are here, each with its status. MN_OK where all
     * are well, else what all of them end with; then those that still work are given numbers of
     * prompts beyond all. MN_ECANCEL comes back at once: where a rank has died nobody waits. */
    mn_status (*meet)(mn_status st, void *ctx);
    /** Number of the next prompt, each once over all ranks, rising; from any thread. NULL for one.
     */
    uint64_t (*claim)(void *ctx);
    /** These three may be NULL. progress (prompts) and note (what was left out; once for a policy
     * that its scores were no numbers) are called by one thread at a time, whichever; stop by
     * several, often: true ends the run soon. */
    void (*progress)(uint64_t done, uint64_t total, void *ctx);
    void (*note)(const char *sentence, void *ctx);
    bool (*stop)(void *ctx);
    void *ctx; /**< of all callbacks */
} mn_eval_params;
/** dir, and tasks or task_file, are the caller's to name; session as mn_session_params_default; the
 * rest as told above. */
MN_API void mn_eval_params_default(mn_eval_params *p);

/** What mn_eval_run did in this process. */
typedef struct mn_eval_result {
    uint64_t n_prompt, n_record; /**< new */
    uint64_t n_there;            /**< records that stood there already */
    uint64_t n_seen, n_cut; /**< prompts, new or not; those too long, which lost their middle */
    uint64_t n_bad,
        n_skipped;      /**< malformed lines; prompts over the context, which were left out */
    char left_out[512]; /**< the first of those and why, in words; "" if there is none */
} mn_eval_result;
/** Every policy at every budget over every prompt; records go to DIR/results.sqlite one by one.
 * What stands there is not made again, so that a run that was cut short goes on. Blocks; starts
 * threads of its own; the model is only read and may serve others meanwhile. One run at a time
 * writes to a folder, its ranks together.
 *  @param out     counts, also of what was done before a failure
 *  @return MN_OK; MN_EUSAGE (a name, list or setting that cannot be, with the nearest name);
 * MN_EINPUT (a set that is not there, a malformed line: file and line; a store of another version);
 * MN_EIO; MN_EFAIL (another process holds the store); MN_ENOMEM; MN_ECANCEL (stopped: what was
 * finished is kept). Where one rank fails, all do. */
MN_API mn_status mn_eval_run(const mn_model *model, const mn_eval_params *params,
                             mn_eval_result *out, mn_diag *diag);

/** How to report. Fill with mn_report_params_default first. */
typedef struct mn_report_params {
    const char *chart_js, *d3_js; /**< files of Chart.js 3 and d3 3, which the page carries; NULL:
                                     where this build found them */
    uint32_t n_resample;          /**< of intervals and tests (9999) */
    int n_thread;                 /**< 0: one per processor; no figure depends on it */
} mn_report_params;
/** As told above. */
MN_API void mn_report_params_default(mn_report_params *p);

/** What a report was made of. */
typedef struct mn_report_info {
    uint64_t n_file, n_run, n_prompt, n_record; /* prompts of all runs */
    uint64_t n_failed;                          /* records without a score */
    uint64_t n_conflict; /* records that two files tell differently: the first file's counts */
    char conflict[512];  /* the first of them, in words */
} mn_report_info;

/** Read the records in DIR (results.sqlite, or all *.sqlite there, as the processes of one run
 * leave them; results.sqlite counts as first, then by name) and write DIR/report.json, report.csv
 * and report.html, each whole or not at all. The JSON is an object of lists: runs, summary (a
 * policy over all prompts), families, rows (over a task's), pairs, tasks, needles, kept, notes; the
 * CSV holds the lines of summary, families, rows and pairs; the page opens without a network.
 *  @param params  NULL: the defaults
 *  @param out     NULL: not wanted
 *  @return MN_OK; MN_EINPUT (no records there, or files that hold none; a chart library that is
 * not there, with the package that brings it); MN_EIO; MN_EFAIL (another process holds the store);
 * MN_ENOMEM. Any thread, one at a time for a folder; a run may be writing there. Cost: seconds for
 * thousands of records, growing with policies squared. */
MN_API mn_status mn_report_write(const char *dir, const mn_report_params *params,
                                 mn_report_info *out, mn_diag *diag);
/** The document of report.json alone, handed to `put` piece by piece; nothing is written to DIR,
 * which need not allow it, and no chart library is needed. Several files are joined in a temporary
 * one, in /tmp where DIR is no place for it. `put` gets n bytes of UTF-8 in the caller's thread,
 * borrowed until it returns, no NUL behind them. @return as mn_report_write. */
MN_API mn_status mn_report_json(const char *dir, const mn_report_params *params,
                                mn_report_info *out,
                                void (*put)(const char *text, size_t n, void *ctx), void *ctx,
                                mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
