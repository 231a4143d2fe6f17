/* policy_h2o.c: heavy hitters: attention received since the token was written.
 * Ref: arXiv 2306.14048.
 *
 *   S[i] = sum over all queries t >= i of A[h,t,i], mean over the group
 *   half of the budget is for the newest tokens
 *
 * State of a slot: float, the sum.
 * Deviations: the authors' step that really drops, without the off-by-one of their simulation;
 * sinks are protected. Acts after the step's attention, at the prompt's end and at every token.
 * Needs: MN__NEED_COLUMNS. Cost: one add per probability; 4 bytes per token and head. */
#include <string.h>
#include "policy/policy_kind.h"

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    memcpy(out, v->state, v->n * sizeof *out);
}

static const struct mn__scorer_ops ops = {
    .name = "h2o", .observe = mn__observe_sum, .score = score, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_COLUMNS, sizeof(float), diag);
}

const mn__policy_kind mn__kind_h2o = {.make = make, .paper = "sinks=0"};
