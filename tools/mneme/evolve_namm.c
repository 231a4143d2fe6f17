/* evolve_namm.c: `mneme evolve --stage`: options of NAMMs, and what a run leaves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "evolve.h"
#include "options.h"

enum { MAX_LENGTH = 16, MAX_BUDGET = 16 };

typedef struct job {
    const args *a;
    mn_model *m;
    evolve_run folder;
    mn_evolve_namm_params p;
    size_t length[MAX_LENGTH];
    char budgets[512], *command, *options;
    const char *budget[MAX_BUDGET];
} job;

static mn_status read_budgets(job *j, mn_diag *diag)
{
    char *save = NULL;
    if (!args_has(j->a, OPT_BUDGETS)) return MN_OK;
    if (strlen(j->a->value[OPT_BUDGETS]) >= sizeof j->budgets)
        return mn__fail(diag, MN_EUSAGE, "--budgets: a shorter list wanted");
    snprintf(j->budgets, sizeof j->budgets, "%s", j->a->value[OPT_BUDGETS]);
    j->p.n_budget = 0;
    j->p.budget = j->budget;
    for (char *b = strtok_r(j->budgets, ",", &save); b; b = strtok_r(NULL, ",", &save)) {
        if (j->p.n_budget == MAX_BUDGET)
            return mn__fail(diag, MN_EUSAGE, "--budgets: at most %d", MAX_BUDGET);
        j->budget[j->p.n_budget++] = strcmp(b, "none") ? b : "";
    }
    return MN_OK;
}

/* A share to aim at takes the place of a budget. */
static mn_status read_target(job *j, double *target, mn_diag *diag)
{
    const char *text = j->a->value[OPT_TARGET_SHARE];
    char *end = NULL;
    if (!text) return MN_OK;
    *target = strtod(text, &end) / 100;
    if (end == text || strcmp(end, "%") || !(*target > 0 && *target <= 1))
        return mn__fail(diag, MN_EUSAGE,
                        "--target-share: a share above 0%%, at most 100%%, wanted, '%s' found",
                        text);
    if (args_has(j->a, OPT_BUDGETS)) return MN_OK;
    j->budget[0] = "";
    j->p.budget = j->budget;
    j->p.n_budget = 1;
    return MN_OK;
}

/* ---- how it was called, for the NAMM's notes ---- */

/* No folder of this machine. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *model_name(const args *a)
{
    return file_name(args_has(a, OPT_MODEL) ? a->value[OPT_MODEL] : "smollm2");
}

/* Options that change nothing of what is computed; where things lie; the stages, which come first.
 * All others of the verb are written. */
static bool is_left_out(option_id id)
{
    static const option_id of_no_matter[] = {
        OPT_STAGE,          OPT_OUT,         OPT_DATA,    OPT_BANK,      OPT_MAX_SECONDS,
        OPT_LOG_CANDIDATES, OPT_OFFLINE,     OPT_THREADS, OPT_MEM_LIMIT, OPT_JSON,
        OPT_QUIET,          OPT_NO_PROGRESS, OPT_COLOR,   OPT_HELP};
    if (!(option_table[id].verbs & 1u << VERB_EVOLVE)) return true;
    for (size_t i = 0; i < sizeof of_no_matter / sizeof *of_no_matter; i++)
        if (of_no_matter[i] == id) return true;
    return false;
}

/* "key=value,..." whose values may be paths. */
static void put_pairs(FILE *to, const char *text)
{
    for (size_t n; *text; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        const char *value = memchr(text, '=', n), *at = text + n;
        while (value && at > value + 1 && at[-1] != '/') at--;
        if (!value) at = text;
        fprintf(to, "%.*s%.*s%s", value ? (int)(value + 1 - text) : 0, text, (int)(text + n - at),
                at, text[n] ? "," : "");
    }
}

static void put_value(FILE *to, option_id id, const char *value)
{
    fputc(' ', to);
    if (id == OPT_NAMM_OPTIONS)
        put_pairs(to, value);
    else
        fputs(id == OPT_FROM || id == OPT_MODEL ? file_name(value) : value, to);
}

static mn_status write_command(job *j, mn_diag *diag)
{
    size_t n;
    FILE *to = open_memstream(&j->command, &n);
    if (!to) return mn__fail(diag, MN_ENOMEM, "no memory for a command");
    fputs("mneme evolve", to);
    for (size_t i = 0; i < j->a->n_stage; i++) fprintf(to, " --stage %s", j->a->stage[i]);
    for (int i = 0; i < OPT_COUNT; i++) {
        const char *value = j->a->value[i];
        if (!value || is_left_out((option_id)i)) continue;
        fprintf(to, " --%s", option_table[i].name);
        if (option_table[i].arg) put_value(to, (option_id)i, value);
    }
    return fclose(to) ? mn__fail(diag, MN_ENOMEM, "no memory for a command") : MN_OK;
}

static mn_status read_ratings(job *j, mn_diag *diag)
{
    static const char *const evict[] = {"prompt", "context", NULL};
    const char *names[MN_EVOLVE_LOSS_COUNT + 1] = {0};
    const args *a = j->a;
    mn_evolve_namm_params *p = &j->p;
    mn_status st;
    int where, loss;
    size_t limit;
    args_list lengths = {.at = j->length, .cap = MAX_LENGTH};
    for (int i = 0; i < MN_EVOLVE_LOSS_COUNT; i++)
        names[i] = mn_evolve_loss_name((mn_evolve_loss)i);
    MN_TRY(args_choice(a, OPT_EVICT, evict, 0, &where, diag));
    MN_TRY(args_choice(a, OPT_LOSS, names, MN_EVOLVE_LOSS_KL, &loss, diag));
    MN_TRY(args_sizes(a, OPT_LENGTHS, 64, (size_t)1 << 27, &lengths, diag));
    MN_TRY(args_size(a, OPT_LIMIT, p->limit, 1, 1 << 30, &limit, diag));
    MN_TRY(args_size(a, OPT_LANES, 0, 1, 1 << 20, &p->n_lane, diag));
    if (a->value[OPT_BANK]) MN_TRY(ui_bytes(a->value[OPT_BANK], "bank", &p->bank_bytes, diag));
    MN_TRY(args_size(a, OPT_GOLD_TOKENS, p->max_gold, 1, 1 << 20, &p->max_gold, diag));
    MN_TRY(read_budgets(j, diag));
    p->evict_context = where;
    p->loss = (mn_evolve_loss)loss;
    p->length = j->length;
    p->n_length = lengths.n;
    p->limit = limit;
done:
    return st;
}

static mn_status read_options(job *j, mn_diag *diag)
{
    mn_status st;
    const args *a = j->a;
    const char *data = args_has(a, OPT_DATA) ? a->value[OPT_DATA] : getenv("MNEME_DATA");
    mn_optimizer_params search;
    mn_optimizer_params_default(&search);
    search.population = 16;
    mn_evolve_namm_params_default(&j->p);
    if (!a->n_stage)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "--stage TASK,... or --function NAME wanted"));
    if (!args_has(a, OPT_OUT)) MN_TRY(mn__fail(diag, MN_EUSAGE, "--out DIR wanted"));
    MN_TRY(ui_session_params(a, &j->p.session, diag));
    MN_TRY(evolve_params(a, &search, diag));
    MN_TRY(evolve_run_options(&j->folder, a, &search, diag));
    MN_TRY(read_ratings(j, diag));
    MN_TRY(write_command(j, diag));
    j->p.run = j->folder.p;
    MN_TRY(read_target(j, &j->p.run.target_share, diag));
    j->p.data = data && *data ? data : NULL;
    j->p.warm = args_has(a, OPT_WARM);
    j->p.picks_covariance = !args_has(a, OPT_COVARIANCE);
    j->p.picks_sigma = !args_has(a, OPT_SIGMA);
    j->p.policy = a->value[OPT_NAMM_OPTIONS];
    if (args_has(a, OPT_FROM)) j->p.start = a->value[OPT_FROM];
    j->p.model = model_name(a);
    j->p.command = j->command;
done:
    return st;
}

/* How the model was opened, as far as ratings depend on it; its options have been read. */
static mn_status write_model_options(job *j, mn_diag *diag)
{
    const args *a = j->a;
    const char *product = a->value[OPT_PRODUCT], *scaling = a->value[OPT_ROPE_SCALING];
    double factor = 0, base = 0;
    mn_status st;
    MN_TRY(args_float(a, OPT_ROPE_FACTOR, 0, 1, 1e4, &factor, diag));
    MN_TRY(args_float(a, OPT_ROPE_BASE, 0, 1, 1e12, &base, diag));
    json_t *doc = json_pack("{s:s,s:s,s:o,s:o}", "product", product ? product : "auto",
                            "rope_scaling", scaling ? scaling : "model", "rope_factor",
                            factor > 0 ? json_real(factor) : json_null(), "rope_base",
                            base > 0 ? json_real(base) : json_null());
    j->options = doc ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(doc);
    if (!j->options) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a run's options"));
    j->p.run.options = j->options;
done:
    return st;
}

static void tell_best(const job *j, const mn_evolve_best *best)
{
    const unsigned long long generation = best->generation;
    if (!isnan(best->loss))
        ui_note(j->a, "%s/best.namm.gguf: loss %.6g on the prompts held out, generation %llu",
                j->p.run.dir, best->loss, generation);
    else
        ui_note(j->a, "%s/best.namm.gguf: the mean of generation %llu, the last: %s", j->p.run.dir,
                generation,
                j->p.run.n_held_out ? "it has no loss on the prompts held out"
                                    : "no prompts are held out to rate it on");
}

static mn_status go(job *j, mn_diag *diag)
{
    mn_status st;
    mn_evolve_result result = {0};
    MN_TRY(evolve_run_begin(&j->folder, j->a, diag));
    MN_TRY(read_options(j, diag));
    MN_TRY(ui_open_model(j->a, false, &j->m, diag));
    MN_TRY(write_model_options(j, diag));
    if (args_has(j->a, OPT_COMPARE)) return evolve_compare(&j->folder, &j->p, j->m, diag);
    j->p.read = evolve_run_read;
    MN_TRY(mn_evolve_namm(j->m, &j->p, &result, diag));
    if (j->folder.ranks.rank == 0) {
        tell_best(j, &result.best);
        MN_TRY(evolve_run_report(&j->folder, &result, diag));
    }
done:
    mn_optimizer_free(result.search);
    return st;
}

mn_status evolve_namm(const args *a, mn_diag *diag)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return mn__fail(diag, MN_ENOMEM, "no memory");
    j->a = a;
    mn_status st = go(j, diag);
    evolve_run_end(&j->folder, st, diag);
    mn_model_free(j->m);
    free(j->command);
    free(j->options);
    free(j);
    return st;
}
