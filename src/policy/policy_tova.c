/* policy_tova.c: attention of the newest query alone, one opinion for the whole layer.
 * Ref: arXiv 2401.06104.
 *
 *   S[i] = mean over all query heads h of A[h,last,i];  tokens leave in all heads together
 *
 * Deviations: the newest token always stays (the reference may drop it, kvpress protects it too);
 * sinks are protected.
 * Needs, cost: window_score.c with one row. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    const mn__window_rule rule = {.decay = 1};
    return mn__window_scorer_new(out, "tova", "window", &rule, s, diag);
}

const mn__policy_kind mn__kind_tova = {.make = make, .kvpress = "sinks=0", .paper = "sinks=0"};
