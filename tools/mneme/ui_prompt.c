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

static mn_status tokenize_turn(const mn_model *m, const mn_chat *chat, const mn_session_info *held,
                               mn_token_buf *out, mn_diag *diag)
{
    return held ? mn_chat_tokenize_next(m, chat, held->last_token, out, diag)
                : mn_chat_tokenize(m, chat, out, diag);
}

/* held: what the session holds already; NULL: nothing. */
static mn_status templated(const args *a, const mn_model *m, const mn_session_info *held,
                           const char *user, prompt *out, mn_diag *diag)
{
    mn_status st;
    mn_chat_message msg[2];
    mn_token_buf buf = {0};
    mn_text_buf none = {0};
    size_t n = 0;
    if (!held && args_has(a, OPT_SYSTEM))
        msg[n++] = (mn_chat_message){"system", a->value[OPT_SYSTEM]};
    msg[n++] = (mn_chat_message){"user", user};
    mn_chat chat = {.messages = msg,
                    .n_message = n,
                    .template_name = a->value[OPT_TEMPLATE],
                    .open_answer = true};
    st = mn_chat_format(m, &chat, &none, diag);
    if (st == MN_EINPUT) mn__diag_prefix(diag, "--chat-template");
    if (st != MN_OK) return st;
    MN_TRY(tokenize_turn(m, &chat, held, &buf, diag));
    buf.cap = buf.n;
    buf.data = malloc((buf.cap ? buf.cap : 1) * sizeof *buf.data);
    if (!buf.data) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu tokens", buf.cap));
    MN_TRY(tokenize_turn(m, &chat, held, &buf, diag));
    *out = (prompt){buf.data, buf.n, buf.n_replaced};
    buf.data = NULL;
done:
    free(buf.data);
    return st;
}

mn_status ui_turn(const args *a, const mn_model *m, const mn_session *s, const char *user,
                  prompt *out, mn_diag *diag)
{
    mn_model_info info;
    mn_session_info held = {0};
    mn_status st;
    mn_model_get_info(m, &info);
    if (s) mn_session_get_info(s, &held);
    bool raw = args_has(a, OPT_RAW) || (!info.chat_template && !args_has(a, OPT_TEMPLATE));
    if (raw && args_has(a, OPT_SYSTEM))
        return mn__fail(diag, MN_EUSAGE, "--system is written by a chat template; %s",
                        args_has(a, OPT_RAW) ? "--raw uses none"
                                             : "the model has none: --chat-template names one");
    if (raw)
        st = ui_tokenize(m, user, strlen(user), held.n_seen ? 0 : MN_TOKENIZE_ADD_SPECIAL, out,
                         diag);
    else
        st = templated(a, m, held.n_seen ? &held : NULL, user, out, diag);
    if (st == MN_OK && out->n_replaced)
        ui_note(a, "invalid UTF-8 was read as U+FFFD in %zu places", out->n_replaced);
    return st;
}

mn_status ui_prompt(const args *a, const mn_model *m, const mn_session *s, prompt *out,
                    mn_diag *diag)
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
    MN_TRY(ui_turn(a, m, s, t.data, out, diag));
done:
    free(t.data);
    return st;
}
