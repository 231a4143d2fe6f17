/* grade.c: answers by the task's metric, choices by likelihood per byte. */
#include "eval/grade.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { MAX_ANSWERS = 4096 };

mn_status mn__grader_open(mn__grader *g, const mn__task *task, const char *dictionary,
                          mn_diag *diag)
{
    *g = (mn__grader){.task = task};
    if (task->asks != MN__ASKS_ANSWER) return MN_OK;
    return mn__metric_open(&g->metric, task->metric, dictionary, diag);
}

void mn__grader_close(mn__grader *g)
{
    mn__metric_close(g->metric);
    *g = (mn__grader){0};
}

/* The likeliest of several; of one alone, whether it is what the model would have written. */
static double grade_choice(const mn__ask *ask, const mn__outcome *o)
{
    size_t right = ask->n_reading > 1 ? ask->gold_reading : ask->gold, best = 0;
    if (o->n_choice == 1) return o->greedy;
    for (size_t i = 0; i < o->n_choice; i++) {
        if (isnan(o->choice[i])) return NAN;
        if (o->choice[i] < o->choice[best]) best = i;
    }
    return o->n_choice && best == right;
}

/* Gold answers, and the letters of those that are among the options. */
static size_t list_answers(const mn__task *task, const mn__row *row, const char *list[MAX_ANSWERS])
{
    static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H"};
    size_t n = 0;
    for (size_t i = 0; i < row->n_answer && n < MAX_ANSWERS; i++) list[n++] = row->answers[i];
    if (!(task->rules & MN__RULE_LETTER)) return n;
    for (size_t i = 0; i < row->n_answer; i++)
        for (size_t k = 0; k < row->n_class && k < sizeof letters / sizeof *letters; k++)
            if (!strcmp(row->answers[i], row->classes[k]) && n < MAX_ANSWERS)
                list[n++] = letters[k];
    return n;
}

mn_status mn__grade(const mn__grader *g, const mn__row *row, const mn__ask *ask,
                    const mn__outcome *o, double *score, mn_diag *diag)
{
    *score = NAN;
    if (*o->why || g->task->asks == MN__ASKS_TEXT) return MN_OK;
    if (g->task->asks == MN__ASKS_CHOICE) {
        *score = grade_choice(ask, o);
        return MN_OK;
    }
    const char **list = mn__alloc_array(MN_MEM_OTHER, MAX_ANSWERS, sizeof *list);
    char *text = mn__strdup(o->output ? o->output : "");
    mn_status st = list && text ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for a score");
    if (st == MN_OK) {
        const mn__gold gold = {.answers = list,
                               .n_answer = list_answers(g->task, row, list),
                               .classes = row->classes,
                               .n_class = row->n_class,
                               .question = row->input};
        size_t n = mn__task_tidy(g->task, text);
        st = mn__metric_score(g->metric, &gold, text, n, score, diag);
    }
    mn__free(list);
    mn__free(text);
    return st;
}
