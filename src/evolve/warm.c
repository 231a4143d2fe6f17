/* warm.c: look, standardise, fit, write (warm.h). */
#include "evolve/warm.h"

#include <stdio.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/shape.h"

/* The inputs as the network will read them from now on. */
static void standardise(const mn__namm *namm, mn__capture *c)
{
    const size_t E = namm->net.n_in;
    for (size_t l = 0; l < c->n_lane; l++) {
        float *x = (float *)(uintptr_t)c->lane[l].x;
        for (size_t i = 0; i < c->lane[l].n * E; i++)
            x[i] = (x[i] - namm->mean[i % E]) / namm->deviation[i % E];
    }
}

static mn_status take_statistics(mn__namm *namm, const mn__capture *c, mn_diag *diag)
{
    uint8_t *fixed = mn__alloc(MN_MEM_OTHER, namm->net.n_in);
    if (!fixed) return mn__fail(diag, MN_ENOMEM, "no memory for statistics");
    mn__shape_fixed(namm, fixed);
    for (size_t i = 0; i < namm->net.n_in; i++) {
        namm->mean[i] = fixed[i] ? 0 : (float)c->stats.mean[i];
        namm->deviation[i] = fixed[i] ? 1 : (float)mn__namm_stats_deviation(&c->stats, i);
    }
    mn__free(fixed);
    return MN_OK;
}

mn_status mn__warm_start(mn__namm *namm, const char *path, const mn__warm_params *params,
                         mn__capture *seen, double *loss, mn_diag *diag)
{
    mn_status st;
    mn__capture c = {0};
    char policy[4096 + 64];
    mn__capture_params cp = params->capture;
    if (snprintf(policy, sizeof policy, "namm:file=%s,chunk=0", path) >= (int)sizeof policy)
        return mn__fail(diag, MN_EUSAGE, "a path of less than 4096 bytes wanted");
    cp.policy = policy;
    MN_TRY(mn__namm_write(namm, path, diag));
    MN_TRY(mn__capture_run(&c, &cp, diag));
    if (!c.n_lane) MN_TRY(mn__fail(diag, MN_EINPUT, "no prompt fits into the context"));
    MN_TRY(take_statistics(namm, &c, diag));
    standardise(namm, &c);
    if (params->regress.n_step)
        MN_TRY(
            mn__regress(&namm->net, c.lane, c.n_lane, &params->regress, namm->param, loss, diag));
    MN_TRY(mn__namm_write(namm, path, diag));
    if (seen) {
        *seen = c;
        c = (mn__capture){0};
    }
done:
    mn__capture_fini(&c);
    return st;
}
