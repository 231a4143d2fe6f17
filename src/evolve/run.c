/* run.c: draw prompts, ask, rate, tell, log, save. All that a generation draws is named by (seed,
 * its number), and its row is logged before its state is saved: a run that is killed anywhere makes
 * the generation again and comes to the same bits. */
#include "evolve/run.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/sort.h"
#include "eval/draft.h"
#include "evolve/asker.h"
#include "evolve/sample.h"
#include "evolve/run_log.h"
#include "evolve/run_state.h"

typedef struct run {
    const mn_evolve_params *p;
    mn__asker asker;
    mn__run_folder folder;
    mn__run_log *log;
    mn_optimizer *search;
    mn__run_place at;
    uint64_t *held_out; /* [n_held_out] of the stage */
    /* Of a generation. */
    double *x, *loss, *kept; /* [n_ask][n], [n_ask], [n_ask] */
    uint64_t *item;          /* [n_prompt] */
    size_t n_ask_max, n_prompt_max;
    size_t n_restart; /* of the search before the tell */
    double t0, spent; /* seconds of all generations here */
    uint64_t n_new;
} run;

/* ---- parameters ---- */

static mn_status check_options(const mn_evolve_params *p, mn_diag *diag)
{
    json_error_t why;
    if (!p->options) return MN_OK;
    json_t *doc = json_loads(p->options, 0, &why);
    bool is_object = json_is_object(doc);
    json_decref(doc);
    if (is_object) return MN_OK;
    return mn__fail(diag, MN_EUSAGE, "options of a run: a JSON object wanted%s%s", doc ? "" : ": ",
                    doc ? "" : why.text);
}

static mn_status check(const mn_evolve_params *p, mn_diag *diag)
{
    if (p->search.is_max)
        return mn__fail(diag, MN_EUSAGE, "a run minimises losses: is_max cannot be");
    if (!p->n_stage || !p->stage) return mn__fail(diag, MN_EUSAGE, "a run wants a stage");
    for (size_t i = 0; i < p->n_stage; i++) {
        const char *tasks = p->stage[i].tasks;
        if (!tasks || !*tasks || !strcmp(tasks, "+") || (i == 0 && *tasks == '+'))
            return mn__fail(diag, MN_EUSAGE, "stage %zu: names of tasks wanted, '%s' found", i + 1,
                            tasks ? tasks : "");
    }
    if (!p->n_prompt || p->n_prompt > 1 << 20)
        return mn__fail(diag, MN_EUSAGE, "prompts of a generation: 1 to 2^20 wanted, %zu found",
                        p->n_prompt);
    if (p->n_held_out > 1 << 20 || !p->n_held_out != !p->validate_every)
        return mn__fail(diag, MN_EUSAGE,
                        "prompts held out (%zu) and generations between ratings of the mean on "
                        "them (%llu) go together",
                        p->n_held_out, (unsigned long long)p->validate_every);
    if ((unsigned)p->statistic >= MN_EVOLVE_STATISTIC_COUNT || p->n_thread < 0)
        return mn__fail(diag, MN_EUSAGE, "no such statistic (%d) or number of threads (%d)",
                        (int)p->statistic, p->n_thread);
    if (!(p->target_share >= 0 && p->target_share <= 1))
        return mn__fail(diag, MN_EUSAGE, "target of the share kept: 0 to 1 wanted, %g found",
                        p->target_share);
    if (p->ranks.n < 1 || p->ranks.rank < 0 || p->ranks.rank >= p->ranks.n)
        return mn__fail(diag, MN_EUSAGE, "rank %d of %d", p->ranks.rank, p->ranks.n);
    return check_options(p, diag);
}

/* ---- the folder ---- */

static void tell(const run *r, const char *sentence)
{
    if (r->p->note && *sentence) r->p->note(r->p->ctx, sentence);
}

static mn_status save_state(run *r, mn_diag *diag)
{
    char *note = mn__run_note(r->p, &r->at);
    if (!note) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", r->folder.state);
    mn_status st = mn_optimizer_save(r->search, r->folder.state, note, diag);
    mn__free(note);
    return st;
}

static mn_status load_state(run *r, mn_diag *diag)
{
    mn_status st;
    mn_diag warning = {""};
    char text[PATH_MAX + 160];
    mn_optimizer_info info;
    MN_TRY(mn__optimizer_load(&r->search, r->folder.state, &r->p->search, r->p->option_name,
                              &warning, diag));
    tell(r, warning.text);
    mn_optimizer_get_info(r->search, &info);
    MN_TRY(mn__run_note_read(info.note, r->p, r->folder.state, &r->at, diag));
    if (r->at.is_older) {
        snprintf(text, sizeof text, "%s: %s", r->folder.state,
                 "of an earlier version, which did not note all options: those that it lacks are "
                 "taken to be as they were");
        tell(r, text);
    }
    snprintf(text, sizeof text, "%s: goes on at generation %llu", r->folder.state,
             (unsigned long long)info.generation);
    tell(r, text);
done:
    return st;
}

/* ---- the mean ---- */

/* What the last generation came to: where the search began again with it, the mean it had. */
static const double *mean_of(const run *r)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    return info.n_restart > r->n_restart && info.last_mean ? info.last_mean : info.mean;
}

static mn_status keep_mean(run *r, const mn_evolve_best *best, mn_diag *diag)
{
    return r->p->save ? r->p->save(r->p->ctx, mean_of(r), best, diag) : MN_OK;
}

static mn_evolve_best last_mean(const run *r)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    return (mn_evolve_best){info.generation, r->at.stage, NAN, NAN};
}

/* Where nothing tells means apart, the last one is as good as any. */
static mn_status keep_last(run *r, mn_diag *diag)
{
    const mn_evolve_best last = last_mean(r);
    return keep_mean(r, &last, diag);
}

/* Rate the mean on what is held out; keep it when it is the stage's best. Of equal ones the last:
 * it has learned from more prompts, and few held out, or scores of a metric, are often equal. */
static mn_status validate(run *r, mn_evolve_best *found, bool *is_best, mn_diag *diag)
{
    mn_status st;
    size_t n_left;
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    const mn__question q = {r->held_out, r->p->n_held_out, mean_of(r), 1};
    *found = (mn_evolve_best){.generation = info.generation, .stage = r->at.stage};
    MN_TRY(mn__asker_rate(&r->asker, &q, &found->loss, &found->kept_share, &n_left, diag));
    *is_best = !isnan(found->loss) && (!r->at.has_best || found->loss <= r->at.best.loss);
    if (!*is_best) return MN_OK;
    MN_TRY(keep_mean(r, found, diag));
    r->at.best = *found;
    r->at.has_best = true;
done:
    return st;
}

/* ---- stages ---- */

/* Why the stage is over; NULL: it is not. */
static const char *why_over(const run *r)
{
    mn_optimizer_info info;
    uint64_t most = r->p->stage[r->at.stage].generations;
    mn_optimizer_get_info(r->search, &info);
    if (r->at.stage_generation && info.stop != MN_END_NONE) return mn_search_end_text(info.stop);
    if (r->at.has_best && r->at.best.loss <= r->p->goal) return "goal reached";
    return most && r->at.stage_generation >= most ? "all generations done" : NULL;
}

/* These limits are the run's, not a stage's. */
static bool is_last(const run *r)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    return r->at.stage + 1 == r->p->n_stage ||
           (r->at.stage_generation &&
            (info.stop == MN_END_TARGET || info.stop == MN_END_EVALUATIONS));
}

/* A stage goes on with the prompts that it began with. An earlier version noted their number in
 * the log alone, and left out none for a short answer. */
static mn_status same_rows(run *r, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__rater *now = &r->asker.rater;
    mn__run_place *at = &r->at;
    if (!at->n_item && r->log) MN_TRY(mn__run_log_items(r->log, at->stage, &at->n_item, diag));
    if (at->n_item && at->n_item != now->n_item)
        MN_TRY(
            mn__fail(diag, MN_EUSAGE,
                     "%s: stage %zu began with %llu prompts, %llu found: its data are others, or "
                     "rows are left out since; another folder for a new run wanted",
                     r->folder.state, at->stage + 1, (unsigned long long)at->n_item,
                     (unsigned long long)now->n_item));
    if (at->rows && now->rows && at->rows != now->rows)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "%s: stage %zu began with other prompts than are found: its data are "
                        "others; another folder for a new run wanted",
                        r->folder.state, at->stage + 1));
    at->n_item = now->n_item;
    at->rows = now->rows;
done:
    return st;
}

static mn_status begin_stage(run *r, mn_diag *diag)
{
    mn_status st;
    const mn_evolve_params *p = r->p;
    MN_TRY(mn__asker_begin(&r->asker, r->at.stage, diag));
    MN_TRY(same_rows(r, diag));
    uint64_t n = r->asker.rater.n_item;
    if (n < p->n_held_out || n - p->n_held_out < p->n_prompt)
        MN_TRY(mn__fail(diag, MN_ERANGE,
                        "stage %zu: %zu prompts for a generation and %zu held out wanted, %llu "
                        "found in all",
                        r->at.stage + 1, p->n_prompt, p->n_held_out, (unsigned long long)n));
    mn__sample_held_out(p->search.seed, r->at.stage, n, p->n_held_out, r->held_out);
done:
    return st;
}

static mn_status open_log(run *r, mn_diag *diag)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    return mn__run_log_open(&r->log, r->folder.log, info.generation, diag);
}

/* What is asked for binds the folder once its first stage can begin. A state stands there before
 * any log. */
static mn_status open_run(run *r, mn_diag *diag)
{
    mn_status st;
    mn_optimizer_info info;
    MN_TRY(mn__run_folder_open(&r->folder, r->p->dir, diag));
    if (mn__run_folder_has_state(&r->folder)) {
        MN_TRY(load_state(r, diag));
        MN_TRY(open_log(r, diag));
        MN_TRY(begin_stage(r, diag));
    } else {
        MN_TRY(mn_optimizer_new(&r->search, &r->p->search, diag));
        MN_TRY(begin_stage(r, diag));
        MN_TRY(save_state(r, diag));
        MN_TRY(open_log(r, diag));
    }
    mn_optimizer_get_info(r->search, &info);
    r->n_restart = info.n_restart;
    MN_TRY(mn__run_about_write(r->folder.about, r->p, &info, diag));
done:
    return st;
}

/* ---- a generation ---- */

static mn_status make_room(run *r, size_t n_ask, size_t n_prompt, mn_diag *diag)
{
    if (n_ask > r->n_ask_max) {
        size_t n_number;
        mn__free(r->x);
        mn__free(r->loss);
        mn__free(r->kept);
        r->x = r->loss = r->kept = NULL;
        r->n_ask_max = n_ask;
        if (!mn__mul_size(n_ask, r->p->search.n, &n_number)) n_number = SIZE_MAX;
        r->x = mn__alloc_array(MN_MEM_OPT, n_number, sizeof *r->x);
        r->loss = mn__alloc_array(MN_MEM_OPT, n_ask, sizeof *r->loss);
        r->kept = mn__alloc_array(MN_MEM_OPT, n_ask, sizeof *r->kept);
    }
    if (n_prompt > r->n_prompt_max) {
        mn__free(r->item);
        r->n_prompt_max = n_prompt;
        r->item = mn__alloc_array(MN_MEM_OPT, n_prompt, sizeof *r->item);
    }
    if (r->x && r->loss && r->kept && r->item) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory for %zu candidates", n_ask);
}

/* Prompts of this generation: more where the search asks for effort. */
static size_t count_prompts(const run *r, const mn_optimizer_info *info)
{
    size_t most = (size_t)(r->asker.rater.n_item - r->p->n_held_out);
    double wanted = ceil((double)r->p->n_prompt * info->effort);
    return wanted < (double)most ? (size_t)wanted : most;
}

static void draw_prompts(run *r, const mn_optimizer_info *info, uint32_t purpose, size_t n)
{
    const mn__sample_name name = {r->p->search.seed, info->generation, purpose};
    mn__sample_draw(&name, r->asker.rater.n_item - r->p->n_held_out, n, r->item);
    mn__sample_around(r->held_out, r->p->n_held_out, r->item, n);
}

/* Candidates that are rated twice meet other prompts the second time, which is what the noise is
 * made of. How much harder those are for all is no noise: it is taken off. */
static mn_status rate_again(run *r, const mn_optimizer_info *info, size_t n_prompt, mn_diag *diag)
{
    mn_status st;
    size_t n = info->n_ask - info->population, n_left, n_pair = 0;
    double *first = r->loss, *second = r->loss + info->population, shift = 0;
    draw_prompts(r, info, MN__RNG_PROMPT_AGAIN, n_prompt);
    const mn__question q = {r->item, n_prompt, r->x + info->population * info->n, n};
    MN_TRY(mn__asker_rate(&r->asker, &q, second, r->kept + info->population, &n_left, diag));
    for (size_t i = 0; i < n; i++) {
        double harder = second[i] - first[i];
        if (!isfinite(harder)) continue;
        shift += harder;
        n_pair++;
    }
    for (size_t i = 0; i < n && n_pair; i++) {
        const double taken = second[i] - shift / (double)n_pair;
        /* What differs by the rounding of this alone is equal. */
        second[i] =
            fabs(taken - first[i]) <= 1e-12 * (fabs(second[i]) + fabs(first[i])) ? first[i] : taken;
    }
done:
    return st;
}

static mn_status rate_all(run *r, const mn_optimizer_info *info, mn__draft *prompts,
                          mn__log_generation *row, mn_diag *diag)
{
    mn_status st;
    size_t n_prompt = row->n_prompt = count_prompts(r, info);
    MN_TRY(make_room(r, info->n_ask, n_prompt, diag));
    for (size_t i = 0; i < info->n_ask; i++) mn_optimizer_ask(r->search, i, r->x + i * info->n);
    draw_prompts(r, info, MN__RNG_PROMPT, n_prompt);
    for (size_t i = 0; i < n_prompt; i++)
        mn__draft_fmt(prompts, "%s%llu", i ? "," : "[", (unsigned long long)r->item[i]);
    mn__draft_str(prompts, "]");
    if (prompts->failed) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu prompts", n_prompt));
    row->prompts = mn__draft_text(prompts);
    const mn__question q = {r->item, n_prompt, r->x, info->population};
    MN_TRY(mn__asker_rate(&r->asker, &q, r->loss, r->kept, &row->n_left, diag));
    if (info->n_ask > info->population) MN_TRY(rate_again(r, info, n_prompt, diag));
done:
    return st;
}

/* Figures of the candidates, repeats apart. room [population] */
static void describe(const run *r, const mn_optimizer_info *info, double *room,
                     mn__log_generation *row)
{
    size_t n = 0, n_kept = 0;
    double sum = 0, kept = 0;
    for (size_t i = 0; i < info->population; i++) {
        if (!isnan(r->kept[i])) {
            kept += r->kept[i];
            n_kept++;
        }
        if (isnan(r->loss[i])) continue;
        sum += r->loss[i];
        room[n++] = r->loss[i];
    }
    mn__sort(room, n);
    row->n_candidate = info->population;
    row->n_failed = info->population - n;
    row->best = n ? room[0] : NAN;
    row->median = mn__median(room, n);
    row->mean = n ? sum / (double)n : NAN;
    row->kept_share = n_kept ? kept / (double)n_kept : NAN;
    row->sigma = info->sigma;
    row->axis_ratio = info->axis_ratio;
    if (!r->p->keeps_candidates) return;
    row->loss = r->loss;
    row->kept = r->kept;
}

/* Behind the tell: the mean, when it is its turn, when a search or the stage is over. */
static mn_status after_tell(run *r, mn__log_generation *row, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_evolve_best found;
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    bool is_best = false, is_over = why_over(r) != NULL;
    uint64_t every = r->p->validate_every;
    row->held_out = row->held_out_kept = NAN;
    if (every &&
        (is_over || info.n_restart > r->n_restart || r->at.stage_generation % every == 0)) {
        MN_TRY(validate(r, &found, &is_best, diag));
        row->held_out = found.loss;
        row->held_out_kept = found.kept_share;
        is_over = why_over(r) != NULL; /* the goal */
    }
    if (is_over && !r->at.has_best) {
        MN_TRY(keep_last(r, diag));
        is_best = true;
    }
    row->is_saved = is_best;
    r->n_restart = info.n_restart;
done:
    return st;
}

/* What a stage begins with enters the log with its first generation. */
static mn_status start_stage(run *r, mn__log_stage *stage, char **tasks, mn_diag *diag)
{
    mn_evolve_best found = {.loss = NAN, .kept_share = NAN};
    bool is_best;
    mn_status st = MN_OK;
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    *tasks = mn__stage_tasks(r->p->stage, r->at.stage);
    if (!*tasks) return mn__fail(diag, MN_ENOMEM, "no memory for a stage");
    if (r->p->validate_every) st = validate(r, &found, &is_best, diag);
    *stage = (mn__log_stage){.stage = r->at.stage,
                             .tasks = *tasks,
                             .fidelity = r->p->stage[r->at.stage].fidelity,
                             .generation = info.generation,
                             .n_item = r->asker.rater.n_item,
                             .held_out = found.loss,
                             .held_out_kept = found.kept_share};
    return st;
}

/* ---- what is told of it ---- */

static double seconds_left(const run *r)
{
    const mn_evolve_params *p = r->p;
    double each = r->spent / (double)r->n_new, left = 0;
    for (size_t i = r->at.stage; i < p->n_stage; i++) {
        uint64_t done = i == r->at.stage ? r->at.stage_generation : 0;
        if (!p->stage[i].generations) left = NAN;
        left += each * (double)(p->stage[i].generations - done);
    }
    if (!(p->max_seconds > 0)) return left;
    return fmin(left, fmax(0, p->max_seconds - (mn__clock_s() - r->t0)));
}

static void tell_line(const run *r, const mn__log_generation *row)
{
    uint64_t n_generation = 0;
    bool is_limited = true;
    if (!r->p->line) return;
    for (size_t i = 0; i < r->p->n_stage; i++) {
        n_generation += r->p->stage[i].generations;
        is_limited &= r->p->stage[i].generations != 0;
    }
    const mn_evolve_line line = {.generation = row->generation,
                                 .n_generation = is_limited ? n_generation : 0,
                                 .stage = r->at.stage,
                                 .n_stage = r->p->n_stage,
                                 .fidelity = r->p->stage[r->at.stage].fidelity,
                                 .best = row->best,
                                 .mean = row->mean,
                                 .sigma = row->sigma,
                                 .kept_share = row->kept_share,
                                 .held_out = row->held_out,
                                 .seconds = row->seconds,
                                 .seconds_left = seconds_left(r),
                                 .n_prompt = row->n_prompt,
                                 .n_left = row->n_left,
                                 .n_failed = row->n_failed};
    r->p->line(r->p->ctx, &line);
}

/* ---- the loop ---- */

static mn_status one_generation(run *r, mn_diag *diag)
{
    mn_status st;
    mn__draft prompts = {0};
    mn__log_stage stage;
    char *tasks = NULL;
    mn_optimizer_info info;
    double t0 = mn__clock_s();
    bool is_first = r->at.stage_generation == 0;
    mn_optimizer_get_info(r->search, &info);
    mn__log_generation row = {.generation = info.generation, .stage = r->at.stage};
    double *room = mn__alloc_array(MN_MEM_OPT, info.population, sizeof *room);
    if (!room) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a generation"));
    if (is_first) MN_TRY(start_stage(r, &stage, &tasks, diag));
    MN_TRY(rate_all(r, &info, &prompts, &row, diag));
    describe(r, &info, room, &row);
    MN_TRY(mn_optimizer_tell(r->search, r->loss, diag));
    r->at.stage_generation++;
    MN_TRY(after_tell(r, &row, diag));
    mn_optimizer_get_info(r->search, &info);
    row.evaluations = info.evaluations;
    row.seconds = mn__clock_s() - t0;
    MN_TRY(mn__run_log_add(r->log, &row, is_first ? &stage : NULL, diag));
    MN_TRY(save_state(r, diag));
    r->n_new++;
    r->spent += mn__clock_s() - t0;
    tell_line(r, &row);
done:
    mn__draft_free(&prompts);
    mn__free(room);
    mn__free(tasks);
    return st;
}

static mn_status cancelled(const run *r, mn_diag *diag)
{
    mn_optimizer_info info;
    mn_optimizer_get_info(r->search, &info);
    return mn__fail(diag, MN_ECANCEL, "interrupted; %s goes on at generation %llu", r->p->dir,
                    (unsigned long long)info.generation);
}

/* Until the run is over, for *end. */
static mn_status go_on(run *r, const char **end, mn_diag *diag)
{
    mn_status st;
    for (;;) {
        if ((*end = why_over(r)) != NULL) {
            if (is_last(r)) break;
            r->at = (mn__run_place){.stage = r->at.stage + 1};
            MN_TRY(begin_stage(r, diag));
        }
        if (r->p->stop && r->p->stop(r->p->ctx)) MN_TRY(cancelled(r, diag));
        if (r->p->max_seconds > 0 && mn__clock_s() - r->t0 >= r->p->max_seconds) {
            *end = "time used up";
            return r->at.has_best ? MN_OK : keep_last(r, diag);
        }
        st = one_generation(r, diag);
        if (st == MN_ECANCEL)
            return mn__fail(diag, MN_ECANCEL,
                            "interrupted; the generation that "
                            "%s was in is made again when it goes on",
                            r->p->dir);
        if (st != MN_OK) break;
    }
done:
    return st;
}

static void run_fini(run *r)
{
    mn__asker_fini(&r->asker);
    mn__run_log_close(r->log);
    mn__run_folder_close(&r->folder);
    mn_optimizer_free(r->search);
    mn__free(r->held_out);
    mn__free(r->x);
    mn__free(r->loss);
    mn__free(r->kept);
    mn__free(r->item);
    mn__free(r);
}

static mn_status lead(run *r, mn_evolve_result *out, mn_diag *diag)
{
    mn_status st;
    const char *end = "";
    r->held_out = mn__alloc_array(MN_MEM_OPT, r->p->n_held_out, sizeof *r->held_out);
    if (!r->held_out) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for prompts held out"));
    MN_TRY(open_run(r, diag));
    MN_TRY(go_on(r, &end, diag));
    MN_TRY(mn__asker_end(&r->asker, diag));
    *out = (mn_evolve_result){.search = r->search,
                              .best = r->at.best,
                              .stage = r->at.stage,
                              .n_new = r->n_new,
                              .end = end};
    if (!r->at.has_best) out->best = last_mean(r);
    r->search = NULL;
done:
    return st;
}

mn_status mn__evolution_run(const mn__rater_maker *maker, const mn_evolve_params *p,
                            mn_evolve_result *out, mn_diag *diag)
{
    *out = (mn_evolve_result){.best = {.loss = NAN, .kept_share = NAN}, .end = ""};
    mn_status st = check(p, diag);
    if (st != MN_OK) return st;
    run *r = mn__alloc_zero(MN_MEM_OPT, sizeof *r);
    if (!r) return mn__fail(diag, MN_ENOMEM, "no memory for a run");
    r->p = p;
    r->folder.fd = -1;
    r->t0 = mn__clock_s();
    mn__asker_init(&r->asker, p, maker);
    st = p->ranks.rank ? mn__asker_follow(&r->asker, diag) : lead(r, out, diag);
    run_fini(r);
    return st;
}
