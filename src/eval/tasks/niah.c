/* niah.c: one needle in a haystack of sentences, for the map of depth by length. Values are drawn,
 * so that no model knows them from elsewhere, and an exact match says whether it was found. */
#include <stdio.h>

#include "eval/maker.h"

enum { STREAM_CITY = MN__STREAM_OWN, STREAM_NUMBER, STREAM_START };

static mn_status write(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    static const char *const city[] = {"Lisbon", "Nairobi", "Oslo",    "Lima",   "Hanoi", "Quito",
                                       "Dublin", "Cairo",   "Seattle", "Prague", "Perth", "Kyoto"};
    const char *name = city[mn__draw_below(r, STREAM_CITY, 0, sizeof city / sizeof *city)];
    size_t first = (size_t)mn__draw_below(r, STREAM_START, 0, r->text->n_sentence), place;
    char value[16];
    (void)diag;
    snprintf(value, sizeof value, "%u",
             (unsigned)mn__draw_below(r, STREAM_NUMBER, 0, 9000000) + 1000000);
    out->depth = mn__place_in_text(r->text, first, n, mn__depth(r), &place);
    for (size_t i = 0; i <= n; i++) {
        if (i == place)
            mn__draft_fmt(&out->context, "%sThe special magic %s number is: %s.", i ? " " : "",
                          name, value);
        if (i == n) break;
        if (out->context.n) mn__draft_str(&out->context, " ");
        mn__corpus_say(r->text, first + i, &out->context);
    }
    mn__draft_fmt(&out->input,
                  "Question: What is the special magic %s number?\nAnswer: The special magic %s "
                  "number is:",
                  name, name);
    mn__made_answer(out, value);
    return MN_OK;
}

static const mn__maker maker = {.text = "corpus/en-books.valid", .has_depth = true, .write = write};

static const mn__task tasks[] = {
    {.name = "niah",
     .family = MN__FAMILY_NEEDLES,
     .metric = "contains",
     .prompt = "Read the following text and answer the question behind it.\n\n{context}\n\n{input}",
     .max_new = 16,
     .maker = &maker},
};

const mn__task_set mn__tasks_niah = {
    .name = "niah",
    .about = "A needle in a haystack at chosen depths and lengths",
    .source = "github.com/gkamradt/LLMTest_NeedleInAHaystack, needles as in its variant by Arize",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
