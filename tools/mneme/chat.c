/* chat.c: turns on one session: the cache goes on from answer to question, under the same policy.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "report.h"
#include "ui.h"
#include "verbs.h"

typedef struct talk {
    const args *a;
    mn_model *m;
    mn_session *s;
    mn_sampler *sampler;
    char *grammar, *policy, *document;
    size_t n_max;
    json_t *turns; /* NULL unless --json */
    answer ans;
} talk;

static bool on_text(const char *piece, size_t n, void *ctx)
{
    talk *t = ctx;
    answer_add(&t->ans, piece, n);
    if (!t->turns) {
        fwrite(piece, 1, n, stdout);
        fflush(stdout);
    }
    return ui_interrupted() || ferror(stdout);
}

static mn_status one_turn(talk *t, const char *user, mn_diag *diag)
{
    mn_status st = MN_OK;
    prompt p = {0};
    const float *logits;
    mn_generated g;
    progress pr = progress_start(t->a, "reading");
    double t0 = mn__clock_s();
    MN_TRY(ui_turn(t->a, t->m, t->s, user, &p, diag));
    st = mn_session_read(t->s, p.token, p.n, true, &logits, progress_tick, &pr, diag);
    progress_end(&pr);
    t->ans.read_s += mn__clock_s() - t0;
    if (st != MN_OK) goto done;
    t->ans.n_prompt += p.n;
    MN_TRY(mn_sampler_prime(t->sampler, p.token, p.n, diag));
    t->ans.n = 0;
    mn_sampler_next_answer(t->sampler);
    mn_generate_params gp = {.max_token = t->n_max, .on_text = on_text, .ctx = t};
    st = mn_generate(t->s, t->sampler, logits, &gp, &g, diag);
    t->ans.n_generated += g.n_token;
    t->ans.write_s += g.seconds;
    if (st != MN_OK) goto done;
    if (t->turns)
        json_array_append_new(t->turns, json_pack("{s:o,s:s%,s:I,s:I}", "user", ui_json_text(user),
                                                  "assistant", t->ans.n ? t->ans.text : "",
                                                  t->ans.n, "prompt_tokens", (json_int_t)p.n,
                                                  "generated_tokens", (json_int_t)g.n_token));
    else
        fputc('\n', stdout);
done:
    free(p.token);
    return st;
}

/* The document of -f comes with the first question. */
static char *with_document(talk *t, const char *line)
{
    char *text = NULL;
    const char *doc = t->document ? t->document : "";
    if (asprintf(&text, "%s%s%s", doc, *doc ? "\n\n" : "", line) < 0) text = NULL;
    free(t->document);
    t->document = NULL;
    return text;
}

static mn_status ask(talk *t, const char *line, mn_diag *diag)
{
    char *text = with_document(t, line);
    mn_status st =
        text ? one_turn(t, text, diag) : mn__fail(diag, MN_ENOMEM, "no memory for the question");
    free(text);
    return st;
}

static mn_status converse(talk *t, const char *opening, mn_diag *diag)
{
    mn_status st = MN_OK;
    char *line = NULL;
    size_t cap = 0;
    bool tty = isatty(STDIN_FILENO);
    if (opening && *opening) MN_TRY(ask(t, opening, diag));
    if (tty) ui_note(t->a, "one line a question; an empty line or end of input ends the chat");
    while (!ui_interrupted()) {
        if (tty && !t->turns) fprintf(stderr, "%s> %s", ui_color(t->a, "bold"), ui_color(t->a, ""));
        ssize_t n = getline(&line, &cap, stdin);
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (n <= 0) break;
        if (memchr(line, 0, (size_t)n))
            MN_TRY(mn__fail(diag, MN_EINPUT, "the question is not a text: it holds NUL bytes"));
        MN_TRY(ask(t, line, diag));
    }
    if (ui_interrupted()) st = mn__fail(diag, MN_ECANCEL, "interrupted");
done:
    free(line);
    return st;
}

static mn_status open_talk(talk *t, mn_diag *diag)
{
    mn_status st = MN_OK;
    const args *a = t->a;
    mn_session_params sp;
    mn_sampler_params sampler;
    size_t n;
    MN_TRY(ui_session_params(a, &sp, diag));
    MN_TRY(args_size(a, OPT_TOKENS, 256, 1, 1 << 24, &t->n_max, diag));
    MN_TRY(ui_sampler_params(a, &sampler, &t->grammar, diag));
    MN_TRY(ui_open_model(a, false, &t->m, diag));
    MN_TRY(ui_find_namm(a, t->m, &sp, &t->policy, diag));
    if (a->n_file) MN_TRY(ui_read_files(a, &t->document, &n, diag));
    MN_TRY(mn_sampler_new(&t->sampler, t->m, &sampler, diag));
    if (args_has(a, OPT_LOAD))
        MN_TRY(mn_session_load(&t->s, t->m, &sp, a->value[OPT_LOAD], diag));
    else
        MN_TRY(mn_session_new(&t->s, t->m, &sp, diag));
done:
    return st;
}

mn_status verb_chat(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    talk t = {.a = a};
    if (a->n_rest) MN_TRY(mn__fail(diag, MN_EUSAGE, "'%s': files follow -f", a->rest[0]));
    MN_TRY(open_talk(&t, diag));
    if (args_has(a, OPT_JSON)) t.turns = json_array();
    st = converse(&t, a->value[OPT_PROMPT], diag);
    bool is_whole = st == MN_OK || st == MN_ECANCEL || st == MN_EBUDGET; /* what was read is held */
    if (args_has(a, OPT_SAVE) && is_whole) {
        mn_status saved = mn_session_save(t.s, a->value[OPT_SAVE], diag);
        if (saved != MN_OK) st = saved;
    }
    if (t.turns) {
        json_t *doc = report_json(t.m, t.s, &t.ans);
        json_object_set(doc, "turns", t.turns);
        ui_print_json(doc);
    } else if (is_whole && !args_has(a, OPT_QUIET)) {
        report_text(a, t.m, t.s, &t.ans);
    }
    if (is_whole) report_nan(a, t.s);
done:
    json_decref(t.turns);
    answer_free(&t.ans);
    free(t.grammar);
    free(t.policy);
    free(t.document);
    mn_sampler_free(t.sampler);
    mn_session_free(t.s);
    mn_model_free(t.m);
    return st;
}
