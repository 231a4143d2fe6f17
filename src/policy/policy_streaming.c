/* policy_streaming.c: the first tokens and the newest. Ref: arXiv 2309.17453.
 *
 *   S[i] = i;  `sinks` first tokens stay, the newest get the rest;  survivors move together
 *
 * Deviations: while reading, a chunk is attended to before it pushes out others (the reference
 * goes token by token).
 * Needs: nothing. Cost: none, no state. */
#include "policy/policy_kind.h"

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    for (size_t i = 0; i < v->n; i++)
        out[i] = (float)i; /* on equal scores, beyond 2^24, the newer wins */
}

static const struct mn__scorer_ops ops = {
    .name = "streaming", .score = score, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_NOTHING, 0, diag);
}

const mn__policy_kind mn__kind_streaming = {.make = make, .compact = true, .paper = "sinks=4"};
