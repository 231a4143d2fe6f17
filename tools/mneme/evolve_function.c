/* evolve_function.c: the optimiser on functions whose minimum, 0, is known: how many ratings until
 * it is near. With --out one such search is a run in a folder, as those over prompts are: draws of
 * noise stand for prompts, names of functions for tasks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/sort.h"
#include "evolve.h"
#include "functions.h"

/* ---- runs ---- */

typedef struct run {
    uint64_t seed, evaluations;
    size_t n_restart;
    bool reached;
    mn_search_end stop;
    double best, at_mean, sigma, seconds;
} run;

typedef struct job {
    const args *a;
    int function;
    mn_optimizer_params p;
    double noise;
    size_t n_run;
    run *runs;
    evolve_run folder;  /* with --out */
    double *x, *rating; /* one candidate; those of a generation */
    size_t n_rating;
    progress bar;
} job;

static double value(const job *j, const double *x, size_t n)
{
    return function_value((size_t)j->function, x, n);
}

static mn_status read_options(job *j, mn_diag *diag)
{
    mn_status st;
    const char *names[FUNCTION_COUNT + 1] = {0};
    for (size_t i = 0; i < FUNCTION_COUNT; i++) names[i] = function_name(i);
    mn_optimizer_params_default(&j->p);
    j->p.sigma = 2;
    j->p.spread = 4;
    j->p.target = 1e-10;
    j->p.max_evaluations = 1000000;
    MN_TRY(args_choice(j->a, OPT_FUNCTION, names, 0, &j->function, diag));
    MN_TRY(args_size(j->a, OPT_DIM, 10, 1, 1 << 24, &j->p.n, diag));
    MN_TRY(evolve_params(j->a, &j->p, diag));
    MN_TRY(args_float(j->a, OPT_NOISE, 0, 0, 1e100, &j->noise, diag));
    MN_TRY(args_size(j->a, OPT_RUNS, 1, 1, 100000, &j->n_run, diag));
    if (j->n_run > 1 && args_has(j->a, OPT_OUT))
        MN_TRY(mn__fail(diag, MN_EUSAGE, "--out keeps one run, --runs %zu found", j->n_run));
done:
    return st;
}

/* Room for the ratings of a generation, which grows with restarts. */
static mn_status make_room(job *j, size_t n, mn_diag *diag)
{
    if (n <= j->n_rating) return MN_OK;
    double *more = realloc(j->rating, n * sizeof *more);
    if (!more) return mn__fail(diag, MN_ENOMEM, "no memory for %zu ratings", n);
    j->rating = more;
    j->n_rating = n;
    return MN_OK;
}

static mn_status one_generation(job *j, mn_optimizer *o, const mn_optimizer_info *before,
                                evolve_line *line, mn_diag *diag)
{
    enum { PURPOSE = 0x6e6f6973 };
    double t0 = mn__clock_s(), sum = 0;
    mn_status st = make_room(j, before->n_ask, diag);
    if (st != MN_OK) return st;
    line->best = HUGE_VAL;
    for (size_t i = 0; i < before->n_ask; i++) {
        double f;
        mn_optimizer_ask(o, i, j->x);
        f = value(j, j->x, before->n);
        if (j->noise > 0)
            f += j->noise *
                 mn__rng_normal(j->p.seed + line->run, PURPOSE, before->generation, (uint32_t)i);
        j->rating[i] = f;
        sum += f;
        line->best = fmin(line->best, f);
    }
    line->generation = before->generation;
    line->sigma = before->sigma;
    line->mean = sum / (double)before->n_ask;
    st = mn_optimizer_tell(o, j->rating, diag);
    line->seconds = mn__clock_s() - t0;
    return st;
}

static mn_status go_through(job *j, mn_optimizer *o, size_t i, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_optimizer_info info;
    evolve_line line = {.fidelity = "function", .run = j->n_run > 1 ? i + 1 : 0, .kept_share = NAN};
    for (mn_optimizer_get_info(o, &info); info.stop == MN_END_NONE;) {
        if (ui_interrupted()) MN_TRY(mn__fail(diag, MN_ECANCEL, "interrupted"));
        MN_TRY(one_generation(j, o, &info, &line, diag));
        if (args_has(j->a, OPT_JSON)) evolve_put_line(&line);
        mn_optimizer_get_info(o, &info);
        evolve_tick(&j->bar, &info);
    }
done:
    return st;
}

static void keep_result(job *j, size_t i, const mn_optimizer *o, double t0)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(o, &info);
    j->runs[i] = (run){.seed = j->p.seed + i,
                       .evaluations = info.evaluations,
                       .n_restart = info.n_restart,
                       .reached = info.stop == MN_END_TARGET,
                       .stop = info.stop,
                       .best = info.best,
                       .at_mean = value(j, info.mean, info.n),
                       .sigma = info.sigma,
                       .seconds = mn__clock_s() - t0};
}

static mn_status one_run(job *j, size_t i, mn_diag *diag)
{
    mn_status st;
    mn_optimizer *o = NULL;
    mn_optimizer_params p = j->p;
    double t0 = mn__clock_s();
    p.seed += i;
    MN_TRY(mn_optimizer_new(&o, &p, diag));
    MN_TRY(go_through(j, o, i, diag));
    keep_result(j, i, o, t0);
done:
    mn_optimizer_free(o);
    return st;
}

/* ---- one run in a folder ---- */

/* The functions of a stage; item i is a draw of noise on number i modulo n. */
typedef struct stage {
    job *j;
    size_t function[FUNCTION_COUNT], n;
} stage;

static mn_status begin_stage(void *ctx, const char *tasks, uint64_t *n_item, mn_diag *diag)
{
    stage *s = ctx;
    s->n = 0;
    for (const char *at = tasks; *at;) {
        size_t length = strcspn(at, ","), i = 0;
        while (function_name(i) &&
               (strlen(function_name(i)) != length || strncmp(function_name(i), at, length)))
            i++;
        if (i == FUNCTION_COUNT)
            return mn__fail(diag, MN_EUSAGE, "--stage: '%.*s' is no function of --function",
                            (int)length, at);
        s->function[s->n++] = i; /* each stands in `tasks` once */
        at += length + (at[length] == ',');
    }
    *n_item = (uint64_t)1 << 40;
    return MN_OK;
}

/* Noise of its own for each x and draw. */
static mn_status rate_item(void *ctx, uint64_t item, const double *x, double *loss, mn_diag *diag)
{
    enum { PURPOSE = 0x6e6f6974 };
    const stage *s = ctx;
    size_t n = s->j->p.n;
    (void)diag;
    *loss = function_value(s->function[item % s->n], x, n);
    if (s->j->noise > 0)
        *loss += s->j->noise *
                 mn__rng_normal(s->j->p.seed, PURPOSE, mn__hash64(x, n * sizeof *x, item), 0);
    return MN_OK;
}

static mn_status run_in_folder(job *j, mn_diag *diag)
{
    mn_status st;
    stage s = {.j = j};
    char options[64];
    double t0 = mn__clock_s();
    const mn_evolve_problem problem = {begin_stage, rate_item, &s};
    mn_evolve_result r = {0};
    evolve_run *e = &j->folder;
    snprintf(options, sizeof options, "{\"noise\": %.17g}", j->noise);
    MN_TRY(evolve_run_options(e, j->a, &j->p, diag));
    e->p.options = options;
    MN_TRY(mn_evolve_run(&problem, &e->p, &r, diag));
    progress_end(&e->bar);
    if (!r.search) goto done; /* another rank tells */
    keep_result(j, 0, r.search, t0);
    MN_TRY(evolve_run_report(e, &r, diag));
done:
    progress_end(&e->bar);
    mn_optimizer_free(r.search);
    return st;
}

/* ---- what they say ---- */

typedef struct figures {
    size_t n_reached;
    double quartile[3]; /* of evaluations; a run that missed the target counts as infinite */
} figures;

static mn_status summarise(const job *j, figures *out, mn_diag *diag)
{
    size_t n = j->n_run;
    double *x = malloc(n * sizeof *x);
    if (!x) return mn__fail(diag, MN_ENOMEM, "no memory for %zu runs", n);
    out->n_reached = 0;
    for (size_t i = 0; i < n; i++) {
        out->n_reached += j->runs[i].reached;
        x[i] = j->runs[i].reached ? (double)j->runs[i].evaluations : HUGE_VAL;
    }
    mn__sort(x, n);
    out->quartile[0] = x[n / 4];
    out->quartile[1] = mn__median(x, n);
    out->quartile[2] = x[n - 1 - n / 4];
    free(x);
    return MN_OK;
}

static void put_json(const job *j, const figures *f)
{
    json_t *runs = json_array();
    for (size_t i = 0; i < j->n_run; i++) {
        const run *r = &j->runs[i];
        json_array_append_new(
            runs, json_pack("{s:I,s:b,s:I,s:o,s:o,s:I,s:s,s:f}", "seed", (json_int_t)r->seed,
                            "reached", r->reached, "evaluations", (json_int_t)r->evaluations,
                            "best", evolve_number(r->best), "at_mean", evolve_number(r->at_mean),
                            "restarts", (json_int_t)r->n_restart, "stop",
                            mn_search_end_text(r->stop), "seconds", r->seconds));
    }
    json_t *doc =
        json_pack("{s:i,s:s,s:I,s:s,s:f,s:I,s:o,s:[o,o],s:o}", "version", 1, "function",
                  function_name((size_t)j->function), "dim", (json_int_t)j->p.n, "covariance",
                  mn_covariance_name(j->p.covariance), "target", j->p.target, "reached",
                  (json_int_t)f->n_reached, "evaluations_median", evolve_number(f->quartile[1]),
                  "evaluations_quartiles", evolve_number(f->quartile[0]),
                  evolve_number(f->quartile[2]), "runs", runs);
    json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    json_decref(doc);
}

static void put_count(double x, char *out, size_t cap)
{
    snprintf(out, cap, isfinite(x) ? "%.0f" : "never", x);
}

static void put_table(const job *j, const figures *f)
{
    char word[3][32];
    printf("%s of %zu variables, %s covariance\n", function_name((size_t)j->function), j->p.n,
           mn_covariance_name(j->p.covariance));
    printf("%6s %12s %12s %12s %10s %9s %8s  %s\n", "seed", "evaluations", "best", "at the mean",
           "sigma", "restarts", "seconds", "ended");
    for (size_t i = 0; i < j->n_run; i++) {
        const run *r = &j->runs[i];
        printf("%6llu %12llu %12.4g %12.4g %10.3g %9zu %8.2f  %s\n", (unsigned long long)r->seed,
               (unsigned long long)r->evaluations, r->best, r->at_mean, r->sigma, r->n_restart,
               r->seconds, mn_search_end_text(r->stop));
    }
    for (int i = 0; i < 3; i++) put_count(f->quartile[i], word[i], sizeof word[i]);
    printf("%zu of %zu reached %g; evaluations: median %s, quartiles %s and %s\n", f->n_reached,
           j->n_run, j->p.target, word[1], word[0], word[2]);
}

static mn_status go_through_all(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    if (args_has(j->a, OPT_OUT)) return run_in_folder(j, diag);
    j->bar = progress_start_logged(j->a, function_name((size_t)j->function));
    for (size_t i = 0; i < j->n_run && st == MN_OK; i++) st = one_run(j, i, diag);
    progress_end(&j->bar);
    return st;
}

static mn_status go(job *j, mn_diag *diag)
{
    mn_status st;
    figures f = {0};
    MN_TRY(read_options(j, diag));
    j->x = malloc(j->p.n * sizeof *j->x);
    j->runs = calloc(j->n_run, sizeof *j->runs);
    if (!j->x || !j->runs) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory"));
    MN_TRY(go_through_all(j, diag));
    if (j->folder.ranks.rank) goto done;
    MN_TRY(summarise(j, &f, diag));
    if (args_has(j->a, OPT_JSON))
        put_json(j, &f);
    else
        put_table(j, &f);
done:
    return st;
}

mn_status evolve_function(const args *a, mn_diag *diag)
{
    job j = {.a = a};
    mn_status st = MN_OK;
    if (args_has(a, OPT_OUT)) st = evolve_run_begin(&j.folder, a, diag);
    if (st == MN_OK) st = go(&j, diag);
    evolve_run_end(&j.folder, st, diag);
    free(j.x);
    free(j.rating);
    free(j.runs);
    return st;
}
