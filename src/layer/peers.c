/* peers.c: swaps, counted. */
#include "layer/peers.h"

#include <string.h>
#include "base/diag.h"

mn_status mn__peers_init(mn__peers *p, const mn_train_ranks *ranks, mn_diag *diag)
{
    *p = (mn__peers){.ranks = *ranks};
    if (ranks->n < 2 || ranks->n > MN__PEERS_MAX || ranks->rank < 0 || ranks->rank >= ranks->n ||
        !ranks->swap)
        return mn__fail(diag, MN_EUSAGE, "a rank below 2 to %d ranks wanted, rank %d of %d found",
                        MN__PEERS_MAX, ranks->rank, ranks->n);
    return MN_OK;
}

mn_status mn__peers_status(const mn__peers *p, mn_diag *diag)
{
    return p->st == MN_OK ? MN_OK : mn__fail(diag, p->st, "%s", p->why.text);
}

void mn__peers_swap(mn__peers *p, mn__peers_kind kind, const mn_train_block *with)
{
    if (p->st != MN_OK) return;
    for (int q = 0; q < p->ranks.n; q++)
        if (q != p->ranks.rank) p->bytes[kind] += with[q].out_bytes;
    p->st = p->ranks.swap(p->ranks.ctx, with, &p->why);
}

void mn__peers_swap_even(mn__peers *p, mn__peers_kind kind, const void *out, size_t step, void *in,
                         size_t bytes)
{
    mn_train_block with[MN__PEERS_MAX] = {{0}};
    for (size_t q = 0; q < (size_t)p->ranks.n; q++)
        with[q] =
            (mn_train_block){(const char *)out + q * step, (char *)in + q * bytes, bytes, bytes};
    mn__peers_swap(p, kind, with);
}

void mn__peers_sum(mn__peers *p, double *x, size_t n)
{
    double all[MN__PEERS_MAX][MN__PEERS_SUM] = {{0}}, mine[MN__PEERS_SUM] = {0};
    memcpy(mine, x, n * sizeof *x);
    mn__peers_swap_even(p, MN__PEERS_REST, mine, 0, all, sizeof mine);
    memset(x, 0, n * sizeof *x);
    for (int q = 0; q < p->ranks.n; q++)
        for (size_t i = 0; i < n; i++) x[i] += all[q][i];
}
