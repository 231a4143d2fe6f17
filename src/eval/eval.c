/* eval.c: what the user asks for becomes cases, tasks and a run. */
#include "mneme/eval.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/draft.h"
#include "eval/metric.h"
#include "eval/runner.h"
#include "eval/shards.h"
#include "mneme/policy.h"
#include "model/model.h"
#include "policy/evict.h"

enum { MAX_CASE = 1024, MADE_ROWS = 20 };

static const char RECENCY[] = "streaming:sinks=0,chunk=0";

typedef struct words { /* pieces of a list, in one copy of it */
    char *text, **at;
    size_t n;
} words;

typedef struct job {
    const mn_eval_params *u;
    const mn_model *m;
    mn__runner_params p;
    mn__case *cases; /* [MAX_CASE] */
    size_t n_joined; /* of them, the first: those that nobody asked for */
    words policies, budgets;
    char **pinned, **named; /* [policies.n]; NULL: as written */
    mn__task_ref *task;
    mn__own_task own;
    mn__draft options;
    mn__shards shards;
    mn__runner *runner;
    char created[32], model_hash[17], machine[160];
} job;

void mn_eval_params_default(mn_eval_params *p)
{
    *p = (mn_eval_params){.policies = "full",
                          .budgets = "50%,25%,12.5%",
                          .max_gold = 64,
                          .n_worker = 1,
                          .n_rank = 1,
                          .model = "",
                          .commit = ""};
    mn_session_params_default(&p->session);
}

/* ---- what there is ---- */

bool mn_eval_get_task(size_t i, mn_eval_task *out)
{
    size_t n;
    const mn__task_set *const *set = mn__task_list(&n);
    for (size_t k = 0; k < n; i -= set[k++]->n_task) {
        if (i >= set[k]->n_task) continue;
        const mn__task *t = &set[k]->task[i];
        *out = (mn_eval_task){.name = t->name,
                              .set = set[k]->name,
                              .family = mn__family_name(t->family),
                              .metric = t->metric,
                              .about = set[k]->about,
                              .source = set[k]->source,
                              .is_made = t->maker != NULL};
        return true;
    }
    return false;
}

bool mn_eval_get_metric(size_t i, mn_eval_metric *out)
{
    if (i >= mn__metric_count()) return false;
    const mn__metric_info *m = mn__metric_at(i);
    *out = (mn_eval_metric){.name = m->name, .meaning = m->meaning, .source = m->source};
    return true;
}

/* ---- lists ---- */

/* A list of budgets is split like one of policies: no piece has a `=`. */
static mn_status split(words *out, const char *list, mn_diag *diag)
{
    out->text = mn__strdup(list);
    out->at = mn__alloc_array(MN_MEM_OTHER, strlen(list) + 1, sizeof *out->at);
    if (!out->text || !out->at) return mn__fail(diag, MN_ENOMEM, "no memory for a list");
    for (char *p = out->text; *p;) {
        const size_t length = mn_policy_first(p);
        const char end = p[length];
        p[length] = '\0';
        if (length) out->at[out->n++] = p;
        p += length + (end == ',');
    }
    return MN_OK;
}

static void words_free(words *w)
{
    mn__free(w->text);
    mn__free(w->at);
}

/* name: in records; NULL: as it is asked for. */
static mn_status add_case(job *j, const char *policy, const char *name, const char *budget,
                          mn_diag *diag)
{
    bool bare = !strcmp(policy, "empty");
    if (bare || !strcmp(policy, "full")) budget = "";
    if (bare) policy = "full";
    if (!name) name = policy;
    for (size_t i = 0; i < j->p.n_case; i++)
        if (!strcmp(j->cases[i].name, name) && !strcmp(j->cases[i].budget, budget) &&
            j->cases[i].no_context == bare)
            return MN_OK;
    if (j->p.n_case == MAX_CASE)
        return mn__fail(diag, MN_EUSAGE, "at most %d combinations of policy and budget", MAX_CASE);
    j->cases[j->p.n_case++] =
        (mn__case){.policy = policy, .name = name, .budget = budget, .no_context = bare};
    return MN_OK;
}

/* The @ of `SPEC@SIZE`; NULL: there is none. A file's path may have one too. */
static char *find_budget(char *policy)
{
    char *at = strrchr(policy, '@');
    return at && !strchr(at, '/') ? at : NULL;
}

/* `snapkv@25%` has a budget of its own. A run may take days: a file that changes meanwhile must not
 * go on under the name of what it was, so the policy is asked for with its hash. */
static mn_status add_policy(job *j, size_t i, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__budget budget;
    char *policy = j->policies.at[i], *at = find_budget(policy);
    const char *own = at ? at + 1 : NULL, *name = NULL;
    if (at) *at = '\0';
    if (strcmp(policy, "empty")) {
        MN_TRY(mn__policy_pin(&j->pinned[i], policy, false, diag));
        MN_TRY(mn__policy_pin(&j->named[i], policy, true, diag));
        policy = j->pinned[i];
        name = j->named[i];
    }
    if (own) MN_TRY(mn__budget_parse(own, &budget, diag)); /* also of full, which has none */
    if (own) return add_case(j, policy, name, own, diag);
    for (size_t k = 0; k < j->budgets.n; k++)
        MN_TRY(add_case(j, policy, name, j->budgets.at[k], diag));
done:
    return st;
}

/* Where attention keeps no keys and values there is nothing to compare. */
static mn_status add_baselines(job *j, const char *budget, mn_diag *diag)
{
    if (mn__model_state_bytes(j->m, 1)) return MN_OK;
    mn_status st = add_case(j, RECENCY, NULL, budget, diag);
    return st == MN_OK ? add_case(j, "random", NULL, budget, diag) : st;
}

/* Both ends of the scale, and the two rules that know nothing at every budget. */
static mn_status join_cases(job *j, mn_diag *diag)
{
    mn_status st;
    MN_TRY(add_case(j, "full", NULL, "", diag));
    MN_TRY(add_case(j, "empty", NULL, "", diag));
    for (size_t i = 0; i < j->budgets.n; i++) MN_TRY(add_baselines(j, j->budgets.at[i], diag));
    for (size_t i = 0; i < j->policies.n; i++) {
        const char *own = find_budget(j->policies.at[i]);
        if (own) MN_TRY(add_baselines(j, own + 1, diag));
    }
done:
    return st;
}

static mn_status list_cases(job *j, mn_diag *diag)
{
    mn_status st;
    j->cases = mn__alloc_array(MN_MEM_OTHER, MAX_CASE, sizeof *j->cases);
    if (!j->cases) return mn__fail(diag, MN_ENOMEM, "no memory for policies");
    MN_TRY(split(&j->policies, j->u->policies, diag));
    MN_TRY(split(&j->budgets, j->u->budgets, diag));
    if (!j->budgets.n) MN_TRY(mn__fail(diag, MN_EUSAGE, "a budget wanted, as 25%%"));
    j->pinned = mn__alloc_zero(MN_MEM_OTHER, j->policies.n * sizeof *j->pinned);
    j->named = mn__alloc_zero(MN_MEM_OTHER, j->policies.n * sizeof *j->named);
    if (!j->pinned || !j->named) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for policies"));
    if (!j->u->alone) MN_TRY(join_cases(j, diag));
    j->n_joined = j->p.n_case;
    for (size_t i = 0; i < j->policies.n; i++) MN_TRY(add_policy(j, i, diag));
    j->p.cases = j->cases;
done:
    return st;
}

/* Those that always join may be what a budget is too small for: the sentence names them. */
static mn_status check_cases(const job *j, mn_diag *diag)
{
    for (size_t k = 0; k < j->p.n_case; k++) {
        size_t i = (k + j->n_joined) % j->p.n_case;
        const mn__case *c = &j->cases[i];
        mn_status st = mn__case_check(j->m, &j->p.session, c, diag);
        if (st == MN_OK) continue;
        mn__diag_prefix(diag, "%s@%s%s", c->name, c->budget,
                        i < j->n_joined ? ", which is always among them" : "");
        return st;
    }
    return MN_OK;
}

/* ---- tasks ---- */

static mn_status own_task(job *j, mn_diag *diag)
{
    const mn_eval_params *u = j->u;
    if (u->tasks) return mn__fail(diag, MN_EUSAGE, "named tasks and a file of rows are two runs");
    if (!u->metric) return mn__fail(diag, MN_EUSAGE, "rows of your own want a metric, as qa_f1");
    mn__own_task_init(&j->own, u->task_file, u->metric, u->prompt, u->max_new);
    j->task = mn__alloc_zero(MN_MEM_OTHER, sizeof *j->task);
    if (!j->task) return mn__fail(diag, MN_ENOMEM, "no memory for a task");
    j->task->task = &j->own.task;
    j->p.deck.n_task = 1;
    return MN_OK;
}

static mn_status find_tasks(job *j, mn_diag *diag)
{
    mn_status st;
    const mn_eval_params *u = j->u;
    mn__deck_params *deck = &j->p.deck;
    deck->limit = u->limit;
    deck->length = u->length;
    deck->n_length = u->n_length;
    deck->split = u->split;
    deck->note = u->rank == 0 ? u->note : NULL;
    deck->ctx = u->ctx;
    deck->source = (mn__source_params){.data = u->data,
                                       .own = u->task_file,
                                       .text = u->haystack,
                                       .rows = {.skip_bad = u->skip_bad},
                                       .seed = u->session.seed,
                                       .n_made = MADE_ROWS,
                                       .n_depth = u->n_depth};
    if (u->task_file)
        st = own_task(j, diag);
    else if (u->tasks)
        st = mn__task_find(&j->task, &deck->n_task, u->tasks, diag);
    else
        st = mn__fail(diag, MN_EUSAGE, "tasks, or a file of rows, wanted");
    deck->task = j->task;
    return st;
}

/* ---- what a result depends on ---- */

static void hash_model(job *j)
{
    uint64_t h = j->m->hash;
    for (size_t i = 0; i < mn__gguf_n_tensor(j->m->file); i++) {
        const mn__gguf_tensor *t = mn__gguf_get_tensor(j->m->file, i);
        h = mn__hash64(t->data, t->n_bytes, h);
    }
    snprintf(j->model_hash, sizeof j->model_hash, "%016llx", (unsigned long long)h);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* 0: nothing rotates. */
static double rope_frequency(const mn__rope *r, size_t i)
{
    return r->n_rot ? r->freq[i] : 0;
}

static mn_status write_options(job *j, mn_diag *diag)
{
    const mn_eval_params *u = j->u;
    mn_model_info info;
    mn_model_get_info(j->m, &info);
    json_t *doc = json_pack(
        "{s:s,s:s,s:I,s:i,s:i,s:I,s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:f}", "cpu", info.cpu,
        "product", j->m->reads_by_dots ? "bytes" : "wide", "chunk", (json_int_t)u->session.chunk,
        "kv_type", (int)u->session.kv_type, "positions", (int)u->session.positions, "max_new",
        (json_int_t)u->max_new, "gold_tokens", (json_int_t)u->max_gold, "needle_depths",
        (json_int_t)u->n_depth, "chat_template", or_empty(u->chat_template), "task_file",
        or_empty(u->task_file), "prompt", u->task_file ? j->own.task.prompt : "", "metric",
        u->task_file ? j->own.task.metric : "", "dictionary", or_empty(u->dictionary), "haystack",
        or_empty(u->haystack), "rope_first", rope_frequency(&j->m->rope, 0), "rope_last",
        rope_frequency(&j->m->rope, j->m->rope.n_rot / 2 - 1));
    if (doc && u->alone) json_object_set_new(doc, "alone", json_true());
    mn_status st = mn__draft_json(&j->options, doc)
                       ? MN_OK
                       : mn__fail(diag, MN_ENOMEM, "no memory for the run's description");
    json_decref(doc);
    return st;
}

static mn_status describe_run(job *j, mn_diag *diag)
{
    const mn_eval_params *u = j->u;
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(j->created, sizeof j->created, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(j->machine, sizeof j->machine, "%s, %d threads", mn__cpu_model(), mn__cpu_count());
    hash_model(j);
    mn_status st = write_options(j, diag);
    j->p.run = (mn__store_run){.created = j->created,
                               .version = mn_version(),
                               .git_commit = u->commit,
                               .machine = j->machine,
                               .model = u->model,
                               .model_hash = j->model_hash,
                               .chat_template = j->p.chat ? "chat" : "raw",
                               .evict = u->evict_context ? "context" : "prompt",
                               .options = mn__draft_text(&j->options),
                               .seed = u->session.seed,
                               .n_ctx = (uint32_t)j->p.session.n_ctx};
    /* A cut prompt may come out a few tokens longer. */
    j->p.session.n_ctx += j->p.max_gold + 64;
    return st;
}

static mn_status copy_settings(job *j, mn_diag *diag)
{
    const mn_eval_params *u = j->u;
    mn__runner_params *p = &j->p;
    size_t threads =
        u->session.n_thread > 0 ? (size_t)u->session.n_thread : (size_t)mn__cpu_count();
    if (!u->n_worker || u->n_worker > threads)
        return mn__fail(diag, MN_EUSAGE, "prompts at once: 1 to %zu (threads) wanted, %zu given",
                        threads, u->n_worker);
    if (!u->max_gold || u->max_gold > 1 << 20)
        return mn__fail(diag, MN_EUSAGE, "tokens of the gold answer: 1 to 2^20 wanted");
    p->model = j->m;
    p->session = u->session;
    p->session.n_thread = (int)(threads / u->n_worker);
    if (!p->session.n_ctx) p->session.n_ctx = j->m->n_ctx_train;
    p->metric_dictionary = u->dictionary;
    p->chat = u->chat || u->chat_template;
    p->chat_template = u->chat_template;
    p->evict_context = u->evict_context;
    p->alone = u->alone;
    p->max_new = u->max_new;
    p->max_gold = u->max_gold;
    p->n_side = u->n_side;
    p->n_worker = u->n_worker;
    p->claim = u->n_rank > 1 ? u->claim : NULL;
    p->progress = u->progress;
    p->note = u->note;
    p->stop = u->stop;
    p->ctx = u->ctx;
    return MN_OK;
}

/* ---- the run ---- */

static void note(const job *j, const char *sentence)
{
    if (*sentence && j->u->note) j->u->note(sentence, j->u->ctx);
}

static mn_status meet(const job *j, mn_status st, mn_diag *diag)
{
    if (j->u->n_rank == 1) return st;
    mn_status all = j->u->meet(st, j->u->ctx);
    if (st == MN_OK && all != MN_OK)
        return mn__fail(diag, all, "%s",
                        all == MN_ECANCEL ? "interrupted" : "another rank has failed");
    return all;
}

static void tell_bad(const job *j)
{
    char text[sizeof(mn_diag) + 64];
    const mn__deck *deck = mn__runner_deck(j->runner);
    if (!mn__deck_n_bad(deck) || j->u->rank != 0) return;
    snprintf(text, sizeof text, "%llu malformed lines left out, the first is %s",
             (unsigned long long)mn__deck_n_bad(deck), mn__deck_first_bad(deck));
    note(j, text);
}

/* All that can be wrong with what was asked for: nothing is made before it has been looked at. */
static mn_status set_up(job *j, mn_diag *diag)
{
    mn_status st;
    const mn_eval_params *u = j->u;
    if (u->n_rank > MN__SHARD_MAX_RANK || u->rank < 0 || u->rank >= u->n_rank)
        return mn__fail(diag, MN_EUSAGE, "rank %d of %d", u->rank, u->n_rank);
    MN_TRY(mn__shards_init(&j->shards, u->dir, u->rank, diag));
    MN_TRY(copy_settings(j, diag));
    MN_TRY(list_cases(j, diag));
    MN_TRY(check_cases(j, diag));
    MN_TRY(find_tasks(j, diag));
    MN_TRY(describe_run(j, diag));
    MN_TRY(mn__runner_open(&j->runner, &j->p, diag));
    tell_bad(j);
done:
    return st;
}

static mn_status begin_store(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    char conflict[512] = "";
    if (j->u->rank == 0) st = mn__shards_gather(&j->shards, conflict, diag);
    note(j, conflict);
    MN_TRY(meet(j, st, diag));
    if (j->u->rank != 0) st = mn__shards_begin(&j->shards, diag);
    MN_TRY(meet(j, st, diag)); /* nobody writes before all have looked */
done:
    return st;
}

static mn_status end_store(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    char conflict[512] = "";
    if (j->u->n_rank > 1 && j->u->rank == 0) st = mn__shards_gather(&j->shards, conflict, diag);
    note(j, conflict);
    return meet(j, st, diag);
}

static void drop(job *j)
{
    mn__runner_close(j->runner);
    mn__draft_free(&j->options);
    mn__free(j->task);
    mn__free(j->cases);
    for (size_t i = 0; i < j->policies.n; i++) {
        if (j->pinned) mn__free(j->pinned[i]);
        if (j->named) mn__free(j->named[i]);
    }
    mn__free(j->pinned);
    mn__free(j->named);
    words_free(&j->policies);
    words_free(&j->budgets);
}

mn_status mn_eval_run(const mn_model *model, const mn_eval_params *params, mn_eval_result *out,
                      mn_diag *diag)
{
    mn_status st;
    mn__runner_result r;
    job j = {.u = params, .m = model};
    *out = (mn_eval_result){0};
    MN_TRY(meet(&j, set_up(&j, diag), diag));
    MN_TRY(begin_store(&j, diag));
    st = mn__runner_run(j.runner, j.shards.own, &r, diag);
    *out = (mn_eval_result){.n_prompt = r.n_prompt,
                            .n_record = r.n_record,
                            .n_there = r.n_there,
                            .n_seen = r.n_seen,
                            .n_cut = r.n_cut,
                            .n_bad = mn__deck_n_bad(mn__runner_deck(j.runner)),
                            .n_skipped = r.n_skipped};
    snprintf(out->left_out, sizeof out->left_out, "%s", r.left_out);
    MN_TRY(meet(&j, st, diag));
    MN_TRY(end_store(&j, diag));
done:
    drop(&j);
    return st;
}
