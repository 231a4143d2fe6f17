/* plain_score.c: what scorers without options of their own share. */
#include "base/diag.h"
#include "policy/policy_kind.h"

mn_status mn__plain_scorer_new(mn__scorer **out, const struct mn__scorer_ops *ops, unsigned needs,
                               size_t slot_bytes, mn_diag *diag)
{
    mn__scorer *s = mn__alloc_zero(MN_MEM_POLICY, sizeof *s);
    if (!s) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", ops->name);
    s->ops = ops;
    s->needs = needs;
    s->slot_bytes = slot_bytes;
    *out = s;
    return MN_OK;
}

void mn__plain_scorer_free(mn__scorer *s)
{
    mn__free(s);
}

void mn__observe_sum(const mn__scorer *s, const mn__seen *seen, uint8_t *state)
{
    (void)s;
    float weight[16];
    for (size_t r = 0; r < seen->n_row && r < 16; r++) weight[r] = 1.0f / (float)seen->n_group;
    seen->cache->kern->colsum((float *)(void *)state, seen->p, seen->ld, weight, seen->n_row,
                              seen->n_slot);
}

size_t mn__page_of_rows(const mn__scorer *s, const mn__cache_shape *shape, size_t n)
{
    (void)s;
    (void)n;
    return 2 * MN__PAGE_TOKENS * shape->head_dim;
}
