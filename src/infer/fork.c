/* fork.c: sessions that go on from the same past: pages are shared until one of them writes. */
#include "base/diag.h"
#include "infer/session_internal.h"

/* A session as `from` under `params`, without its cache. */
static mn_status child_new(mn_session **out, const mn_session *from,
                           const mn_session_params *params, mn__cache_shape *shape, mn_diag *diag)
{
    mn_session_params p = *params;
    p.pin = (const mn_pin *)from->pin; /* same layout; copied */
    p.n_pin = from->env.n_pin;
    mn_status st = mn__session_base(out, from->m, &p, shape, diag);
    if (st != MN_OK) return st;
    mn_session *s = *out;
    __atomic_add_fetch(&from->shared->n_user, 1, __ATOMIC_RELAXED);
    s->shared = from->shared;
    s->env.gram = s->shared->gram;
    s->env.n_prompt = from->env.n_prompt;
    s->last_token = from->last_token;
    s->kv_peak_bytes = from->kv_peak_bytes;
    return MN_OK;
}

mn_status mn_session_fork(mn_session **out, const mn_session *from, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__cache_shape shape;
    mn_session *s = NULL;
    mn_session_params p = from->params;
    *out = NULL;
    if (from->gather) return mn_session_fork_under(out, from, "full", "", diag);
    MN_TRY(child_new(&s, from, &p, &shape, diag));
    mn__policy_copy_params(s->policy, from->policy);
    MN_TRY(mn__cache_fork(&s->cache, from->cache, diag));
    *out = s;
    s = NULL;
done:
    mn_session_free(s);
    return st;
}

/* What the child's policy has gathered in `from`, or why it cannot go on from there. */
static mn_status find_part(const mn__state_part **out, const mn_session *from,
                           const mn_session *child, mn_diag *diag)
{
    static const mn__state_part nothing;
    const char *name = mn__policy_spec(child->policy);
    *out = mn__policy_scorer(child->policy) ? NULL : &nothing;
    if (mn__policy_chunk(child->policy))
        return mn__fail(diag, MN_EUSAGE,
                        "policy %s with budget '%s' forgets while reading: it reads for itself",
                        name, child->params.budget);
    if (!*out && from->gather) *out = mn__gather_find(from->gather, child->policy);
    return *out
               ? MN_OK
               : mn__fail(diag, MN_EUSAGE,
                          "policy %s: the session it would go on from did not gather for it", name);
}

mn_status mn_session_fork_under(mn_session **out, const mn_session *from, const char *policy,
                                const char *budget, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__cache_shape shape;
    mn_session *s = NULL;
    const mn__state_part *part = NULL;
    mn_session_params p = from->params;
    *out = NULL;
    if (mn__policy_scorer(from->policy))
        return mn__fail(diag, MN_EUSAGE, "a session under policy %s cannot go on under another",
                        mn__policy_spec(from->policy));
    p.policy = policy;
    p.budget = budget;
    MN_TRY(child_new(&s, from, &p, &shape, diag));
    MN_TRY(find_part(&part, from, s, diag));
    MN_TRY(mn__cache_fork_part(&s->cache, from->cache, &shape, part, diag));
    *out = s;
    s = NULL;
done:
    mn_session_free(s);
    return st;
}
