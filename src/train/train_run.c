/* train_run.c: a config -> data -> a trainer -> steps, in a folder. A report is logged before the
 * checkpoint that follows it, and rows behind the checkpoint are dropped when a run goes on: killed
 * anywhere, it makes them again and comes to the same bits. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "mneme/train.h"
#include "train/checkpoint.h"
#include "train/cost.h"
#include "train/train_about.h"
#include "train/train_data.h"
#include "train/train_log.h"
#include "train/train_sample.h"

typedef struct run {
    const mn_train_params *p;
    mn_train_params silent; /* p of other ranks than 0 */
    mn__peers peers;
    mn__config config;
    int fd; /* the folder, held */
    char checkpoint[PATH_MAX], log_path[PATH_MAX], about[PATH_MAX], ini[PATH_MAX],
        tokenizer[PATH_MAX];
    mn__train_data data;
    mn__trainer *trainer;
    mn__log_file *log; /* rank 0's; NULL elsewhere */
    mn__train_sample sample;
    mn_cost cost;
    double peak, row_began;
    mn_train_line last;
    mn_status st; /* of what a hook met first, with `why` */
    mn_diag why;
} run;

void mn_train_params_default(mn_train_params *p)
{
    *p = (mn_train_params){.commit = "", .compiler = "", .cpu = "", .ranks = {.n = 1}};
}

static mn__peers *peers_of(run *r)
{
    return r->p->ranks.n > 1 ? &r->peers : NULL;
}

static void tell(const run *r, const char *sentence)
{
    if (r->p->note && *sentence) r->p->note(r->p->ctx, sentence);
}

/* ---- config ---- */

/* Held against itself with some vocabulary: what cannot be is said before hours go into tokens. */
static mn_status read_config(const mn_train_params *p, mn__config *out, mn_diag *diag)
{
    mn_status st;
    mn__config c;
    MN_TRY(mn__config_load(out, p->config, p->set, p->n_set, diag));
    if (p->n_thread > 0) out->train_threads = (size_t)p->n_thread;
    c = *out;
    if (!c.model_vocab) c.model_vocab = MN_COST_VOCAB;
    MN_TRY(mn__config_check(&c, diag));
done:
    return st;
}

/* ---- the folder ---- */

static mn_status hold_folder(run *r, mn_diag *diag)
{
    static const char *const ours[] = {"checkpoint.gguf.", "train.ini.", "run.json.", "report.",
                                       "tokenizer",        "tokens-",    NULL};
    const char *dir = r->p->dir;
    if (r->p->ranks.rank == 0) {
        const mn_status st = mn__folder_hold(&r->fd, dir, "trains", ours, diag);
        if (st != MN_OK) return st;
    }
    snprintf(r->checkpoint, sizeof r->checkpoint, "%s/checkpoint.gguf", dir);
    snprintf(r->log_path, sizeof r->log_path, "%s/log.sqlite", dir);
    snprintf(r->about, sizeof r->about, "%s/run.json", dir);
    snprintf(r->ini, sizeof r->ini, "%s/train.ini", dir);
    snprintf(r->tokenizer, sizeof r->tokenizer, "%s/tokenizer.gguf", dir);
    return MN_OK;
}

/* Beside the checkpoint, which names it: whoever exports the model finds it. */
static mn_status write_tokenizer(const run *r, mn_diag *diag)
{
    mn_status st;
    mn__gguf_writer *w = NULL;
    MN_TRY(mn__gguf_writer_new(&w, diag));
    mn__gguf_set_str(w, "general.architecture", "mneme-tokenizer");
    mn__tokenizer_put(&r->data.tokenizer, w);
    MN_TRY(mn__gguf_write(w, r->tokenizer, diag));
done:
    mn__gguf_writer_free(w);
    return st;
}

/* ---- what the trainer tells ---- */

static void keep_failure(run *r, mn_status st, const mn_diag *why)
{
    if (st == MN_OK || r->st != MN_OK) return;
    r->st = st;
    r->why = *why;
}

static void on_report(void *ctx, const mn__train_report *t)
{
    run *r = ctx;
    mn_diag why = {""};
    const double now = mn__clock_s(), flops = r->cost.train_forward + r->cost.train_backward;
    r->last =
        (mn_train_line){.step = t->step,
                        .n_step = r->config.train_steps,
                        .tokens = t->tokens,
                        .loss = t->loss,
                        .aux = t->aux,
                        .valid_loss = t->valid_loss,
                        .norm = t->norm,
                        .rate = t->rate,
                        .value_rate = t->value_rate,
                        .tokens_per_s = t->tokens_per_s,
                        .gemm_peak_share = r->peak > 0 ? t->tokens_per_s * flops / r->peak : NAN,
                        .seconds = now - r->row_began,
                        .seconds_left = t->left_s};
    r->row_began = now;
    if (r->log) keep_failure(r, mn__train_log_line(r->log, &r->last, &why), &why);
    if (r->p->line) r->p->line(r->p->ctx, &r->last);
}

static void after_step(void *ctx, bool is_last)
{
    run *r = ctx;
    mn_diag why = {""};
    const size_t every = r->config.report_sample_every, step = r->trainer->opt->step;
    if (r->p->step) r->p->step(r->p->ctx, step, r->config.train_steps, r->trainer->last.left_s);
    if (!r->sample.text || !(is_last || (every && step % every == 0))) return;
    const mn_train_sample s = {step, r->config.report_prompt,
                               mn__train_sample_write(&r->sample, r->trainer)};
    if (r->log) keep_failure(r, mn__train_log_sample(r->log, &s, &why), &why);
    if (r->p->sample) r->p->sample(r->p->ctx, &s);
}

static bool is_stopped(void *ctx)
{
    const run *r = ctx;
    return r->st != MN_OK || (r->p->stop && r->p->stop(r->p->ctx));
}

/* ---- a run ---- */

/* Rank 0 alone tells and writes. */
static mn_status take_rank(run *r, mn_diag *diag)
{
    if (!peers_of(r)) return MN_OK;
    r->silent = *r->p;
    if (r->p->ranks.rank) {
        r->silent.line = NULL;
        r->silent.sample = NULL;
        r->silent.step = NULL;
        r->silent.tick = NULL;
        r->silent.note = NULL;
        r->silent.peak = NULL;
    }
    r->p = &r->silent;
    return mn__peers_init(&r->peers, &r->p->ranks, diag);
}

/* Rank 0 comes when it has made what all read, the others wait for it before they look. */
static mn_status meet(run *r, bool is_first, mn_diag *diag)
{
    double none = 0;
    if (!peers_of(r) || (r->p->ranks.rank == 0) != is_first) return MN_OK;
    mn__peers_sum(&r->peers, &none, 1);
    return mn__peers_status(&r->peers, diag);
}

static mn_status make_data(run *r, mn_diag *diag)
{
    mn_status st;
    const mn__data_watch watch = {r->p->tick, r->p->stop, r->p->ctx};
    MN_TRY(meet(r, false, diag));
    MN_TRY(mn__train_data_open(&r->data, &r->config, r->p->dir, &watch, diag));
    if (!r->config.model_vocab) r->config.model_vocab = (size_t)r->data.tokenizer.n_token;
    MN_TRY(mn__config_check(&r->config, diag));
    MN_TRY(mn__train_data_begin(&r->data, &r->config, diag));
    MN_TRY(meet(r, true, diag));
    if (!*r->config.data_tokenizer && strlen(r->tokenizer) < MN__CONFIG_TEXT)
        memcpy(r->config.data_tokenizer, r->tokenizer, strlen(r->tokenizer) + 1);
done:
    return st;
}

static mn_status make_trainer(run *r, mn_diag *diag)
{
    mn_status st;
    mn_diag warning = {""};
    char text[PATH_MAX + 64];
    MN_TRY(mn__trainer_new_rank(&r->trainer, &r->config, &r->data.train.source,
                                r->data.valid.n ? &r->data.valid.source : NULL, peers_of(r), diag));
    MN_TRY(mn__cost_make(&r->config, r->trainer->team, &r->cost, diag));
    if (!mn__checkpoint_exists(r->checkpoint)) return MN_OK;
    MN_TRY(mn__trainer_resume(r->trainer, r->checkpoint, &warning, diag));
    tell(r, warning.text);
    snprintf(text, sizeof text, "%s: goes on behind step %zu of %zu", r->checkpoint,
             r->trainer->opt->step, r->config.train_steps);
    tell(r, text);
done:
    return st;
}

/* What the folder tells of a run, once it is sure that this one may go on there. */
static mn_status write_about(run *r, mn_diag *diag)
{
    mn_status st;
    const int n_thread = mn__team_size(r->trainer->team);
    if (r->p->ranks.rank) return MN_OK;
    const bool is_over = r->trainer->opt->step >= r->config.train_steps;
    if (r->config.report_peak && r->p->peak && !is_over)
        r->peak = (peers_of(r) ? r->p->ranks.n : 1) *
                  r->p->peak(r->p->ctx, r->config.train_compute == MN__COMPUTE_BF16, n_thread);
    const mn__train_about about = {.params = r->p,
                                   .config = &r->config,
                                   .data = &r->data,
                                   .cost = &r->cost,
                                   .step = r->trainer->opt->step,
                                   .n_thread = n_thread,
                                   .peak = r->peak};
    MN_TRY(write_tokenizer(r, diag));
    MN_TRY(mn__train_ini_write(r->ini, &r->config, diag));
    MN_TRY(mn__train_about_write(r->about, &about, diag));
done:
    return st;
}

static mn_status run_steps(run *r, mn_train_result *out, mn_diag *diag)
{
    const mn__train_hooks hooks = {.report = on_report,
                                   .after = after_step,
                                   .stop = is_stopped,
                                   .ctx = r,
                                   .checkpoint = r->checkpoint};
    const size_t first = r->trainer->opt->step;
    if (peers_of(r)) memset(r->peers.bytes, 0, sizeof r->peers.bytes);
    r->row_began = mn__clock_s();
    mn_status st = mn__trainer_run(r->trainer, &hooks, diag);
    if (r->st != MN_OK) {
        st = r->st;
        mn__fail(diag, st, "%s", r->why.text);
    }
    *out = (mn_train_result){.step = r->trainer->opt->step,
                             .n_new = r->trainer->opt->step - first,
                             .loss = r->last.step ? r->last.loss : NAN,
                             .valid_loss = r->last.step ? r->last.valid_loss : NAN};
    if (peers_of(r) && r->p->ranks.rank == 0 && (st == MN_OK || st == MN_ECANCEL)) {
        const mn_status sent =
            mn__train_about_sent(r->about, r->peers.bytes, st == MN_OK ? diag : NULL);
        if (st == MN_OK) st = sent;
    }
    return st;
}

static void close_run(run *r)
{
    mn__train_sample_fini(&r->sample);
    mn__log_file_close(r->log);
    mn__trainer_free(r->trainer);
    mn__train_data_close(&r->data);
    mn__folder_release(r->fd);
}

mn_status mn_train_run(const mn_train_params *params, mn_train_result *out, mn_diag *diag)
{
    mn_status st;
    run r = {.p = params, .fd = -1};
    *out = (mn_train_result){.loss = NAN, .valid_loss = NAN};
    MN_TRY(take_rank(&r, diag));
    MN_TRY(read_config(params, &r.config, diag));
    MN_TRY(hold_folder(&r, diag));
    MN_TRY(make_data(&r, diag));
    MN_TRY(make_trainer(&r, diag));
    MN_TRY(write_about(&r, diag));
    if (r.p->ranks.rank == 0)
        MN_TRY(mn__train_log_open(&r.log, r.log_path, r.trainer->opt->step, diag));
    MN_TRY(mn__train_sample_init(&r.sample, r.trainer, &r.data.tokenizer, diag));
    MN_TRY(run_steps(&r, out, diag));
done:
    close_run(&r);
    return st;
}
