/* chat_tokens.c: a conversation as tokens. The rendered text is read as one, control words
 * included, as the model was trained to see it: words of the template and of a message may meet in
 * a token. Unless a message holds control words of its own, which shows in their number: a document
 * that says "<|im_start|>" is a document, not an instruction. Then the template is read in pieces
 * around marks that stand for the messages, and each message as plain text. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "llama.h"
#include "text/chat.h"

#define MARK   "mneme7c1fd5e2-" /* a message's number follows, 8 digits */
#define HELD   "mneme7c1fd5e2question"
#define ANSWER "mneme7c1fd5e2answer"
enum { MARK_BYTES = sizeof MARK - 1 + 8, N_ADDED = 16 /* tokens that no byte of the text made */ };

typedef struct talk {
    const mn__vocab *v;
    const mn_chat *chat;
    const int32_t *last; /* NULL: the conversation begins */
    mn_diag *diag;
} talk;

/* ---- as text ---- */

typedef struct rendered {
    char *data;        /* NUL-terminated; owned */
    const char *begin; /* in it: behind what the session holds */
} rendered;

static mn_status format(const talk *t, const mn_chat *chat, rendered *out)
{
    mn_text_buf buf = {0};
    mn_status st = mn__chat_format(t->v, chat, &buf, t->diag);
    if (st != MN_OK) return st;
    out->data = mn__alloc(MN_MEM_OTHER, buf.n + 1);
    if (!out->data) return mn__fail(t->diag, MN_ENOMEM, "no memory for a text of %zu bytes", buf.n);
    buf.data = out->data;
    buf.cap = buf.n;
    st = mn__chat_format(t->v, chat, &buf, t->diag);
    out->data[buf.n] = '\0';
    return st;
}

/* The new messages, or marks in their place, behind a question and an answer when the conversation
 * has begun. */
static mn_status render(const talk *t, bool marked, rendered *out)
{
    mn_status st;
    size_t n = t->chat->n_message, n_held = t->last ? 2 : 0;
    mn_chat chat = *t->chat;
    mn_chat_message *list = mn__alloc_array(MN_MEM_OTHER, n + n_held, sizeof *list);
    char(*mark)[MARK_BYTES + 1] = mn__alloc_array(MN_MEM_OTHER, marked ? n : 0, sizeof *mark);
    *out = (rendered){0};
    if (!list || !mark) MN_TRY(mn__fail(t->diag, MN_ENOMEM, "no memory for %zu messages", n));
    if (t->last) {
        list[0] = (mn_chat_message){"user", HELD};
        list[1] = (mn_chat_message){"assistant", ANSWER};
    }
    for (size_t i = 0; i < n; i++) {
        list[n_held + i] = t->chat->messages[i];
        if (!marked) continue;
        snprintf(mark[i], sizeof mark[i], MARK "%08u", (unsigned)(i % 100000000));
        list[n_held + i].content = mark[i];
    }
    chat.messages = list;
    chat.n_message = n + n_held;
    MN_TRY(format(t, &chat, out));
    out->begin = t->last ? strstr(out->data, ANSWER) : out->data;
    if (!out->begin) MN_TRY(mn__fail(t->diag, MN_EINPUT, "the chat template leaves out answers"));
    if (t->last) out->begin += strlen(ANSWER);
done:
    mn__free(mark);
    mn__free(list);
    return st;
}

/* ---- as tokens ---- */

typedef struct tokens {
    int32_t *data;
    size_t n, cap, n_replaced;
} tokens;

static mn_status reserve(const talk *t, tokens *to, size_t room)
{
    if (to->cap - to->n >= room) return MN_OK;
    int32_t *data = mn__alloc_array(MN_MEM_OTHER, to->n + room, sizeof *data);
    if (!data) return mn__fail(t->diag, MN_ENOMEM, "no memory for %zu tokens", to->n + room);
    if (to->n) memcpy(data, to->data, to->n * sizeof *data);
    mn__free(to->data);
    to->data = data;
    to->cap = to->n + room;
    return MN_OK;
}

static mn_status add(const talk *t, const char *text, size_t n, unsigned flags, tokens *to)
{
    mn_status st;
    mn_token_buf buf = {.n = n + N_ADDED};
    do {
        size_t room = buf.n;
        MN_TRY(reserve(t, to, room));
        buf = (mn_token_buf){.data = to->data + to->n, .cap = room};
        MN_TRY(mn__vocab_tokenize(t->v, text, n, flags, &buf, t->diag));
    } while (buf.n > buf.cap);
    to->n += buf.n;
    to->n_replaced += buf.n_replaced;
done:
    return st;
}

static unsigned flags_of(const talk *t)
{
    return MN_TOKENIZE_PARSE_SPECIAL | (t->last ? 0 : MN_TOKENIZE_ADD_SPECIAL);
}

static size_t count_control(const talk *t, const tokens *x)
{
    const struct llama_vocab *vocab = mn__vocab_llama(t->v);
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        int attr = (int)llama_vocab_get_attr(vocab, x->data[i]);
        n += (attr & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
    }
    return n;
}

/* Control words of the template alone. */
static mn_status template_control(const talk *t, const rendered *marked, size_t *n)
{
    tokens x = {0};
    mn_status st = add(t, marked->begin, strlen(marked->begin), flags_of(t), &x);
    if (st == MN_OK) *n = count_control(t, &x);
    mn__free(x.data);
    return st;
}

static mn_status add_pieces(const talk *t, const rendered *marked, tokens *to)
{
    mn_status st;
    const char *at = marked->begin;
    unsigned flags = flags_of(t);
    for (const char *hit; (hit = strstr(at, MARK)) != NULL; at = hit + MARK_BYTES) {
        size_t i = strtoul(hit + strlen(MARK), NULL, 10); /* 8 digits; none follows in a template */
        const char *content = i < t->chat->n_message ? t->chat->messages[i].content : "";
        MN_TRY(add(t, at, (size_t)(hit - at), flags, to));
        MN_TRY(add(t, content, strlen(content), 0, to));
        flags = MN_TOKENIZE_PARSE_SPECIAL;
    }
    MN_TRY(add(t, at, strlen(at), flags, to));
done:
    return st;
}

static mn_status check_marks(const talk *t, const rendered *marked)
{
    size_t n = 0;
    for (const char *at = marked->begin; (at = strstr(at, MARK)) != NULL; at += MARK_BYTES) n++;
    return n >= t->chat->n_message
               ? MN_OK
               : mn__fail(t->diag, MN_EINPUT,
                          "the chat template leaves out messages: it holds %zu of %zu", n,
                          t->chat->n_message);
}

/* How many tokens of the answer's end the session holds already: all up to an end of turn, when the
 * model wrote one. */
static mn_status count_held(const talk *t, const rendered *marked, size_t *n)
{
    const char *mark = strstr(marked->begin, MARK);
    tokens end = {0};
    *n = 0;
    if (!t->last || !mn__vocab_is_end(t->v, *t->last)) return MN_OK;
    mn_status st = add(t, marked->begin, (size_t)(mark - marked->begin), flags_of(t), &end);
    for (size_t i = 0; st == MN_OK && !*n && i < end.n; i++)
        if (mn__vocab_is_end(t->v, end.data[i])) *n = i + 1;
    mn__free(end.data);
    return st;
}

mn_status mn__chat_tokenize(const mn__vocab *v, const mn_chat *chat, const int32_t *last_token,
                            mn_token_buf *out, mn_diag *diag)
{
    mn_status st;
    const talk t = {.v = v, .chat = chat, .last = last_token, .diag = diag};
    rendered whole = {0}, marked = {0};
    tokens x = {0};
    size_t n_control, n_held;
    MN_TRY(mn__chat_check(chat, diag));
    MN_TRY(render(&t, true, &marked));
    MN_TRY(check_marks(&t, &marked));
    MN_TRY(count_held(&t, &marked, &n_held));
    MN_TRY(template_control(&t, &marked, &n_control));
    MN_TRY(render(&t, false, &whole));
    MN_TRY(add(&t, whole.begin, strlen(whole.begin), flags_of(&t), &x));
    if (count_control(&t, &x) != n_control) {
        x.n = x.n_replaced = 0;
        MN_TRY(add_pieces(&t, &marked, &x));
    }
    assert(n_held <= x.n); /* control words part a text: what stands before one is read alike */
    out->n = x.n - n_held;
    out->n_replaced = x.n_replaced;
    if (out->n <= out->cap && out->n) memcpy(out->data, x.data + n_held, out->n * sizeof *x.data);
done:
    mn__free(x.data);
    mn__free(whole.data);
    mn__free(marked.data);
    return st;
}
