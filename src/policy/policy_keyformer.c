/* policy_keyformer.c: h2o with a softer opinion: attention with noise and temperature.
 * Ref: arXiv 2403.09054.
 *
 *   S[i] = sum over queries t >= i of exp((log A[h,t,i] + g[h,i]) / tau[t]), mean over the group
 *   g: Gumbel noise of head and token, or its mean
 *   tau[t] = min(tau + tau_delta * tokens generated up to t, tau_end): `tau` for the prompt
 *   30% of the budget are for the newest tokens
 *
 * State of a slot: float, the sum; for each query head of the group float, its noise, once drawn.
 * Deviations: the noise is drawn once per head and token, named by (seed, layer, head, token),
 * where the authors draw it for every probability: that would be a logarithm and a random block for
 * each. A row is not normalised again after noise and temperature: its columns are seen by several
 * threads, none of which has the row's sum. With noise=mean and tau 1 the order is h2o's, as it
 * should be. tau_end=2 stops the temperature where the paper's ends: how many tokens are to come is
 * not known here, and the authors' code, which has no end, divides by it.
 * Needs: MN__NEED_COLUMNS. Cost: one exponential and one logarithm per probability while tau is not
 * 1, one exponential per column and hop while it is; 4 + 4 G bytes per token and head. */
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/diag.h"
#include "base/rng.h"
#include "policy/policy_kind.h"

enum { PURPOSE = 0x6b657966 };
#define EULER 0.57721566f /* the mean of Gumbel noise */

typedef struct keyformer_scorer {
    mn__scorer scorer;
    double tau, tau_delta, tau_end;
    size_t seed;
    bool mean_noise;
} keyformer_scorer;

static float gumbel(const keyformer_scorer *s, const mn__seen *seen, int32_t token)
{
    uint64_t lane = (uint64_t)seen->layer << 32 | (seen->head * seen->n_group + seen->i_group);
    double u = mn__rng_uniform(s->seed, PURPOSE, lane, (uint32_t)token);
    return (float)-log(-log(fmax(u, 1e-300)));
}

/* 1/tau of the query at token t. */
static float inverse_tau(const keyformer_scorer *s, const mn__cache *c, int64_t t)
{
    int64_t n_generated = t >= c->n_prompt ? t - c->n_prompt + 1 : 0;
    return (float)(1 / fmin(s->tau + s->tau_delta * (double)n_generated, s->tau_end));
}

/* Of slot i, kept behind its sum; 0: not drawn yet. */
static float kept_noise(const keyformer_scorer *s, const mn__seen *seen, size_t i, float *slot)
{
    float *g = slot + 1 + seen->i_group;
    if (s->mean_noise) return EULER;
    if (*g == 0) {
        const mn__lane *l = mn__cache_lane(seen->cache, seen->layer, seen->head);
        *g = gumbel(s, seen, mn__lane_token(l)[seen->slot0 + i]);
    }
    return *g;
}

static void observe_head(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const keyformer_scorer *self = (const keyformer_scorer *)s;
    float inv_tau[16];
    assert(seen->n_row <= 16);
    for (size_t r = 0; r < seen->n_row; r++)
        inv_tau[r] = inverse_tau(self, seen->cache, seen->token0 + (int64_t)r);
    for (size_t i = 0; i < seen->n_slot; i++) {
        float *slot = (float *)(void *)(state + i * s->slot_bytes);
        float plain = 0, tempered = 0, g = kept_noise(self, seen, i, slot);
        for (size_t r = 0; r < seen->n_row; r++) {
            float p = seen->p[r * seen->ld + i];
            if (!(p > 0)) continue;
            if (inv_tau[r] == 1)
                plain += p;
            else
                tempered += expf((logf(p) + g) * inv_tau[r]);
        }
        slot[0] += ((plain > 0 ? plain * expf(g) : 0) + tempered) / (float)seen->n_group;
    }
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    for (size_t i = 0; i < v->n; i++) memcpy(&out[i], v->state + i * s->slot_bytes, sizeof *out);
}

static const struct mn__scorer_ops ops = {.name = "keyformer",
                                          .observe_head = observe_head,
                                          .score = score,
                                          .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    static const char *const noises[] = {"gumbel", "mean", NULL};
    mn_status st;
    int mean = 0;
    size_t n_group = shape ? shape->n_head / shape->n_kv_head : 1;
    keyformer_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer = (mn__scorer){.ops = &ops,
                                .needs = MN__NEED_COLUMNS,
                                .wants_heads = true,
                                .slot_bytes = (1 + n_group) * sizeof(float)};
    MN_TRY(mn__spec_real(s, "tau", 0.01, 100, &self->tau, diag));
    MN_TRY(mn__spec_real(s, "tau_delta", 0, 100, &self->tau_delta, diag));
    MN_TRY(mn__spec_real(s, "tau_end", 0.01, 100, &self->tau_end, diag));
    MN_TRY(mn__spec_size(s, "seed", 0, SIZE_MAX, &self->seed, diag));
    MN_TRY(mn__spec_word(s, "noise", noises, &mean, diag));
    if (self->tau_end < self->tau) self->tau_end = self->tau;
    self->mean_noise = mean;
    *out = &self->scorer;
    self = NULL;
done:
    mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_keyformer = {.make = make, .paper = "sinks=0"};
