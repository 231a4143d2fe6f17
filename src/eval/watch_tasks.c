/* watch_tasks.c: what is forgotten of the texts of evaluation's tasks, as means over each task's:
 * what a policy drops of code and of prose, and which layers keep what. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/ask.h"
#include "eval/deck.h"
#include "eval/report.h"
#include "eval/watch_internal.h"

enum { MADE_TEXTS = 4 };

typedef struct task_sum {
    size_t n_text;
    double n_token;
    mn__watch_layer *layer; /* [n_text][n_full + 1], all lanes last */
} task_sum;

typedef struct job {
    const mn_model *m;
    const mn_eval_params *p;
    mn__deck *deck;
    task_sum *sum; /* [units of the deck] */
    size_t n_full, n_skipped;
    uint64_t n_nan;
    const char *nan_rule;
    uint32_t n_unit;
    char policy[512];
} job;

static mn_status open_deck(job *j, mn__task_ref **task, const mn__tokens *tokens, mn_diag *diag)
{
    mn_status st;
    const mn_eval_params *p = j->p;
    uint64_t limit = p->limit ? p->limit : MADE_TEXTS;
    mn__deck_params d = {.length = p->length,
                         .n_length = p->n_length,
                         .limit = limit,
                         .split = p->split,
                         .source = {.data = p->data,
                                    .text = p->haystack,
                                    .tokens = tokens,
                                    .rows = {.skip_bad = p->skip_bad},
                                    .seed = p->session.seed,
                                    .n_made = limit}};
    MN_TRY(mn__task_find(task, &d.n_task, p->tasks, diag));
    d.task = *task;
    MN_TRY(mn__deck_open(&j->deck, &d, diag));
    j->n_unit = (uint32_t)mn__deck_n_unit(j->deck);
    j->sum = mn__alloc_zero(MN_MEM_OTHER, j->n_unit * sizeof *j->sum);
    if (!j->sum) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %u tasks", j->n_unit));
    for (size_t i = 0; i < j->n_unit; i++) {
        size_t n, most = (size_t)mn__deck_get_unit(j->deck, i)->n_row;
        if (!mn__mul_size(most, j->n_full + 1, &n)) n = SIZE_MAX;
        j->sum[i].layer = mn__alloc_array(MN_MEM_OTHER, n, sizeof *j->sum[i].layer);
        if (!j->sum[i].layer) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu texts", most));
    }
done:
    return st;
}

/* ---- one text ---- */

static mn_status sum_text(job *j, const mn_watch *w, task_sum *sum, mn_diag *diag)
{
    mn__watch_text text;
    mn_session_info si;
    mn__watch_layer *out = sum->layer + sum->n_text * (j->n_full + 1);
    mn_status st = mn__watch_text_make(&text, j->m, w->token, w->n_token, diag);
    if (st != MN_OK) return st;
    st = mn__watch_sum(w, &text, out, out + j->n_full, diag);
    mn__watch_text_free(&text);
    if (st != MN_OK) return st;
    sum->n_text++;
    sum->n_token += (double)w->n_token;
    mn_session_get_info(w->s, &si);
    snprintf(j->policy, sizeof j->policy, "%s", si.policy);
    j->n_nan += si.n_nan_scores;
    j->nan_rule = si.nan_rule;
    return MN_OK;
}

static mn_status read_text(job *j, const mn__reading *r, task_sum *sum, mn_diag *diag)
{
    mn_status st;
    mn_watch *w = NULL;
    mn_watch_params wp;
    mn_watch_params_default(&wp);
    wp.session = j->p->session;
    wp.max_token = r->n;
    wp.no_attention = true;
    MN_TRY(mn_watch_new(&w, j->m, &wp, diag));
    MN_TRY(mn_watch_read(w, r->token, r->n, NULL, NULL, NULL, diag));
    MN_TRY(sum_text(j, w, sum, diag));
done:
    mn_watch_free(w);
    return st;
}

static mn_status take(job *j, uint64_t i, mn_diag *diag)
{
    mn_status st;
    mn__row row = {0};
    mn__ask ask = {0};
    bool found = false;
    mn_model_info info;
    size_t unit = mn__deck_get_item(j->deck, i).unit;
    mn_model_get_info(j->m, &info);
    const mn__ask_params ap = {.model = j->m,
                               .chat = j->p->chat,
                               .template = j->p->chat_template,
                               .n_ctx =
                                   j->p->session.n_ctx ? j->p->session.n_ctx : info.n_ctx_train,
                               .max_gold = j->p->max_gold};
    MN_TRY(mn__deck_get_row(j->deck, i, &row, &found, diag));
    if (!found) goto done;
    MN_TRY(mn__ask_make(&ask, mn__deck_get_unit(j->deck, unit)->ref.task, &row, &ap, diag));
    MN_TRY(read_text(j, &ask.reading[ask.gold_reading], &j->sum[unit], diag));
done:
    mn__ask_free(&ask);
    mn__row_free(&row);
    return st;
}

static void note(const job *j, const char *sentence)
{
    if (j->p->note) j->p->note(sentence, j->p->ctx);
}

static void tell_nan(const job *j)
{
    char text[sizeof j->policy + 128];
    if (!j->n_nan) return;
    snprintf(text, sizeof text, "warning: %llu scores of policy %s were no numbers: %s",
             (unsigned long long)j->n_nan, j->policy, j->nan_rule);
    note(j, text);
}

/* A text that does not fit is told of and left out. */
static mn_status take_all(job *j, mn_diag *diag)
{
    const mn_eval_params *p = j->p;
    uint64_t n = mn__deck_n_item(j->deck);
    for (uint64_t i = 0; i < n; i++) {
        if (p->stop && p->stop(p->ctx)) return mn__fail(diag, MN_ECANCEL, "interrupted");
        mn_diag why = {""};
        mn_status st = take(j, i, &why);
        if (st == MN_ERANGE) {
            j->n_skipped++;
            mn__diag_prefix(&why, "left out");
            note(j, why.text);
        } else if (st != MN_OK) {
            return mn__fail(diag, st, "%s", why.text);
        }
        if (p->progress) p->progress(i + 1, n, p->ctx);
    }
    tell_nan(j);
    return MN_OK;
}

/* ---- the document ---- */

static json_t *task_json(const job *j, size_t i)
{
    const mn__deck_unit *u = mn__deck_get_unit(j->deck, i);
    const task_sum *s = &j->sum[i];
    mn__watch_layer mean;
    json_t *layers = json_array();
    for (size_t l = 0; l <= j->n_full; l++) {
        mn__watch_mean(s->layer + l, s->n_text, j->n_full + 1, &mean);
        json_t *x = mn__watch_figures_json(&mean);
        if (l == j->n_full) { /* all lanes together */
            double n = s->n_text ? s->n_token / (double)s->n_text : 0;
            return json_pack("{s:s,s:s,s:I,s:I,s:f,s:o,s:o,s:o}", "task", u->ref.task->name,
                             "family", mn__family_name(u->ref.task->family), "length",
                             (json_int_t)u->length, "texts", (json_int_t)s->n_text, "tokens", n,
                             "kept_share", s->n_text ? json_real(mean.share) : json_null(),
                             "layers", layers, "all", x);
        }
        json_object_set_new(x, "layer", json_integer((json_int_t)mean.layer));
        json_array_append_new(layers, x);
    }
    return NULL;
}

static json_t *document(const job *j)
{
    json_t *tasks = json_array();
    for (size_t i = 0; i < j->n_unit; i++) json_array_append_new(tasks, task_json(j, i));
    return json_pack("{s:i,s:o,s:o,s:s,s:I,s:I,s:o}", "version", 1, "model",
                     mn__report_text(j->p->model, 0), "policy", mn__report_text(j->policy, 0),
                     "budget", j->p->session.budget ? j->p->session.budget : "", "texts_left_out",
                     (json_int_t)j->n_skipped, "nan_scores", (json_int_t)j->n_nan, "tasks", tasks);
}

mn_status mn_watch_tasks_json(const mn_model *m, const mn_eval_params *params,
                              void (*put)(const char *text, size_t n, void *ctx), void *ctx,
                              mn_diag *diag)
{
    mn_status st;
    mn_model_info info;
    mn__task_ref *task = NULL;
    mn__tokens tokens = mn__model_tokens(m);
    json_t *doc = NULL;
    job j = {.m = m, .p = params};
    if (!params->tasks) return mn__fail(diag, MN_EUSAGE, "tasks wanted");
    mn_model_get_info(m, &info);
    for (size_t l = 0; l < info.n_layer; l++) j.n_full += !info.window[l];
    MN_TRY(open_deck(&j, &task, &tokens, diag));
    MN_TRY(take_all(&j, diag));
    doc = document(&j);
    MN_TRY(mn__report_put(doc, put, ctx, diag));
done:
    json_decref(doc);
    for (size_t i = 0; j.sum && i < j.n_unit; i++) mn__free(j.sum[i].layer);
    mn__free(j.sum);
    mn__deck_close(j.deck);
    mn__free(task);
    return st;
}
