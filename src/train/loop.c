/* loop.c: passes -> norm -> clip -> rates -> AdamW, again and again. */
#include "train/loop.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"
#include "base/heap.h"
#include "train/checkpoint.h"

static const mn__config *config_of(const mn__trainer *t)
{
    return &t->learner->config;
}

/* ---- beginning and end ---- */

/* A pass that learns and one that only looks, which may want more of some scratch. */
static void plan(const mn__env *env, void *arg)
{
    const mn__trainer *t = arg;
    const mn__lm_batch b = {{t->batch, config_of(t)->train_length}, t->token, t->target, 1};
    mn__learner_loss(t->learner, env, &b, true, NULL);
    mn__learner_loss(t->learner, env, &b, false, NULL);
}

static mn__adamw_config optimiser_of(const mn__config *c)
{
    return (mn__adamw_config){
        .beta1 = c->train_beta1,
        .beta2 = c->train_beta2,
        .eps = c->train_eps,
        .decay = {[MN__PARAM_DECAY] = c->train_decay,
                  [MN__PARAM_NO_DECAY] = c->train_decay_norms,
                  [MN__PARAM_VALUES] = c->train_decay_values},
        .deferred = c->train_update == MN__UPDATE_DEFERRED,
        .selective = c->train_update == MN__UPDATE_SELECTIVE,
        .replay_max = c->train_replay,
    };
}

static mn_status make_buffers(mn__trainer *t, mn_diag *diag)
{
    const mn__config *c = config_of(t);
    const size_t n = t->batch * c->train_length;
    t->row = mn__alloc_array(MN_MEM_SCRATCH, c->train_length + 1, sizeof *t->row);
    t->token = mn__alloc_array(MN_MEM_SCRATCH, n, sizeof *t->token);
    t->target = mn__alloc_array(MN_MEM_SCRATCH, n, sizeof *t->target);
    if (!t->row || !t->token || !t->target)
        return mn__fail(diag, MN_ENOMEM, "a pass of %zu tokens is refused: no memory", n);
    if (t->peers) {
        const mn_status st = mn__join_init(&t->join, t->opt, t->peers, diag);
        if (st != MN_OK) return st;
    }
    mn__kern_init(&t->kern, (int)mn__cpu_best());
    t->env = (mn__env){.team = t->team, .kern = &t->kern, .tape = &t->tape, .peers = t->peers};
    t->env.half = c->train_compute == MN__COMPUTE_BF16;
    return mn__env_plan(&t->env, plan, t, diag);
}

/* Passes and sequences of this rank, and a config under which its auxiliary losses count right. */
static mn_status share_rows(mn__trainer *t, mn__config *c, mn_diag *diag)
{
    const size_t n = t->peers ? (size_t)t->peers->ranks.n : 1;
    if (n > 1 && c->memory_query_norm == MN__PKM_BATCH &&
        (c->model_arch == MN__ARCH_PKM || c->model_arch == MN__ARCH_MEMORY_PLUS))
        return mn__fail(diag, MN_EUSAGE,
                        "memory.query_norm: over %zu ranks another than batch wanted, whose "
                        "statistics are those of one process",
                        n);
    if (c->train_passes % n && c->train_batch % n)
        return mn__fail(diag, MN_EUSAGE,
                        "train.passes or train.batch: a multiple of the %zu ranks wanted, %zu and "
                        "%zu found",
                        n, c->train_passes, c->train_batch);
    if (c->train_passes % n) {
        c->train_batch /= n;
        c->train_passes *= n;
    }
    t->batch = c->train_batch;
    t->n_pass = c->train_passes / n;
    return MN_OK;
}

/* On one machine ranks share its processors. */
static int threads_of(const mn__trainer *t, const mn__config *c)
{
    const int all = mn__cpu_count() / (t->peers ? t->peers->ranks.n : 1);
    return c->train_threads ? (int)c->train_threads : all > 1 ? all : 1;
}

mn_status mn__trainer_new_rank(mn__trainer **out, const mn__config *config, mn__row_source *train,
                               mn__row_source *valid, mn__peers *peers, mn_diag *diag)
{
    mn_status st;
    mn__config own = *config;
    mn__learner_part part = {0, 1};
    *out = NULL;
    mn__trainer *t = mn__alloc_zero(MN_MEM_OTHER, sizeof *t);
    if (!t) return mn__fail(diag, MN_ENOMEM, "no memory for a training");
    mn__adamw_config opt = optimiser_of(config);
    opt.peers = t->peers = peers;
    if (peers) part = (mn__learner_part){(size_t)peers->ranks.rank, (size_t)peers->ranks.n};
    t->train = train;
    t->valid = valid;
    t->saved_step = SIZE_MAX;
    MN_TRY(share_rows(t, &own, diag));
    t->team = mn__team_new(threads_of(t, config));
    if (!t->team) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for threads"));
    MN_TRY(mn__learner_new_part(&t->learner, &own, part, t->team, diag));
    t->learner->config = *config; /* the training's, which checkpoints tell */
    MN_TRY(mn__adamw_new(&t->opt, &t->learner->list, &opt, diag));
    MN_TRY(make_buffers(t, diag));
    *out = t;
    return MN_OK;
done:
    mn__trainer_free(t);
    return st;
}

mn_status mn__trainer_new(mn__trainer **out, const mn__config *config, mn__row_source *train,
                          mn__row_source *valid, mn_diag *diag)
{
    return mn__trainer_new_rank(out, config, train, valid, NULL, diag);
}

void mn__trainer_free(mn__trainer *t)
{
    if (!t) return;
    mn__join_fini(&t->join);
    mn__adamw_free(t->opt);
    mn__learner_free(t->learner);
    mn__tape_fini(&t->tape);
    mn__team_free(t->team);
    mn__free(t->row);
    mn__free(t->token);
    mn__free(t->target);
    mn__free(t);
}

mn_status mn__trainer_resume(mn__trainer *t, const char *path, mn_diag *warning, mn_diag *diag)
{
    const mn_status st = mn__checkpoint_load(path, t->learner, t->opt, t->train->identity,
                                             &t->has_bad_file, warning, diag);
    if (st == MN_OK) t->saved_step = t->opt->step;
    return st;
}

/* ---- a step ---- */

/* Sequences [row, row + n) of a step: tokens, and what follows each. */
static mn_status fill_batch(mn__trainer *t, mn__row_source *from, size_t step, size_t row, size_t n,
                            mn_diag *diag)
{
    const mn__config *c = config_of(t);
    const size_t length = c->train_length;
    for (size_t i = 0; i < n; i++) {
        const mn_status st = from->fill(from, step, row + i, length, t->row, diag);
        if (st != MN_OK) return st;
        for (size_t k = 0; k <= length; k++)
            if (t->row[k] < 0 || (size_t)t->row[k] >= c->model_vocab)
                return mn__fail(diag, MN_EINPUT,
                                "row %zu of step %zu: a token below %zu wanted, %d found", row + i,
                                step + 1, c->model_vocab, t->row[k]);
        memcpy(t->token + i * length, t->row, length * sizeof *t->token);
        memcpy(t->target + i * length, t->row + 1, length * sizeof *t->target);
    }
    return MN_OK;
}

/* Gradients are thrown away: what was summed before a failure must not meet the next step. */
static void forget_gradients(mn__trainer *t)
{
    memset(t->learner->g, 0, t->learner->n_w * sizeof *t->learner->g);
}

/* All passes of this rank: gradients, and the sum of losses. */
static mn_status run_passes(mn__trainer *t, mn_diag *diag)
{
    const mn__config *c = config_of(t);
    const mn__shape shape = {t->batch, c->train_length};
    const double n_token = (double)c->train_batch * (double)shape.len * (double)c->train_passes;
    const size_t rank = t->peers ? (size_t)t->peers->ranks.rank : 0;
    mn__train_report *r = &t->last;
    for (size_t p = rank * t->n_pass; p < (rank + 1) * t->n_pass; p++) {
        const mn__lm_batch b = {shape, t->token, t->target, 1 / n_token};
        double aux;
        const mn_status st =
            fill_batch(t, t->train, t->opt->step, p * shape.n_seq, shape.n_seq, diag);
        if (st != MN_OK) return st;
        r->loss += mn__learner_loss(t->learner, &t->env, &b, true, &aux).sum / n_token;
        r->aux += aux;
    }
    return MN_OK;
}

mn_status mn__trainer_gradients(mn__trainer *t, mn_diag *diag)
{
    mn__train_report *r = &t->last;
    *r = (mn__train_report){.valid_loss = NAN};
    mn__learner_refresh(t->learner);
    const mn_status st = run_passes(t, diag);
    if (st != MN_OK || !t->peers) return st;
    double loss[2] = {r->loss, r->aux};
    mn__join_gradients(&t->join, t->opt);
    mn__peers_sum(t->peers, loss, 2);
    r->loss = loss[0];
    r->aux = loss[1];
    return mn__peers_status(t->peers, diag);
}

static bool is_finite(const mn__real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static mn_status not_finite(const mn__trainer *t, mn_diag *diag)
{
    const mn__params *list = &t->learner->list;
    const char *what = "gradient", *name = "none of the tensors";
    for (size_t i = 0; i < list->n; i++) /* the last: backward comes from there */
        if (list->at[i]->g && !is_finite(list->at[i]->g, mn__param_size(list->at[i])))
            name = list->at[i]->name;
    for (size_t i = 0; i < list->n; i++)
        if (!is_finite(list->at[i]->w, mn__param_size(list->at[i]))) {
            what = "value";
            name = list->at[i]->name;
            break;
        }
    return mn__fail(diag, MN_EFAIL, "step %zu: loss %g, norm of gradients %g: not finite, %s of %s",
                    t->opt->step + 1, t->last.loss, t->last.norm, what, name);
}

static void set_rates(mn__trainer *t, double lr[MN__ADAMW_GROUPS])
{
    const mn__config *c = config_of(t);
    const mn__schedule s = {.rate = c->train_rate,
                            .n_warmup = (size_t)(c->train_warmup * (double)c->train_steps),
                            .n_step = c->train_steps,
                            .first = c->train_rate_first,
                            .last = c->train_rate_last};
    const mn__value_schedule v = {.times = c->train_value_times,
                                  .share = c->train_value_share,
                                  .constant = c->train_value_rate};
    lr[MN__PARAM_DECAY] = lr[MN__PARAM_NO_DECAY] = t->last.rate =
        mn__schedule_rate(&s, t->opt->step);
    lr[MN__PARAM_VALUES] = t->last.value_rate = mn__schedule_value_rate(&s, &v, t->opt->step);
}

mn_status mn__trainer_step(mn__trainer *t, mn_diag *diag)
{
    mn_status st;
    const mn__config *c = config_of(t);
    double lr[MN__ADAMW_GROUPS];
    mn__train_report *r = &t->last;
    MN_TRY(mn__trainer_gradients(t, diag));
    r->norm = mn__adamw_norm(t->opt, t->team);
    if (t->peers) MN_TRY(mn__peers_status(t->peers, diag));
    if (!isfinite(r->loss) || !isfinite(r->aux) || !isfinite(r->norm)) MN_TRY(not_finite(t, diag));
    set_rates(t, lr);
    MN_TRY(mn__adamw_step(
        t->opt, t->team, lr,
        c->train_clip > 0 && r->norm > c->train_clip ? c->train_clip / r->norm : 1, diag));
    r->step = t->opt->step;
    r->tokens = (uint64_t)r->step * c->train_batch * c->train_passes * c->train_length;
done:
    if (st != MN_OK) forget_gradients(t);
    return st;
}

/* ---- validation ---- */

/* Looking must not count as touching rows: tables are brought up to date and hooks taken off. */
void mn__trainer_look(mn__trainer *t, bool begins)
{
    const mn__adamw *o = t->opt;
    if (begins) {
        mn__adamw_flush(t->opt, t->team);
        mn__learner_refresh(t->learner);
    }
    for (size_t i = 0; i < o->n_table; i++) o->table[i].p->hook = begins ? NULL : &o->table[i].hook;
}

mn_status mn__trainer_validate(mn__trainer *t, double *loss, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__config *c = config_of(t);
    mn__nll sum = {0};
    mn__trainer_look(t, true);
    for (size_t row = 0; row < c->report_valid_rows && st == MN_OK; row += t->batch) {
        const size_t left = c->report_valid_rows - row, n = left < t->batch ? left : t->batch;
        const mn__lm_batch b = {{n, c->train_length}, t->token, t->target, 1};
        st = fill_batch(t, t->valid, 0, row, n, diag);
        if (st != MN_OK) break;
        const mn__nll part = mn__learner_loss(t->learner, &t->env, &b, false, NULL);
        sum.sum += part.sum;
        sum.n += part.n;
    }
    mn__trainer_look(t, false);
    if (st == MN_OK) *loss = sum.sum / (double)sum.n;
    return st;
}

/* ---- all steps ---- */

static mn_status save(mn__trainer *t, const mn__train_hooks *hooks, mn_diag *diag)
{
    if (!hooks->checkpoint || t->saved_step == t->opt->step) return MN_OK;
    const mn_status st = mn__checkpoint_save(hooks->checkpoint, t->learner, t->opt, t->team,
                                             t->train->identity, t->has_bad_file, diag);
    if (st != MN_OK) return st;
    t->has_bad_file = false;
    t->saved_step = t->opt->step;
    return MN_OK;
}

/* Behind a failure: what is not lost. */
static void tell_checkpoint(const mn__trainer *t, const mn__train_hooks *hooks, mn_diag *diag)
{
    mn_diag why;
    if (!diag || !hooks->checkpoint) return;
    why = *diag;
    if (t->saved_step == SIZE_MAX)
        mn__fail(diag, MN_OK, "%.700s; no checkpoint has been written yet", why.text);
    else
        mn__fail(diag, MN_OK, "%.700s; the last good checkpoint, of step %zu: %s%s", why.text,
                 t->saved_step, hooks->checkpoint, t->has_bad_file ? ".1" : "");
}

static bool is_due(size_t step, size_t every)
{
    return every && step % every == 0;
}

/* What follows a step. */
static mn_status after_step(mn__trainer *t, const mn__train_hooks *hooks, bool is_last,
                            mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__config *c = config_of(t);
    mn__train_report *r = &t->last;
    if (t->valid && (is_last || is_due(r->step, c->report_valid_every)))
        MN_TRY(mn__trainer_validate(t, &r->valid_loss, diag));
    if (is_last || !isnan(r->valid_loss) || is_due(r->step, c->report_every)) {
        r->tokens_per_s = (double)(t->n_busy * c->train_batch * c->train_passes * c->train_length) /
                          fmax(t->busy_s, 1e-9);
        t->n_busy = 0;
        t->busy_s = 0;
        if (hooks->report) hooks->report(hooks->ctx, r);
    }
    if (hooks->after) hooks->after(hooks->ctx, is_last);
    if (is_last || is_due(r->step, c->report_save_every)) MN_TRY(save(t, hooks, diag));
done:
    return st;
}

/* All ranks stop where one is told to. */
static bool is_stopped(mn__trainer *t, const mn__train_hooks *hooks)
{
    double n = hooks->stop && hooks->stop(hooks->ctx);
    if (t->peers) mn__peers_sum(t->peers, &n, 1);
    return n > 0;
}

mn_status mn__trainer_run(mn__trainer *t, const mn__train_hooks *hooks, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__config *c = config_of(t);
    const size_t first = t->opt->step;
    const double began = mn__clock_s();
    while (t->opt->step < c->train_steps) {
        const double step_began = mn__clock_s();
        MN_TRY(mn__trainer_step(t, diag));
        mn__train_report *r = &t->last;
        t->busy_s += mn__clock_s() - step_began;
        t->n_busy++;
        r->left_s = (mn__clock_s() - began) / (double)(r->step - first) *
                    (double)(c->train_steps - r->step);
        MN_TRY(after_step(t, hooks, r->step == c->train_steps, diag));
        if (r->step == c->train_steps || !is_stopped(t, hooks)) continue;
        MN_TRY(save(t, hooks, diag));
        if (t->peers) mn__peers_sum(t->peers, &(double){0}, 1); /* rank 0 has written */
        MN_TRY(
            mn__fail(diag, MN_ECANCEL, "stopped after step %zu of %zu", r->step, c->train_steps));
    }
    return MN_OK;
done:
    if (st != MN_ECANCEL) tell_checkpoint(t, hooks, diag);
    return st;
}
