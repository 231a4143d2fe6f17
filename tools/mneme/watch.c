/* watch.c: read a text under a policy, and tell what was forgotten. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "report.h"
#include "ui.h"
#include "verbs.h"
#include "watch_show.h"

typedef struct job {
    const args *a;
    mn_model *m;
    mn_sampler *sampler;
    char *grammar, *policy;
    prompt p;
    mn_watch_params params;
    size_t series[MN_WATCH_SERIES_MAX];
    size_t n_generate;
    mn_watch *w;
    progress bar;
} job;

enum { MAX_LENGTH = 64 };

/* A number is an index; else the text is looked for. */
static mn_status find_tokens(job *j, mn_diag *diag)
{
    const args *a = j->a;
    mn_status st = MN_OK;
    if (a->n_token > MN_WATCH_SERIES_MAX)
        return mn__fail(diag, MN_EUSAGE, "--token: at most %d tokens, %zu given",
                        MN_WATCH_SERIES_MAX, a->n_token);
    for (size_t i = 0; i < a->n_token && st == MN_OK; i++) {
        const char *text = a->token[i];
        if (*text && strspn(text, "0123456789") == strlen(text)) {
            j->series[i] = strlen(text) > 18 ? SIZE_MAX : strtoull(text, NULL, 10);
            if (j->series[i] >= j->p.n)
                st = mn__fail(diag, MN_EINPUT, "--token %s: the text has %zu tokens, from 0 on",
                              text, j->p.n);
        } else {
            st = mn_watch_find(j->m, j->p.token, j->p.n, text, &j->series[i], diag);
            if (st != MN_OK) mn__diag_prefix(diag, "--token");
        }
    }
    if (a->n_token && !args_has(a, OPT_OUT))
        st = mn__fail(diag, MN_EUSAGE, "--token is for the page: --out FILE wanted");
    j->params.series = j->series;
    j->params.n_series = a->n_token;
    return st;
}

static mn_status write_answer(job *j, const float *logits, mn_diag *diag)
{
    mn_status st = MN_OK;
    for (size_t i = 0; i < j->n_generate && !ui_interrupted(); i++) {
        int32_t token;
        MN_TRY(mn_sampler_next(j->sampler, logits, &token, diag));
        if (mn_token_is_end(j->m, token)) break;
        MN_TRY(mn_watch_step(j->w, token, &logits, diag));
    }
    if (ui_interrupted()) st = mn__fail(diag, MN_ECANCEL, "interrupted while writing");
done:
    return st;
}

static mn_status read_text(job *j, mn_diag *diag)
{
    mn_status st;
    const float *logits;
    j->bar = progress_start(j->a, "reading");
    st = mn_watch_read(j->w, j->p.token, j->p.n, &logits, progress_tick, &j->bar, diag);
    progress_end(&j->bar);
    if (st == MN_OK) st = write_answer(j, logits, diag);
    if (st == MN_OK) {
        j->bar = progress_start(j->a, "reading again for the attention of single tokens:");
        st = mn_watch_again(j->w, progress_tick, &j->bar, diag);
        progress_end(&j->bar);
    }
    return st == MN_ECANCEL && !*diag->text ? mn__fail(diag, st, "interrupted while reading") : st;
}

static mn_status prepare(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_sampler_params sp;
    const args *a = j->a;
    mn_watch_params_default(&j->params);
    if (a->n_rest)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "'%s': files follow -f, the question follows -p",
                        a->rest[0]));
    MN_TRY(ui_session_params(a, &j->params.session, diag));
    MN_TRY(args_size(a, OPT_TOKENS, 0, 0, 1 << 24, &j->n_generate, diag));
    MN_TRY(ui_sampler_params(a, &sp, &j->grammar, diag));
    MN_TRY(ui_open_model(a, false, &j->m, diag));
    MN_TRY(ui_find_namm(a, j->m, &j->params.session, &j->policy, diag));
    MN_TRY(mn_sampler_new(&j->sampler, j->m, &sp, diag));
    MN_TRY(ui_prompt(a, j->m, NULL, &j->p, diag));
    MN_TRY(find_tokens(j, diag));
    MN_TRY(mn_sampler_prime(j->sampler, j->p.token, j->p.n, diag));
    j->params.max_token = j->p.n + j->n_generate;
    j->params.page = a->value[OPT_OUT];
    j->params.no_attention = !j->params.page;
    MN_TRY(mn_watch_new(&j->w, j->m, &j->params, diag));
done:
    return st;
}

/* ---- texts of tasks ---- */

static bool stop(void *ctx)
{
    (void)ctx;
    return ui_interrupted();
}

static void tick(uint64_t n_done, uint64_t n_total, void *ctx)
{
    progress_tick(n_done, n_total, &((job *)ctx)->bar);
}

static void note(const char *sentence, void *ctx)
{
    ui_note(((job *)ctx)->a, "%s", sentence);
}

/* lengths: room for those that are asked for. */
static mn_status task_options(job *j, mn_eval_params *p, args_list *lengths, mn_diag *diag)
{
    static const char *const form[] = {"raw", "chat", NULL}, *const split[] = {"all", "train",
                                                                               "test", NULL};
    mn_status st;
    int chat, side;
    size_t limit;
    const args *a = j->a;
    const char *data = args_has(a, OPT_DATA) ? a->value[OPT_DATA] : getenv("MNEME_DATA");
    mn_eval_params_default(p);
    MN_TRY(ui_session_params(a, &p->session, diag));
    MN_TRY(args_sizes(a, OPT_LENGTHS, 64, (size_t)1 << 27, lengths, diag));
    MN_TRY(args_choice(a, OPT_TEMPLATE_FORM, form, 0, &chat, diag));
    MN_TRY(args_choice(a, OPT_SPLIT, split, MN_EVAL_SPLIT_ALL, &side, diag));
    MN_TRY(args_size(a, OPT_LIMIT, 0, 1, 1 << 30, &limit, diag));
    p->tasks = a->value[OPT_TASKS];
    p->data = data && *data ? data : NULL;
    p->chat_template = a->value[OPT_TEMPLATE];
    p->model = args_has(a, OPT_MODEL) ? a->value[OPT_MODEL] : "smollm2";
    p->length = lengths->at;
    p->n_length = lengths->n;
    p->limit = limit;
    p->split = (mn_eval_split)side;
    p->chat = chat;
done:
    return st;
}

static mn_status watch_tasks(job *j, mn_diag *diag)
{
    mn_status st;
    const args *a = j->a;
    mn_eval_params p;
    size_t length[MAX_LENGTH];
    args_list lengths = {.at = length, .cap = MAX_LENGTH};
    if (a->n_file || args_has(a, OPT_PROMPT) || args_has(a, OPT_OUT) || a->n_token)
        return mn__fail(
            diag, MN_EUSAGE,
            "--tasks reads texts of its own and makes tables: no -f, -p, --out, --token");
    MN_TRY(task_options(j, &p, &lengths, diag));
    p.progress = tick;
    p.note = note;
    p.stop = stop;
    p.ctx = j;
    MN_TRY(ui_open_model(a, false, &j->m, diag));
    MN_TRY(ui_find_namm(a, j->m, &p.session, &j->policy, diag));
    j->bar = progress_start(a, "reading");
    j->bar.unit = "texts";
    st = watch_show_tasks(a, j->m, &p, diag);
done:
    return st;
}

mn_status verb_watch(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    job j = {.a = a};
    if (args_has(a, OPT_TASKS)) {
        st = watch_tasks(&j, diag);
        goto done;
    }
    MN_TRY(prepare(&j, diag));
    MN_TRY(read_text(&j, diag));
    if (j.params.page) MN_TRY(mn_watch_write_page(j.w, diag));
    MN_TRY(watch_show(a, j.w, diag));
    report_nan(a, mn_watch_get_session(j.w));
done:
    progress_end(&j.bar);
    mn_watch_free(j.w);
    mn_sampler_free(j.sampler);
    mn_model_free(j.m);
    free(j.grammar);
    free(j.policy);
    free(j.p.token);
    return st;
}
