/* chat.c: apply a chat template. libllama recognises a template by its text or by a built-in name;
 * it silently means ChatML when given none, so that case is ours: the contents alone. */
#include "text/chat.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "llama.h"

#define CHAT_MAX   ((size_t)1 << 28)
#define N_NAME_MAX 128

mn_status mn__chat_check(const mn_chat *chat, mn_diag *diag)
{
    size_t total = 0;
    if (chat->n_message == 0)
        return mn__fail(diag, MN_EUSAGE, "a conversation needs at least one message");
    for (size_t i = 0; i < chat->n_message; i++) {
        const mn_chat_message *m = &chat->messages[i];
        if (m->role == NULL || m->role[0] == '\0' || m->content == NULL)
            return mn__fail(diag, MN_EUSAGE, "message %zu: wanted a role and a content", i);
        total +=
            strlen(m->role) + strlen(m->content) + 64; /* templates add some words per message */
        if (total >= CHAT_MAX)
            return mn__fail(diag, MN_ERANGE, "conversation: wanted less than %zu bytes", CHAT_MAX);
    }
    return MN_OK;
}

static void chat_join(const mn_chat *chat, mn_text_buf *out)
{
    static const char gap[] = "\n\n";
    out->n = 0;
    for (size_t i = 0; i < chat->n_message; i++) {
        const char *parts[2] = {i > 0 ? gap : "", chat->messages[i].content};
        for (int p = 0; p < 2; p++) {
            const size_t len = strlen(parts[p]);
            if (len > 0 && out->n <= out->cap && len <= out->cap - out->n)
                memcpy(out->data + out->n, parts[p], len);
            out->n += len;
        }
    }
}

static mn_status chat_refuse(const char *name, mn_diag *diag)
{
    const char *names[N_NAME_MAX];
    char list[900];
    int32_t n = llama_chat_builtin_templates(names, N_NAME_MAX);
    size_t at = 0;
    list[0] = '\0';
    if (n > N_NAME_MAX) n = N_NAME_MAX;
    for (int32_t i = 0; i < n && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? " " : "", names[i]);
    if (name != NULL)
        return mn__fail(diag, MN_EINPUT, "chat template \"%.40s\" is none of: %s", name, list);
    return mn__fail(diag, MN_EINPUT, "the model's chat template is none of those known: %s", list);
}

mn_status mn__chat_format(const mn__vocab *v, const mn_chat *chat, mn_text_buf *out, mn_diag *diag)
{
    const char *tmpl =
        chat->template_name != NULL ? chat->template_name : mn__vocab_chat_template(v);
    const int32_t room = out->cap < INT32_MAX ? (int32_t)out->cap : INT32_MAX;
    struct llama_chat_message *list;
    int32_t got;
    mn_status st = mn__chat_check(chat, diag);
    if (st != MN_OK) return st;
    if (tmpl == NULL) {
        chat_join(chat, out);
        return MN_OK;
    }
    list = mn__alloc_array(MN_MEM_OTHER, chat->n_message, sizeof *list);
    if (list == NULL)
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu messages", chat->n_message);
    for (size_t i = 0; i < chat->n_message; i++)
        list[i] = (struct llama_chat_message){chat->messages[i].role, chat->messages[i].content};
    got =
        llama_chat_apply_template(tmpl, list, chat->n_message, chat->open_answer, out->data, room);
    mn__free(list);
    if (got < 0) return chat_refuse(chat->template_name, diag);
    out->n = (size_t)got;
    return MN_OK;
}
