/* evolve_namm.c: NAMMs in a run of evolution: what a rating depends on, what is kept. Where it
 * begins: namm_start.c; how stages rate: namm_raters.c. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
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
#include "evolve/run.h"
#include "evolve/run_state.h"
#include "model/model.h"
#include "policy/spec.h"

enum { FULL_MOST = 2048, N_LAYER = 8, FOLDER_DEPTH = 4 };

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
                                 .n_layer = N_LAYER,
                                 .bank_bytes = (size_t)4 << 30,
                                 .model = "",
                                 .command = ""};
    mn_evolve_params_default(&p->run);
    mn_session_params_default(&p->session);
    p->run.n_prompt = 16;
}

typedef mn__namm_job job;

/* ---- what comes of it ---- */

/* Of the NAMM's notes: what it began with has those that lead further back. */
static mn_status set_notes(const job *j, mn__namm *namm, const mn_evolve_best *best, mn_diag *diag)
{
    enum { GENERATIONS, SEED, LOSS, KEPT, TARGET, N_NUMBER };
    mn_status st = MN_ENOMEM;
    const mn_evolve_namm_params *p = j->p;
    mn_model_info info;
    char *tasks = mn__stage_tasks(j->run.stage, best->stage), number[N_NUMBER][32];
    snprintf(number[GENERATIONS], sizeof *number, "%llu", (unsigned long long)best->generation);
    snprintf(number[SEED], sizeof *number, "%llu", (unsigned long long)j->run.search.seed);
    snprintf(number[LOSS], sizeof *number, "%.6g", best->loss);
    snprintf(number[KEPT], sizeof *number, "%.4g", best->kept_share);
    snprintf(number[TARGET], sizeof *number, "%.4g", p->run.target_share);
    mn_model_get_info(j->m, &info);
    const char *const note[][2] = {
        {"base_model", p->model},
        {"base_identity", info.identity},
        {"tasks", tasks},
        {"fidelity", j->run.stage[best->stage].fidelity},
        {"loss", mn_evolve_loss_name(p->loss)},
        {"evict", p->evict_context ? "context" : "prompt"},
        {"generations", number[GENERATIONS]},
        {"seed", number[SEED]},
        {"held_out_loss", isnan(best->loss) ? NULL : number[LOSS]},
        {"held_out_kept_share", isnan(best->kept_share) ? NULL : number[KEPT]},
        {"command", p->command},
        {"target_share", p->run.target_share > 0 ? number[TARGET] : NULL},
        {MN__NOTE_FROM, mn__namm_get_note(j->namm, MN__NOTE_FROM)},
        {MN__NOTE_ANCESTRY, mn__namm_get_note(j->namm, MN__NOTE_ANCESTRY)}};
    mn__namm_drop_notes(namm);
    if (!tasks) goto done;
    for (size_t i = 0; i < sizeof note / sizeof *note; i++)
        if (note[i][1]) MN_TRY(mn__namm_add_note(namm, note[i][0], note[i][1]));
    st = MN_OK;
done:
    mn__free(tasks);
    return st == MN_OK ? st : mn__fail(diag, st, "no memory for a NAMM's notes");
}

static mn_status save_best(void *ctx, const double *mean, const mn_evolve_best *best, mn_diag *diag)
{
    mn_status st;
    job *j = ctx;
    mn__namm *namm = NULL;
    MN_TRY(mn__namm_read(&namm, j->start, diag));
    for (size_t i = 0; i < j->run.search.n; i++) namm->param[i] = (float)mean[i];
    MN_TRY(set_notes(j, namm, best, diag));
    MN_TRY(mn__namm_write(namm, j->best, diag));
done:
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

static mn_status hash_folder(const char *dir, uint64_t seed, int depth, uint64_t *sum,
                             mn_diag *diag);

/* Of a file or a folder: its name below the dictionary's folder, and what it holds. */
static mn_status hash_entry(const char *dir, const char *name, uint64_t seed, int depth,
                            uint64_t *sum, mn_diag *diag)
{
    struct stat about;
    mn__map file;
    char path[MN__JOB_PATH];
    seed = mn__hash64(name, strlen(name), seed);
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path || stat(path, &about))
        return mn__fail(diag, MN_EINPUT, "cannot read the dictionary %s", dir);
    if (S_ISDIR(about.st_mode)) return hash_folder(path, seed, depth - 1, sum, diag);
    if (!S_ISREG(about.st_mode) || !about.st_size) return MN_OK;
    mn_status st = mn__map_open(&file, path, diag);
    if (st != MN_OK) return st;
    *sum += mn__hash64(file.data, file.size, seed);
    mn__map_close(&file);
    return MN_OK;
}

/* A sum, as files come in any order. */
static mn_status hash_folder(const char *dir, uint64_t seed, int depth, uint64_t *sum,
                             mn_diag *diag)
{
    mn_status st = MN_OK;
    DIR *d = depth ? opendir(dir) : NULL;
    if (!d)
        return mn__fail(diag, MN_EINPUT, "cannot read the dictionary %s: %s", dir,
                        depth ? strerror(errno) : "too many folders in folders");
    for (const struct dirent *f; st == MN_OK && (f = readdir(d));)
        if (*f->d_name != '.') st = hash_entry(dir, f->d_name, seed, depth, sum, diag);
    closedir(d);
    return st;
}

/* The words of a metric, where it has a say; "": none were given. */
static mn_status hash_dictionary(const job *j, char out[17], mn_diag *diag)
{
    uint64_t sum = 0;
    bool counts = !j->n_side && j->p->loss == MN_EVOLVE_LOSS_METRIC;
    for (size_t i = 0; i < j->n_side; i++) counts |= j->side[i].loss == MN_EVOLVE_LOSS_METRIC;
    *out = 0;
    if (!counts || !j->p->dictionary) return MN_OK;
    mn_status st = hash_folder(j->p->dictionary, 0, FOLDER_DEPTH, &sum, diag);
    if (st == MN_OK) snprintf(out, 17, "%016llx", (unsigned long long)sum);
    return st;
}

/* Everything that a rating follows from must be here or among the caller's, who knows how the model
 * was opened, or a run goes on under another in silence. Not here: threads and ranks, which
 * change no bit; the level of the kernels, as a run may go on on another machine, whose sums are
 * rounded otherwise (run.json notes it at each start); packed copies, which a machine with less
 * memory does without; where data lie: their rows are summed (mn__rater.rows). What was not noted
 * from the first is there where it is not the default, so that earlier runs go on. */
static json_t *options_json(const job *j, const char *model, const char *start,
                            const char *dictionary)
{
    static const char *const kv[] = {"bf16", "f32", "q8"};
    static const char *const mode[] = {"auto", "absolute", "compact"};
    enum { FORMAT = 2, N_KIND = 3 };
    const mn_evolve_namm_params *p = j->p;
    const mn_session_params *s = &j->session;
    mn_model_info info;
    mn_model_get_info(j->m, &info);
    json_t *budgets = json_array(), *lengths = json_array();
    for (size_t i = 0; i < p->n_budget; i++)
        json_array_append_new(budgets, json_string(p->budget[i]));
    for (size_t i = 0; i < p->n_length; i++)
        json_array_append_new(lengths, json_integer((json_int_t)p->length[i]));
    json_t *doc = json_pack(
        "{s:i,s:s,s:s,s:s,s:s?,s:s?,s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:s,s:s,s:I}", "format",
        FORMAT, "model", model, "identity", info.identity, "start", start, "from",
        mn__namm_get_note(j->namm, MN__NOTE_FROM), "warm",
        mn__namm_get_note(j->namm, MN__NOTE_WARM), "loss", mn_evolve_loss_name(p->loss), "evict",
        p->evict_context ? "context" : "prompt", "policy", p->policy ? p->policy : "", "budgets",
        budgets, "lengths", lengths, "limit", (json_int_t)p->limit, "gold_tokens",
        (json_int_t)p->max_gold, "ctx", (json_int_t)s->n_ctx, "rows_seed", (json_int_t)s->seed,
        "kv_type", kv[(unsigned)s->kv_type % N_KIND], "positions",
        mode[(unsigned)s->positions % N_KIND], "chunk", (json_int_t)s->chunk);
    if (doc && p->n_lane) json_object_set_new(doc, "lanes", json_integer((json_int_t)p->n_lane));
    if (doc && p->n_layer != N_LAYER)
        json_object_set_new(doc, "n_layer", json_integer((json_int_t)p->n_layer));
    if (doc && *dictionary) json_object_set_new(doc, "dictionary", json_string(dictionary));
    return doc;
}

/* A name of the caller's that is taken, or NULL. */
static const char *taken_name(const json_t *doc, json_t *of_caller)
{
    const char *name;
    json_t *value;
    json_object_foreach(of_caller, name, value) if (json_object_get(doc, name)) return name;
    return NULL;
}

static mn_status write_options(const job *j, mn__draft *out, mn_diag *diag)
{
    char start[17], model[17], dictionary[17];
    mn_status st = hash_start(j, start, diag);
    if (st == MN_OK) st = hash_dictionary(j, dictionary, diag);
    if (st != MN_OK) return st;
    snprintf(model, sizeof model, "%016llx", (unsigned long long)j->m->hash);
    const char *given = j->p->run.options;
    json_t *of_caller = given ? json_loads(given, 0, NULL) : json_object(),
           *doc = options_json(j, model, start, dictionary);
    const char *taken = taken_name(doc, of_caller);
    if (!json_is_object(of_caller))
        st = mn__fail(diag, MN_EUSAGE, "options of a run: a JSON object wanted");
    else if (taken)
        st = mn__fail(diag, MN_EUSAGE, "options of a run: `%s` is noted already", taken);
    else if (!doc || json_object_update_missing(doc, of_caller) || !mn__draft_json(out, doc))
        st = mn__fail(diag, MN_ENOMEM, "no memory for a run's description");
    json_decref(of_caller);
    json_decref(doc);
    return st;
}

/* ---- a run ---- */

/* Bytes of a path from the root on, in which SQLite counts; it may have 504 with its log. */
static size_t whole_length(const char *path)
{
    char here[PATH_MAX];
    const bool is_whole = *path == '/' || !getcwd(here, sizeof here);
    return strlen(path) + (is_whole ? 0 : strlen(here) + 1);
}

/* Policies name files of the folder: start.namm.gguf, and what it is written under before. */
static mn_status name_files(job *j, mn_diag *diag)
{
    enum { MOST = MN__SPEC_VALUE - sizeof "/start.namm.gguf.new" };
    mn_status st;
    const char *dir = j->run.dir;
    if (!dir || !*dir) return mn__fail(diag, MN_EUSAGE, "a folder for the run wanted");
    if (strchr(dir, ',') || whole_length(dir) > MOST)
        return mn__fail(diag, MN_EUSAGE,
                        "the run's folder `%.80s`: no comma and at most %d bytes from the root on "
                        "wanted, as policies name files in it",
                        dir, MOST);
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
    mn_model_info info;
    j->m = model;
    j->p = params;
    j->run = params->run;
    mn_model_get_info(model, &info);
    j->run.cpu = info.cpu; /* that it computes at, not the best there is */
    j->loss = params->loss;
    j->session = params->session;
    if (!j->session.n_ctx) j->session.n_ctx = model->n_ctx_train;
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
    MN_TRY(mn__namm_job_check_target(j, diag));
    MN_TRY(mn__namm_job_check_tasks(j, diag));
    MN_TRY(mn__namm_job_begin(j, diag));
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
    mn__free(j->told[0]);
    mn__free(j->told[1]);
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
