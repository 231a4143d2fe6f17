/* policy_random.c: any tokens at all: the floor of every table.
 *
 *   S[i] = uniform noise named by (seed, layer, head, token): threads and chunks do not matter
 *
 * Needs: nothing. Cost: one Philox block per token, no state. */
#include "base/rng.h"
#include "policy/policy_kind.h"

enum { PURPOSE = 0x72616e64 };

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    uint64_t lane = (uint64_t)v->layer << 32 | v->head;
    for (size_t i = 0; i < v->n; i++)
        out[i] = (float)mn__rng_uniform(v->seed, PURPOSE, lane, (uint32_t)v->token[i]);
}

static const struct mn__scorer_ops ops = {
    .name = "random", .score = score, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_NOTHING, 0, diag);
}

const mn__policy_kind mn__kind_random = {.make = make, .kvpress = "sinks=0"};
