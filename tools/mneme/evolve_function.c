/* evolve_function.c: the optimiser on functions whose minimum, 0, is known: how many ratings until
 * it is near. Refs: N. Hansen et al., "Real-parameter black-box optimization benchmarking 2009",
 * INRIA RR-6829, without their rotations and shifts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <errno.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/rng.h"
#include "evolve.h"

/* ---- functions of x [n] ---- */

static const double pi = 3.14159265358979323846;

/* i of n as 0 ... 1. */
static double at(size_t i, size_t n)
{
    return n > 1 ? (double)i / (double)(n - 1) : 0;
}

static double sphere(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

static double ellipsoid(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(10, 6 * at(i, n)) * x[i] * x[i];
    return sum;
}

static double rosenbrock(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        double bend = x[i + 1] - x[i] * x[i], off = 1 - x[i];
        sum += 100 * bend * bend + off * off;
    }
    return sum;
}

static double rastrigin(const double *x, size_t n)
{
    double sum = 10 * (double)n;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i] - 10 * cos(2 * pi * x[i]);
    return sum;
}

static double cigar(const double *x, size_t n)
{
    return x[0] * x[0] + 1e6 * sphere(x + 1, n - 1);
}

static double discus(const double *x, size_t n)
{
    return 1e6 * x[0] * x[0] + sphere(x + 1, n - 1);
}

static double different_powers(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(fabs(x[i]), 2 + 4 * at(i, n));
    return sqrt(sum);
}

static double ackley(const double *x, size_t n)
{
    double waves = 0;
    for (size_t i = 0; i < n; i++) waves += cos(2 * pi * x[i]);
    return 20 - 20 * exp(-0.2 * sqrt(sphere(x, n) / (double)n)) + exp(1) - exp(waves / (double)n);
}

static double griewank(const double *x, size_t n)
{
    double waves = 1;
    for (size_t i = 0; i < n; i++) waves *= cos(x[i] / sqrt((double)i + 1));
    return sphere(x, n) / 4000 - waves + 1;
}

/* Schwefel's problem 1.2: sums of sums. */
static double schwefel(const double *x, size_t n)
{
    double sum = 0, part = 0;
    for (size_t i = 0; i < n; i++) {
        part += x[i];
        sum += part * part;
    }
    return sum;
}

static const struct {
    const char *name;
    double (*f)(const double *x, size_t n);
} functions[] = {
    {"sphere", sphere},
    {"ellipsoid", ellipsoid},
    {"rosenbrock", rosenbrock},
    {"rastrigin", rastrigin},
    {"cigar", cigar},
    {"discus", discus},
    {"different_powers", different_powers},
    {"ackley", ackley},
    {"griewank", griewank},
    {"schwefel", schwefel},
};
enum { N_FUNCTION = sizeof functions / sizeof *functions };

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
    double *x, *rating; /* one candidate; those of a generation */
    size_t n_rating;
    char *checkpoint; /* NULL: none */
    progress bar;
} job;

static mn_status read_options(job *j, mn_diag *diag)
{
    mn_status st;
    const char *names[N_FUNCTION + 1] = {0};
    for (int i = 0; i < N_FUNCTION; i++) names[i] = functions[i].name;
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

/* DIR/evolve.gguf of --out; the folder is made when absent. */
static mn_status find_checkpoint(job *j, mn_diag *diag)
{
    const char *dir = j->a->value[OPT_OUT];
    if (!dir) return MN_OK;
    if (mkdir(dir, 0777) && errno != EEXIST)
        return mn__fail(diag, MN_EIO, "%s: cannot make this folder: %s", dir, strerror(errno));
    size_t cap = strlen(dir) + sizeof "/evolve.gguf";
    j->checkpoint = malloc(cap);
    if (!j->checkpoint) return mn__fail(diag, MN_ENOMEM, "no memory");
    snprintf(j->checkpoint, cap, "%s/evolve.gguf", dir);
    return MN_OK;
}

/* What the checkpoint must agree with beside the optimiser's own options. */
static void describe(const job *j, char *note, size_t cap)
{
    snprintf(note, cap, "--function %s --noise %.17g", functions[j->function].name, j->noise);
}

static mn_status begin(const job *j, const mn_optimizer_params *p, mn_optimizer **o, mn_diag *diag)
{
    struct stat info;
    char note[128];
    mn_diag warning = {{0}};
    mn_optimizer_info found;
    if (!j->checkpoint || stat(j->checkpoint, &info)) return mn_optimizer_new(o, p, diag);
    mn_status st = mn_optimizer_load(o, j->checkpoint, p, &warning, diag);
    if (st != MN_OK) return st;
    if (*warning.text) ui_note(j->a, "%s", warning.text);
    describe(j, note, sizeof note);
    mn_optimizer_get_info(*o, &found);
    if (strcmp(found.note, note))
        return mn__fail(diag, MN_EUSAGE, "%s: it is of '%s', not '%s'", j->checkpoint, found.note,
                        note);
    ui_note(j->a, "%s: goes on at generation %llu", j->checkpoint,
            (unsigned long long)found.generation);
    return MN_OK;
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
        f = functions[j->function].f(j->x, before->n);
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
    char note[128];
    evolve_line line = {.fidelity = "function", .run = j->n_run > 1 ? i + 1 : 0, .kept_share = NAN};
    describe(j, note, sizeof note);
    for (mn_optimizer_get_info(o, &info); info.stop == MN_END_NONE;) {
        if (ui_interrupted()) MN_TRY(mn__fail(diag, MN_ECANCEL, "interrupted"));
        MN_TRY(one_generation(j, o, &info, &line, diag));
        if (args_has(j->a, OPT_JSON)) evolve_put_line(&line);
        if (j->checkpoint) MN_TRY(mn_optimizer_save(o, j->checkpoint, note, diag));
        mn_optimizer_get_info(o, &info);
        evolve_tick(&j->bar, &info);
    }
done:
    return st;
}

static mn_status one_run(job *j, size_t i, mn_diag *diag)
{
    mn_status st;
    mn_optimizer *o = NULL;
    mn_optimizer_info info;
    mn_optimizer_params p = j->p;
    double t0 = mn__clock_s();
    p.seed += i;
    MN_TRY(begin(j, &p, &o, diag));
    MN_TRY(go_through(j, o, i, diag));
    mn_optimizer_get_info(o, &info);
    j->runs[i] = (run){.seed = p.seed,
                       .evaluations = info.evaluations,
                       .n_restart = info.n_restart,
                       .reached = info.stop == MN_END_TARGET,
                       .stop = info.stop,
                       .best = info.best,
                       .at_mean = functions[j->function].f(info.mean, info.n),
                       .sigma = info.sigma,
                       .seconds = mn__clock_s() - t0};
done:
    mn_optimizer_free(o);
    return st;
}

/* ---- what they say ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

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
    qsort(x, n, sizeof *x, by_value);
    out->quartile[0] = x[n / 4];
    out->quartile[1] = n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
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
                  functions[j->function].name, "dim", (json_int_t)j->p.n, "covariance",
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
    printf("%s of %zu variables, %s covariance\n", functions[j->function].name, j->p.n,
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

static mn_status go(job *j, mn_diag *diag)
{
    mn_status st;
    figures f;
    MN_TRY(read_options(j, diag));
    MN_TRY(find_checkpoint(j, diag));
    j->x = malloc(j->p.n * sizeof *j->x);
    j->runs = calloc(j->n_run, sizeof *j->runs);
    if (!j->x || !j->runs) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory"));
    j->bar = progress_start(j->a, functions[j->function].name);
    for (size_t i = 0; i < j->n_run && st == MN_OK; i++) st = one_run(j, i, diag);
    progress_end(&j->bar);
    if (st != MN_OK) goto done;
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
    mn_status st = go(&j, diag);
    free(j.x);
    free(j.rating);
    free(j.runs);
    free(j.checkpoint);
    return st;
}
