/* policy_finch.c: attention of the question (the last `window` tokens of the prompt), early rows
 * lifted. Ref: TACL 00716.
 *
 *   S[i] = mean over the group and the last w queries t of (keys of row t) * A[h,t,i]
 *   survivors move together
 *
 * Deviations: the question is a number of tokens at the prompt's end, not found by a delimiter; a
 * row counts one key less than it sees, as in kvpress. No pooling.
 * Needs, cost: window_score.c. */
#include "policy/policy_kind.h"

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)shape;
    const mn__window_rule rule = {.decay = 1, .count_rows = true};
    return mn__window_scorer_new(out, "finch", "window", &rule, s, diag);
}

const mn__policy_kind mn__kind_finch = {
    .make = make, .compact = true, .kvpress = "sinks=0", .paper = "sinks=0"};
