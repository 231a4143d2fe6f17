/* evolve_namm.c: NAMMs in a run of evolution: where one begins, how stages rate, what is kept. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "evolve/evolve_namm.h"
#include "evolve/fidelity.h"
#include "evolve/rater_retained.h"
#include "evolve/rater_trial.h"
#include "evolve/run.h"
#include "evolve/run_state.h"
#include "evolve/shape.h"
#include "evolve/warm.h"
#include "infer/session_internal.h"
#include "model/model.h"
#include "policy/evict.h"

enum { N_SINK = 4, DRAW_SEED = 1, ATTENDED_LANES = 4, FULL_MOST = 2048 };
#define DRAW_SIGMA 0.1

const char *mn_evolve_loss_name(mn_evolve_loss loss)
{
    static const char *const names[] = {
#define X(name, word) word,
        MN_EVOLVE_LOSS_MAP(X)
#undef X
    };
    return loss < MN_EVOLVE_LOSS_COUNT ? names[loss] : "unknown";
}

void mn_evolve_namm_params_default(mn_evolve_namm_params *p)
{
    static const char *const budget[] = {"25%"};
    *p = (mn_evolve_namm_params){.start = "linear",
                                 .budget = budget,
                                 .n_budget = 1,
                                 .limit = 8,
                                 .max_gold = 40,
                                 .n_layer = 8,
                                 .bank_bytes = (size_t)4 << 30,
                                 .model = "",
                                 .command = ""};
    mn_evolve_params_default(&p->run);
    mn_session_params_default(&p->session);
    p->run.n_prompt = 16;
}

typedef mn__namm_job job;

/* What a rater that needs captured lanes owns. */
typedef struct captured {
    mn__rater rater;
    mn__capture lanes;
    double *share;
} captured;

/* ---- prompts ---- */

/* The tasks of a stage, found by name; the deck borrows them. */
typedef struct stage_tasks {
    char *names;
    mn__task_ref *task;
    size_t n;
} stage_tasks;

static mn_status find_tasks(const job *j, size_t stage, stage_tasks *t, mn_diag *diag)
{
    *t = (stage_tasks){.names = mn__stage_tasks(j->run.stage, stage)};
    if (!t->names) return mn__fail(diag, MN_ENOMEM, "no memory for a stage");
    return mn__task_find(&t->task, &t->n, t->names, diag);
}

static void free_tasks(stage_tasks *t)
{
    mn__free(t->names);
    mn__free(t->task);
}

static mn__deck_params deck_of(const job *j, const stage_tasks *t)
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

static mn__capture_params capture_of(const job *j, const stage_tasks *t)
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

/* ---- where it begins ---- */

static mn_status make_start(job *j, mn_diag *diag)
{
    mn_status st;
    stage_tasks t = {0};
    char draft[MN__JOB_PATH + 16];
    double loss = NAN;
    MN_TRY(mn__shape_new(&j->namm, j->p->start, diag));
    const mn__namm_head head = j->namm->net.head;
    if (head == MN__NAMM_MIX || (head != MN__NAMM_LINEAR && j->p->warm))
        mn__shape_draw(j->namm, DRAW_SIGMA, j->p->session.seed + DRAW_SEED);
    MN_TRY(find_tasks(j, 0, &t, diag));
    mn__warm_params w = {.capture = capture_of(j, &t)};
    mn__regress_params_default(&w.regress);
    w.regress.n_thread = (int)j->n_worker;
    w.regress.stop = j->p->run.stop;
    w.regress.ctx = j->p->run.ctx;
    if (head == MN__NAMM_BAM) { /* its cost grows with the square of a lane */
        w.regress.n_step = 60;
        w.regress.n_warmup = 10;
        w.regress.batch = 8;
    }
    if (!j->p->warm) w.regress.n_step = 0;
    /* Under another name until it is whole. */
    snprintf(draft, sizeof draft, "%s.new", j->start);
    MN_TRY(mn__warm_start(j->namm, draft, &w, NULL, &loss, diag));
    if (rename(draft, j->start)) MN_TRY(mn__fail(diag, MN_EIO, "cannot write %s", j->start));
done:
    free_tasks(&t);
    return st;
}

static bool is_file(const char *start)
{
    return strchr(start, '/') || strstr(start, ".gguf");
}

/* Rank 0 makes the file where the run begins, the others wait for it. */
static mn_status begin(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    uint64_t here = 0;
    const mn_evolve_ranks *ranks = &j->run.ranks;
    if (ranks->n <= 1 || ranks->rank == 0) {
        if (mkdir(j->run.dir, 0777) && errno != EEXIST)
            MN_TRY(mn__fail(diag, MN_EIO, "%s: %s", j->run.dir, strerror(errno)));
        if (access(j->start, F_OK) && is_file(j->p->start)) {
            MN_TRY(mn__namm_read(&j->namm, j->p->start, diag));
            MN_TRY(mn__namm_write(j->namm, j->start, diag));
        } else if (access(j->start, F_OK)) {
            MN_TRY(make_start(j, diag));
        }
    }
    if (ranks->n > 1) MN_TRY(ranks->share(ranks->ctx, &here, 1, diag));
    mn__namm_free(j->namm);
    j->namm = NULL;
    MN_TRY(mn__namm_read(&j->namm, j->start, diag));
    j->run.search.n = mn__namm_net_params(&j->namm->net);
    j->mean = mn__alloc_array(MN_MEM_OTHER, j->run.search.n, sizeof *j->mean);
    if (!j->mean) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a network"));
    for (size_t i = 0; i < j->run.search.n; i++) j->mean[i] = (double)j->namm->param[i];
    j->run.search.mean = j->mean;
done:
    return st;
}

/* ---- the share kept ---- */

/* The NAMM that evolution begins with, or one of its shape. */
static mn_status read_start(const job *j, mn__namm **out, mn_diag *diag)
{
    const char *start = j->p->start;
    if (access(j->start, F_OK) == 0) return mn__namm_read(out, j->start, diag);
    return is_file(start) ? mn__namm_read(out, start, diag) : mn__shape_new(out, start, diag);
}

/* A share to aim at is for scores that decide for themselves how much stays: before anything is
 * made, as a warm start takes long. */
static mn_status check_target(const job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__namm *namm = NULL;
    mn__policy *policy = NULL;
    mn__budget budget;
    mn_session_params resolved;
    if (!(j->p->run.target_share > 0)) return MN_OK;
    for (size_t i = 0; i < j->run.n_stage; i++)
        if (!strcmp(j->run.stage[i].fidelity, "retained"))
            MN_TRY(mn__fail(diag, MN_EUSAGE,
                            "a share to aim at is for fidelity frozen or true: retained attention "
                            "is counted at fixed shares"));
    MN_TRY(read_start(j, &namm, diag));
    mn__session_resolve(j->m, &j->p->session, &resolved);
    const mn__cache_shape shape = mn__session_shape(j->m, &resolved);
    for (size_t i = 0; i < j->p->n_budget; i++) {
        const char *text = j->p->budget[i];
        MN_TRY(mn__budget_parse(text, &budget, diag));
        mn__policy_free(policy);
        MN_TRY(mn__policy_new_of(&policy, j->frozen, namm, &budget, &shape, diag));
        if (!mn__policy_decides(policy))
            MN_TRY(mn__fail(diag, MN_EUSAGE,
                            "a share to aim at is for NAMMs that act by threshold "
                            "(rule=threshold, or no budget): this one keeps what %s says",
                            *text ? text : "its budget"));
    }
done:
    mn__policy_free(policy);
    mn__namm_free(namm);
    return st;
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

static mn_status make_retained(job *j, const stage_tasks *t, mn__rater *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    captured *c = mn__alloc_zero(MN_MEM_OTHER, sizeof *c);
    if (!c) return mn__fail(diag, MN_ENOMEM, "no memory for a rater");
    c->share = mn__alloc_array(MN_MEM_OTHER, j->p->n_budget, sizeof *c->share);
    if (!c->share) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a rater"));
    for (size_t i = 0; i < j->p->n_budget; i++)
        MN_TRY(share_of(j->p->budget[i], &c->share[i], diag));
    const mn__capture_params cp = capture_of(j, t);
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

static mn_status make_trial(const job *j, const stage_tasks *t, bool reads, mn__rater *out,
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
    stage_tasks t = {0};
    MN_TRY(find_tasks(j, stage, &t, diag));
    if (!strcmp(fidelity, "retained"))
        st = make_retained(j, &t, out, diag);
    else if (!strcmp(fidelity, "frozen") || !strcmp(fidelity, "true"))
        st = make_trial(j, &t, *fidelity == 't', out, diag);
    else
        st = mn__fail(diag, MN_EUSAGE, "fidelity retained, frozen or true wanted, '%s' found",
                      fidelity);
done:
    free_tasks(&t);
    return st;
}

/* ---- what comes of it ---- */

static mn_status set_note(mn__namm *namm, size_t *n, const char *key, const char *value)
{
    namm->note[*n].key = mn__strdup(key);
    namm->note[*n].value = mn__strdup(value);
    namm->n_note = *n + 1; /* either may be absent: both are freed with the NAMM */
    if (!namm->note[*n].key || !namm->note[*n].value) return MN_ENOMEM;
    ++*n;
    return MN_OK;
}

static mn_status save_best(void *ctx, const double *mean, const mn_evolve_best *best, mn_diag *diag)
{
    enum { N_NOTE = 12 };
    mn_status st;
    job *j = ctx;
    const mn_evolve_namm_params *p = j->p;
    mn__namm *namm = NULL;
    mn_model_info info;
    char *tasks = mn__stage_tasks(j->run.stage, best->stage), number[5][32];
    size_t n = 0;
    MN_TRY(mn__namm_read(&namm, j->start, diag));
    for (size_t i = 0; i < j->run.search.n; i++) namm->param[i] = (float)mean[i];
    snprintf(number[0], sizeof *number, "%llu", (unsigned long long)best->generation);
    snprintf(number[1], sizeof *number, "%llu", (unsigned long long)j->run.search.seed);
    snprintf(number[2], sizeof *number, "%.6g", best->loss);
    snprintf(number[3], sizeof *number, "%.4g", best->kept_share);
    snprintf(number[4], sizeof *number, "%.4g", p->run.target_share);
    mn_model_get_info(j->m, &info);
    mn__namm_drop_notes(namm);
    namm->note = mn__alloc_zero(MN_MEM_OTHER, N_NOTE * sizeof *namm->note);
    const char *const note[][2] = {{"base_model", p->model},
                                   {"base_identity", info.identity},
                                   {"tasks", tasks},
                                   {"fidelity", j->run.stage[best->stage].fidelity},
                                   {"loss", mn_evolve_loss_name(p->loss)},
                                   {"evict", p->evict_context ? "context" : "prompt"},
                                   {"generations", number[0]},
                                   {"seed", number[1]},
                                   {"held_out_loss", number[2]},
                                   {"held_out_kept_share", number[3]},
                                   {"command", p->command},
                                   {"target_share", number[4]}}; /* where there is one */
    const size_t n_note = p->run.target_share > 0 ? N_NOTE : N_NOTE - 1;
    for (size_t i = 0; i < n_note; i++)
        if (!namm->note || !tasks || set_note(namm, &n, note[i][0], note[i][1]) != MN_OK)
            MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a NAMM's notes"));
    MN_TRY(mn__namm_write(namm, j->best, diag));
done:
    mn__free(tasks);
    mn__namm_free(namm);
    return st;
}

/* ---- what the caller hears ---- */

static const mn_evolve_params *caller(void *ctx)
{
    return &((job *)ctx)->p->run;
}

static void pass_line(void *ctx, const mn_evolve_line *line)
{
    if (caller(ctx)->line) caller(ctx)->line(caller(ctx)->ctx, line);
}

static void pass_tick(void *ctx, uint64_t done, uint64_t total)
{
    if (caller(ctx)->tick) caller(ctx)->tick(caller(ctx)->ctx, done, total);
}

static void pass_note(void *ctx, const char *sentence)
{
    if (caller(ctx)->note) caller(ctx)->note(caller(ctx)->ctx, sentence);
}

static bool pass_stop(void *ctx)
{
    return caller(ctx)->stop && caller(ctx)->stop(caller(ctx)->ctx);
}

/* ---- what a rating depends on ---- */

/* The file where it began, as a hash. */
static mn_status hash_start(const job *j, char out[17], mn_diag *diag)
{
    mn__map file;
    mn_status st = mn__map_open(&file, j->start, diag);
    if (st != MN_OK) return st;
    snprintf(out, 17, "%016llx", (unsigned long long)mn__hash64(file.data, file.size, 0));
    mn__map_close(&file);
    return MN_OK;
}

static mn_status write_options(const job *j, mn__draft *out, mn_diag *diag)
{
    const mn_evolve_namm_params *p = j->p;
    char start[17], model[17];
    mn_status st = hash_start(j, start, diag);
    if (st != MN_OK) return st;
    snprintf(model, sizeof model, "%016llx", (unsigned long long)j->m->hash);
    json_t *budgets = json_array(), *lengths = json_array();
    for (size_t i = 0; i < p->n_budget; i++)
        json_array_append_new(budgets, json_string(p->budget[i]));
    for (size_t i = 0; i < p->n_length; i++)
        json_array_append_new(lengths, json_integer((json_int_t)p->length[i]));
    json_t *doc = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I}", "model", model, "start", start, "loss",
        mn_evolve_loss_name(p->loss), "evict", p->evict_context ? "context" : "prompt", "policy",
        p->policy ? p->policy : "", "budgets", budgets, "lengths", lengths, "limit",
        (json_int_t)p->limit, "gold_tokens", (json_int_t)p->max_gold, "ctx",
        (json_int_t)p->session.n_ctx, "rows_seed", (json_int_t)p->session.seed);
    if (doc && p->n_lane) json_object_set_new(doc, "lanes", json_integer((json_int_t)p->n_lane));
    const bool ok = doc && mn__draft_json(out, doc);
    json_decref(doc);
    return ok ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for a run's description");
}

/* ---- a run ---- */

static mn_status name_files(job *j, mn_diag *diag)
{
    mn_status st;
    const char *dir = j->run.dir;
    if (!dir || !*dir) return mn__fail(diag, MN_EUSAGE, "a folder for the run wanted");
    if (strlen(dir) > MN__JOB_PATH - 64)
        return mn__fail(diag, MN_EUSAGE, "a shorter path of the run's folder wanted");
    snprintf(j->start, sizeof j->start, "%s/start.namm.gguf", dir);
    snprintf(j->best, sizeof j->best, "%s/best.namm.gguf", dir);
    snprintf(j->readings, sizeof j->readings, "%s/readings", dir);
    MN_TRY(mn__fidelity_policy(j->frozen, sizeof j->frozen, j->start, j->p->policy, false, diag));
    MN_TRY(mn__fidelity_policy(j->true_policy, sizeof j->true_policy, j->start, j->p->policy, true,
                               diag));
done:
    return st;
}

mn_status mn__namm_job_open(job *j, const mn_model *model, const mn_evolve_namm_params *params,
                            mn_diag *diag)
{
    mn_status st;
    *j = (job){.m = model, .p = params, .run = params->run, .loss = params->loss};
    j->run.save = save_best;
    j->run.line = pass_line;
    j->run.tick = pass_tick;
    j->run.note = pass_note;
    j->run.stop = pass_stop;
    j->run.ctx = j;
    j->n_worker = params->run.n_thread > 0 ? (size_t)params->run.n_thread : (size_t)mn__cpu_count();
    j->run.n_thread = (int)j->n_worker;
    if (!j->run.search.population) j->run.search.population = 16;
    if (!params->n_budget) MN_TRY(mn__fail(diag, MN_EUSAGE, "a budget wanted, as 25%%"));
    MN_TRY(name_files(j, diag));
    MN_TRY(check_target(j, diag));
    MN_TRY(begin(j, diag));
    if (params->picks_covariance)
        j->run.search.covariance =
            j->run.search.n > FULL_MOST ? MN_COVARIANCE_SEPARABLE : MN_COVARIANCE_FULL;
    MN_TRY(write_options(j, &j->options, diag));
    j->run.options = mn__draft_text(&j->options);
done:
    return st;
}

void mn__namm_job_close(job *j)
{
    mn__namm_free(j->namm);
    mn__free(j->mean);
    mn__draft_free(&j->options);
}

mn_status mn_evolve_namm(const mn_model *model, const mn_evolve_namm_params *params,
                         mn_evolve_result *out, mn_diag *diag)
{
    *out = (mn_evolve_result){0};
    job *j = mn__alloc_zero(MN_MEM_OTHER, sizeof *j);
    if (!j) return mn__fail(diag, MN_ENOMEM, "no memory for an evolution");
    const mn__rater_maker maker = {.ctx = j, .make = mn__namm_job_rater};
    mn_status st = mn__namm_job_open(j, model, params, diag);
    if (st == MN_OK) st = mn__evolution_run(&maker, &j->run, out, diag);
    mn__namm_job_close(j);
    mn__free(j);
    return st;
}
