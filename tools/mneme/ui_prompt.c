/* ui_prompt.c: files and words to tokens. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "ui.h"

typedef struct text {
    char *data;
    size_t n, cap;
} text;

static mn_status grow(text *t, size_t n, mn_diag *diag)
{
    enum { TEXT_MAX = 256 << 20 };
    if (t->n + n + 1 > TEXT_MAX)
        return mn__fail(diag, MN_EINPUT, "the text is longer than 256 MiB");
    if (t->n + n + 1 > t->cap) {
        size_t cap = t->cap ? t->cap : 65536;
        while (cap < t->n + n + 1) cap *= 2;
        char *data = realloc(t->data, cap);
        if (!data) return mn__fail(diag, MN_ENOMEM, "no memory for a text of %zu bytes", t->n + n);
        t->data = data;
        t->cap = cap;
    }
    return MN_OK;
}

static mn_status append(text *t, const char *s, size_t n, mn_diag *diag)
{
    mn_status st = grow(t, n, diag);
    if (st != MN_OK) return st;
    memcpy(t->data + t->n, s, n);
    t->n += n;
    t->data[t->n] = 0;
    return MN_OK;
}

static mn_status append_file(text *t, const char *path, mn_diag *diag)
{
    mn_status st = MN_OK;
    FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    char buf[65536];
    size_t begin = t->n;
    if (!f) return mn__fail(diag, MN_EINPUT, "%s: %s", path, strerror(errno));
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;) {
        const char *nul = memchr(buf, 0, n);
        if (nul)
            MN_TRY(mn__fail(diag, MN_EINPUT, "%s: not a text: byte %zu is NUL", path,
                            t->n - begin + (size_t)(nul - buf)));
        MN_TRY(append(t, buf, n, diag));
    }
    if (ferror(f) && ui_interrupted())
        MN_TRY(mn__fail(diag, MN_ECANCEL, "interrupted while reading %s", path));
    if (ferror(f))
        MN_TRY(
            mn__fail(diag, errno == EISDIR ? MN_EINPUT : MN_EIO, "%s: %s", path, strerror(errno)));
done:
    if (f != stdin) fclose(f);
    return st;
}

mn_status ui_read_files(const args *a, char **out, size_t *n, mn_diag *diag)
{
    mn_status st = MN_OK;
    text t = {0};
    MN_TRY(append(&t, "", 0, diag));
    for (size_t i = 0; i < a->n_file; i++) {
        if (t.n) MN_TRY(append(&t, "\n\n", 2, diag));
        MN_TRY(append_file(&t, a->file[i], diag));
    }
    *out = t.data;
    *n = t.n;
    t.data = NULL;
done:
    free(t.data);
    return st;
}

mn_status ui_tokenize(const mn_model *m, const char *words, size_t n, unsigned flags, prompt *out,
                      mn_diag *diag)
{
    mn_token_buf buf = {0};
    mn_status st = mn_tokenize(m, words, n, flags, &buf, diag);
    if (st != MN_OK) return st;
    buf.cap = buf.n;
    buf.data = malloc((buf.cap ? buf.cap : 1) * sizeof *buf.data);
    if (!buf.data) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tokens", buf.cap);
    st = mn_tokenize(m, words, n, flags, &buf, diag);
    if (st != MN_OK)
        free(buf.data);
    else
        *out = (prompt){buf.data, buf.n, buf.n_replaced};
    return st;
}

static mn_status format_chat(const mn_model *m, const mn_chat *chat, text *out, mn_diag *diag)
{
    mn_text_buf buf = {0};
    mn_status st = mn_chat_format(m, chat, &buf, diag);
    if (st != MN_OK) return st;
    st = grow(out, buf.n, diag);
    if (st != MN_OK) return st;
    buf.data = out->data;
    buf.cap = buf.n;
    st = mn_chat_format(m, chat, &buf, diag);
    if (st == MN_OK) {
        out->n = buf.n;
        out->data[buf.n] = 0;
    }
    return st;
}

/* Tokens of a, then of b. */
static mn_status join(prompt *a, const prompt *b, mn_diag *diag)
{
    int32_t *token = realloc(a->token, (a->n + b->n + 1) * sizeof *token);
    if (!token) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tokens", a->n + b->n);
    memcpy(token + a->n, b->token, b->n * sizeof *token);
    *a = (prompt){token, a->n + b->n, a->n_replaced + b->n_replaced};
    return MN_OK;
}

/* The template around a mark is read with its control tokens, the user's own text in the mark's
 * place without: a document that holds "<|im_start|>" is a document, not an instruction. */
static mn_status tokenize_around(const mn_model *m, const text *t, const char *mark,
                                 const char *user, bool first, prompt *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    prompt part[3] = {{0}};
    const char *at = strstr(t->data, mark);
    if (!at)
        return mn__fail(
            diag, MN_EINPUT,
            "the chat template does not hold the message; use --raw or --chat-template");
    const char *rest = at + strlen(mark);
    unsigned special = MN_TOKENIZE_PARSE_SPECIAL;
    MN_TRY(ui_tokenize(m, t->data, (size_t)(at - t->data),
                       special | (first ? MN_TOKENIZE_ADD_SPECIAL : 0), &part[0], diag));
    MN_TRY(ui_tokenize(m, user, strlen(user), 0, &part[1], diag));
    MN_TRY(ui_tokenize(m, rest, strlen(rest), special, &part[2], diag));
    MN_TRY(join(&part[0], &part[1], diag));
    MN_TRY(join(&part[0], &part[2], diag));
    *out = part[0];
    part[0].token = NULL;
done:
    for (int i = 0; i < 3; i++) free(part[i].token);
    return st;
}

static mn_status templated(const args *a, const mn_model *m, const char *user, bool first,
                           prompt *out, mn_diag *diag)
{
    static const char mark[] = "mneme7c1fd5e2message";
    mn_status st = MN_OK;
    text t = {0};
    mn_chat_message msg[2];
    size_t n = 0;
    if (first && args_has(a, OPT_SYSTEM))
        msg[n++] = (mn_chat_message){"system", a->value[OPT_SYSTEM]};
    msg[n++] = (mn_chat_message){"user", mark};
    mn_chat chat = {.messages = msg,
                    .n_message = n,
                    .template_name = a->value[OPT_TEMPLATE],
                    .open_answer = true};
    MN_TRY(format_chat(m, &chat, &t, diag));
    MN_TRY(tokenize_around(m, &t, mark, user, first, out, diag));
done:
    free(t.data);
    return st;
}

mn_status ui_turn(const args *a, const mn_model *m, const char *user, bool first, prompt *out,
                  mn_diag *diag)
{
    mn_model_info info;
    mn_status st;
    mn_model_get_info(m, &info);
    bool raw = args_has(a, OPT_RAW) || (!info.chat_template && !args_has(a, OPT_TEMPLATE));
    if (raw && args_has(a, OPT_SYSTEM))
        return mn__fail(diag, MN_EUSAGE, "--system is written by a chat template; %s",
                        args_has(a, OPT_RAW) ? "--raw uses none"
                                             : "the model has none: --chat-template names one");
    if (raw)
        st = ui_tokenize(m, user, strlen(user), first ? MN_TOKENIZE_ADD_SPECIAL : 0, out, diag);
    else
        st = templated(a, m, user, first, out, diag);
    if (st == MN_OK && out->n_replaced)
        ui_note(a, "invalid UTF-8 was read as U+FFFD in %zu places", out->n_replaced);
    return st;
}

mn_status ui_prompt(const args *a, const mn_model *m, prompt *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    text t = {0};
    const char *ask = a->value[OPT_PROMPT];
    mn_model_info info;
    mn_model_get_info(m, &info);
    MN_TRY(ui_read_files(a, &t.data, &t.n, diag));
    t.cap = t.n + 1;
    if (ask && *ask) {
        if (t.n) MN_TRY(append(&t, "\n\n", 2, diag));
        MN_TRY(append(&t, ask, strlen(ask), diag));
    }
    if (!ask && !a->n_file)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "nothing to read: give -p TEXT or -f FILE (- is standard input)"));
    if (!t.n) MN_TRY(mn__fail(diag, MN_EINPUT, "the prompt is empty"));
    if (!info.chat_template && !args_has(a, OPT_TEMPLATE) && !args_has(a, OPT_RAW))
        ui_note(a, "the model has no chat template: the text is read as it stands");
    MN_TRY(ui_turn(a, m, t.data, !args_has(a, OPT_LOAD), out, diag));
done:
    free(t.data);
    return st;
}
