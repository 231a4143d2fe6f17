/* namm_raters.c: the prompts of a stage, and who rates NAMMs on them. */
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/evolve_namm.h"
#include "evolve/rater_retained.h"
#include "evolve/rater_trial.h"
#include "evolve/run_state.h"
#include "infer/session_internal.h"
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

/* Tokens after which candidates of fidelity true forget while they read, the least over budgets; 0:
 * they act at the cut alone. */
static mn_status chunk_of(const job *j, size_t *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__policy *policy = NULL;
    mn__budget budget;
    mn_session_params resolved;
    mn__session_resolve(j->m, &j->session, &resolved);
    const mn__cache_shape shape = mn__session_shape(j->m, &resolved);
    *out = 0;
    for (size_t i = 0; i < j->p->n_budget; i++) {
        MN_TRY(mn__budget_parse(j->p->budget[i], &budget, diag));
        mn__policy_free(policy);
        MN_TRY(mn__policy_new_of(&policy, j->true_policy, j->namm, &budget, &shape, diag));
        const size_t chunk = mn__policy_chunk(policy);
        if (chunk && (!*out || chunk < *out)) *out = chunk;
    }
done:
    mn__policy_free(policy);
    return st;
}

/* What one way to rate asks of rows, beside what others do. Attention is retained, and a score
 * given, whatever the length of an answer. */
static mn_status add_look(const job *j, const mn_evolve_side *side, mn__row_look *l, mn_diag *diag)
{
    size_t chunk = 0;
    mn_status st = MN_OK;
    if (!strcmp(side->fidelity, "retained") || side->loss == MN_EVOLVE_LOSS_METRIC) return MN_OK;
    if (!strcmp(side->fidelity, "true")) MN_TRY(chunk_of(j, &chunk, diag));
    if (!l->leaves_mute || chunk < l->chunk) l->chunk = chunk;
    l->leaves_mute = true;
done:
    return st;
}

/* Ways in which a stage is rated; own: room for one. */
static const mn_evolve_side *sides_of(const job *j, size_t stage, mn_evolve_side *own, size_t *n)
{
    *own = (mn_evolve_side){.fidelity = j->run.stage[stage].fidelity, .loss = j->loss};
    *n = j->n_side ? j->n_side : 1;
    return j->n_side ? j->side : own;
}

mn_status mn__namm_job_look(const job *j, size_t stage, mn__row_look *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t n_side;
    mn_evolve_side own;
    const mn_evolve_side *side = sides_of(j, stage, &own, &n_side);
    *out = (mn__row_look){.model = j->m,
                          .n_ctx = j->session.n_ctx,
                          .max_gold = j->p->max_gold,
                          .evict_context = j->p->evict_context};
    for (size_t i = 0; i < n_side; i++) MN_TRY(add_look(j, &side[i], out, diag));
done:
    return st;
}

static mn_status check_scores(const job *j, size_t stage, mn_diag *diag)
{
    mn_status st;
    size_t n_side;
    bool is_scored = false;
    mn_evolve_side own;
    mn__stage_rows t = {0};
    const mn_evolve_side *side = sides_of(j, stage, &own, &n_side);
    for (size_t i = 0; i < n_side; i++)
        is_scored |= side[i].loss == MN_EVOLVE_LOSS_METRIC && strcmp(side[i].fidelity, "retained");
    if (!is_scored) return MN_OK;
    MN_TRY(mn__stage_rows_find(&t, j, stage, diag));
    for (size_t i = 0; i < t.n; i++)
        if (t.task[i].task->asks == MN__ASKS_TEXT)
            MN_TRY(mn__fail(diag, MN_EUSAGE,
                            "task %s has no score that loss metric could be made of: kl or nll "
                            "wanted",
                            t.task[i].task->name));
done:
    mn__stage_rows_free(&t);
    return st;
}

mn_status mn__namm_job_check_tasks(const job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t i = 0; i < j->run.n_stage; i++) MN_TRY(check_scores(j, i, diag));
done:
    return st;
}

/* A warm start and the raters of a comparison look at the same rows. */
static mn_status tell_once(const job *j, char **told, const char *text, mn_diag *diag)
{
    if (j->run.ranks.rank || (*told && !strcmp(*told, text))) return MN_OK;
    if (j->run.note) j->run.note(j->run.ctx, text);
    mn__free(*told);
    *told = mn__strdup(text);
    return *told ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for a stage");
}

mn_status mn__namm_job_count_uncut(job *j, const mn__capture *c, mn_diag *diag)
{
    char text[160];
    if (!c->n_uncut) return MN_OK;
    snprintf(text, sizeof text, "prompts that are not captured: " MN__CAPTURE_UNCUT,
             (unsigned long long)c->n_uncut, (unsigned long long)c->n_looked);
    return tell_once(j, &j->told[1], text, diag);
}

#define MUTE "no token of their answers is written after anything was forgotten"

mn_status mn__namm_job_count_rows(job *j, const mn__row_look *l, mn_diag *diag)
{
    char text[160];
    if (!l->n_mute) return MN_OK;
    if (l->n_mute == l->n_row)
        return mn__fail(diag, MN_EINPUT,
                        "none of %llu rows is left: " MUTE
                        "; longer answers, a cut behind the context or the task's metric tell "
                        "candidates apart",
                        (unsigned long long)l->n_row);
    snprintf(text, sizeof text, "%llu of %llu rows left out: " MUTE, (unsigned long long)l->n_mute,
             (unsigned long long)l->n_row);
    return tell_once(j, &j->told[0], text, diag);
}

static mn__deck_params deck_of(const job *j, const mn__stage_rows *t, mn__row_look *look)
{
    const mn_evolve_namm_params *p = j->p;
    return (mn__deck_params){
        .task = t->task,
        .n_task = t->n,
        .length = p->length,
        .n_length = p->n_length,
        .limit = p->limit,
        .split = MN_EVAL_SPLIT_TRAIN,
        .source = {.data = p->data, .seed = j->session.seed, .n_made = p->limit},
        .wants = mn__row_look_wants,
        .ctx = look};
}

mn__capture_params mn__namm_job_capture(const job *j, const mn__stage_rows *t, mn__row_look *look)
{
    const mn_evolve_namm_params *p = j->p;
    mn_session_params session = j->session;
    session.n_thread = (int)j->n_worker;
    return (mn__capture_params){.model = j->m,
                                .session = session,
                                .policy = j->frozen,
                                .deck = deck_of(j, t, look),
                                .evict_context = p->evict_context,
                                .max_gold = p->max_gold,
                                .n_layer = p->n_layer,
                                .n_sink = N_SINK,
                                .n_last = 16,
                                .seed = j->session.seed,
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

static mn_status make_retained(job *j, const mn__stage_rows *t, mn__row_look *look, mn__rater *out,
                               mn_diag *diag)
{
    mn_status st = MN_OK;
    captured *c = mn__alloc_zero(MN_MEM_OTHER, sizeof *c);
    if (!c) return mn__fail(diag, MN_ENOMEM, "no memory for a rater");
    c->share = mn__alloc_array(MN_MEM_OTHER, j->p->n_budget, sizeof *c->share);
    if (!c->share) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a rater"));
    for (size_t i = 0; i < j->p->n_budget; i++)
        MN_TRY(share_of(j->p->budget[i], &c->share[i], diag));
    const mn__capture_params cp = mn__namm_job_capture(j, t, look);
    MN_TRY(mn__capture_run(&c->lanes, &cp, diag));
    MN_TRY(mn__namm_job_count_uncut(j, &c->lanes, diag));
    const mn__retained_params rp = {.net = &j->namm->net,
                                    .kern = &j->m->kern,
                                    .capture = &c->lanes,
                                    .share = c->share,
                                    .n_share = j->p->n_budget,
                                    .n_worker = j->n_worker,
                                    .n_lane = lanes_rated(j),
                                    .seed = j->session.seed};
    MN_TRY(mn__retained_rater_new(&c->rater, &rp, diag));
    *out = (mn__rater){
        .ctx = c, .n_item = c->rater.n_item, .rate = rate_captured, .free = free_captured};
    c = NULL;
done:
    if (c) free_captured(c);
    return st;
}

static mn_status make_trial(const job *j, const mn__stage_rows *t, mn__row_look *look, bool reads,
                            mn__rater *out, mn_diag *diag)
{
    const mn_evolve_namm_params *p = j->p;
    mn_session_params session = j->session;
    session.n_thread = 1; /* nothing depends on how many there are */
    const mn__trial_rater_params tp = {.model = j->m,
                                       .session = session,
                                       .policy = reads ? j->true_policy : j->frozen,
                                       .budget = p->budget,
                                       .n_budget = p->n_budget,
                                       .deck = deck_of(j, t, look),
                                       .evict_context = p->evict_context,
                                       .loss = j->loss,
                                       .population = j->run.search.population,
                                       .n_worker = j->n_worker,
                                       .max_gold = p->max_gold,
                                       .bank_bytes = p->bank_bytes,
                                       .bank_folder = j->readings,
                                       .rank = (size_t)j->run.ranks.rank,
                                       .n_rank = (size_t)j->run.ranks.n,
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
    mn__row_look look;
    mn__rater rater = {0};
    MN_TRY(mn__stage_rows_find(&t, j, stage, diag));
    MN_TRY(mn__namm_job_look(j, stage, &look, diag));
    if (!strcmp(fidelity, "retained"))
        MN_TRY(make_retained(j, &t, &look, &rater, diag));
    else if (!strcmp(fidelity, "frozen") || !strcmp(fidelity, "true"))
        MN_TRY(make_trial(j, &t, &look, *fidelity == 't', &rater, diag));
    else
        MN_TRY(mn__fail(diag, MN_EUSAGE, "fidelity retained, frozen or true wanted, '%s' found",
                        fidelity));
    MN_TRY(mn__namm_job_count_rows(j, &look, diag));
    *out = rater;
    out->rows = look.hash;
    rater = (mn__rater){0};
done:
    if (rater.free) rater.free(rater.ctx);
    mn__stage_rows_free(&t);
    return st;
}
