/* trial.h: one prompt under many policies and budgets. The prompt is read once under the full
 * cache; what acts at its end goes on from forks, what forgets while reading reads for itself. All
 * then take the same steps side by side, one pass over the weights for all: first along the gold
 * answer, where each is compared with the full cache, then freely. */
#ifndef MN_EVAL_TRIAL_H
#define MN_EVAL_TRIAL_H

#include "eval/ask.h"
#include "mneme/session.h"

enum { MN__TRIAL_SIDES = 256 };

typedef struct mn__case {
    const char *policy, *budget; /* borrowed; budget "" where there is none */
    bool no_context;             /* full, with nothing to read but the question */
    const char *name;            /* the policy in records; NULL: as policy says */
} mn__case;

typedef struct mn__based {
    mn_session *session;
    const float *logits;
} mn__based;

typedef struct mn__trial_params {
    const mn_model *model;
    mn_session_params session; /* policy and budget are the cases' */
    const mn__case *cases;     /* [n_case], borrowed */
    size_t n_case;
    bool evict_context; /* cut behind the context, the question follows; else behind the prompt */
    bool alone; /* nothing is compared with the full cache: it is not read where no case needs it */
    size_t n_side; /* most sessions side by side, up to MN__TRIAL_SIDES; 0: 16. More is faster and
                      takes memory */
    bool (*stop)(void *ctx); /* polled between steps; true: MN_ECANCEL */
    /* Before the policy of case i acts for the first time; NULL: nothing. */
    mn_status (*prepare)(void *ctx, size_t i, mn_session *s, mn_diag *diag);
    /* The first n tokens of a reading under the full cache, gathered for the policies `also`, and
     * the logits behind them, both borrowed until the next call; NULL: they are read. */
    mn_status (*base)(void *ctx, const mn__reading *r, size_t n, mn__based *out, mn_diag *diag);
    void *ctx;
} mn__trial_params;

/* What came of one case. */
typedef struct mn__outcome {
    bool done;          /* false: it was not asked for */
    char why[256];      /* "" or why there is no result */
    char *output;       /* what was generated, NUL-terminated; NULL: nothing was asked for */
    size_t n_generated; /* tokens */
    float *nll, *kl;    /* [n_gold] nats a token of the right continuation; alone: kl NULL */
    size_t n_gold, gold_bytes;
    double *choice; /* [n_choice] nats of each continuation, over its bytes */
    size_t n_choice, n_choice_cap;
    bool greedy;         /* the right continuation is the likeliest at every token */
    char *kept;          /* JSON: tokens held when the answer began, [layer][head]; null: window */
    double share_prompt; /* tokens held over tokens read, over full-attention lanes, behind the
                            cut */
    double share_answer; /* the same, mean over the steps of the answer */
    size_t kv_bytes, policy_bytes, peak_bytes; /* then; peak: while reading */
    uint64_t n_nan;                            /* scores that were none, until then */
    const char *nan_rule;                      /* what became of them, in words; static */
    double read_s, write_s; /* read: the shared reading and the case's own part in it */
} mn__outcome;

/* Whether a case can be at all. MN_EUSAGE: an unknown policy or option, a budget that is none or
 * cannot hold what must stay; MN_ENOMEM; what a policy's file says. */
mn_status mn__case_check(const mn_model *m, const mn_session_params *session, const mn__case *c,
                         mn_diag *diag);

typedef struct mn__trial mn__trial;

/* MN_EUSAGE: a policy, option or budget that cannot be. One thread at a time. */
mn_status mn__trial_new(mn__trial **out, const mn__trial_params *params, mn_diag *diag);
void mn__trial_free(mn__trial *t); /* NULL is fine */
/* Does case i forget while it reads (and has a peak below the full cache's)? */
bool mn__trial_is_reader(const mn__trial *t, size_t i);
/* out [n_case] of zeros: those with want[i] are filled; the caller frees them (mn__outcome_free).
 * ask: the prompt; bare: the same without context, looked at by cases that want it. A budget that
 * cannot hold what must stay is such a case's outcome; MN_ENOMEM and MN_ECANCEL end all. */
mn_status mn__trial_run(mn__trial *t, const mn__task *task, const mn__ask *ask, const mn__ask *bare,
                        const bool *want, mn__outcome *out, mn_diag *diag);
void mn__outcome_free(mn__outcome *o);

#endif
