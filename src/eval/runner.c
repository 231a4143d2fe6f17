/* runner.c: workers that take one prompt of the deck after the other. One lock guards deck and
 * store; what takes time, the trial, runs outside. */
#include "eval/runner.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/draft.h"
#include "eval/grade.h"

enum { MAX_WORKER = 256 };

typedef struct unit {
    mn__grader grader;
    mn__task_ref ref;
    size_t length;
    bool has_left_out; /* a prompt, which was told */
} unit;

struct mn__runner {
    const mn__runner_params *p;
    mn__deck *deck;
    unit *unit;
    size_t n_unit;
    bool *has_nan; /* [n_case] scores that were none, which was told */
    mn__tokens tokens;
    mn__store *out;
    int64_t run; /* its key there */
    pthread_mutex_t lock;
    uint64_t next, n_finished;
    mn__runner_result *result;
    mn_status st; /* of the worker that failed first */
    mn_diag diag;
};
typedef struct mn__runner job;

/* One prompt on its way into the store. */
typedef struct item {
    const unit *u;
    uint64_t i_row;
    mn__row row;
    mn__ask ask, bare; /* bare: without context; no reading where nothing is left of it */
    int64_t key;       /* in the store */
} item;

/* What a worker has of its own. */
typedef struct worker {
    job *j;
    mn__trial *trial;
    bool *want;
    mn__outcome *outcome;
} worker;

/* ---- units ---- */

static mn__ask_params ask_params(const mn__runner_params *p, size_t length)
{
    return (mn__ask_params){.model = p->model,
                            .chat = p->chat,
                            .template = p->chat_template,
                            .n_ctx = p->run.n_ctx,
                            .max_new = p->max_new,
                            .max_gold = p->max_gold,
                            .length = length};
}

/* Is there a prompt that may fit? Rows that are read have lengths of their own. */
static mn_status check_lengths(const mn__runner_params *p, mn_diag *diag)
{
    size_t most = 0, least = SIZE_MAX;
    const mn__deck_params *d = &p->deck;
    const mn__ask_params ask = ask_params(p, 0);
    for (size_t k = 0; k < d->n_length; k++)
        if (d->length[k] < least) least = d->length[k];
    for (size_t i = 0; i < d->n_task; i++) {
        size_t room;
        mn_status st = mn__ask_room(d->task[i].task, &ask, &room, diag);
        if (st != MN_OK) return st;
        if (!d->n_length || !d->task[i].task->maker || least <= room) return MN_OK;
        if (room > most) most = room;
    }
    return mn__fail(diag, MN_EUSAGE,
                    "rows of %zu tokens: a context of %zu has room for %zu beside an answer", least,
                    ask.n_ctx, most);
}

static mn_status open_units(job *j, mn_diag *diag)
{
    mn_status st;
    const mn__runner_params *p = j->p;
    mn__deck_params deck = p->deck;
    deck.source.tokens = &j->tokens;
    MN_TRY(check_lengths(p, diag));
    MN_TRY(mn__deck_open(&j->deck, &deck, diag));
    size_t n = mn__deck_n_unit(j->deck);
    j->unit = mn__alloc_zero(MN_MEM_OTHER, n * sizeof *j->unit);
    if (!j->unit) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tasks", n);
    for (size_t i = 0; i < n; i++, j->n_unit++) {
        const mn__deck_unit *u = mn__deck_get_unit(j->deck, i);
        j->unit[i] = (unit){.ref = u->ref, .length = u->length};
        MN_TRY(mn__grader_open(&j->unit[i].grader, u->ref.task, p->metric_dictionary, diag));
    }
done:
    return st;
}

/* ---- records ---- */

/* Takes the document. */
static mn_status write_json(mn__draft *out, json_t *doc, mn_diag *diag)
{
    bool ok = mn__draft_json(out, doc);
    json_decref(doc);
    return ok ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for a record");
}

static json_t *gold_json(const mn__row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->n_answer; i++)
        json_array_append_new(list, json_string(row->answers[i]));
    if (row->n_choice) json_array_append_new(list, json_string(row->continuations[row->gold]));
    return list;
}

/* What is asked for; NULL: nothing could be. */
static const mn__reading *gold_reading(const mn__ask *ask)
{
    return ask->n_reading ? &ask->reading[ask->gold_reading] : NULL;
}

static json_t *facts_json(const unit *u, const mn__row *row, const mn__reading *r)
{
    int64_t length = u->length ? (int64_t)u->length : row->max_tokens;
    json_t *doc = r ? json_pack("{s:I,s:I}", "context_tokens", (json_int_t)r->n_context,
                                "cut_tokens", (json_int_t)r->n_cut)
                    : json_object();
    if (length > 0) json_object_set_new(doc, "length", json_integer(length));
    if (!isnan(row->depth)) json_object_set_new(doc, "depth", json_real(row->depth));
    return doc;
}

static mn_status add_prompt(job *j, item *p, mn_diag *diag)
{
    mn_status st;
    char id[24];
    mn__draft gold = {0}, facts = {0};
    const mn__reading *r = gold_reading(&p->ask);
    snprintf(id, sizeof id, "%llu", (unsigned long long)p->i_row);
    MN_TRY(write_json(&gold, gold_json(&p->row), diag));
    MN_TRY(write_json(&facts, facts_json(p->u, &p->row, r), diag));
    const mn__task *task = p->u->ref.task;
    const mn__store_prompt prompt = {.task = task->name,
                                     .source_id = *p->row.id ? p->row.id : id,
                                     .source_file = p->u->length ? "made"
                                                    : task->dir  ? task->dir
                                                                 : "own",
                                     .family = mn__family_name(task->family),
                                     .language = p->row.language,
                                     .gold = mn__draft_text(&gold),
                                     .facts = mn__draft_text(&facts),
                                     .hash = p->ask.hash,
                                     .n_token = r ? (uint32_t)r->n : 0};
    st = mn__store_add_prompt(j->out, &prompt, &p->key, diag);
done:
    mn__draft_free(&gold);
    mn__draft_free(&facts);
    return st;
}

static void name_case(const mn__case *c, uint64_t seed, mn__store_record *r)
{
    r->policy = c->no_context ? "empty" : c->name ? c->name : c->policy;
    r->budget = c->budget;
    r->seed = seed;
}

/* Which cases of a prompt are not recorded yet. A prompt that is all context has no other without.
 */
static mn_status find_missing(worker *w, const item *p, size_t *n, mn_diag *diag)
{
    job *j = w->j;
    const mn__store_place at = {.run = j->run, .prompt = p->key};
    *n = 0;
    for (size_t i = 0; i < j->p->n_case; i++) {
        mn__store_record r = {0};
        bool has = false;
        w->want[i] = false;
        if (j->p->cases[i].no_context && !p->bare.n_reading) continue;
        name_case(&j->p->cases[i], j->p->run.seed, &r);
        mn_status st = mn__store_has_record(j->out, at, &r, &has, diag);
        if (st != MN_OK) return st;
        w->want[i] = !has;
        *n += !has;
        j->result->n_there += has;
    }
    return MN_OK;
}

/* The first prompt of a policy is told, which goes for its other budgets and prompts. */
static void tell_nan(job *j, size_t i, const mn__outcome *o)
{
    char text[1024];
    mn__store_record r = {0}, other = {0};
    if (!o->n_nan || j->has_nan[i]) return;
    name_case(&j->p->cases[i], 0, &r);
    for (size_t k = 0; k < j->p->n_case; k++) {
        name_case(&j->p->cases[k], 0, &other);
        j->has_nan[k] |= !strcmp(r.policy, other.policy);
    }
    snprintf(text, sizeof text,
             "warning: %llu scores of policy %.700s were no numbers in a prompt: %s",
             (unsigned long long)o->n_nan, r.policy, o->nan_rule);
    if (j->p->note) j->p->note(text, j->p->ctx);
}

static mn_status add_record(worker *w, const item *p, size_t i, mn_diag *diag)
{
    job *j = w->j;
    const mn__outcome *o = &w->outcome[i];
    const mn__case *c = &j->p->cases[i];
    mn_diag why = {""};
    double score = NAN;
    mn_status st = mn__grade(&p->u->grader, &p->row, &p->ask, o, &score, &why);
    if (st == MN_ENOMEM) return mn__fail(diag, st, "%s", why.text);
    bool never = c->no_context || !strcmp(c->policy, "full");
    mn__store_record r = {.acts = never                              ? "never"
                                  : mn__trial_is_reader(w->trial, i) ? "reading"
                                                                     : "end",
                          .metric = p->u->ref.task->metric,
                          .status = *o->why       ? o->why
                                    : st != MN_OK ? why.text
                                                  : "ok",
                          .output = o->output,
                          .score = score,
                          .nll = o->nll,
                          .kl = o->kl,
                          .n_gold = o->n_gold,
                          .gold_bytes = o->gold_bytes,
                          .share_answer = *o->why ? NAN : o->share_answer,
                          .share_prompt = *o->why ? NAN : o->share_prompt,
                          .kept = o->kept,
                          .kv_bytes = o->kv_bytes,
                          .policy_bytes = o->policy_bytes,
                          .peak_bytes = o->peak_bytes,
                          .prefill_s = o->read_s,
                          .decode_s = o->write_s,
                          .n_generated = (uint32_t)o->n_generated};
    name_case(c, j->p->run.seed, &r);
    const mn__store_place at = {.run = j->run, .prompt = p->key};
    st = mn__store_add_record(j->out, at, &r, NULL, diag);
    if (st == MN_OK) j->result->n_record++;
    tell_nan(j, i, o);
    return st;
}

/* A prompt that cannot be asked stands in the store all the same: reports tell of it. Takes the
 * sentence and fails with it. */
static mn_status add_left_out(job *j, item *p, mn_diag *diag)
{
    mn_status st;
    char why[sizeof diag->text + 16];
    p->ask.hash = mn__hash64(p->row.context, strlen(p->row.context), mn__row_hash(&p->row));
    snprintf(why, sizeof why, MN__STORE_LEFT_OUT "%s", diag->text);
    const mn__store_record r = {.policy = "full",
                                .budget = "",
                                .seed = j->p->run.seed,
                                .acts = "never",
                                .metric = p->u->ref.task->metric,
                                .status = why,
                                .score = NAN,
                                .share_answer = NAN,
                                .share_prompt = NAN};
    MN_TRY(add_prompt(j, p, diag));
    const mn__store_place at = {.run = j->run, .prompt = p->key};
    MN_TRY(mn__store_add_record(j->out, at, &r, NULL, diag));
    st = mn__fail(diag, MN_ERANGE, "%s", why + strlen(MN__STORE_LEFT_OUT));
done:
    return st;
}

/* ---- one prompt ---- */

static mn_status ask_row(const job *j, item *p, mn_diag *diag)
{
    mn_diag why = {""};
    const mn__task *task = p->u->ref.task;
    mn__ask_params ap = ask_params(j->p, p->u->length);
    mn_status st = mn__ask_make(&p->ask, task, &p->row, &ap, diag);
    if (st != MN_OK) return st;
    ap.no_context = true;
    st = mn__ask_make(&p->bare, task, &p->row, &ap, &why);
    return st == MN_OK || st == MN_EINPUT ? MN_OK : mn__fail(diag, st, "%s", why.text);
}

/* Row, prompt and what is missing of it; *n 0: nothing. */
static mn_status prepare(worker *w, uint64_t i_item, item *p, size_t *n, mn_diag *diag)
{
    mn_status st;
    job *j = w->j;
    bool found = false;
    *n = 0;
    pthread_mutex_lock(&j->lock);
    st = mn__deck_get_row(j->deck, i_item, &p->row, &found, diag);
    pthread_mutex_unlock(&j->lock);
    if (st != MN_OK || !found) return st;
    st = ask_row(j, p, diag);
    pthread_mutex_lock(&j->lock);
    if (st == MN_ERANGE) st = add_left_out(j, p, diag);
    if (st == MN_OK) st = add_prompt(j, p, diag);
    if (st == MN_OK) st = find_missing(w, p, n, diag);
    j->result->n_seen += st == MN_OK;
    j->result->n_cut += st == MN_OK && gold_reading(&p->ask)->n_cut;
    pthread_mutex_unlock(&j->lock);
    return st;
}

static mn_status take(worker *w, uint64_t i_item, mn_diag *diag)
{
    mn_status st;
    job *j = w->j;
    size_t n = 0;
    const mn__deck_item it = mn__deck_get_item(j->deck, i_item);
    item p = {.u = &j->unit[it.unit], .i_row = it.row};
    MN_TRY(prepare(w, i_item, &p, &n, diag));
    if (!n) goto done;
    MN_TRY(mn__trial_run(w->trial, p.u->ref.task, &p.ask, &p.bare, w->want, w->outcome, diag));
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->p->n_case && st == MN_OK; i++)
        if (w->want[i]) st = add_record(w, &p, i, diag);
    j->result->n_prompt += st == MN_OK;
    pthread_mutex_unlock(&j->lock);
done:
    for (size_t i = 0; i < j->p->n_case; i++) mn__outcome_free(&w->outcome[i]);
    mn__ask_free(&p.ask);
    mn__ask_free(&p.bare);
    mn__row_free(&p.row);
    return st;
}

/* ---- workers ---- */

static uint64_t claim(job *j)
{
    if (j->p->claim) return j->p->claim(j->p->ctx);
    return __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
}

static bool failed(job *j)
{
    return __atomic_load_n(&j->st, __ATOMIC_RELAXED) != MN_OK;
}

/* Also polled inside trials: one worker's failure ends all. */
static bool must_stop(void *ctx)
{
    job *j = ctx;
    return failed(j) || (j->p->stop && j->p->stop(j->p->ctx));
}

/* The first of a task and length is told, which goes for the others. */
static void tell_left_out(job *j, mn__deck_item it, const mn_diag *diag)
{
    unit *u = &j->unit[it.unit];
    mn_diag text;
    mn__fail(&text, MN_ERANGE, "%s, row %llu left out: %s", u->ref.task->name,
             (unsigned long long)it.row, diag->text);
    if (!u->has_left_out && j->p->note) j->p->note(text.text, j->p->ctx);
    u->has_left_out = true;
    if (j->result->n_skipped++ == 0)
        snprintf(j->result->left_out, sizeof j->result->left_out, "%.511s", text.text);
}

/* A prompt that cannot be is told of and left out; all else ends the run. */
static void after(job *j, uint64_t i, mn_status st, const mn_diag *diag)
{
    bool left_out = st == MN_ERANGE || st == MN_EBUDGET;
    pthread_mutex_lock(&j->lock);
    if (left_out) {
        tell_left_out(j, mn__deck_get_item(j->deck, i), diag);
    } else if (st != MN_OK && j->st == MN_OK) {
        j->diag = *diag;
        __atomic_store_n(&j->st, st, __ATOMIC_RELAXED);
    }
    j->n_finished++;
    if (j->p->progress && j->st == MN_OK)
        j->p->progress(j->n_finished, mn__deck_n_item(j->deck), j->p->ctx);
    pthread_mutex_unlock(&j->lock);
}

static void *work(void *arg)
{
    worker *w = arg;
    job *j = w->j;
    for (uint64_t i; !must_stop(j) && (i = claim(j)) < mn__deck_n_item(j->deck);) {
        mn_diag diag = {""};
        mn_status st = take(w, i, &diag);
        after(j, i, st, &diag);
    }
    if (must_stop(j) && !failed(j)) {
        const mn_diag diag = {"interrupted; what was finished is kept"};
        pthread_mutex_lock(&j->lock);
        if (j->st == MN_OK) {
            j->diag = diag;
            __atomic_store_n(&j->st, MN_ECANCEL, __ATOMIC_RELAXED);
        }
        pthread_mutex_unlock(&j->lock);
    }
    return NULL;
}

static mn_status worker_init(worker *w, job *j, mn_diag *diag)
{
    const mn__runner_params *p = j->p;
    const mn__trial_params tp = {.model = p->model,
                                 .session = p->session,
                                 .cases = p->cases,
                                 .n_case = p->n_case,
                                 .evict_context = p->evict_context,
                                 .alone = p->alone,
                                 .n_side = p->n_side,
                                 .stop = must_stop,
                                 .ctx = j};
    *w = (worker){.j = j};
    w->want = mn__alloc_zero(MN_MEM_OTHER, p->n_case * sizeof *w->want);
    w->outcome = mn__alloc_zero(MN_MEM_OTHER, p->n_case * sizeof *w->outcome);
    if (!w->want || !w->outcome) return mn__fail(diag, MN_ENOMEM, "no memory for a worker");
    return mn__trial_new(&w->trial, &tp, diag);
}

static mn_status run_workers(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t n = j->p->n_worker ? j->p->n_worker : 1, n_thread = 0;
    pthread_t thread[MAX_WORKER];
    if (n > MAX_WORKER) n = MAX_WORKER;
    worker *w = mn__alloc_zero(MN_MEM_OTHER, n * sizeof *w);
    if (!w) return mn__fail(diag, MN_ENOMEM, "no memory for %zu workers", n);
    for (size_t i = 0; i < n; i++) MN_TRY(worker_init(&w[i], j, diag));
    for (size_t i = 1; i < n; i++)
        if (pthread_create(&thread[n_thread], NULL, work, &w[i]) == 0) n_thread++;
    work(&w[0]);
    for (size_t i = 0; i < n_thread; i++) pthread_join(thread[i], NULL);
    st = j->st;
    if (st != MN_OK && diag) *diag = j->diag;
done:
    for (size_t i = 0; i < n; i++) {
        mn__trial_free(w[i].trial);
        mn__free(w[i].want);
        mn__free(w[i].outcome);
    }
    mn__free(w);
    return st;
}

/* ---- a run ---- */

mn_status mn__runner_open(mn__runner **out, const mn__runner_params *params, mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    job *j = mn__alloc_zero(MN_MEM_OTHER, sizeof *j);
    if (!j) return mn__fail(diag, MN_ENOMEM, "no memory for an evaluation");
    pthread_mutex_init(&j->lock, NULL);
    j->p = params;
    j->tokens = mn__model_tokens(params->model);
    j->has_nan = mn__alloc_zero(MN_MEM_OTHER, params->n_case * sizeof *j->has_nan);
    if (!j->has_nan) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for an evaluation"));
    MN_TRY(open_units(j, diag));
    *out = j;
    j = NULL;
done:
    mn__runner_close(j);
    return st;
}

const mn__deck *mn__runner_deck(const mn__runner *r)
{
    return r->deck;
}

mn_status mn__runner_run(mn__runner *r, const char *path, mn__runner_result *out, mn_diag *diag)
{
    mn_status st;
    *out = (mn__runner_result){0};
    r->result = out;
    r->next = r->n_finished = 0;
    r->st = MN_OK;
    MN_TRY(mn__store_open(&r->out, path, MN_STORE_WRITE, diag));
    MN_TRY(mn__store_add_run(r->out, &r->p->run, &r->run, diag));
    MN_TRY(run_workers(r, diag));
done:
    mn__store_close(r->out);
    r->out = NULL;
    return st;
}

void mn__runner_close(mn__runner *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->n_unit; i++) mn__grader_close(&r->unit[i].grader);
    mn__deck_close(r->deck);
    mn__free(r->unit);
    mn__free(r->has_nan);
    pthread_mutex_destroy(&r->lock);
    mn__free(r);
}
