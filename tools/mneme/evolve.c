/* evolve.c: search by CMA-ES. */
#include "evolve.h"

#include <math.h>

#include "base/diag.h"
#include "options.h"
#include "verbs.h"

static mn_status read_kinds(const args *a, mn_optimizer_params *p, mn_diag *diag)
{
    const char *kinds[MN_COVARIANCE_COUNT + 1] = {0}, *restarts[MN_RESTART_COUNT + 1] = {0};
    int kind, restart;
    mn_status st;
    for (int i = 0; i < MN_COVARIANCE_COUNT; i++) kinds[i] = mn_covariance_name((mn_covariance)i);
    for (int i = 0; i < MN_RESTART_COUNT; i++) restarts[i] = mn_restart_name((mn_restart)i);
    MN_TRY(args_choice(a, OPT_COVARIANCE, kinds, MN_COVARIANCE_FULL, &kind, diag));
    MN_TRY(args_choice(a, OPT_RESTART, restarts, MN_RESTART_NONE, &restart, diag));
    p->covariance = (mn_covariance)kind;
    p->restart = (mn_restart)restart;
done:
    return st;
}

mn_status evolve_params(const args *a, mn_optimizer_params *p, mn_diag *diag)
{
    mn_status st;
    size_t seed, most;
    MN_TRY(read_kinds(a, p, diag));
    MN_TRY(args_size(a, OPT_POPULATION, p->population, 2, 1 << 20, &p->population, diag));
    MN_TRY(args_float(a, OPT_ELITE, p->elite_ratio, 1e-6, 0.5, &p->elite_ratio, diag));
    MN_TRY(args_float(a, OPT_SIGMA, p->sigma, 1e-100, 1e100, &p->sigma, diag));
    MN_TRY(args_float(a, OPT_START, p->spread, 0, 1e100, &p->spread, diag));
    MN_TRY(args_size(a, OPT_RANK, p->rank, 1, 1024, &p->rank, diag));
    MN_TRY(args_float(a, OPT_TARGET, p->target, -HUGE_VAL, HUGE_VAL, &p->target, diag));
    MN_TRY(args_size(a, OPT_MAX_EVALUATIONS, p->max_evaluations, 1, SIZE_MAX, &most, diag));
    MN_TRY(args_size(a, OPT_SEED, 0, 0, SIZE_MAX, &seed, diag));
    p->max_evaluations = most;
    p->seed = seed;
    p->has_noise = args_has(a, OPT_HANDLE_NOISE);
done:
    return st;
}

json_t *evolve_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

void evolve_put_line(const evolve_line *line)
{
    json_t *doc =
        json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:o}", "generation", (json_int_t)line->generation,
                  "fidelity", line->fidelity, "best", evolve_number(line->best), "mean",
                  evolve_number(line->mean), "sigma", evolve_number(line->sigma), "kept_share",
                  evolve_number(line->kept_share), "seconds", evolve_number(line->seconds));
    if (line->run) json_object_set_new(doc, "run", json_integer((json_int_t)line->run));
    json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    json_decref(doc);
}

void evolve_tick(progress *bar, const mn_optimizer_info *info)
{
    if (!progress_due(bar)) return;
    fprintf(stderr, "%s: generation %llu, %llu evaluations, best %.6g, sigma %.3g", bar->what,
            (unsigned long long)info->generation, (unsigned long long)info->evaluations, info->best,
            info->sigma);
    progress_drawn(bar);
}

/* Options of runs in folders alone. */
static mn_status want_folder(const args *a, mn_diag *diag)
{
    static const option_id id[] = {OPT_STAGE,     OPT_GENERATIONS, OPT_PROMPTS,
                                   OPT_STATISTIC, OPT_HELD_OUT,    OPT_VALIDATE,
                                   OPT_GOAL,      OPT_MAX_SECONDS, OPT_LOG_CANDIDATES};
    for (size_t i = 0; i < sizeof id / sizeof *id && !args_has(a, OPT_OUT); i++)
        if (args_has(a, id[i]))
            return mn__fail(diag, MN_EUSAGE, "--%s wants --out", option_table[id[i]].name);
    return MN_OK;
}

mn_status verb_evolve(const args *a, mn_diag *diag)
{
    if (a->n_rest) return mn__fail(diag, MN_EUSAGE, "'%s': only options are wanted", a->rest[0]);
    if (!args_has(a, OPT_FUNCTION)) return evolve_namm(a, diag);
    if (args_has(a, OPT_TARGET_SHARE))
        return mn__fail(diag, MN_EUSAGE, "--target-share is for NAMMs: a function keeps nothing");
    if (args_has(a, OPT_COMPARE))
        return mn__fail(diag, MN_EUSAGE, "--compare is of NAMMs: --function has one way to rate");
    mn_status st = want_folder(a, diag);
    return st == MN_OK ? evolve_function(a, diag) : st;
}
