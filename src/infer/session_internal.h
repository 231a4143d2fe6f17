/* session_internal.h: what a session is made of, for session.c, state.c, plan.c and batch.c. */
#ifndef MN_SESSION_INTERNAL_H
#define MN_SESSION_INTERNAL_H

#include "cache/pool.h"
#include "mneme/session.h"
#include "model/forward.h"
#include "policy/evict.h"
#include "policy/gather.h"

/* Pages, and what was made of weights, outlive the session that made them while forks hold them. */
typedef struct mn__shared_pool {
    mn__pool *pool;
    mn__gram *gram; /* NULL: the policy needs none */
    int n_user;     /* atomic */
} mn__shared_pool;

/* Who looks on. */
typedef struct mn__onlook {
    mn__scorer scorer;     /* first: what attention is shown to while by.attention is set */
    const mn__scorer *own; /* what it is shown to first; NULL: nobody */
    mn_onlooker by;
    uint64_t n_event;
    bool any; /* lanes were looked at in the event under way */
} mn__onlook;

struct mn_session {
    const mn_model *m;
    mn_session_params params; /* resolved; strings below own what these borrow */
    char *policy_text, *budget_text;
    mn__pin *pin;
    mn__shared_pool *shared;
    mn__cache *cache;
    mn__policy *policy;
    mn__gather *gather; /* for forks under other policies; NULL: none */
    mn__evictor *evictor;
    mn__forward *forward;
    mn__team *team;
    mn__evict_env env;
    mn__onlook onlook;
    int32_t last_token; /* -1: none, or not known */
    size_t kv_peak_bytes;
    double forward_s, evict_s;
};

/* Parameters with every default resolved, and the shape of the cache they lead to; add_needs puts
 * in what scorer (NULL: none) wants kept. */
void mn__session_resolve(const mn_model *m, const mn_session_params *in, mn_session_params *out);
mn_status mn__session_check(const mn_session_params *resolved,
                            mn_diag *diag); /* MN_EUSAGE: out of range */
mn__cache_shape mn__session_shape(const mn_model *m, const mn_session_params *p);
void mn__session_add_needs(mn__cache_shape *shape, const mn__policy *policy,
                           const struct mn__scorer *scorer, mn_positions positions);
mn__forward_limits mn__session_limits(const mn_model *m, const mn_session_params *p,
                                      const mn__cache_shape *shape);
/* What attention is shown to: the policy's scorer, what gathers for others, or what shows it to an
 * onlooker too; NULL: nobody. */
const mn__scorer *mn__session_scorer(const mn_session *s);
/* MN_EUSAGE: a policy that drops, for a model whose attention keeps nothing that it could, or a
 * context that it has no weights for. */
mn_status mn__session_check_model(const mn_model *m, const mn__policy *policy,
                                  const mn__cache_shape *shape, mn_diag *diag);
/* Everything but cache and pool; shape receives what the cache must have. params are copied. */
mn_status mn__session_base(mn_session **out, const mn_model *m, const mn_session_params *p,
                           mn__cache_shape *shape, mn_diag *diag);
/* An event is over: the onlooker hears of it if any lane was looked at. */
void mn__onlook_event(mn_session *s, mn__event event);
/* The tokens of a step are part of the sequence. */
void mn__session_commit(mn_session *s, int32_t last_token);
/* After a step: note the peak, evict when due. */
mn_status mn__session_after(mn_session *s, mn__event event, mn_diag *diag);
/* Tokens of the next chunk when `done` of n were read. */
size_t mn__session_chunk(const mn_session *s, size_t left);
/* Room for n tokens, or the sentence that says what to do about it. */
mn_status mn__session_reserve(mn_session *s, size_t n, mn_diag *diag);

#endif
