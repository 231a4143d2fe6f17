/* run_state.c: the folder of a run and the words that go with its checkpoint. */
#include "evolve/run_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/draft.h"

enum { HASH_DIGITS = 16 };

/* ---- the folder ---- */

mn_status mn__run_folder_open(mn__run_folder *f, const char *dir, mn_diag *diag)
{
    static const char *const ours[] = {"evolve.gguf.", "run.json.",     "report.", "best.",
                                       "start.",       "compare.json.", NULL};
    mn_status st = mn__folder_hold(&f->fd, dir, "evolves", ours, diag);
    if (st != MN_OK) return st;
    snprintf(f->state, sizeof f->state, "%s/evolve.gguf", dir);
    snprintf(f->log, sizeof f->log, "%s/log.sqlite", dir);
    snprintf(f->about, sizeof f->about, "%s/run.json", dir);
    return MN_OK;
}

void mn__run_folder_close(mn__run_folder *f)
{
    mn__folder_release(f->fd);
    f->fd = -1;
}

bool mn__run_folder_has_state(const mn__run_folder *f)
{
    char before[PATH_MAX + 8];
    snprintf(before, sizeof before, "%s.1", f->state);
    return !access(f->state, F_OK) || !access(before, F_OK);
}

/* ---- stages ---- */

static bool has_name(const char *list, const char *name, size_t n)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && !strncmp(at, name, n)) return true;
    return false;
}

/* Names of `more` that the list lacks go behind it. */
static void add_names(mn__draft *list, const char *more)
{
    for (const char *at = more; *at;) {
        size_t n = strcspn(at, ",");
        if (n && !has_name(mn__draft_text(list), at, n))
            mn__draft_fmt(list, "%s%.*s", list->n ? "," : "", (int)n, at);
        at += n + (at[n] == ',');
    }
}

char *mn__stage_tasks(const mn_evolve_stage *stage, size_t i)
{
    size_t first = i;
    mn__draft list = {0};
    while (first > 0 && stage[first].tasks[0] == '+') first--;
    for (size_t k = first; k <= i; k++)
        add_names(&list, stage[k].tasks + (stage[k].tasks[0] == '+'));
    char *out = list.failed ? NULL : mn__strdup(mn__draft_text(&list));
    mn__draft_free(&list);
    return out;
}

/* ---- documents ---- */

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static double real_of(const json_t *x)
{
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static json_t *text(const char *x)
{
    json_t *s = json_string(x);
    return s ? s : json_string("(not UTF-8)");
}

static json_t *stages_json(const mn_evolve_params *p, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char *tasks = mn__stage_tasks(p->stage, i);
        json_t *s = tasks ? json_pack("{s:o,s:o,s:I}", "tasks", text(tasks), "fidelity",
                                      text(p->stage[i].fidelity), "generations",
                                      (json_int_t)p->stage[i].generations)
                          : NULL;
        mn__free(tasks);
        if (!s || json_array_append_new(list, s)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* What ratings follow from beside the search's own options. */
static json_t *settings_json(const mn_evolve_params *p)
{
    json_t *doc =
        json_pack("{s:I,s:s,s:I,s:I}", "prompts", (json_int_t)p->n_prompt, "statistic",
                  mn_evolve_statistic_name(p->statistic), "held_out", (json_int_t)p->n_held_out,
                  "validate_every", (json_int_t)p->validate_every);
    if (doc && p->target_share > 0)
        json_object_set_new(doc, "target_share", json_real(p->target_share));
    return doc;
}

static json_t *options_json(const mn_evolve_params *p)
{
    return p->options ? json_loads(p->options, 0, NULL) : json_object();
}

/* ---- the note ---- */

static json_t *best_json(const mn__run_place *at)
{
    if (!at->has_best) return json_null();
    return json_pack("{s:I,s:I,s:o,s:o}", "generation", (json_int_t)at->best.generation, "stage",
                     (json_int_t)at->best.stage, "loss", real(at->best.loss), "kept_share",
                     real(at->best.kept_share));
}

static json_t *note_json(const mn_evolve_params *p, const mn__run_place *at)
{
    json_t *stages = stages_json(p, at->stage + 1);
    if (!stages) return NULL;
    char rows[HASH_DIGITS + 1];
    snprintf(rows, sizeof rows, "%016llx", (unsigned long long)at->rows);
    return json_pack("{s:o,s:o,s:o,s:I,s:I,s:I,s:s,s:o}", "settings", settings_json(p), "options",
                     options_json(p), "stages", stages, "stage", (json_int_t)at->stage,
                     "stage_generation", (json_int_t)at->stage_generation, "prompts",
                     (json_int_t)at->n_item, "rows", rows, "best", best_json(at));
}

char *mn__run_note(const mn_evolve_params *p, const mn__run_place *at)
{
    mn__draft text = {0};
    json_t *doc = note_json(p, at);
    char *note = mn__draft_json(&text, doc) ? mn__strdup(mn__draft_text(&text)) : NULL;
    mn__draft_free(&text);
    json_decref(doc);
    return note;
}

/* ---- differences ---- */

/* A value for a sentence: what is not there, or empty, is none. */
static void put_value(mn__draft *text, const json_t *x)
{
    if (json_is_string(x) && *json_string_value(x))
        mn__draft_str(text, json_string_value(x));
    else if (json_is_real(x))
        mn__draft_fmt(text, "%.9g", json_real_value(x));
    else if (json_is_integer(x))
        mn__draft_fmt(text, "%lld", (long long)json_integer_value(x));
    else if (json_is_true(x))
        mn__draft_str(text, "yes");
    else if (json_is_object(x))
        mn__draft_json(text, x);
    else if (json_array_size(x))
        for (size_t i = 0; i < json_array_size(x); i++) {
            mn__draft_str(text, i ? "," : "");
            put_value(text, json_array_get(x, i));
        }
    else
        mn__draft_str(text, "none");
}

static void value_text(const json_t *x, char *out, size_t cap)
{
    mn__draft text = {0};
    put_value(&text, x);
    snprintf(out, cap, "%s", mn__draft_text(&text));
    mn__make_printable(out, ' ');
    mn__draft_free(&text);
}

mn_status mn__run_differ(const char *path, const char *key, const char *wanted, const char *found,
                         mn__option_name_fn name, mn_diag *diag)
{
    char option[64];
    mn__option_name(name, key, option);
    return mn__fail(diag, MN_EUSAGE,
                    "%s: it was made with other options: %s %.200s wanted, %.200s found", path,
                    option, wanted && *wanted ? wanted : "none", found && *found ? found : "none");
}

static mn_status differ(const char *path, const char *key, const json_t *wanted,
                        const json_t *found, mn__option_name_fn name, mn_diag *diag)
{
    char w[200], f[200];
    value_text(wanted, w, sizeof w);
    value_text(found, f, sizeof f);
    return mn__run_differ(path, key, w, f, name, diag);
}

bool mn__run_is_older(const json_t *wanted, const json_t *found)
{
    return json_object_get(wanted, "format") && !json_object_get(found, "format");
}

/* What an earlier version lacks where it was not given. */
static bool is_always_noted(const char *key)
{
    return !strcmp(key, "lanes");
}

/* Hashes of files, which say less than an option by which they may differ. */
static bool is_content(const char *key)
{
    return !strcmp(key, "model") || !strcmp(key, "start");
}

mn_status mn__run_same(const char *path, const json_t *wanted, const json_t *found,
                       mn__option_name_fn name, mn_diag *diag)
{
    const char *key;
    json_t *value;
    const bool is_older = mn__run_is_older(wanted, found);
    for (int contents = 0; contents < 2; contents++)
        json_object_foreach((json_t *)wanted, key, value)
        {
            const json_t *other = json_object_get(found, key);
            if (is_content(key) != contents || json_equal(value, other)) continue;
            if (other || !is_older || is_always_noted(key))
                return differ(path, key, value, other, name, diag);
        }
    json_object_foreach((json_t *)found, key, value)
    {
        if (!json_object_get(wanted, key)) return differ(path, key, NULL, value, name, diag);
    }
    return MN_OK;
}

/* Stages that have begun; the last of them may still get another limit. */
static mn_status same_stages(const char *path, const mn_evolve_params *p, const json_t *found,
                             const mn__run_place *at, mn_diag *diag)
{
    mn_status st = MN_OK;
    static const char *const part[] = {"tasks", "fidelity", "generations"};
    json_t *wanted = stages_json(p, at->stage + 1);
    if (!wanted) return mn__fail(diag, MN_ENOMEM, "no memory for stages");
    for (size_t i = 0; i <= at->stage; i++) {
        size_t n_part = i < at->stage ? 3 : 2;
        for (size_t k = 0; k < n_part; k++) {
            char option[64], name[96];
            const json_t *w = json_object_get(json_array_get(wanted, i), part[k]);
            const json_t *f = json_object_get(json_array_get(found, i), part[k]);
            if (json_equal(w, f)) continue;
            mn__option_name(p->option_name, part[k], option);
            snprintf(name, sizeof name, "%s of stage %zu", option, i + 1);
            MN_TRY(differ(path, name, w, f, NULL, diag));
        }
    }
    uint64_t most = p->stage[at->stage].generations;
    if (most && most < at->stage_generation)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "%s: stage %zu has gone through %llu generations, at most %llu wanted",
                        path, at->stage + 1, (unsigned long long)at->stage_generation,
                        (unsigned long long)most));
done:
    json_decref(wanted);
    return st;
}

static bool read_place(const json_t *doc, mn__run_place *at)
{
    const json_t *stage = json_object_get(doc, "stage"),
                 *done = json_object_get(doc, "stage_generation"),
                 *best = json_object_get(doc, "best"), *prompts = json_object_get(doc, "prompts"),
                 *rows = json_object_get(doc, "rows");
    if (!json_is_integer(stage) || !json_is_integer(done) || json_integer_value(stage) < 0 ||
        json_integer_value(done) < 0 ||
        (size_t)json_integer_value(stage) >= json_array_size(json_object_get(doc, "stages")))
        return false;
    *at = (mn__run_place){.stage = (size_t)json_integer_value(stage),
                          .stage_generation = (uint64_t)json_integer_value(done),
                          .n_item = (uint64_t)json_integer_value(prompts),
                          .rows = json_is_string(rows) ? strtoull(json_string_value(rows), NULL, 16)
                                                       : 0,
                          .has_best = json_is_object(best)};
    if (!at->has_best) return true;
    at->best = (mn_evolve_best){
        .generation = (uint64_t)json_integer_value(json_object_get(best, "generation")),
        .stage = (size_t)json_integer_value(json_object_get(best, "stage")),
        .loss = real_of(json_object_get(best, "loss")),
        .kept_share = real_of(json_object_get(best, "kept_share"))};
    return true;
}

mn_status mn__run_note_read(const char *note, const mn_evolve_params *p, const char *path,
                            mn__run_place *at, mn_diag *diag)
{
    mn_status st;
    json_t *doc = json_loads(note, 0, NULL), *settings = settings_json(p),
           *options = options_json(p);
    if (!doc || !settings || !options || !read_place(doc, at))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a search, but not of a run in stages", path));
    const json_t *before = json_object_get(doc, "options");
    at->is_older = mn__run_is_older(options, before);
    MN_TRY(mn__run_same(path, settings, json_object_get(doc, "settings"), p->option_name, diag));
    MN_TRY(mn__run_same(path, options, before, p->option_name, diag));
    if (at->stage >= p->n_stage)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "%s: it stands in stage %zu, %zu stages wanted", path,
                        at->stage + 1, p->n_stage));
    MN_TRY(same_stages(path, p, json_object_get(doc, "stages"), at, diag));
done:
    json_decref(doc);
    json_decref(settings);
    json_decref(options);
    return st;
}

/* ---- run.json ---- */

static json_t *search_json(const mn_optimizer_params *s, const mn_optimizer_info *info)
{
    return json_pack("{s:I,s:I,s:f,s:f,s:f,s:s,s:I,s:s,s:b,s:b,s:b,s:b,s:f,s:o,s:I,s:b}", "n",
                     (json_int_t)s->n, "population", (json_int_t)info->population, "elite_ratio",
                     s->elite_ratio, "sigma", s->sigma, "spread", s->spread, "covariance",
                     mn_covariance_name(s->covariance), "rank", (json_int_t)s->rank, "restart",
                     mn_restart_name(s->restart), "is_passive", s->is_passive, "is_exact",
                     s->is_exact, "is_endless", s->is_endless, "has_noise", s->has_noise,
                     "effort_max", s->effort_max, "target", real(s->target), "max_evaluations",
                     (json_int_t)s->max_evaluations, "has_start", s->mean != NULL);
}

/* The starts that an earlier run.json tells of, and this one. */
static json_t *starts_json(const char *path, const mn_evolve_params *p, uint64_t generation)
{
    char now[32];
    time_t t = time(NULL);
    struct tm utc;
    json_t *before = json_load_file(path, 0, NULL);
    json_t *list = json_incref(json_object_get(before, "starts"));
    json_decref(before);
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    gmtime_r(&t, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_array_append_new(list,
                          json_pack("{s:s,s:I,s:o,s:i,s:i,s:o}", "at", now, "generation",
                                    (json_int_t)generation, "commit", text(p->commit), "threads",
                                    p->n_thread > 0 ? p->n_thread : mn__cpu_count(), "ranks",
                                    p->ranks.n, "cpu_level", text(p->cpu)));
    return list;
}

mn_status mn__run_about_write(const char *path, const mn_evolve_params *p,
                              const mn_optimizer_info *info, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__atomic file = {0};
    json_t *doc = json_pack(
        "{s:i,s:s,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:o,s:o}", "version", 1, "mneme", mn_version(),
        "commit", text(p->commit), "compiler", text(p->compiler), "cpu_level", text(p->cpu), "cpu",
        text(mn__cpu_model()), "seed", (json_int_t)p->search.seed, "search",
        search_json(&p->search, info), "settings", settings_json(p), "options", options_json(p),
        "stages", stages_json(p, p->n_stage), "starts", starts_json(path, p, info->generation));
    if (!doc) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path);
    MN_TRY(mn__atomic_open(&file, path, diag));
    if (json_dumpf(doc, file.file, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) &&
        !ferror(file.file))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path));
    fputc('\n', file.file);
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    json_decref(doc);
    return st;
}
