/* policy_snapkv.c: tokens that the prompt's last queries attend to, with their neighbours.
 * Ref: arXiv 2404.14469.
 *
 *   S[i] = pool over i of the mean over the group and the last w queries t of A[h,t,i]
 *   the w newest tokens stay
 *
 * Deviations: selection per KV head (the reference expands K and V and selects per query head);
 * the group is reduced before max-pooling unless order=pool_first; sinks are protected. Acts at
 * the prompt's end; generated tokens stay.
 * Needs, cost: window_score.c. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    const mn__window_rule rule = {.decay = 1};
    return mn__window_scorer_new(out, "snapkv", "window", &rule, s, diag);
}

const mn__policy_kind mn__kind_snapkv = {
    .make = make,
    .kvpress = "window=64 pool=5 poolmode=avg order=pool_first sinks=0",
    .paper = "window=32 pool=7 poolmode=max order=pool_first sinks=0",
};
