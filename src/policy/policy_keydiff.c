/* policy_keydiff.c: keys that are least like the others. Ref: arXiv 2504.15364.
 *
 *   u[i] = k[i]/|k[i]|, a = mean of u over the lane's slots at this event;  S[i] = -cos(k[i], a)
 *
 * Acts block by block while reading (block=128) and while writing, as in the paper.
 * Deviations: sinks are protected.
 * Needs: keys, rotated as stored. Cost: some 6*n*D multiply-adds per head and event, no state. */
#include "policy/policy_kind.h"

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    mn__unlike(v, false, v->scratch, out, 1);
}

static size_t scratch_floats(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    (void)s;
    (void)n;
    return mn__unlike_floats(shape);
}

static const struct mn__scorer_ops ops = {.name = "keydiff",
                                          .score = score,
                                          .scratch_floats = scratch_floats,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_NOTHING, 0, diag);
}

const mn__policy_kind mn__kind_keydiff = {
    .make = make, .kvpress = "sinks=0 chunk=0 every=0", .paper = "sinks=0"};
