/* train.c: a config becomes a model: progress, lines of reports, the page. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"
#include "bench.h"
#include "build_info.h"
#include "find_config.h"
#include "ranks.h"
#include "ui.h"
#include "verbs.h"

typedef struct training {
    const args *a;
    progress bar;
    mn_train_line last;
    double valid_loss; /* the last one, NAN: none yet */
    bool is_running;   /* steps have begun */
    char config[PATH_MAX];
    ranks ranks;
    bool is_stopped; /* behind a step: all ranks are */
} training;

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* 93 s as 1:33, longer as hours too. */
static const char *clock_text(double s, char *buf, size_t cap)
{
    const unsigned long long t = (unsigned long long)ceil(s);
    if (t < 3600)
        snprintf(buf, cap, "%llu:%02llu", t / 60, t % 60);
    else
        snprintf(buf, cap, "%llu:%02llu:%02llu", t / 3600, t / 60 % 60, t % 60);
    return buf;
}

/* ---- what the run tells ---- */

static void put_line(const mn_train_line *l)
{
    json_t *doc = json_pack(
        "{s:I,s:I,s:o,s:o,s:o,s:o}", "step", (json_int_t)l->step, "tokens", (json_int_t)l->tokens,
        "loss", real_or_null(l->loss), "valid_loss", real_or_null(l->valid_loss), "tokens_per_s",
        real_or_null(l->tokens_per_s), "gemm_peak_share", real_or_null(l->gemm_peak_share));
    json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(doc);
}

/* The last report, at a step that may be younger. */
static void show_bar(training *t, uint64_t step, uint64_t n_step, double seconds_left)
{
    const mn_train_line *l = &t->last;
    char left[32];
    if (!progress_due(&t->bar)) return;
    fprintf(stderr, "step %" PRIu64 " of %" PRIu64, step, n_step);
    if (l->step) fprintf(stderr, ": loss %.4f", l->loss);
    if (!isnan(t->valid_loss)) fprintf(stderr, ", validation %.4f", t->valid_loss);
    if (l->step) fprintf(stderr, ", %.0f tokens/s", l->tokens_per_s);
    if (l->step && !isnan(l->gemm_peak_share))
        fprintf(stderr, " (%.0f%% of the peak)", 100 * l->gemm_peak_share);
    fprintf(stderr, ", %s left", clock_text(seconds_left, left, sizeof left));
    progress_drawn(&t->bar);
}

static void on_line(void *ctx, const mn_train_line *l)
{
    training *t = ctx;
    if (args_has(t->a, OPT_JSON)) put_line(l);
    t->last = *l;
    if (!isnan(l->valid_loss)) t->valid_loss = l->valid_loss;
    progress_now(&t->bar);
    show_bar(t, l->step, l->n_step, l->seconds_left);
}

static void on_step(void *ctx, uint64_t step, uint64_t n_step, double seconds_left)
{
    training *t = ctx;
    if (!t->is_running) progress_now(&t->bar);
    t->is_running = true;
    show_bar(t, step, n_step, seconds_left);
}

static void on_tick(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    training *t = ctx;
    if (!total || !progress_due(&t->bar)) return;
    fprintf(stderr, "%s, %.0f%% of %.1f MB", what, 100 * (double)done / (double)total,
            1e-6 * (double)total);
    progress_drawn(&t->bar);
}

static void on_note(void *ctx, const char *sentence)
{
    training *t = ctx;
    progress_end(&t->bar);
    ui_note(t->a, "%s", sentence);
}

static bool on_stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static mn_status on_swap(void *ctx, const mn_train_block *with, mn_diag *diag)
{
    training *t = ctx;
    return ranks_swap(&t->ranks, with, diag);
}

static double on_peak(void *ctx, bool bf16, int n_thread)
{
    training *t = ctx;
    if (t->bar.a) {
        fprintf(stderr, "\r\033[Ktiming this machine's products");
        fflush(stderr);
        t->bar.shown = true;
    }
    return limit_gemm(bf16, n_thread);
}

/* ---- the verb ---- */

static mn_status read_params(training *t, mn_train_params *p, mn_diag *diag)
{
    const args *a = t->a;
    size_t n_thread;
    if (a->n_rest != 1)
        return mn__fail(diag, MN_EUSAGE, "one config, an INI file, is wanted, %zu given",
                        a->n_rest);
    if (!args_has(a, OPT_OUT))
        return mn__fail(diag, MN_EUSAGE, "--out: a folder for the training wanted");
    const mn_status st = args_size(a, OPT_THREADS, 0, 1, 4096, &n_thread, diag);
    if (st != MN_OK) return st;
    mn_train_params_default(p);
    p->config = find_config(a->rest[0], t->config);
    p->set = a->set;
    p->n_set = a->n_set;
    p->dir = a->value[OPT_OUT];
    p->n_thread = (int)n_thread;
    p->commit = MN_BUILD_COMMIT;
    p->compiler = MN_BUILD_COMPILER;
    p->cpu = mn__cpu_level_name(mn__cpu_best());
    p->line = on_line;
    p->step = on_step;
    p->tick = on_tick;
    p->note = on_note;
    p->peak = on_peak;
    p->stop = on_stop;
    p->ctx = t;
    p->ranks = (mn_train_ranks){t->ranks.rank, t->ranks.n, on_swap, t};
    return MN_OK;
}

/* A training without Chart.js is a training. */
static mn_status write_page(const args *a, const char *dir, mn_diag *diag)
{
    const mn_status st = mn_train_report(dir, NULL, diag);
    if (st != MN_EINPUT) return st;
    ui_note(a, "no page: %s", diag->text);
    return MN_OK;
}

static void tell_end(const args *a, const char *dir, const mn_train_result *r)
{
    ui_note(a, "%s: step %" PRIu64 ", %" PRIu64 " steps new", dir, r->step, r->n_new);
    if (args_has(a, OPT_JSON) || isnan(r->loss)) return;
    printf("step %" PRIu64 ": loss %.4f", r->step, r->loss);
    if (!isnan(r->valid_loss)) printf(", validation %.4f", r->valid_loss);
    printf("\n%s/report.html\n", dir);
}

static mn_status train(training *t, const mn_train_params *p, mn_diag *diag)
{
    mn_train_result result;
    mn_status st = mn_train_run(p, &result, diag);
    progress_end(&t->bar);
    t->is_stopped = st == MN_ECANCEL && result.n_new;
    if (t->ranks.rank) return st;
    if (st == MN_OK || (st == MN_ECANCEL && t->is_running)) {
        mn_diag why = {""};
        const mn_status page = write_page(t->a, p->dir, &why);
        if (st == MN_OK && page != MN_OK) return mn__fail(diag, page, "%s", why.text);
    }
    if (st == MN_OK) tell_end(t->a, p->dir, &result);
    return st;
}

static double failed_s;

static bool is_late(void)
{
    return mn__clock_s() - failed_s > 1;
}

/* What all ranks fail by, a config say, is told once: they come here within a second. */
static void meet_failed(training *t, mn_status st)
{
    failed_s = mn__clock_s();
    if (t->is_stopped)
        t->ranks.met = t->ranks.alike = true;
    else
        ranks_meet(&t->ranks, st, is_late);
}

mn_status verb_train(const args *a, mn_diag *diag)
{
    mn_status st;
    training t = {.a = a, .valid_loss = NAN};
    mn_train_params p;
    MN_TRY(ranks_begin(&t.ranks, diag));
    if (t.ranks.rank == 0) t.bar = progress_start_logged(a, "");
    MN_TRY(read_params(&t, &p, diag));
    MN_TRY(train(&t, &p, diag));
done:
    if (st != MN_OK && t.ranks.n > 1) {
        meet_failed(&t, st);
        ranks_tell_end(&t.ranks, st, st == MN_ECANCEL || st == MN_EIO, diag);
    }
    ranks_end(&t.ranks, mn_status_exit_code(st));
    return st;
}
