/* rater_trial.c: a trial per worker, whose cases are the candidates at every budget. */
#include "evolve/rater_trial.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/grade.h"
#include "infer/session_internal.h"
#include "policy/namm_rows.h"

typedef struct worker {
    struct trial_rater *r;
    mn__trial *trial;
    bool *want;           /* [n_case] */
    mn__outcome *outcome; /* [n_case] */
    const double *x;      /* candidates under way, [n][n_param] */
    mn_session *taken;    /* of the bank; NULL: none */
    mn__namm_rows *rows;  /* inputs of a kept reading, the same for all candidates */
    bool is_fitted;       /* rows are of the reading under way */
} worker;

typedef struct trial_rater {
    mn__trial_rater_params p;
    mn__tokens tokens;
    mn__deck *deck;
    mn__bank *bank;
    mn__grader *grader; /* [units of the deck] */
    size_t n_grader;
    pthread_mutex_t lock; /* of the deck */
    mn__case *cases;      /* full, then each candidate at each budget */
    size_t n_case, n_param;
    worker *worker; /* [n_worker] */
} trial_rater;

/* What an item asks. */
typedef struct prompt {
    size_t unit; /* of the deck */
    const mn__task *task;
    mn__row row;
    mn__ask ask;
} prompt;

/* By the task's metric: nothing is compared with the full cache. */
static bool is_graded(const trial_rater *r)
{
    return r->p.loss == MN_EVOLVE_LOSS_METRIC;
}

/* ---- what trials ask ---- */

/* Candidates that go on from one reading see the same inputs. */
static mn_status prepare(void *ctx, size_t i, mn_session *s, mn_diag *diag)
{
    mn_status st = MN_OK;
    worker *w = ctx;
    const size_t n_param = w->r->n_param;
    if (i == 0) return MN_OK;
    if (!mn__trial_is_reader(w->trial, i)) {
        if (!w->is_fitted)
            MN_TRY(mn__namm_rows_fit(&w->rows, s->cache, mn__policy_n_inputs(s->policy), diag));
        w->is_fitted = true;
        mn__policy_keep_inputs(s->policy, w->rows);
    }
    MN_TRY(mn__policy_set_params(s->policy, w->x + (i - 1) / w->r->p.n_budget * n_param, n_param,
                                 diag));
done:
    return st;
}

static bool stopped(void *ctx)
{
    const worker *w = ctx;
    return w->r->p.stop && w->r->p.stop(w->r->p.stop_ctx);
}

static void give_back(worker *w)
{
    if (w->taken) mn__bank_give(w->r->bank, w->taken);
    w->taken = NULL;
}

static mn_status take_base(void *ctx, const mn__reading *reading, size_t n, mn__based *out,
                           mn_diag *diag)
{
    worker *w = ctx;
    give_back(w);
    w->is_fitted = false;
    mn_status st = mn__bank_take(w->r->bank, reading->token, n, stopped, w, out, diag);
    if (st == MN_OK) w->taken = out->session;
    return st;
}

/* ---- one prompt ---- */

static double loss_of_token_lists(const mn__outcome *full, const mn__outcome *o,
                                  mn_evolve_loss loss)
{
    double sum = 0;
    for (size_t i = 0; i < o->n_gold; i++)
        sum +=
            loss == MN_EVOLVE_LOSS_KL ? (double)o->kl[i] : (double)o->nll[i] - (double)full->nll[i];
    if (!o->n_gold) return NAN;
    sum /= (double)o->n_gold;
    return loss == MN_EVOLVE_LOSS_KL ? log1p(4 * sum) / 4 : sum;
}

/* NAN: the candidate failed here. */
static mn_status loss_of(const trial_rater *r, const prompt *p, const mn__outcome *o,
                         const mn__outcome *full, double *loss)
{
    double score = NAN;
    mn_diag why = {""};
    *loss = NAN;
    if (*o->why || o->n_nan) return MN_OK; /* a lane without scores keeps all: no merit in that */
    if (!is_graded(r)) {
        *loss = loss_of_token_lists(full, o, r->p.loss);
        return MN_OK;
    }
    mn_status st = mn__grade(&r->grader[p->unit], &p->row, &p->ask, o, &score, &why);
    *loss = st == MN_OK ? 1 - score : NAN;
    return st == MN_ENOMEM ? st : MN_OK;
}

/* Means over a candidate's budgets. */
static mn_status add_up(const worker *w, const prompt *p, size_t n, mn__rating *out)
{
    const trial_rater *r = w->r;
    const size_t n_budget = r->p.n_budget;
    for (size_t i = 0; i < n; i++) {
        out[i] = (mn__rating){0};
        for (size_t b = 0; b < n_budget; b++) {
            const mn__outcome *o = &w->outcome[1 + i * n_budget + b];
            double loss;
            mn_status st = loss_of(r, p, o, &w->outcome[0], &loss);
            if (st != MN_OK) return st;
            out[i].loss += loss / (double)n_budget;
            out[i].kept_share += (*o->why ? NAN : o->share_prompt) / (double)n_budget;
        }
    }
    return MN_OK;
}

static mn_status get_prompt(trial_rater *r, uint64_t item, prompt *p, mn_diag *diag)
{
    bool found = false;
    const bool writes = is_graded(r);
    p->unit = mn__deck_get_item(r->deck, item).unit;
    p->task = mn__deck_get_unit(r->deck, p->unit)->ref.task;
    const mn__ask_params ap = {.model = r->p.model,
                               .n_ctx = r->p.session.n_ctx,
                               .max_new = r->p.max_new,
                               .max_gold =
                                   writes && p->task->asks == MN__ASKS_ANSWER ? 0 : r->p.max_gold};
    pthread_mutex_lock(&r->lock);
    mn_status st = mn__deck_get_row(r->deck, item, &p->row, &found, diag);
    pthread_mutex_unlock(&r->lock);
    if (st == MN_OK && !found) return mn__fail(diag, MN_EINPUT, "a row that was there is gone");
    if (st == MN_OK) st = mn__ask_make(&p->ask, p->task, &p->row, &ap, diag);
    if (st == MN_OK && !writes) p->ask.max_new = 0;
    return st;
}

/* As many candidates as there are cases for, at most. */
static mn_status rate_some(worker *w, const prompt *p, const double *x, size_t n, mn__rating *out,
                           mn_diag *diag)
{
    mn_status st;
    const trial_rater *r = w->r;
    const mn__ask bare = {0};
    w->x = x;
    for (size_t i = 0; i < r->n_case; i++)
        w->want[i] = i ? i < 1 + n * r->p.n_budget : !is_graded(r);
    MN_TRY(mn__trial_run(w->trial, p->task, &p->ask, &bare, w->want, w->outcome, diag));
    MN_TRY(add_up(w, p, n, out));
done:
    for (size_t i = 0; i < r->n_case; i++) mn__outcome_free(&w->outcome[i]);
    return st;
}

/* A search that began again asks for more candidates than it began with. */
static mn_status rate(void *ctx, size_t i_worker, uint64_t item, const double *x, size_t n,
                      mn__rating *out, mn_diag *diag)
{
    mn_status st;
    trial_rater *r = ctx;
    worker *w = &r->worker[i_worker];
    prompt p = {0};
    MN_TRY(get_prompt(r, item, &p, diag));
    for (size_t k = 0, most = r->p.population; k < n; k += most)
        MN_TRY(rate_some(w, &p, x + k * r->n_param, n - k < most ? n - k : most, out + k, diag));
done:
    give_back(w);
    mn__ask_free(&p.ask);
    mn__row_free(&p.row);
    return st;
}

/* ---- life ---- */

static void free_rater(void *ctx)
{
    trial_rater *r = ctx;
    if (!r) return;
    for (size_t i = 0; r->worker && i < r->p.n_worker; i++) {
        mn__trial_free(r->worker[i].trial);
        mn__namm_rows_free(r->worker[i].rows);
        mn__free(r->worker[i].want);
        mn__free(r->worker[i].outcome);
    }
    for (size_t i = 0; i < r->n_grader; i++) mn__grader_close(&r->grader[i]);
    mn__free(r->grader);
    mn__free(r->worker);
    mn__free(r->cases);
    mn__bank_free(r->bank);
    mn__deck_close(r->deck);
    pthread_mutex_destroy(&r->lock);
    mn__free(r);
}

static mn_status list_cases(trial_rater *r, mn_diag *diag)
{
    const mn__trial_rater_params *p = &r->p;
    r->n_case = 1 + p->population * p->n_budget;
    r->cases = mn__alloc_array(MN_MEM_OTHER, r->n_case, sizeof *r->cases);
    if (!r->cases) return mn__fail(diag, MN_ENOMEM, "no memory for %zu candidates", p->population);
    r->cases[0] = (mn__case){.policy = "full", .budget = ""};
    for (size_t i = 1; i < r->n_case; i++)
        r->cases[i] = (mn__case){.policy = p->policy, .budget = p->budget[(i - 1) % p->n_budget]};
    return MN_OK;
}

static mn_status open_graders(trial_rater *r, mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t n = mn__deck_n_unit(r->deck);
    if (!is_graded(r)) return MN_OK;
    r->grader = mn__alloc_zero(MN_MEM_OTHER, n * sizeof *r->grader);
    if (!r->grader) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tasks", n);
    for (; r->n_grader < n; r->n_grader++)
        MN_TRY(mn__grader_open(&r->grader[r->n_grader],
                               mn__deck_get_unit(r->deck, r->n_grader)->ref.task,
                               r->p.metric_dictionary, diag));
done:
    return st;
}

static mn_status worker_init(trial_rater *r, worker *w, mn_diag *diag)
{
    const mn__trial_rater_params *p = &r->p;
    const size_t n_candidate = r->n_case - 1;
    const mn__trial_params tp = {.model = p->model,
                                 .session = p->session,
                                 .cases = r->cases,
                                 .n_case = r->n_case,
                                 .evict_context = p->evict_context,
                                 .alone = is_graded(r),
                                 .n_side =
                                     n_candidate < MN__TRIAL_SIDES ? n_candidate : MN__TRIAL_SIDES,
                                 .stop = stopped,
                                 .prepare = prepare,
                                 .base = take_base,
                                 .ctx = w};
    w->r = r;
    w->want = mn__alloc_zero(MN_MEM_OTHER, r->n_case * sizeof *w->want);
    w->outcome = mn__alloc_zero(MN_MEM_OTHER, r->n_case * sizeof *w->outcome);
    if (!w->want || !w->outcome) return mn__fail(diag, MN_ENOMEM, "no memory for a worker");
    return mn__trial_new(&w->trial, &tp, diag);
}

/* The policy's own network tells how many numbers a candidate has. */
static mn_status count_params(trial_rater *r, mn_diag *diag)
{
    mn_status st;
    mn__budget any;
    mn_session_params resolved;
    mn__policy *policy = NULL;
    mn__session_resolve(r->p.model, &r->p.session, &resolved);
    const mn__cache_shape shape = mn__session_shape(r->p.model, &resolved);
    MN_TRY(mn__budget_parse(r->p.budget[0], &any, diag));
    MN_TRY(mn__policy_new(&policy, r->p.policy, &any, &shape, diag));
    r->n_param = mn__policy_n_params(policy);
    if (!r->n_param)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "policy %s has nothing to evolve", r->p.policy));
done:
    mn__policy_free(policy);
    return st;
}

mn_status mn__trial_rater_new(mn__rater *out, const mn__trial_rater_params *params, mn_diag *diag)
{
    mn_status st;
    mn__deck_params deck = params->deck;
    trial_rater *r = mn__alloc_zero(MN_MEM_OTHER, sizeof *r);
    if (!r) return mn__fail(diag, MN_ENOMEM, "no memory for a rater");
    pthread_mutex_init(&r->lock, NULL);
    r->p = *params;
    r->tokens = mn__model_tokens(params->model);
    deck.source.tokens = &r->tokens;
    const mn__bank_params bank = {.model = params->model,
                                  .session = params->session,
                                  .also = &r->p.policy,
                                  .n_also = 1,
                                  .max_bytes = params->bank_bytes,
                                  .folder = params->bank_folder,
                                  .rank = params->rank,
                                  .n_rank = params->n_rank};
    MN_TRY(count_params(r, diag));
    MN_TRY(mn__deck_open(&r->deck, &deck, diag));
    MN_TRY(open_graders(r, diag));
    MN_TRY(mn__bank_new(&r->bank, &bank, diag));
    MN_TRY(list_cases(r, diag));
    r->worker = mn__alloc_zero(MN_MEM_OTHER, params->n_worker * sizeof *r->worker);
    if (!r->worker)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu workers", params->n_worker));
    for (size_t i = 0; i < params->n_worker; i++) MN_TRY(worker_init(r, &r->worker[i], diag));
    *out =
        (mn__rater){.ctx = r, .n_item = mn__deck_n_item(r->deck), .rate = rate, .free = free_rater};
    r = NULL;
done:
    free_rater(r);
    return st;
}
