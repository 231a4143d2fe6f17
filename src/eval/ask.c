/* ask.c: template, cut, tokens; the place where the context ends, and what may follow the prompt.
 */
#include "eval/ask.h"

#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/draft.h"

typedef struct tokens {
    int32_t *data;
    size_t n;
} tokens;

typedef struct maker {
    const mn__task *task;
    const mn__ask_params *params;
    bool chat;
    mn_diag *diag;
} maker;

/* ---- the model's vocabulary ---- */

static mn_status encode(void *ctx, const char *text, size_t n_byte, mn_token_buf *out,
                        mn_diag *diag)
{
    return mn_tokenize(ctx, text, n_byte, 0, out, diag);
}

static mn_status decode(void *ctx, const int32_t *token, size_t n, mn_text_buf *out, mn_diag *diag)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        mn_text_buf piece = {.data = at < out->cap ? out->data + at : NULL,
                             .cap = at < out->cap ? out->cap - at : 0};
        mn_status st = mn_token_text(ctx, token[i], false, &piece, diag);
        if (st != MN_OK) return st;
        at += piece.n;
    }
    out->n = at;
    return MN_OK;
}

mn__tokens mn__model_tokens(const mn_model *m)
{
    union { /* ctx of both functions, which only read it */
        const mn_model *m;
        void *ctx;
    } u = {.m = m};
    return (mn__tokens){.encode = encode, .decode = decode, .ctx = u.ctx};
}

/* ---- a prompt's tokens ---- */

static mn_status prompt_tokens(const maker *k, const char *text, size_t n_byte, mn_token_buf *buf)
{
    if (!k->chat)
        return mn_tokenize(k->params->model, text, n_byte, MN_TOKENIZE_ADD_SPECIAL, buf, k->diag);
    mn__draft copy = {0}; /* a message ends with a NUL */
    mn__draft_put(&copy, text, n_byte);
    const mn_chat_message message = {"user", mn__draft_text(&copy)};
    const mn_chat chat = {.messages = &message,
                          .n_message = 1,
                          .template_name = k->params->template,
                          .open_answer = true};
    mn_status st = copy.failed ? mn__fail(k->diag, MN_ENOMEM, "no memory for a prompt")
                               : mn_chat_tokenize(k->params->model, &chat, buf, k->diag);
    mn__draft_free(&copy);
    return st;
}

static mn_status tokens_of(const maker *k, const char *text, size_t n_byte, tokens *out)
{
    mn_status st;
    mn_token_buf buf = {0};
    *out = (tokens){0};
    MN_TRY(prompt_tokens(k, text, n_byte, &buf));
    buf.cap = buf.n;
    buf.data = mn__alloc_array(MN_MEM_OTHER, buf.n, sizeof *buf.data);
    if (!buf.data) MN_TRY(mn__fail(k->diag, MN_ENOMEM, "no memory for %zu tokens", buf.n));
    MN_TRY(prompt_tokens(k, text, n_byte, &buf));
    *out = (tokens){.data = buf.data, .n = buf.n};
    buf.data = NULL;
done:
    mn__free(buf.data);
    return st;
}

static size_t common_prefix(const tokens *a, const tokens *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->data[n] == b->data[n]) n++;
    return n;
}

/* Where the context ends among the prompt's tokens: behind all that the context alone begins with,
 * so that the prompt has the same tokens whether it is read in one piece or in two. */
static mn_status find_context(const maker *k, const mn__prompt *p, mn__reading *r)
{
    tokens context;
    const tokens whole = {.data = r->token, .n = r->n};
    if (p->split == 0) return MN_OK;
    if (p->split == p->n_byte && !k->chat) {
        r->n_context = r->n;
        return MN_OK;
    }
    mn_status st = tokens_of(k, p->text, p->split, &context);
    if (st != MN_OK) return st;
    r->n_context = common_prefix(&whole, &context);
    mn__free(context.data);
    return MN_OK;
}

/* Tokens that the template adds to a message. */
static mn_status overhead(const maker *k, size_t *n)
{
    mn_token_buf buf = {0};
    *n = 0;
    if (!k->chat) return MN_OK;
    mn_status st = prompt_tokens(k, "", 0, &buf);
    *n = buf.n;
    return st;
}

static size_t answer_room(const maker *k)
{
    size_t n = k->params->max_new ? k->params->max_new : k->task->max_new;
    return k->task->asks == MN__ASKS_ANSWER ? n : k->params->max_gold;
}

/* ---- continuations ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* A gold answer follows "Answer:" with a blank, where its language has blanks. */
static bool wants_blank(const maker *k, const mn__prompt *p, const mn__row *row, const char *answer)
{
    if (k->task->asks != MN__ASKS_ANSWER || k->chat || p->n_byte == 0) return false;
    if (!strcmp(row->language, "zh") || !strcmp(row->language, "ja")) return false;
    return !is_blank(p->text[p->n_byte - 1]) && *answer && !is_blank(*answer);
}

/* Tokens of text behind those of `before`; *found is false when it does not begin with them. */
static mn_status tokens_behind(const maker *k, const mn__draft *text, unsigned flags,
                               const tokens *before, tokens *out, bool *found)
{
    mn_status st;
    mn_token_buf buf = {0};
    *out = (tokens){0};
    if (text->failed) return mn__fail(k->diag, MN_ENOMEM, "no memory for an answer");
    MN_TRY(mn_tokenize(k->params->model, text->text, text->n, flags, &buf, k->diag));
    buf.cap = buf.n;
    buf.data = mn__alloc_array(MN_MEM_OTHER, buf.n, sizeof *buf.data);
    if (!buf.data) MN_TRY(mn__fail(k->diag, MN_ENOMEM, "no memory for %zu tokens", buf.n));
    MN_TRY(mn_tokenize(k->params->model, text->text, text->n, flags, &buf, k->diag));
    size_t n = before->n;
    *found = buf.n > n && (n == 0 || !memcmp(buf.data, before->data, n * sizeof *buf.data));
    if (*found) {
        memmove(buf.data, buf.data + n, (buf.n - n) * sizeof *buf.data);
        *out = (tokens){.data = buf.data, .n = buf.n - n};
        buf.data = NULL;
    }
done:
    mn__free(buf.data);
    return st;
}

/* Behind a line feed, where the tokenizer puts no blank of its own in front. */
static mn_status tokens_alone(const maker *k, const mn__draft *text, tokens *out)
{
    mn_status st;
    bool found = false;
    tokens feed = {0};
    mn__draft line = {0};
    mn__draft_put(&line, "\n", 1);
    MN_TRY(tokens_behind(k, &line, 0, &(tokens){0}, &feed, &found));
    mn__draft_put(&line, text->text, text->n);
    MN_TRY(tokens_behind(k, &line, 0, &feed, out, &found));
    if (!found) MN_TRY(tokens_behind(k, text, 0, &(tokens){0}, out, &found));
done:
    mn__free(feed.data);
    mn__draft_free(&line);
    return st;
}

/* As the model would go on: tokens of both as one text, where the prompt's stay the same in that,
 * else (and behind a chat template) those of the answer alone. */
static mn_status continuation_tokens(const maker *k, const mn__prompt *p, const mn__reading *r,
                                     const mn__draft *text, tokens *out)
{
    mn_status st = MN_OK;
    bool found = false;
    mn__draft both = {0};
    const tokens prompt = {.data = r->token, .n = r->n};
    if (k->chat) return tokens_alone(k, text, out);
    mn__draft_put(&both, p->text, p->n_byte);
    mn__draft_put(&both, text->text, text->n);
    MN_TRY(tokens_behind(k, &both, MN_TOKENIZE_ADD_SPECIAL, &prompt, out, &found));
    if (!found) MN_TRY(tokens_alone(k, text, out));
done:
    mn__draft_free(&both);
    return st;
}

static mn_status add_gold(const maker *k, const mn__prompt *p, const mn__row *row,
                          const char *answer, mn__reading *r)
{
    mn_status st = MN_OK;
    mn__draft text = {0};
    tokens t = {0};
    if (wants_blank(k, p, row, answer)) mn__draft_put(&text, " ", 1);
    mn__draft_str(&text, answer);
    if (text.failed) MN_TRY(mn__fail(k->diag, MN_ENOMEM, "no memory for an answer"));
    if (text.n) MN_TRY(continuation_tokens(k, p, r, &text, &t));
    size_t n = t.n < k->params->max_gold ? t.n : k->params->max_gold;
    r->gold[r->n_gold++] = (mn__continuation){.token = t.data, .n = n, .n_byte = text.n};
    if (n < t.n) { /* bytes of what is scored */
        mn_text_buf said = {0};
        MN_TRY(decode(mn__model_tokens(k->params->model).ctx, t.data, n, &said, k->diag));
        r->gold[r->n_gold - 1].n_byte = said.n;
    }
done:
    mn__draft_free(&text);
    return st;
}

/* ---- readings ---- */

/* Fewer tokens of a longer prompt say nothing of what it asked. */
enum { LEAST_ROOM = 64 };

static mn_status room_of(const maker *k, size_t *out)
{
    size_t around, n_ctx = k->params->n_ctx, answer = answer_room(k);
    mn_status st = overhead(k, &around);
    *out = st == MN_OK && answer + around < n_ctx ? n_ctx - answer - around : 0;
    return st;
}

static mn_status over(const maker *k, size_t n, size_t room, const char *why)
{
    return mn__fail(k->diag, MN_ERANGE,
                    "prompt over the context: %zu tokens, a context of %zu has room for %zu beside "
                    "the answer's %zu%s",
                    n, k->params->n_ctx, room, answer_room(k), why);
}

static mn_status make_fit(const maker *k, mn__prompt *p)
{
    mn_status st;
    size_t room, n = 0;
    mn__tokens vocab = mn__model_tokens(k->params->model);
    MN_TRY(room_of(k, &room));
    if (!k->params->no_context && k->params->length > room)
        MN_TRY(over(k, k->params->length, room, ", and what was made is not cut"));
    if (room < LEAST_ROOM) MN_TRY(mn__tokens_count(&vocab, p->text, p->n_byte, &n, k->diag));
    if (n > room) MN_TRY(over(k, n, room, ": too few to cut it to"));
    if (!n) MN_TRY(mn__prompt_cut(p, &vocab, room, k->diag));
done:
    return st;
}

/* One prompt of the row with its `n_gold` continuations. */
static mn_status make_reading(const maker *k, const mn__row *row, const char *const *continuation,
                              size_t n_gold, mn__reading *r)
{
    mn_status st;
    mn__prompt p = {0};
    tokens t = {0};
    MN_TRY(mn__prompt_fill(&p, k->task, row, k->diag));
    MN_TRY(make_fit(k, &p));
    MN_TRY(tokens_of(k, p.text, p.n_byte, &t));
    r->token = t.data;
    r->n = t.n;
    r->n_cut = p.n_cut;
    if (t.n == 0)
        MN_TRY(mn__fail(k->diag, MN_EINPUT, "task %s, row `%.80s`: the prompt is empty",
                        k->task->name, row->id));
    MN_TRY(find_context(k, &p, r));
    r->gold = mn__alloc_zero(MN_MEM_OTHER, n_gold * sizeof *r->gold);
    if (!r->gold) MN_TRY(mn__fail(k->diag, MN_ENOMEM, "no memory for continuations"));
    for (size_t i = 0; i < n_gold; i++) MN_TRY(add_gold(k, &p, row, continuation[i], r));
done:
    mn__prompt_free(&p);
    return st;
}

static bool one_context(const mn__row *row)
{
    for (size_t i = 1; i < row->n_choice; i++)
        if (strcmp(row->contexts[0], row->contexts[i])) return false;
    return true;
}

static mn_status make_choice(const maker *k, const mn__row *row, mn__ask *out)
{
    mn_status st = MN_OK;
    mn__row view = *row;
    bool one = one_context(row) || k->params->no_context;
    if (!row->n_choice)
        return mn__fail(k->diag, MN_EINPUT, "task %s, row `%.80s`: no continuations to choose from",
                        k->task->name, row->id);
    out->n_reading = one ? 1 : row->n_choice;
    out->gold_reading = one ? 0 : row->gold;
    out->gold = one ? row->gold : 0;
    out->reading = mn__alloc_zero(MN_MEM_OTHER, out->n_reading * sizeof *out->reading);
    if (!out->reading) return mn__fail(k->diag, MN_ENOMEM, "no memory for prompts");
    for (size_t i = 0; i < out->n_reading; i++) {
        view.context = k->params->no_context ? "" : row->contexts[i];
        MN_TRY(make_reading(k, &view, row->continuations + i, one ? row->n_choice : 1,
                            &out->reading[i]));
    }
done:
    return st;
}

static mn_status make_answer(const maker *k, const mn__row *row, mn__ask *out)
{
    mn__row view = *row;
    if (!row->n_answer)
        return mn__fail(k->diag, MN_EINPUT, "task %s, row `%.80s`: no `answers`", k->task->name,
                        row->id);
    if (k->params->no_context) view.context = "";
    out->reading = mn__alloc_zero(MN_MEM_OTHER, sizeof *out->reading);
    if (!out->reading) return mn__fail(k->diag, MN_ENOMEM, "no memory for a prompt");
    out->n_reading = 1;
    if (k->task->asks == MN__ASKS_ANSWER) out->max_new = answer_room(k);
    return make_reading(k, &view, row->answers, k->params->max_gold > 0, out->reading);
}

static uint64_t hash_of(const mn__ask *a, const mn__row *row)
{
    uint64_t h = mn__row_hash(row);
    for (size_t i = 0; i < a->n_reading; i++) {
        const mn__reading *r = &a->reading[i];
        h = mn__hash64(r->token, r->n * sizeof *r->token, h);
        for (size_t g = 0; g < r->n_gold; g++)
            h = mn__hash64(r->gold[g].token, r->gold[g].n * sizeof *r->token, h + 1);
    }
    return h;
}

static maker maker_of(const mn__task *task, const mn__ask_params *params, mn_diag *diag)
{
    return (maker){.task = task,
                   .params = params,
                   .chat = params->chat && !(task->rules & MN__RULE_RAW),
                   .diag = diag};
}

mn_status mn__ask_room(const mn__task *task, const mn__ask_params *params, size_t *out,
                       mn_diag *diag)
{
    const maker k = maker_of(task, params, diag);
    return room_of(&k, out);
}

mn_status mn__ask_make(mn__ask *out, const mn__task *task, const mn__row *row,
                       const mn__ask_params *params, mn_diag *diag)
{
    const maker k = maker_of(task, params, diag);
    *out = (mn__ask){0};
    mn_status st =
        task->asks == MN__ASKS_CHOICE ? make_choice(&k, row, out) : make_answer(&k, row, out);
    if (st != MN_OK) {
        mn__ask_free(out);
        return st;
    }
    out->hash = hash_of(out, row);
    return MN_OK;
}

void mn__ask_free(mn__ask *a)
{
    for (size_t i = 0; i < a->n_reading; i++) {
        mn__reading *r = &a->reading[i];
        for (size_t g = 0; g < r->n_gold; g++) mn__free(r->gold[g].token);
        mn__free(r->gold);
        mn__free(r->token);
    }
    mn__free(a->reading);
    *a = (mn__ask){0};
}
