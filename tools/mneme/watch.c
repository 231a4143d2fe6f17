/* watch.c: read a text under a policy, and tell what was forgotten. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "ui.h"
#include "verbs.h"
#include "watch_show.h"

typedef struct job {
    const args *a;
    mn_model *m;
    mn_sampler *sampler;
    char *grammar;
    prompt p;
    mn_watch_params params;
    size_t series[MN_WATCH_SERIES_MAX];
    size_t n_generate;
    mn_watch *w;
} job;

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
    progress first = progress_start(j->a, "reading"), again = {0};
    st = mn_watch_read(j->w, j->p.token, j->p.n, &logits, progress_tick, &first, diag);
    progress_end(&first);
    if (st == MN_OK) st = write_answer(j, logits, diag);
    if (st == MN_OK && j->params.page) {
        again = progress_start(j->a, "reading again for the attention of single tokens:");
        st = mn_watch_again(j->w, progress_tick, &again, diag);
        progress_end(&again);
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
    MN_TRY(mn_sampler_new(&j->sampler, j->m, &sp, diag));
    MN_TRY(ui_prompt(a, j->m, NULL, &j->p, diag));
    MN_TRY(find_tokens(j, diag));
    MN_TRY(mn_sampler_prime(j->sampler, j->p.token, j->p.n, diag));
    j->params.max_token = j->p.n + j->n_generate;
    j->params.page = a->value[OPT_OUT];
    MN_TRY(mn_watch_new(&j->w, j->m, &j->params, diag));
done:
    return st;
}

mn_status verb_watch(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    job j = {.a = a};
    MN_TRY(prepare(&j, diag));
    MN_TRY(read_text(&j, diag));
    if (j.params.page) MN_TRY(mn_watch_write_page(j.w, diag));
    MN_TRY(watch_show(a, j.w, diag));
done:
    mn_watch_free(j.w);
    mn_sampler_free(j.sampler);
    mn_model_free(j.m);
    free(j.grammar);
    free(j.p.token);
    return st;
}
