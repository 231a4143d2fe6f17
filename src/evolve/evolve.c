/* evolve.c: functions of the caller's as raters. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/run.h"
#include "evolve/run_state.h"

const char *mn_evolve_statistic_name(mn_evolve_statistic s)
{
    static const char *const name[MN_EVOLVE_STATISTIC_COUNT] = {"mean", "median", "trimmed"};
    return (unsigned)s < MN_EVOLVE_STATISTIC_COUNT ? name[s] : "unknown";
}

void mn_evolve_params_default(mn_evolve_params *p)
{
    *p = (mn_evolve_params){
        .n_prompt = 16, .goal = NAN, .commit = "", .compiler = "", .cpu = "", .ranks = {.n = 1}};
    mn_optimizer_params_default(&p->search);
}

typedef struct adapter {
    const mn_evolve_problem *of;
    const mn_evolve_params *p;
} adapter;

static mn_status rate(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                      mn__rating *out, mn_diag *diag)
{
    const adapter *q = ctx;
    mn_status st = MN_OK;
    (void)worker;
    for (size_t i = 0; i < n && st == MN_OK; i++) {
        out[i] = (mn__rating){.loss = NAN, .kept_share = NAN};
        if (q->p->stop && q->p->stop(q->p->ctx)) return mn__fail(diag, MN_ECANCEL, "interrupted");
        st = q->of->rate(q->of->ctx, item, x + i * q->p->search.n, &out[i].loss, diag);
    }
    return st;
}

static mn_status make(void *ctx, size_t stage, const char *fidelity, mn__rater *out, mn_diag *diag)
{
    adapter *q = ctx;
    (void)fidelity;
    *out = (mn__rater){.ctx = q, .rate = rate};
    char *tasks = mn__stage_tasks(q->p->stage, stage);
    if (!tasks) return mn__fail(diag, MN_ENOMEM, "no memory for a stage");
    mn_status st = q->of->begin(q->of->ctx, tasks, &out->n_item, diag);
    mn__free(tasks);
    return st;
}

mn_status mn_evolve_run(const mn_evolve_problem *problem, const mn_evolve_params *params,
                        mn_evolve_result *out, mn_diag *diag)
{
    adapter q = {problem, params};
    const mn__rater_maker maker = {&q, make};
    return mn__evolution_run(&maker, params, out, diag);
}
