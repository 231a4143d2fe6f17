/* grade.c: answers by the task's metric, choices by likelihood per byte. */
#include "eval/grade.h"

#include <math.h>

#include "base/diag.h"
#include "base/heap.h"

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

mn_status mn__grade(const mn__grader *g, const mn__row *row, const mn__ask *ask,
                    const mn__outcome *o, double *score, mn_diag *diag)
{
    *score = NAN;
    if (*o->why || g->task->asks == MN__ASKS_TEXT) return MN_OK;
    if (g->task->asks == MN__ASKS_CHOICE) {
        *score = grade_choice(ask, o);
        return MN_OK;
    }
    char *text = mn__strdup(o->output ? o->output : "");
    if (!text) return mn__fail(diag, MN_ENOMEM, "no memory for a score");
    const mn__gold gold = {.answers = row->answers,
                           .n_answer = row->n_answer,
                           .classes = row->classes,
                           .n_class = row->n_class,
                           .question = row->input};
    size_t n = mn__task_tidy(g->task, text);
    mn_status st = mn__metric_score(g->metric, &gold, text, n, score, diag);
    mn__free(text);
    return st;
}
