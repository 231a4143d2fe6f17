/* lm.c: how likely is what follows `length` tokens of a text. The text is read as one, documents
 * with blank lines between; a row's beginning is drawn from its first half, or from less of it (an
 * eighth at least) when a long row would else reach beyond its end. */
#include "base/diag.h"
#include "eval/maker.h"

enum { STREAM_START = MN__STREAM_OWN, SCORED_BYTES = 1000, TOKEN_BYTES = 5 };

static size_t first_sentence(const mn__recipe *r)
{
    const mn__corpus *c = r->text;
    size_t need = r->length < c->n_byte ? r->length * TOKEN_BYTES + SCORED_BYTES : c->n_byte;
    size_t room = need < c->n_byte ? c->n_byte - need : 0, n = c->n_sentence / 2 + 1;
    if (room < c->n_byte / 8) room = c->n_byte / 8;
    while (n > 1 && c->begin[n - 1] > room) n--;
    return (size_t)mn__draw_below(r, STREAM_START, 0, n);
}

/* Sentences from i on that have SCORED_BYTES together, or what is left. */
static size_t scored_end(const mn__corpus *c, size_t i)
{
    size_t end = i;
    while (end < c->n_sentence && c->begin[end] - c->begin[i] < SCORED_BYTES) end++;
    return end;
}

/* The blanks between context and continuation belong to the continuation: a token begins with its
 * blank. */
static mn_status write(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    const mn__corpus *c = r->text;
    size_t first = first_sentence(r), last = first + n, end = scored_end(c, last + 1);
    if (end <= last + 1 || end > c->n_sentence)
        return mn__fail(diag, MN_EINPUT,
                        "task %s: a text of more than %zu sentences wanted, %zu found",
                        r->task->name, last + 1, c->n_sentence);
    size_t from = c->begin[last] + mn__corpus_bytes(c, last);
    size_t to = c->begin[end - 1] + mn__corpus_bytes(c, end - 1);
    mn__draft_put(&out->context, c->text + c->begin[first], from - c->begin[first]);
    mn__draft_put(&out->answers, c->text + from, to - from + 1);
    if (!out->answers.failed) out->answers.text[out->answers.n - 1] = '\0';
    out->n_answer = 1;
    return MN_OK;
}

/* As many that SCORED_BYTES are left for the continuation. */
static size_t most(const mn__recipe *r)
{
    const mn__corpus *c = r->text;
    size_t first = first_sentence(r), last = c->n_sentence - 1;
    while (last > first && c->n_byte - c->begin[last] < SCORED_BYTES) last--;
    return last > first + 1 ? last - first - 1 : 0;
}

#define CORPUS(name) \
    static const mn__maker name = {.text = "corpus/" NAME_##name, .n_most = most, .write = write}
#define NAME_books       "en-books.valid"
#define NAME_wiki        "en-simplewiki.valid"
#define NAME_wikitext2   "wikitext2.valid"
#define NAME_shakespeare "tinyshakespeare"
#define NAME_aozora      "ja-aozora.valid"
CORPUS(books);
CORPUS(wiki);
CORPUS(wikitext2);
CORPUS(shakespeare);
CORPUS(aozora);

#define TASK(corpus)                                                                            \
    {                                                                                           \
        .name = "lm_" #corpus, .family = MN__FAMILY_LM, .asks = MN__ASKS_TEXT, .metric = "nll", \
        .prompt = "{context}", .rules = MN__RULE_RAW, .maker = &corpus                          \
    }

static const mn__task tasks[] = {TASK(books), TASK(wiki), TASK(wikitext2), TASK(shakespeare),
                                 TASK(aozora)};

const mn__task_set mn__tasks_lm = {
    .name = "lm",
    .about = "Likelihood of what follows a long text, per token and per byte",
    .source = "standardebooks.org, simple.wikipedia.org, WikiText-2, Shakespeare, aozora.gr.jp",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
