/* evolve_run.c: runs of `mneme evolve --out`: their options, ranks, progress and what they leave.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "build_info.h"
#include "evolve.h"
#include "options.h"

/* ---- options ---- */

/* --generations 20,40: of each stage; the last counts for all that follow. */
static mn_status read_generations(evolve_run *r, mn_diag *diag)
{
    const char *at = r->a->value[OPT_GENERATIONS];
    unsigned long long n = 0;
    for (size_t i = 0; i < r->p.n_stage; i++) {
        char *end;
        if (at && *at) {
            errno = 0;
            n = strtoull(at, &end, 10);
            if (!isdigit((unsigned char)*at) || (*end && *end != ',') || errno || n < 1 ||
                n > 1000000000)
                return mn__fail(diag, MN_EUSAGE,
                                "--generations: numbers from 1 to 10^9 wanted, '%s' found", at);
            at = *end ? end + 1 : end;
        }
        r->stage[i].generations = n;
    }
    if (at && *at)
        return mn__fail(diag, MN_EUSAGE, "--generations: %zu stages, but also '%s'", r->p.n_stage,
                        at);
    return MN_OK;
}

/* --fidelity frozen,true: of stage i; the last counts for all that follow. With --compare it names
 * what is compared. */
static mn_status read_fidelity(evolve_run *r, size_t i, mn_diag *diag)
{
    static const char *const names[] = {"retained", "frozen", "true"};
    const char *at = args_has(r->a, OPT_COMPARE) ? NULL : r->a->value[OPT_FIDELITY], *next;
    r->stage[i].fidelity = "frozen";
    for (; at && *at && i > 0 && (next = strchr(at, ',')); i--) at = next + 1;
    if (!at) return MN_OK;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (strcspn(at, ",") == strlen(names[k]) && !strncmp(at, names[k], strlen(names[k]))) {
            r->stage[r->p.n_stage].fidelity = names[k];
            return MN_OK;
        }
    return mn__fail(diag, MN_EUSAGE, "--fidelity: retained, frozen or true wanted, '%s' found", at);
}

static mn_status read_stages(evolve_run *r, mn_diag *diag)
{
    const args *a = r->a;
    const bool is_function = args_has(a, OPT_FUNCTION);
    if (a->n_stage + is_function > EVOLVE_STAGE_MAX)
        return mn__fail(diag, MN_EUSAGE, "--stage: at most %d", EVOLVE_STAGE_MAX - is_function);
    if (is_function)
        r->stage[r->p.n_stage++] =
            (mn_evolve_stage){.tasks = a->value[OPT_FUNCTION], .fidelity = "function"};
    for (size_t i = 0; i < a->n_stage; i++, r->p.n_stage++) {
        r->stage[r->p.n_stage] = (mn_evolve_stage){.tasks = a->stage[i], .fidelity = "function"};
        mn_status st = is_function ? MN_OK : read_fidelity(r, r->p.n_stage, diag);
        if (st != MN_OK) return st;
    }
    r->p.stage = r->stage;
    return read_generations(r, diag);
}

static mn_status read_ratings(evolve_run *r, mn_diag *diag)
{
    mn_status st;
    const args *a = r->a;
    const char *names[MN_EVOLVE_STATISTIC_COUNT + 1] = {0};
    mn_evolve_params *p = &r->p;
    int statistic;
    size_t every, n_thread;
    for (int i = 0; i < MN_EVOLVE_STATISTIC_COUNT; i++)
        names[i] = mn_evolve_statistic_name((mn_evolve_statistic)i);
    MN_TRY(args_choice(a, OPT_STATISTIC, names, MN_EVOLVE_MEAN, &statistic, diag));
    MN_TRY(args_size(a, OPT_PROMPTS, args_has(a, OPT_FUNCTION) ? 1 : 16, 1, 1 << 20, &p->n_prompt,
                     diag));
    MN_TRY(args_size(a, OPT_HELD_OUT, 0, 1, 1 << 20, &p->n_held_out, diag));
    MN_TRY(args_size(a, OPT_VALIDATE, p->n_held_out ? 10 : 0, 1, 1000000000, &every, diag));
    MN_TRY(args_float(a, OPT_GOAL, NAN, -HUGE_VAL, HUGE_VAL, &p->goal, diag));
    MN_TRY(args_float(a, OPT_MAX_SECONDS, 0, 1e-3, 1e9, &p->max_seconds, diag));
    MN_TRY(args_size(a, OPT_THREADS, 0, 1, 1024, &n_thread, diag));
    if (!p->n_held_out && (args_has(a, OPT_VALIDATE) || args_has(a, OPT_GOAL)))
        MN_TRY(mn__fail(diag, MN_EUSAGE, "--validate and --goal want --held-out"));
    p->statistic = (mn_evolve_statistic)statistic;
    p->validate_every = every;
    p->n_thread = (int)n_thread;
    p->keeps_candidates = args_has(a, OPT_LOG_CANDIDATES);
done:
    return st;
}

/* ---- what the run tells ---- */

static void show_bar(evolve_run *r, uint64_t done, uint64_t total)
{
    const mn_evolve_line *l = &r->last;
    if (!progress_due(&r->bar)) return;
    fprintf(stderr, "generation %llu", (unsigned long long)l->generation + 1);
    if (l->n_generation) fprintf(stderr, " of %llu", (unsigned long long)l->n_generation);
    if (l->n_stage > 1) fprintf(stderr, " (stage %zu of %zu)", l->stage + 1, l->n_stage);
    fprintf(stderr, ": best %.6g, mean %.6g, sigma %.3g", l->best, l->mean, l->sigma);
    if (!isnan(l->kept_share)) fprintf(stderr, ", kept %.1f%%", 100 * l->kept_share);
    if (isfinite(l->seconds_left)) fprintf(stderr, ", %.0f s left", ceil(l->seconds_left));
    if (total) fprintf(stderr, ", rating %.0f%%", 100 * (double)done / (double)total);
    progress_drawn(&r->bar);
}

static void on_line(void *ctx, const mn_evolve_line *line)
{
    evolve_run *r = ctx;
    const evolve_line out = {.fidelity = line->fidelity,
                             .generation = line->generation,
                             .best = line->best,
                             .mean = line->mean,
                             .sigma = line->sigma,
                             .kept_share = line->kept_share,
                             .seconds = line->seconds};
    r->last = *line;
    if (args_has(r->a, OPT_JSON)) {
        evolve_put_line(&out);
        fflush(stdout);
    }
    show_bar(r, 0, 0);
}

/* The generation that this start of the run goes on at. */
static json_int_t first_generation(const evolve_run *r)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/run.json", r->p.dir);
    json_t *doc = json_load_file(path, 0, NULL), *starts = json_object_get(doc, "starts");
    const json_t *now = json_array_get(starts, json_array_size(starts) - 1);
    const json_int_t generation = json_integer_value(json_object_get(now, "generation"));
    json_decref(doc);
    return generation;
}

/* No generation has ended yet, so there is no loss to show. */
static void show_first(evolve_run *r, uint64_t done, uint64_t total)
{
    if (!r->first) r->first = first_generation(r) + 1;
    if (!progress_due(&r->bar)) return;
    fprintf(stderr, "generation %lld: rating %.0f%%, %.0f s of it left", (long long)r->first,
            100 * (double)done / (double)total,
            ceil((r->rated_s - r->bar.t0) * (double)(total - done) / (double)done));
    progress_drawn(&r->bar);
}

static void on_tick(void *ctx, uint64_t done, uint64_t total)
{
    evolve_run *r = ctx;
    if (done <= r->n_rated) r->bar.t0 = r->rated_s; /* the next rating */
    r->n_rated = done;
    r->rated_s = mn__clock_s();
    if (r->last.n_stage)
        show_bar(r, done, total);
    else
        show_first(r, done, total);
}

void evolve_run_read(uint64_t done, uint64_t total, void *ctx)
{
    evolve_run *r = ctx;
    const double now = mn__clock_s();
    if (progress_due(&r->bar)) {
        fprintf(stderr, "reading prompts, %llu of %llu, %.0f s left", (unsigned long long)done,
                (unsigned long long)total,
                ceil((now - r->bar.t0) * (double)(total - done) / (double)done));
        progress_drawn(&r->bar);
    }
    if (done == total) r->bar.t0 = now; /* there may be a second reading */
}

static void on_note(void *ctx, const char *sentence)
{
    evolve_run *r = ctx;
    progress_end(&r->bar);
    ui_note(r->a, "%s", sentence);
}

static bool stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static mn_status save(void *ctx, const double *mean, const mn_evolve_best *best, mn_diag *diag)
{
    evolve_run *r = ctx;
    mn_status st;
    mn__atomic file = {0};
    char path[4096];
    json_t *x = json_array();
    for (size_t i = 0; i < r->p.search.n; i++) json_array_append_new(x, evolve_number(mean[i]));
    json_t *doc =
        json_pack("{s:I,s:I,s:o,s:o}", "generation", (json_int_t)best->generation, "stage",
                  (json_int_t)best->stage + 1, "held_out", evolve_number(best->loss), "x", x);
    snprintf(path, sizeof path, "%s/best.json", r->p.dir);
    MN_TRY(mn__atomic_open(&file, path, diag));
    if (json_dumpf(doc, file.file, JSON_COMPACT | JSON_PRESERVE_ORDER) && !ferror(file.file))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path));
    fputc('\n', file.file);
    MN_TRY(mn__atomic_commit(&file, diag));
done:
    mn__atomic_abort(&file);
    json_decref(doc);
    return st;
}

/* What the library calls otherwise than the command does; `_` in its names is `-` here. */
void evolve_option_name(const char *key, char out[64])
{
    static const char *const other[][2] = {
        {"n", "--dim"},
        {"elite_ratio", "--elite"},
        {"spread", "--start"},
        {"has_noise", "--handle-noise"},
        {"is_endless", "--generations without --restart"},
        {"validate_every", "--validate"},
        {"tasks", "tasks (--stage)"},
        {"candidates", "--compare"},
        {"sides", "--fidelity"},
        {"policy", "--namm-options"},
        {"rows_seed", "--seed"},
        {"identity", "--model"},
        {"model", "the content of --model"},
        {"start", "the content of start.namm.gguf"},
    };
    char name[64];
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (!strcmp(key, other[i][0])) {
            snprintf(out, 64, "%s", other[i][1]);
            return;
        }
    snprintf(name, sizeof name, "%s", key);
    for (char *c = name; *c; c++)
        if (*c == '_') *c = '-';
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_table[i].verbs & 1u << VERB_EVOLVE && !strcmp(option_table[i].name, name))
            snprintf(out, 64, "--%.60s", name);
}

/* ---- ranks ---- */

static uint64_t claim(void *ctx)
{
    return ranks_claim(&((evolve_run *)ctx)->ranks);
}

static void restart(void *ctx)
{
    ranks_restart(&((evolve_run *)ctx)->ranks);
}

static mn_status share(void *ctx, uint64_t *x, size_t n, mn_diag *diag)
{
    (void)diag; /* MPI ends the process where it fails */
    ranks_share(&((evolve_run *)ctx)->ranks, x, n);
    return MN_OK;
}

/* ---- a run ---- */

mn_status evolve_run_begin(evolve_run *r, const args *a, mn_diag *diag)
{
    r->a = a;
    return ranks_begin(&r->ranks, diag);
}

mn_status evolve_run_options(evolve_run *r, const args *a, const mn_optimizer_params *search,
                             mn_diag *diag)
{
    mn_status st;
    r->a = a;
    mn_evolve_params_default(&r->p);
    r->p.search = *search;
    /* Losses of other prompts and stages are no sign that a search has ended. */
    r->p.search.is_endless = args_has(a, OPT_GENERATIONS) && !args_has(a, OPT_RESTART);
    r->p.dir = a->value[OPT_OUT];
    MN_TRY(read_stages(r, diag));
    MN_TRY(read_ratings(r, diag));
    r->p.commit = MN_BUILD_COMMIT;
    r->p.compiler = MN_BUILD_COMPILER;
    r->p.cpu = mn__cpu_level_name(mn__cpu_best());
    r->p.option_name = evolve_option_name;
    r->p.ranks = (mn_evolve_ranks){r->ranks.rank, r->ranks.n, claim, restart, share, r};
    r->p.save = save;
    r->p.line = on_line;
    r->p.tick = on_tick;
    r->p.note = on_note;
    r->p.stop = stop;
    r->p.ctx = r;
    if (r->ranks.rank == 0) r->bar = progress_start_logged(a, "");
done:
    return st;
}

mn_status evolve_run_report(evolve_run *r, const mn_evolve_result *result, mn_diag *diag)
{
    progress_end(&r->bar);
    ui_note(r->a, "%s: %s, stage %zu of %zu, %llu generations new", r->p.dir, result->end,
            result->stage + 1, r->p.n_stage, (unsigned long long)result->n_new);
    mn_status st = mn_evolve_report(r->p.dir, NULL, diag);
    if (st != MN_EINPUT) return st;
    ui_note(r->a, "no page: %s", diag->text); /* a run without Chart.js is a run */
    return MN_OK;
}

void evolve_run_end(evolve_run *r, mn_status st, const mn_diag *diag)
{
    if (st != MN_OK && r->ranks.n > 1)
        ranks_tell_end(&r->ranks, st, st != MN_EUSAGE && st != MN_EINPUT, diag);
    ranks_end(&r->ranks, mn_status_exit_code(st));
}
