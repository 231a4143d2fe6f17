/* trial_internal.h: what trial.c (readings, forks, groups) and trial_steps.c (steps side by side)
 * share. */
#ifndef MN_EVAL_TRIAL_INTERNAL_H
#define MN_EVAL_TRIAL_INTERNAL_H

#include "eval/draft.h"
#include "eval/likely.h"
#include "eval/trial.h"
#include "text/utf8.h"

struct mn__trial {
    mn__trial_params p;
    bool *reader;      /* [n_case] */
    const char **also; /* [n_case] policies that go on from forks */
    size_t n_also;
    mn_session *own;        /* reads what is not given; NULL until it is needed */
    const mn_session *base; /* of the reading under way */
    mn_batch *batch;
    mn__likely likely;
    double base_s; /* of the reading under way */
};

/* A session of the group under way. The first is the full cache, which the others are compared
 * with, unless each is alone. */
typedef struct mn__side_by_side {
    mn_session *s, *walk; /* walk: goes along a continuation */
    const float *logits;  /* after the prompt */
    mn__outcome *out;     /* NULL: only compared with */
    double read_s, share_prompt;
    double share_sum; /* over the steps of the answer */
    mn__draft text;   /* whole characters */
    mn__utf8_gate gate;
    size_t n_token, n_step;
} mn__side_by_side;

typedef struct mn__group {
    mn__trial *t;
    const mn__task *task;
    const mn__ask *ask, *bare;
    size_t i_reading, n;
    mn__side_by_side *side; /* [n_side + 1] */
    mn_session **session;   /* [n_side + 1] */
    const float **logits;
    int32_t *token;
    size_t *active;
    double *sum;
} mn__group;

/* Tokens held over tokens read. */
static inline double mn__share_held(const mn_session *s)
{
    mn_session_info info;
    mn_session_get_info(s, &info);
    return info.kept_share;
}

/* Asked to stop? A trial, as a pointer for callbacks. */
bool mn__trial_stopped(void *trial);
mn_status mn__trial_canceled(mn_diag *diag);

/* The group's sessions stand before the answer: likelihoods along the continuations of its reading,
 * then what they write. */
mn_status mn__group_answer(mn__group *g, mn_diag *diag);

#endif
