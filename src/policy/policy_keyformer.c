/* policy_keyformer.c: h2o with a softer opinion: attention with noise and temperature.
 * Ref: arXiv 2403.09054.
 *
 *   S[i] = sum over queries t >= i of exp((log A[h,t,i] + g[h,i]) / tau), mean over the group
 *   g: Gumbel noise of head and token, or its mean
 *
 * State of a slot: float, the sum.
 * Deviations: the noise is drawn once per head and token, named by (seed, layer, head, token); a
 * row is not normalised again after noise and temperature (its columns are seen by several
 * threads); tau is constant, not rising over the generation.
 * Needs: MN__NEED_COLUMNS. Cost: one power per probability (tau=1: none), one exponential and one
 * logarithm per column and hop; 4 bytes per token and head. */
#include <math.h>
#include "base/diag.h"
#include "base/rng.h"
#include "policy/policy_kind.h"

enum { PURPOSE = 0x6b657966 };

typedef struct keyformer_scorer {
    mn__scorer scorer;
    double tau;
    size_t seed;
    bool mean_noise;
} keyformer_scorer;

static double noise(const keyformer_scorer *s, const mn__seen *seen, int32_t token)
{
    const double euler = 0.57721566490153286;
    if (s->mean_noise) return euler;
    uint64_t lane = (uint64_t)seen->layer << 32 | (seen->head * seen->n_group + seen->i_group);
    double u = mn__rng_uniform(s->seed, PURPOSE, lane, (uint32_t)token);
    return -log(-log(fmax(u, 1e-300)));
}

static void observe(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const keyformer_scorer *self = (const keyformer_scorer *)s;
    const int32_t *token =
        mn__lane_token(mn__cache_lane(seen->cache, seen->layer, seen->head)) + seen->slot0;
    float *sum = (float *)(void *)state, inv_tau = (float)(1 / self->tau);
    for (size_t i = 0; i < seen->n_slot; i++) {
        float add = 0;
        for (size_t r = 0; r < seen->n_row; r++) {
            float p = seen->p[r * seen->ld + i];
            if (p > 0) add += self->tau == 1 ? p : powf(p, inv_tau);
        }
        if (add > 0)
            sum[i] +=
                add * expf((float)noise(self, seen, token[i]) * inv_tau) / (float)seen->n_group;
    }
}

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    const float *sum = (const float *)(const void *)v->state;
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = sum[i];
}

static const struct mn__scorer_ops ops = {
    .name = "keyformer", .observe = observe, .score = score, .free = mn__plain_scorer_free};

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    static const char *const noises[] = {"gumbel", "mean", NULL};
    (void)shape;
    mn_status st;
    int mean = 0;
    keyformer_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer =
        (mn__scorer){.ops = &ops, .needs = MN__NEED_COLUMNS, .slot_bytes = sizeof(float)};
    MN_TRY(mn__spec_real(s, "tau", 0.01, 100, &self->tau, diag));
    MN_TRY(mn__spec_size(s, "seed", 0, SIZE_MAX, &self->seed, diag));
    MN_TRY(mn__spec_word(s, "noise", noises, &mean, diag));
    self->mean_noise = mean;
    *out = &self->scorer;
    self = NULL;
done:
    mn__free(self);
    return st;
}

const mn__policy_kind mn__kind_keyformer = {.make = make, .paper = "sinks=0"};
