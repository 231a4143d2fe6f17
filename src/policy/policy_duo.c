/* policy_duo.c: learned once per model: heads that look far keep everything, the others only the
 * first and newest tokens. Ref: arXiv 2410.10819.
 *
 *   profile=FILE: one line per layer, one number in [0,1] per KV head (profile.c)
 *   the best `full` of all heads of full-attention layers are spared (full=auto: as many as the
 *   budget allows); the others keep `sinks` and `recent`, and share what is left
 *
 * Deviations: the number of spared heads may follow the budget.
 * Needs: the file. Cost: none per token, no state. */
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct duo_scorer {
    mn__scorer scorer;
    double full;      /* share of heads, -1: by the budget */
    mn__profile gate; /* one table */
    uint32_t *rank;   /* [gate.n_lane] best first */
} duo_scorer;

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = (float)i;
}

static void release(mn__scorer *s)
{
    duo_scorer *self = (duo_scorer *)s;
    mn__free(self->rank);
    mn__profile_free(&self->gate);
    mn__free(self);
}

static const struct mn__scorer_ops ops = {.name = "duo", .score = score, .free = release};

/* Lanes by falling gate, earlier first on equal ones. */
static void sort_rank(duo_scorer *self)
{
    const float *gate = self->gate.value;
    for (size_t i = 0; i < self->gate.n_lane; i++) {
        size_t above = 0;
        for (size_t j = 0; j < self->gate.n_lane; j++)
            above += gate[j] > gate[i] || (gate[j] == gate[i] && j < i);
        self->rank[above] = (uint32_t)i;
    }
}

static mn_status read_profile(duo_scorer *self, const char *path, const mn__cache_shape *shape,
                              mn_diag *diag)
{
    mn_status st = mn__profile_read(&self->gate, path, shape, diag);
    if (st != MN_OK) return st;
    if (self->gate.kept)
        return mn__fail(diag, MN_EINPUT, "%s: one table of gates wanted, %zu under `kept` found",
                        path, self->gate.n_table);
    self->rank = mn__alloc_array(MN_MEM_POLICY, self->gate.n_lane, sizeof *self->rank);
    if (!self->rank)
        return mn__fail(diag, MN_ENOMEM, "out of memory for the profile of %zu heads",
                        self->gate.n_lane);
    sort_rank(self);
    return MN_OK;
}

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    mn_status st = MN_OK;
    const char *path = mn__spec_get(s, "profile");
    duo_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer.ops = &ops;
    self->full = -1;
    if (strcmp(mn__spec_get(s, "full"), "auto") != 0)
        MN_TRY(mn__spec_real(s, "full", 0, 1, &self->full, diag));
    if (shape && !*path) {
        st = mn__fail(diag, MN_EUSAGE,
                      "policy %s needs profile=FILE: one line per layer, one number per KV head",
                      s->name);
        goto done;
    }
    if (shape) MN_TRY(read_profile(self, path, shape, diag));
    *out = &self->scorer;
    self = NULL;
done:
    if (self) release(&self->scorer);
    return st;
}

static const uint32_t *rank(const mn__scorer *s, double *full)
{
    const duo_scorer *self = (const duo_scorer *)s;
    *full = self->full;
    return self->rank;
}

const mn__policy_kind mn__kind_duo = {
    .make = make, .rank = rank, .own_profile = true, .paper = "sinks=64 recent=256"};
