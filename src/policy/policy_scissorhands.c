/* policy_scissorhands.c: importance persists: attention received from the last `history` queries.
 * Ref: arXiv 2305.17118.
 *
 *   S[i] = sum over the last `history` queries t of decay^(age of t) A[h,t,i], the group's mean
 *   a tenth of the budget is for the newest tokens
 *
 * Deviations: sums instead of counts of attention below the even level; budgets even over layers
 * (alloc=pyramid gives early ones more); acts every 64 generated tokens.
 * Needs, cost: window_score.c. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    mn__window_rule rule = {.sum = true};
    mn_status st = mn__spec_real(s, "decay", 0, 1, &rule.decay, diag);
    return st == MN_OK ? mn__window_scorer_new(out, "scissorhands", "history", &rule, s, diag) : st;
}

const mn__policy_kind mn__kind_scissorhands = {.make = make, .paper = "sinks=0"};
