/* rater_trial.h: candidates in the model: each prompt under each candidate's cache, along the gold
 * answer or freely. A policy that acts at the prompt's end goes on from readings that are kept
 * (frozen prefill: fidelity b); one that forgets while it reads is read anew for each candidate
 * (true: fidelity c). */
#ifndef MN_EVOLVE_RATER_TRIAL_H
#define MN_EVOLVE_RATER_TRIAL_H

#include "eval/deck.h"
#include "evolve/bank.h"
#include "evolve/rater.h"
#include "mneme/namm.h"

typedef struct mn__trial_rater_params {
    const mn_model *model;
    mn_session_params session; /* n_ctx, n_thread of one worker; seed */
    const char *policy;        /* namm:file=...: its network's shape is the candidates' */
    const char *const *budget; /* [n_budget] a candidate's loss is the mean over them */
    size_t n_budget;
    mn__deck_params deck; /* source.tokens is filled in */
    bool evict_context;
    mn_evolve_loss loss;
    size_t population; /* most candidates side by side; of more, one part after the other */
    size_t n_worker;
    size_t max_gold, max_new; /* as in mn__ask_params */
    size_t bank_bytes;
    const char *bank_folder; /* as mn__bank_params */
    size_t rank, n_rank;
    const char *metric_dictionary;
    bool (*stop)(void *ctx);
    void *stop_ctx;
} mn__trial_rater_params;

/* Everything in params is borrowed until the rater is freed. Errors as mn__deck_open,
 * mn__trial_new. */
mn_status mn__trial_rater_new(mn__rater *out, const mn__trial_rater_params *params, mn_diag *diag);

#endif
