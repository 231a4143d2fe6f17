/* policy_window.c: mean attention of the last queries, nothing else. window:share=layer,pool=7 is
 * snapkv shared by the heads of a layer, and the strongest rule without learning that we measured.
 *
 *   S[i] = mean over the group and the last `window` queries t of A[h,t,i]
 *
 * Needs, cost: window_score.c. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    const mn__window_rule rule = {.decay = 1};
    return mn__window_scorer_new(out, "window", "window", &rule, s, diag);
}

const mn__policy_kind mn__kind_window = {.make = make};
