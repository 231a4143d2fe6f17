/* policy_pyramidkv.c: the scores of snapkv, more slots for early layers (allocate.c).
 * Ref: arXiv 2406.02069.
 *
 *   c = B - w, lo = c/beta, hi = 2c - lo (both clipped to what is held)
 *   layer l keeps hi - l (hi - lo)/(L - 1) + w
 *
 * Deviations: real-valued steps and rounding by largest remainder, so that the budget is met
 * exactly; no silent fall-back to an even split (rule=kvpress has it, and counts the window in).
 * Needs, cost: window_score.c. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    const mn__window_rule rule = {.decay = 1};
    return mn__window_scorer_new(out, "pyramidkv", "window", &rule, s, diag);
}

const mn__policy_kind mn__kind_pyramidkv = {
    .make = make,
    .kvpress = "window=64 pool=5 poolmode=avg order=pool_first sinks=0 rule=kvpress",
    .paper = "window=32 pool=7 poolmode=max order=pool_first sinks=0",
};
