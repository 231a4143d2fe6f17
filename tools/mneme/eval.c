/* eval.c: policies over benchmarks: options in, progress and a table out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "build_info.h"
#include "eval_show.h"
#include "find_namm.h"
#include "mneme/eval.h"
#include "ranks.h"
#include "ui.h"
#include "verbs.h"

enum { MAX_LENGTH = 64 };

typedef struct job {
    const args *a;
    ranks ranks;
    mn_model *m;
    mn_eval_params p;
    mn_eval_result result;
    size_t length[MAX_LENGTH];
    char *policies;
    progress bar;
} job;

/* ---- options ---- */

static mn_status read_lengths(job *j, mn_diag *diag)
{
    args_list list = {.at = j->length, .cap = MAX_LENGTH};
    mn_status st = args_sizes(j->a, OPT_LENGTHS, 64, (size_t)1 << 27, &list, diag);
    j->p.length = j->length;
    j->p.n_length = list.n;
    return st;
}

static mn_status read_names(job *j, mn_diag *diag)
{
    const args *a = j->a;
    const char *data = args_has(a, OPT_DATA) ? a->value[OPT_DATA] : getenv("MNEME_DATA");
    mn_eval_params *p = &j->p;
    p->dir = a->value[OPT_OUT];
    p->tasks = a->value[OPT_TASKS];
    p->task_file = a->value[OPT_TASK_FILE];
    p->metric = a->value[OPT_METRIC];
    p->prompt = a->value[OPT_PROMPT];
    p->haystack = a->value[OPT_HAYSTACK];
    p->chat_template = a->value[OPT_TEMPLATE];
    p->data = data && *data ? data : NULL;
    if (args_has(a, OPT_POLICIES)) p->policies = a->value[OPT_POLICIES];
    if (args_has(a, OPT_BUDGETS)) p->budgets = a->value[OPT_BUDGETS];
    if (!p->dir) return mn__fail(diag, MN_EUSAGE, "--out DIR wanted: where records go");
    if (!p->tasks && !p->task_file)
        return mn__fail(diag, MN_EUSAGE, "--tasks NAME,... wanted; --list names them");
    if (p->task_file && !p->metric)
        return mn__fail(diag, MN_EUSAGE, "--task-file wants --metric; --list names them");
    return MN_OK;
}

static mn_status read_options(job *j, mn_diag *diag)
{
    static const char *const evict[] = {"prompt", "context", NULL},
                             *const form[] = {"raw", "chat", NULL},
                             *const split[] = {"all", "train", "test", NULL};
    const args *a = j->a;
    mn_status st;
    int where, chat, side;
    size_t limit;
    mn_eval_params *p = &j->p;
    mn_eval_params_default(p);
    MN_TRY(read_names(j, diag));
    MN_TRY(read_lengths(j, diag));
    MN_TRY(ui_session_params(a, &p->session, diag));
    MN_TRY(args_choice(a, OPT_EVICT, evict, 0, &where, diag));
    MN_TRY(args_choice(a, OPT_TEMPLATE_FORM, form, 0, &chat, diag));
    MN_TRY(args_choice(a, OPT_SPLIT, split, MN_EVAL_SPLIT_ALL, &side, diag));
    MN_TRY(args_size(a, OPT_LIMIT, 0, 1, 1 << 30, &limit, diag));
    MN_TRY(args_size(a, OPT_NEEDLE_DEPTHS, 0, 2, 1000, &p->n_depth, diag));
    MN_TRY(args_size(a, OPT_TOKENS, 0, 1, 1 << 20, &p->max_new, diag));
    MN_TRY(args_size(a, OPT_GOLD_TOKENS, p->max_gold, 1, 1 << 20, &p->max_gold, diag));
    MN_TRY(args_size(a, OPT_SIDE, 0, 1, 256, &p->n_side, diag));
    MN_TRY(args_size(a, OPT_JOBS, 1, 1, 256, &p->n_worker, diag));
    p->limit = limit;
    p->split = (mn_eval_split)side;
    p->evict_context = where;
    p->alone = args_has(a, OPT_ALONE);
    p->chat = chat;
    p->skip_bad = args_has(a, OPT_SKIP_BAD);
    p->model = args_has(a, OPT_MODEL) ? a->value[OPT_MODEL] : "smollm2";
    p->commit = MN_BUILD_COMMIT;
done:
    return st;
}

/* ---- the run ---- */

static mn_status meet(mn_status st, void *ctx)
{
    return ranks_meet(&((job *)ctx)->ranks, st, ui_interrupted);
}

static uint64_t claim(void *ctx)
{
    return ranks_claim(&((job *)ctx)->ranks);
}

static bool stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static void tick(uint64_t n_done, uint64_t n_total, void *ctx)
{
    job *j = ctx;
    if (j->ranks.rank == 0) progress_tick(n_done, n_total, &j->bar);
}

static void note(const char *sentence, void *ctx)
{
    ui_note(((job *)ctx)->a, "%s", sentence);
}

/* Sums over all ranks, in words. Nothing that could be asked is a failure, on all ranks. */
static mn_status tell(const job *j, mn_diag *diag)
{
    const mn_eval_result *r = &j->result;
    unsigned long long n_prompt = ranks_sum(&j->ranks, r->n_prompt),
                       n_record = ranks_sum(&j->ranks, r->n_record),
                       n_there = ranks_sum(&j->ranks, r->n_there),
                       n_skipped = ranks_sum(&j->ranks, r->n_skipped),
                       n_seen = ranks_sum(&j->ranks, r->n_seen),
                       n_cut = ranks_sum(&j->ranks, r->n_cut);
    if (!n_seen && n_skipped)
        return mn__fail(diag, MN_EINPUT, "all %llu prompts are left out%s%s", n_skipped,
                        *r->left_out ? ": " : "", r->left_out);
    if (j->ranks.rank) return MN_OK;
    if (n_cut)
        ui_note(j->a, "%llu of %llu prompts are longer than the context and lost their middle",
                n_cut, n_seen);
    if (n_skipped) ui_note(j->a, "%llu prompts left out", n_skipped);
    ui_note(j->a, "%llu prompts, %llu records new, %llu there already: %s/results.sqlite", n_prompt,
            n_record, n_there, j->p.dir);
    return MN_OK;
}

static mn_status prepare(job *j, mn_diag *diag)
{
    mn_status st;
    bool tells = j->ranks.rank == 0;
    MN_TRY(read_options(j, diag)); /* mistakes should cost no time */
    MN_TRY(ui_open_model(j->a, false, &j->m, diag));
    MN_TRY(find_namm(j->a, j->m, j->p.policies, &tells, &j->policies, diag));
    j->p.policies = j->policies;
done:
    return st;
}

static mn_status evaluate(job *j, mn_diag *diag)
{
    mn_status st;
    MN_TRY(meet(prepare(j, diag), j));
    j->p.rank = j->ranks.rank;
    j->p.n_rank = j->ranks.n;
    j->p.meet = meet;
    j->p.claim = claim;
    j->p.progress = tick;
    j->p.note = note;
    j->p.stop = stop;
    j->p.ctx = j;
    j->bar = progress_start_logged(j->a, "evaluating");
    j->bar.unit = "prompts";
    st = mn_eval_run(j->m, &j->p, &j->result, diag);
    progress_end(&j->bar);
    if (st != MN_OK) return st;
    MN_TRY(meet(tell(j, diag), j));
    if (j->ranks.rank == 0 && (args_has(j->a, OPT_JSON) || !args_has(j->a, OPT_QUIET)))
        st = eval_show(j->a, j->p.dir, diag);
done:
    return st;
}

/* ---- --list ---- */

static void list_tasks(const args *a, json_t *tasks)
{
    mn_eval_task t;
    const char *set = "";
    for (size_t i = 0; mn_eval_get_task(i, &t); i++) {
        if (args_has(a, OPT_JSON)) {
            json_array_append_new(tasks,
                                  json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "task", t.name, "set",
                                            t.set, "family", t.family, "metric", t.metric, "source",
                                            t.source, "made", t.is_made));
            continue;
        }
        if (strcmp(set, t.set)) printf("%s: %s (%s)\n", t.set, t.about, t.source);
        set = t.set;
        printf("  %-34s %-18s %s%s\n", t.name, t.metric, t.family,
               t.is_made ? ", made at --lengths" : "");
    }
}

static void list_metrics(const args *a, json_t *metrics)
{
    mn_eval_metric m;
    if (!args_has(a, OPT_JSON)) printf("\nMetrics for --task-file:\n");
    for (size_t i = 0; mn_eval_get_metric(i, &m); i++) {
        if (args_has(a, OPT_JSON))
            json_array_append_new(metrics, json_pack("{s:s,s:s,s:s}", "metric", m.name, "meaning",
                                                     m.meaning, "source", m.source));
        else
            printf("  %-18s %s (%s)\n", m.name, m.meaning, m.source);
    }
}

static void list(const args *a)
{
    json_t *tasks = json_array(), *metrics = json_array();
    list_tasks(a, tasks);
    list_metrics(a, metrics);
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack("{s:o,s:o}", "tasks", tasks, "metrics", metrics));
}

mn_status verb_eval(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    if (args_has(a, OPT_LIST)) {
        list(a);
        return MN_OK;
    }
    if (a->n_rest)
        return mn__fail(diag, MN_EUSAGE, "'%s': tasks follow --tasks, records go to --out",
                        a->rest[0]);
    job *j = calloc(1, sizeof *j);
    if (!j) return mn__fail(diag, MN_ENOMEM, "no memory");
    j->a = a;
    st = ranks_begin(&j->ranks, diag);
    if (st == MN_OK) st = evaluate(j, diag);
    if (st != MN_OK && j->ranks.n > 1) {
        bool goes_on = st == MN_ECANCEL || (j->result.n_seen && st != MN_EUSAGE && st != MN_EINPUT);
        ranks_tell_end(&j->ranks, st, goes_on, diag);
    }
    ranks_end(&j->ranks, mn_status_exit_code(st));
    mn_model_free(j->m);
    free(j->policies);
    free(j);
    return st;
}
