/* ruler_qa.c: qa_1 and qa_2, a question over its own paragraphs among those of other questions. The
 * files hold one question a row: `context` its paragraphs with blank lines between (SQuAD: one,
 * HotpotQA: the two that hold the answer), `input`, `answers`. */
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/tasks/ruler.h"

enum { STREAM_OTHER = MN__STREAM_OWN, STREAM_ORDER };

typedef struct paragraph {
    const char *text;
    size_t n;
} paragraph;

/* Paragraphs of a context into list (NULL: only counted). */
static size_t split(const char *context, paragraph *list)
{
    size_t n = 0;
    while (*context) {
        const char *end = strstr(context, "\n\n");
        size_t bytes = end ? (size_t)(end - context) : strlen(context);
        if (bytes && list) list[n] = (paragraph){context, bytes};
        n += bytes > 0;
        context += bytes;
        context += strspn(context, "\n");
    }
    return n;
}

static bool is_among(const paragraph *list, size_t n, paragraph p)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].n == p.n && memcmp(list[i].text, p.text, p.n) == 0) return true;
    return false;
}

/* Questions on one paragraph follow each other: only equal neighbours are looked for. */
static size_t gather(const mn__recipe *r, const mn__row *gold, paragraph *list)
{
    size_t n = split(gold->context, list), own = n;
    for (size_t i = 0; i < r->n_stock; i++) {
        size_t from = n, m = split(r->stock[i].context, list + n);
        for (size_t k = 0; k < m; k++) {
            paragraph p = list[from + k];
            bool known = is_among(list, own, p) || (n > own && is_among(list + n - 1, 1, p));
            if (!known) list[n++] = p;
        }
    }
    return n;
}

static size_t count(const mn__recipe *r, const mn__row *gold)
{
    size_t n = split(gold->context, NULL);
    for (size_t i = 0; i < r->n_stock; i++) n += split(r->stock[i].context, NULL);
    return n;
}

static const mn__row *gold_of(const mn__recipe *r)
{
    return &r->stock[r->index % r->n_stock];
}

static mn_status write(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    const mn__row *gold = gold_of(r);
    size_t own = split(gold->context, NULL), n_all = count(r, gold);
    paragraph *list = mn__alloc_array(MN_MEM_OTHER, n_all, sizeof *list);
    size_t *other = mn__alloc_array(MN_MEM_OTHER, 2 * n_all, sizeof *other);
    if (!list || !other) {
        mn__free(list);
        mn__free(other);
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for %zu paragraphs", r->task->name,
                        n_all);
    }
    size_t n_found = gather(r, gold, list) - own, *order = other + n_all;
    mn__draw_order(r, STREAM_OTHER, other, n_found);
    if (n > n_found) n = n_found;
    mn__draw_order(r, STREAM_ORDER, order, own + n);
    for (size_t i = 0; i < own + n; i++) {
        paragraph p = order[i] < own ? list[order[i]] : list[own + other[order[i] - own]];
        mn__draft_fmt(&out->context, "%sDocument %zu:\n", i ? "\n\n" : "", i + 1);
        mn__draft_put(&out->context, p.text, p.n);
    }
    mn__draft_str(&out->input, gold->input);
    for (size_t i = 0; i < gold->n_answer; i++) mn__made_answer(out, gold->answers[i]);
    mn__free(list);
    mn__free(other);
    return MN_OK;
}

/* No more than there are. */
static size_t most(const mn__recipe *r)
{
    const mn__row *gold = gold_of(r);
    return count(r, gold) - 2 * split(gold->context, NULL);
}

const mn__maker mn__ruler_qa = {.stock = true, .n_most = most, .write = write};
