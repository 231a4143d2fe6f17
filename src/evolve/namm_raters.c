/* namm_raters.c: the prompts of a stage, and who rates NAMMs on them. */
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/evolve_namm.h"
#include "evolve/rater_retained.h"
#include "evolve/rater_trial.h"
#include "evolve/run_state.h"
#include "model/model.h"
#include "policy/evict.h"

enum { N_SINK = 4, ATTENDED_LANES = 4 };

typedef mn__namm_job job;

/* What a rater that needs captured lanes owns. */
typedef struct captured {
    mn__rater rater;
    mn__capture lanes;
    double *share;
} captured;

/* ---- prompts ---- */

mn_status mn__stage_rows_find(mn__stage_rows *t, const job *j, size_t stage, mn_diag *diag)
{
    *t = (mn__stage_rows){.names = mn__stage_tasks(j->run.stage, stage)};
    if (!t->names) return mn__fail(diag, MN_ENOMEM, "no memory for a stage");
    return mn__task_find(&t->task, &t->n, t->names, diag);
}

void mn__stage_rows_free(mn__stage_rows *t)
{
    mn__free(t->names);
    mn__free(t->task);
}

static mn__deck_params deck_of(const job *j, const mn__stage_rows *t)
{
    const mn_evolve_namm_params *p = j->p;
    return (mn__deck_params){
        .task = t->task,
        .n_task = t->n,
        .length = p->length,
        .n_length = p->n_length,
        .limit = p->limit,
        .split = MN_EVAL_SPLIT_TRAIN,
        .source = {.data = p->data, .seed = p->session.seed, .n_made = p->limit}};
}

mn__capture_params mn__namm_job_capture(const job *j, const mn__stage_rows *t)
{
    const mn_evolve_namm_params *p = j->p;
    mn_session_params session = p->session;
    session.n_thread = (int)j->n_worker;
    return (mn__capture_params){.model = j->m,
                                .session = session,
                                .policy = j->frozen,
                                .deck = deck_of(j, t),
                                .evict_context = p->evict_context,
                                .max_gold = p->max_gold,
                                .n_layer = p->n_layer,
                                .n_sink = N_SINK,
                                .n_last = 16,
                                .seed = p->session.seed,
                                .stop = p->run.stop,
                                .progress = p->read,
                                .ctx = p->run.ctx};
}

/* ---- raters ---- */

/* "25%" -> 0.25 */
static mn_status share_of(const char *budget, double *share, mn_diag *diag)
{
    mn__budget b;
    mn_status st = mn__budget_parse(budget, &b, diag);
    if (st != MN_OK) return st;
    if (b.kind != MN__BUDGET_SHARE)
        return mn__fail(diag, MN_EUSAGE, "retained attention wants budgets in %%, '%s' found",
                        budget);
    *share = b.share;
    return MN_OK;
}

static void free_captured(void *ctx)
{
    captured *c = ctx;
    if (c->rater.free) c->rater.free(c->rater.ctx);
    mn__capture_fini(&c->lanes);
    mn__free(c->share);
    mn__free(c);
}

static mn_status rate_captured(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                               mn__rating *out, mn_diag *diag)
{
    captured *c = ctx;
    return c->rater.rate(c->rater.ctx, worker, item, x, n, out, diag);
}

/* A network that attends takes the square of a lane's length. */
static size_t lanes_rated(const job *j)
{
    if (j->p->n_lane) return j->p->n_lane;
    return j->namm->net.head == MN__NAMM_BAM ? ATTENDED_LANES : 0;
}

static mn_status make_retained(job *j, const mn__stage_rows *t, mn__rater *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    captured *c = mn__alloc_zero(MN_MEM_OTHER, sizeof *c);
    if (!c) return mn__fail(diag, MN_ENOMEM, "no memory for a rater");
    c->share = mn__alloc_array(MN_MEM_OTHER, j->p->n_budget, sizeof *c->share);
    if (!c->share) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a rater"));
    for (size_t i = 0; i < j->p->n_budget; i++)
        MN_TRY(share_of(j->p->budget[i], &c->share[i], diag));
    const mn__capture_params cp = mn__namm_job_capture(j, t);
    MN_TRY(mn__capture_run(&c->lanes, &cp, diag));
    const mn__retained_params rp = {.net = &j->namm->net,
                                    .kern = &j->m->kern,
                                    .capture = &c->lanes,
                                    .share = c->share,
                                    .n_share = j->p->n_budget,
                                    .n_worker = j->n_worker,
                                    .n_lane = lanes_rated(j),
                                    .seed = j->p->session.seed};
    MN_TRY(mn__retained_rater_new(&c->rater, &rp, diag));
    *out = (mn__rater){
        .ctx = c, .n_item = c->rater.n_item, .rate = rate_captured, .free = free_captured};
    c = NULL;
done:
    if (c) free_captured(c);
    return st;
}

static mn_status make_trial(const job *j, const mn__stage_rows *t, bool reads, mn__rater *out,
                            mn_diag *diag)
{
    const mn_evolve_namm_params *p = j->p;
    mn_session_params session = p->session;
    session.n_thread = 1; /* nothing depends on how many there are */
    const mn__trial_rater_params tp = {.model = j->m,
                                       .session = session,
                                       .policy = reads ? j->true_policy : j->frozen,
                                       .budget = p->budget,
                                       .n_budget = p->n_budget,
                                       .deck = deck_of(j, t),
                                       .evict_context = p->evict_context,
                                       .loss = j->loss,
                                       .population = j->run.search.population,
                                       .n_worker = j->n_worker,
                                       .max_gold = p->max_gold,
                                       .bank_bytes = p->bank_bytes,
                                       .bank_folder = j->readings,
                                       .rank = (size_t)j->run.ranks.rank,
                                       .metric_dictionary = p->dictionary,
                                       .stop = p->run.stop,
                                       .stop_ctx = p->run.ctx};
    return mn__trial_rater_new(out, &tp, diag);
}

mn_status mn__namm_job_rater(void *ctx, size_t stage, const char *fidelity, mn__rater *out,
                             mn_diag *diag)
{
    mn_status st;
    job *j = ctx;
    mn__stage_rows t = {0};
    MN_TRY(mn__stage_rows_find(&t, j, stage, diag));
    if (!strcmp(fidelity, "retained"))
        st = make_retained(j, &t, out, diag);
    else if (!strcmp(fidelity, "frozen") || !strcmp(fidelity, "true"))
        st = make_trial(j, &t, *fidelity == 't', out, diag);
    else
        st = mn__fail(diag, MN_EUSAGE, "fidelity retained, frozen or true wanted, '%s' found",
                      fidelity);
done:
    mn__stage_rows_free(&t);
    return st;
}
