/* gather.c: several scorers' observations in one sweep (gather.h). A slot's state is the parts' one
 * behind the other; a scorer expects its own without gaps, so a run of slots is copied out and back
 * around its turn. Parts that sum probabilities alike share one sum. */
#include "policy/gather.h"

#include <string.h>

#include "base/diag.h"
#include "policy/policy_kind.h"

enum { COPY_BYTES = 8192 };

typedef struct gather_part {
    mn__policy *policy;
    mn__state_part at;
    bool shares_slots; /* with an earlier part */
} gather_part;

struct mn__gather {
    mn__scorer scorer; /* first: what the cache calls */
    size_t n;
    gather_part *part;
};

static const mn__scorer *scorer_of(const gather_part *p)
{
    return mn__policy_scorer(p->policy);
}

/* ---- observing ---- */

/* A run of columns that a copy has room for; from: the part's own in the first slot's state. */
static void observe_run(mn__observe_fn *to, const gather_part *p, const mn__seen *run,
                        size_t stride, uint8_t *from)
{
    _Alignas(16) uint8_t copy[COPY_BYTES];
    size_t n = run->n_slot, size = p->at.slot_bytes;
    for (size_t k = 0; k < n; k++) memcpy(copy + k * size, from + k * stride, size);
    to(scorer_of(p), run, copy);
    for (size_t k = 0; k < n; k++) memcpy(from + k * stride, copy + k * size, size);
}

/* All columns for one part. */
static void observe_part(mn__observe_fn *to, const gather_part *p, const mn__seen *seen,
                         size_t stride, uint8_t *state)
{
    if (p->shares_slots || !(scorer_of(p)->needs & MN__NEED_COLUMNS) || !to) return;
    if (p->at.slot_bytes == stride) {
        to(scorer_of(p), seen, state);
        return;
    }
    size_t most = COPY_BYTES / p->at.slot_bytes;
    for (size_t k = 0; k < seen->n_slot; k += most) {
        size_t left = seen->n_slot - k;
        mn__seen run = *seen;
        run.slot0 += k;
        run.n_slot = left < most ? left : most;
        run.p += k;
        observe_run(to, p, &run, stride, state + k * stride + p->at.slot_at);
    }
}

static void observe(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const mn__gather *g = (const mn__gather *)s;
    for (size_t i = 0; i < g->n; i++)
        observe_part(scorer_of(&g->part[i])->ops->observe, &g->part[i], seen, s->slot_bytes, state);
}

static void observe_head(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    const mn__gather *g = (const mn__gather *)s;
    for (size_t i = 0; i < g->n; i++)
        observe_part(scorer_of(&g->part[i])->ops->observe_head, &g->part[i], seen, s->slot_bytes,
                     state);
}

static void observe_query(const mn__scorer *s, const mn__cache *c, size_t layer, size_t h,
                          int64_t token0, const float *q, size_t ld, size_t n_row,
                          uint8_t *lane_state)
{
    const mn__gather *g = (const mn__gather *)s;
    for (size_t i = 0; i < g->n; i++) {
        const mn__scorer *of = scorer_of(&g->part[i]);
        if (of->needs & MN__NEED_PREROPE)
            of->ops->observe_query(of, c, layer, h, token0, q, ld, n_row,
                                   lane_state + g->part[i].at.lane_at);
    }
}

/* ---- parts ---- */

static const struct mn__scorer_ops gather_ops = {.name = "gather",
                                                 .observe = observe,
                                                 .observe_head = observe_head,
                                                 .observe_query = observe_query};

/* An earlier part whose slots hold the very same sums. */
static const gather_part *same_sums(const mn__gather *g, const mn__scorer *s)
{
    if (!(s->needs & MN__NEED_COLUMNS) || s->ops->observe != mn__observe_sum) return NULL;
    for (size_t i = 0; i < g->n; i++)
        if (scorer_of(&g->part[i])->ops->observe == mn__observe_sum) return &g->part[i];
    return NULL;
}

/* The part's state behind the others'. */
static void place(mn__gather *g, gather_part *p)
{
    const mn__scorer *s = scorer_of(p);
    mn__scorer *all = &g->scorer;
    const gather_part *same = same_sums(g, s);
    p->shares_slots = same != NULL;
    p->at = (mn__state_part){.slot_at = same ? same->at.slot_at : all->slot_bytes,
                             .slot_bytes = s->slot_bytes,
                             .lane_at = all->lane_bytes,
                             .lane_bytes = s->lane_bytes};
    if (!same) all->slot_bytes += (s->slot_bytes + 3) / 4 * 4;
    all->lane_bytes += (s->lane_bytes + 7) / 8 * 8;
    all->needs |= s->needs;
    all->wants_heads |= s->wants_heads;
    if (s->n_query_ring > all->n_query_ring) all->n_query_ring = s->n_query_ring;
}

mn_status mn__gather_new(mn__gather **out, const char *const *spec, size_t n,
                         const mn__cache_shape *shape, mn_diag *diag)
{
    /* What a policy must see does not depend on its budget, but it wants to have one. */
    const mn__budget any = {.kind = MN__BUDGET_SHARE, .share = 1};
    mn_status st = MN_OK;
    mn__gather *g = mn__alloc_zero(MN_MEM_POLICY, sizeof *g);
    *out = NULL;
    if (g) g->part = mn__alloc_array(MN_MEM_POLICY, n, sizeof *g->part);
    if (!g || !g->part) MN_TRY(mn__fail(diag, MN_ENOMEM, "out of memory for %zu policies", n));
    g->scorer.ops = &gather_ops;
    for (size_t i = 0; i < n; i++) {
        gather_part p = {0};
        MN_TRY(mn__policy_new(&p.policy, spec[i], &any, shape, diag));
        if (!scorer_of(&p) || mn__gather_find(g, p.policy)) { /* full, or known */
            mn__policy_free(p.policy);
            continue;
        }
        if (scorer_of(&p)->slot_bytes > COPY_BYTES) {
            mn__policy_free(p.policy);
            MN_TRY(mn__fail(diag, MN_EUSAGE, "policy %s: too much state a token to share a reading",
                            spec[i]));
        }
        place(g, &p);
        g->part[g->n++] = p;
    }
    *out = g;
    g = NULL;
done:
    mn__gather_free(g);
    return st;
}

void mn__gather_free(mn__gather *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n; i++) mn__policy_free(g->part[i].policy);
    mn__free(g->part);
    mn__free(g);
}

const mn__scorer *mn__gather_scorer(const mn__gather *g)
{
    return &g->scorer;
}

const mn__state_part *mn__gather_find(const mn__gather *g, const mn__policy *p)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(mn__policy_spec(g->part[i].policy), mn__policy_spec(p)) == 0)
            return &g->part[i].at;
    return NULL;
}

size_t mn__gather_count(const mn__gather *g)
{
    return g->n;
}

const mn__policy *mn__gather_policy(const mn__gather *g, size_t i)
{
    return g->part[i].policy;
}
