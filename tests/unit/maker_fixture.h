/* maker_fixture.h: what makers of rows are tested on: a text and files of rows of our own. */
#ifndef MN_TEST_MAKER_FIXTURE_H
#define MN_TEST_MAKER_FIXTURE_H

#include "base/heap.h"
#include "eval/task.h"
#include "eval_fixture.h"

enum { N_SENTENCE = 2400, N_STOCK = 2000 };

static mn__corpus text;
static mn__row stock[N_STOCK];

/* A text of our own: sentences with numbered words in small letters, so that there are many. */
static inline int make_text(void **state)
{
    (void)state;
    mn__draft d = {0};
    mn_diag diag;
    char word[8] = "";
    for (size_t i = 0; i < N_SENTENCE; i++) {
        mn__draft_fmt(&d, "Sentence %zu says", i);
        for (size_t k = 0; k < 8; k++) {
            size_t x = 8 * i + k;
            for (size_t c = 0; c < 6; c++, x /= 10) word[c] = (char)('a' + x % 10 + c);
            mn__draft_fmt(&d, " %s", word);
        }
        mn__draft_str(&d, i % 7 == 6 ? ".\n\n" : ". ");
    }
    mn_status st = mn__corpus_read(&text, ef_write("maker.txt", d.text, d.n), &diag);
    mn__draft_free(&d);
    return st != MN_OK;
}

/* Short stories with their facts, as bAbI's, and paragraphs with questions, as SQuAD's. */
static inline int make_stock(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STOCK; i++) {
        char line[600];
        mn_diag diag;
        if (i % 2)
            snprintf(
                line, sizeof line,
                "{\"context\":\"Ann went to room %zu. Bob took ball %zu. Ann left.\\n\\nMore of "
                "%zu.\",\"input\":\"Where is Ann %zu?\",\"answers\":[\"room %zu\",\"it\"]}",
                i, i, i, i, i);
        else
            snprintf(line, sizeof line,
                     "{\"context\":\"A book with %zu.\",\"input\":\"?\",\"answers\":[\"%zu\"],"
                     "\"max_tokens\":4096}",
                     i, i);
        if (mn__row_parse(&stock[i], line, strlen(line), "stock", &diag) != MN_OK) return 1;
    }
    return 0;
}

static inline int set_up(void **state)
{
    return make_text(state) || make_stock(state);
}

static inline int tear_down(void **state)
{
    (void)state;
    mn__corpus_free(&text);
    for (size_t i = 0; i < N_STOCK; i++) mn__row_free(&stock[i]);
    return 0;
}

static inline mn__recipe recipe_of(const mn__task *task, uint64_t index, size_t length)
{
    return (mn__recipe){.task = task,
                        .seed = 11,
                        .index = index,
                        .length = length,
                        .depth = NAN,
                        .text = &text,
                        .stock = stock,
                        .n_stock = N_STOCK};
}

static inline mn__row make(const mn__recipe *r)
{
    mn__row row = {0};
    mn_diag diag = {""};
    if (mn__make_row(&row, r, &ef_words, &diag) != MN_OK)
        fail_msg("%s: %s", r->task->name, diag.text);
    return row;
}

static inline const mn__task *task_named(const char *name)
{
    mn__task_ref *ref;
    size_t n;
    mn_diag diag;
    assert_int_equal(mn__task_find(&ref, &n, name, &diag), MN_OK);
    const mn__task *task = ref[0].task;
    mn__free(ref);
    return task;
}

#endif
