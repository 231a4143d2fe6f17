/* maker.c: how many units of filling a row takes to be as long as asked. */
#include "eval/maker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { ID_BYTES = 192 }; /* a task's name has at most 63 */

void mn__made_answer(mn__made *m, const char *text)
{
    mn__draft_put(&m->answers, text, strlen(text) + 1);
    m->n_answer++;
}

static void made_clear(mn__made *m)
{
    mn__draft_clear(&m->context);
    mn__draft_clear(&m->input);
    mn__draft_clear(&m->answers);
    m->n_answer = 0;
    m->depth = NAN;
}

static void made_free(mn__made *m)
{
    mn__draft_free(&m->context);
    mn__draft_free(&m->input);
    mn__draft_free(&m->answers);
}

typedef struct fit {
    const mn__recipe *recipe;
    const mn__tokens *tokens;
    mn__made made;
    size_t n_token; /* of what `made` holds */
} fit;

/* The row as it stands; its texts are those of `made`. */
static mn__row view_of(const fit *f, const char **answers)
{
    const char *at = mn__draft_text(&f->made.answers);
    for (size_t i = 0; i < f->made.n_answer; i++, at += strlen(at) + 1) answers[i] = at;
    return (mn__row){.context = mn__draft_text(&f->made.context),
                     .input = mn__draft_text(&f->made.input),
                     .dataset = f->recipe->task->name,
                     .answers = answers,
                     .n_answer = f->made.n_answer,
                     .depth = f->made.depth,
                     .max_tokens = (int64_t)f->recipe->length};
}

static mn_status write_row(fit *f, size_t n, mn_diag *diag)
{
    const mn__recipe *r = f->recipe;
    mn__prompt prompt = {0};
    mn_status st;
    made_clear(&f->made);
    MN_TRY(r->task->maker->write(r, n, &f->made, diag));
    if (f->made.context.failed || f->made.input.failed || f->made.answers.failed)
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for a row of %zu tokens",
                        r->task->name, r->length);
    mn__row row = {.context = mn__draft_text(&f->made.context),
                   .input = mn__draft_text(&f->made.input)};
    MN_TRY(mn__prompt_fill(&prompt, r->task, &row, diag));
    MN_TRY(mn__tokens_count(f->tokens, prompt.text, prompt.n_byte, &f->n_token, diag));
done:
    mn__prompt_free(&prompt);
    return st;
}

/* Where `length` tokens would be reached between two counts, strictly between them; past the first
 * guesses in the middle, so that it ends whatever the tokenizer does. */
static size_t guess(size_t length, const size_t n[2], const size_t tokens[2], int round)
{
    size_t span = n[1] - n[0];
    double share = round < 6 && tokens[1] > tokens[0]
                       ? ((double)length - (double)tokens[0]) / (double)(tokens[1] - tokens[0])
                       : 0.5;
    size_t step = (size_t)(share * (double)span);
    if (step < 1) step = 1;
    return n[0] + (step < span ? step : span - 1);
}

/* How many units fit, between least, which does, and most, which is not tried when what is below
 * it does not fit. */
static mn_status find_most(fit *f, size_t least, size_t most, size_t *out, mn_diag *diag)
{
    size_t length = f->recipe->length, n[2] = {least, least}, tokens[2] = {f->n_token, 0};
    size_t first = least, tokens_first = f->n_token, step = 8;
    mn_status st = MN_OK;
    while (n[0] < most) { /* until one is too many */
        n[1] = most - n[0] > step ? n[0] + step : most;
        MN_TRY(write_row(f, n[1], diag));
        if (f->n_token > length) break;
        n[0] = n[1];
        tokens[0] = f->n_token;
        double rate = ((double)tokens[0] - (double)tokens_first) / (double)(n[0] - first);
        double rest = (double)(length - tokens[0]) / (rate > 0.01 ? rate : 0.01) * 1.02 + 1;
        step = rest < 1e9 ? (size_t)rest : (size_t)1e9;
    }
    if (n[0] == most) n[1] = n[0] + 1;
    tokens[1] = f->n_token;
    for (int round = 0; n[1] - n[0] > 1; round++) {
        size_t m = guess(length, n, tokens, round);
        MN_TRY(write_row(f, m, diag));
        size_t side = f->n_token > length;
        n[side] = m;
        tokens[side] = f->n_token;
    }
    *out = n[0];
done:
    return st;
}

/* The row as long as asked, in f->made. */
static mn_status fill(fit *f, mn_diag *diag)
{
    const mn__recipe *r = f->recipe;
    const mn__maker *maker = r->task->maker;
    size_t n = maker->n_least, most = maker->n_most ? maker->n_most(r) : SIZE_MAX / 2;
    mn_status st;
    MN_TRY(write_row(f, n, diag));
    if (f->n_token > r->length)
        return mn__fail(diag, MN_ERANGE,
                        "task %s: a prompt of at most %zu tokens wanted, the shortest has %zu",
                        r->task->name, r->length, f->n_token);
    if (most > n) MN_TRY(find_most(f, n, most, &n, diag));
    MN_TRY(write_row(f, n, diag));
    if (n >= most && f->n_token < r->length - r->length / 10)
        return mn__fail(diag, MN_ERANGE,
                        "task %s: a prompt of %zu tokens wanted, what there is to fill it with is "
                        "enough for %zu",
                        r->task->name, r->length, f->n_token);
done:
    return st;
}

static void name_row(const mn__recipe *r, char id[ID_BYTES])
{
    int n = snprintf(id, ID_BYTES, "%s-%zu-%llu-%llu", r->task->name, r->length,
                     (unsigned long long)r->seed, (unsigned long long)r->index);
    if (!isnan(r->depth)) snprintf(id + n, ID_BYTES - (size_t)n, "-d%.3f", r->depth);
}

mn_status mn__make_row(mn__row *out, const mn__recipe *recipe, const mn__tokens *tokens,
                       mn_diag *diag)
{
    fit f = {.recipe = recipe, .tokens = tokens};
    const char **answers = NULL;
    char id[ID_BYTES];
    mn_status st;
    MN_TRY(fill(&f, diag));
    answers = mn__alloc_array(MN_MEM_OTHER, f.made.n_answer, sizeof *answers);
    if (!answers)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "task %s: no memory for a row", recipe->task->name));
    mn__row row = view_of(&f, answers);
    name_row(recipe, id);
    row.id = id;
    row.length = (int64_t)f.n_token;
    if (!isnan(recipe->depth)) row.depth = recipe->depth; /* the cell of a map that it is for */
    MN_TRY(mn__row_copy(out, &row, diag));
done:
    mn__free(answers);
    made_free(&f.made);
    return st;
}
