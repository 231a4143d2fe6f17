/* policy_knorm.c: keys of small norm draw the most attention, so keep those.
 * Ref: arXiv 2406.11430 (the "L2" of later papers).
 *
 *   S[i] = -|k[i]|_2
 *
 * Deviations: 4 first and 32 newest tokens are protected; layers 0 and 1 keep everything and the
 * others pay for them (preset=kvpress clears all three).
 * Needs: keys, as stored. Cost: n*D multiply-adds per head and event, no state. */
#include <math.h>
#include "policy/policy_kind.h"

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    size_t d = v->cache->shape.head_dim;
    const mn__lane *lane = mn__cache_lane(v->cache, v->layer, v->head);
    for (size_t i = 0; i < v->n; i += MN__PAGE_TOKENS) {
        size_t n = v->n - i < MN__PAGE_TOKENS ? v->n - i : MN__PAGE_TOKENS;
        mn__lane_read(v->cache, lane, i, n, v->scratch, NULL);
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t c = 0; c < d; c++)
                sum += (double)v->scratch[j * d + c] * v->scratch[j * d + c];
            out[i + j] = (float)-sqrt(sum);
        }
    }
}

static const struct mn__scorer_ops ops = {.name = "knorm",
                                          .score = score,
                                          .scratch_floats = mn__page_of_rows,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    (void)s;
    (void)shape;
    return mn__plain_scorer_new(out, &ops, MN__NEED_NOTHING, 0, diag);
}

const mn__policy_kind mn__kind_knorm = {
    .make = make, .kvpress = "sinks=0 recent=0 skip_layers=none", .paper = "sinks=0 recent=0"};
