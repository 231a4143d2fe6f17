/* run.c: read, answer once, say what the cache held. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "report.h"
#include "ui.h"
#include "verbs.h"

typedef struct job {
    const args *a;
    mn_model *m;
    mn_session_params params;
    mn_session *s;
    mn_sampler *sampler;
    char *grammar, *policy;
    prompt p;
    answer out;
} job;

static bool on_text(const char *piece, size_t n, void *ctx)
{
    job *j = ctx;
    bool json = args_has(j->a, OPT_JSON);
    answer_add(&j->out, piece, n);
    if (json && args_has(j->a, OPT_STREAM)) {
        json_t *line = json_pack("{s:s%}", "piece", piece, n);
        json_dumpf(line, stdout, JSON_COMPACT);
        fputc('\n', stdout);
        json_decref(line);
    } else if (!json) {
        fwrite(piece, 1, n, stdout);
    }
    fflush(stdout);
    return ui_interrupted() || ferror(stdout);
}

static mn_status open_session(job *j, mn_diag *diag)
{
    if (args_has(j->a, OPT_LOAD))
        return mn_session_load(&j->s, j->m, &j->params, j->a->value[OPT_LOAD], diag);
    return mn_session_new(&j->s, j->m, &j->params, diag);
}

static mn_status read_prompt(job *j, const float **logits, mn_diag *diag)
{
    progress pr = progress_start(j->a, "reading");
    double t0 = mn__clock_s();
    mn_status st =
        mn_session_read(j->s, j->p.token, j->p.n, true, logits, progress_tick, &pr, diag);
    j->out.read_s = mn__clock_s() - t0;
    j->out.n_prompt = j->p.n;
    progress_end(&pr);
    if (st == MN_ECANCEL) {
        mn_session_info si;
        mn_session_get_info(j->s, &si);
        mn__fail(diag, st, "interrupted while reading, with %lld tokens in the cache",
                 (long long)si.n_seen);
    }
    return st;
}

static mn_status answer_prompt(job *j, mn_diag *diag)
{
    mn_status st = MN_OK;
    const float *logits;
    mn_sampler_params sp;
    size_t n;
    MN_TRY(args_size(j->a, OPT_TOKENS, 256, 0, 1 << 24, &n, diag));
    MN_TRY(ui_sampler_params(j->a, &sp, &j->grammar, diag));
    MN_TRY(mn_sampler_new(&j->sampler, j->m, &sp, diag));
    MN_TRY(read_prompt(j, &logits, diag));
    MN_TRY(mn_sampler_prime(j->sampler, j->p.token, j->p.n, diag));
    mn_generate_params gp = {.max_token = n, .on_text = on_text, .ctx = j};
    mn_generated g;
    st = mn_generate(j->s, j->sampler, logits, &gp, &g, diag);
    j->out.n_generated = g.n_token;
    j->out.write_s = g.seconds;
    if ((st == MN_OK || j->out.n) && !args_has(j->a, OPT_JSON)) fputc('\n', stdout);
    fflush(stdout);
    if (st == MN_OK && ui_interrupted())
        st =
            mn__fail(diag, MN_ECANCEL, "interrupted while writing; the answer so far stands above");
done:
    return st;
}

static mn_status tell(job *j, mn_diag *diag)
{
    if (args_has(j->a, OPT_JSON)) {
        json_t *doc = report_json(j->m, j->s, &j->out);
        if (args_has(j->a, OPT_STREAM)) {
            json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
            fputc('\n', stdout);
            json_decref(doc);
        } else {
            ui_print_json(doc);
        }
    } else if (!args_has(j->a, OPT_QUIET)) {
        report_text(j->a, j->m, j->s, &j->out);
    }
    report_nan(j->a, j->s);
    return args_has(j->a, OPT_DUMP_KEPT)
               ? report_dump_kept(j->s, j->m, j->a->value[OPT_DUMP_KEPT], diag)
               : MN_OK;
}

/* What was kept and freed is told for an answer that was cut short too, and what was read before
 * Ctrl-C is saved. */
static mn_status close_session(job *j, mn_status st, mn_diag *diag)
{
    mn_diag other = {{0}};
    mn_status told = MN_OK, saved = MN_OK;
    if (st == MN_OK || j->out.n_generated) told = tell(j, &other);
    if (args_has(j->a, OPT_SAVE) && (st == MN_OK || st == MN_ECANCEL || st == MN_EBUDGET))
        saved = mn_session_save(j->s, j->a->value[OPT_SAVE], &other);
    if (st != MN_OK && saved == MN_OK) return st;
    if (told == MN_OK && saved == MN_OK) return MN_OK;
    *diag = other;
    return saved != MN_OK ? saved : told;
}

mn_status verb_run(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    job j = {.a = a};
    if (a->n_rest)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "'%s': files follow -f, the question follows -p",
                        a->rest[0]));
    MN_TRY(ui_session_params(a, &j.params,
                             diag)); /* before the model is opened: mistakes should cost no time */
    MN_TRY(ui_open_model(a, false, &j.m, diag));
    MN_TRY(ui_find_namm(a, j.m, &j.params, &j.policy, diag));
    MN_TRY(open_session(&j, diag));
    MN_TRY(ui_prompt(a, j.m, j.s, &j.p, diag));
    st = close_session(&j, answer_prompt(&j, diag), diag);
done:
    answer_free(&j.out);
    free(j.p.token);
    free(j.grammar);
    free(j.policy);
    mn_sampler_free(j.sampler);
    mn_session_free(j.s);
    mn_model_free(j.m);
    return st;
}
