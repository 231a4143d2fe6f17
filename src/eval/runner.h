/* runner.h: every combination of policy and budget over every prompt of every task, into a store.
 * Prompts are handed out one by one to workers, each with threads of its own, and to the processes
 * of a run; what the store holds already is not asked again. */
#ifndef MN_EVAL_RUNNER_H
#define MN_EVAL_RUNNER_H

#include "eval/deck.h"
#include "eval/store.h"
#include "eval/trial.h"

typedef struct mn__runner_params {
    const mn_model *model;
    mn__store_run run;         /* written to the store as it stands */
    mn_session_params session; /* n_thread: of one worker */
    const mn__case *cases;
    size_t n_case;
    mn__deck_params deck;          /* source.tokens is filled in */
    const char *metric_dictionary; /* folder, or NULL: where it is installed */
    bool chat, evict_context, alone;
    const char *chat_template;
    size_t max_new; /* 0: the task's */
    size_t max_gold, n_side, n_worker;
    /* Number of the next prompt to take, each once over all workers and processes, rising; NULL:
     * this process takes all. From any thread. */
    uint64_t (*claim)(void *ctx);
    void (*progress)(uint64_t n_done, uint64_t n_total, void *ctx); /* one thread at a time */
    void (*note)(const char *sentence, void *ctx); /* the same; what was skipped, scores that were
                                                      none */
    bool (*stop)(void *ctx);                       /* from any thread */
    void *ctx;
} mn__runner_params;

typedef struct mn__runner_result {
    uint64_t n_prompt, n_record; /* made now */
    uint64_t n_there;            /* records that were there already */
    uint64_t n_seen, n_cut;      /* prompts, made or there; those of them that lost their middle */
    uint64_t n_skipped;          /* prompts that do not fit */
    char left_out[512];          /* the first of them and why, in words */
} mn__runner_result;

typedef struct mn__runner mn__runner;

/* Tasks, their files and metrics, all of which are looked through; nothing is written. params and
 * what they point to are borrowed until the runner is closed. MN_EUSAGE: all rows would be made, at
 * lengths that leave no room for an answer. Errors as mn__deck_open and mn__metric_open. */
mn_status mn__runner_open(mn__runner **out, const mn__runner_params *params, mn_diag *diag);
const mn__deck *mn__runner_deck(const mn__runner *r);
/* Prompts into the store at `path`; records that it holds are not made again. MN_EUSAGE: a policy
 * or budget that cannot be; MN_ECANCEL: stopped; what trials and the store say. What was finished
 * stands in the store in all cases. */
mn_status mn__runner_run(mn__runner *r, const char *path, mn__runner_result *out, mn_diag *diag);
void mn__runner_close(mn__runner *r); /* NULL is fine */

#endif
