/* task.h: what can be asked of a model: every task with its prompt, its metric and where its rows
 * come from. One file a set in tasks/; tasks.def names them all.
 *
 * Where data lie: FILE.jsonl, FILE.jsonl.xz or FILE.jsonl.zst below the data directory. */
#ifndef MN_EVAL_TASK_H
#define MN_EVAL_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "eval/rows.h"
#include "mneme/status.h"

/* What a task is about: means over all tasks hide that a policy helps one kind and hurts another.
 * name, text */
#define MN__FAMILY_MAP(X)        \
    X(NEEDLES, "needles")        \
    X(QA, "qa")                  \
    X(FEW_SHOT, "few-shot")      \
    X(CODE, "code")              \
    X(SUMMARIES, "summaries")    \
    X(SYNTHETIC, "synthetic")    \
    X(LM, "language modelling")  \
    X(CHOICE, "multiple choice") \
    X(OWN, "own file")

typedef enum mn__family {
#define X(name, text) MN__FAMILY_##name,
    MN__FAMILY_MAP(X)
#undef X
        MN__FAMILY_COUNT
} mn__family;
const char *mn__family_name(mn__family family);

typedef enum mn__asks {
    MN__ASKS_ANSWER, /* write an answer to the prompt; the metric (metric.h) compares it with
                        `answers` */
    MN__ASKS_TEXT,   /* how likely is answers[0] as the prompt's continuation. Metric `nll`: mean of
                        -log p over its tokens, low is good */
    MN__ASKS_CHOICE /* which continuation is likeliest. Metric `accuracy_norm`: 1 if the gold one is
                       so per byte, of one alone if each of its tokens is the likeliest; else 0 */
} mn__asks;

typedef enum mn__rule {
    MN__RULE_RAW = 1,        /* never put into a chat template: the prompt goes on in mid-text */
    MN__RULE_FIRST_LINE = 2, /* the answer is the first line, after any newlines before it */
    MN__RULE_STOP_LINE = 4,  /* a newline ends the answer once it has begun */
    MN__RULE_LETTER = 8      /* the letter of an answer that is one of all_classes is one too */
} mn__rule;

struct mn__maker;

typedef struct mn__task {
    const char *name; /* unique over all sets */
    mn__family family;
    mn__asks asks;
    const char *metric;
    /* {context}, {input}, and {A} to {D} for all_classes; all else stands for itself. What reaches
     * to the end of {context} can be read once and reused; the rest is the question. */
    const char *prompt;
    size_t max_new;      /* most new tokens */
    unsigned rules;      /* sum of mn__rule */
    const char *dir;     /* folder of its rows below the data directory; NULL: rows are only made */
    const char *files;   /* their names without .jsonl, blanks between, all of which are read */
    const char *dataset; /* only rows that say so; `x*`: that begin so; NULL: all */
    const struct mn__maker *maker; /* makes rows of any length; NULL: they are only read */
    int variant;                   /* the maker's own */
} mn__task;

typedef struct mn__task_set {
    const char *name;   /* stands for all its tasks */
    const char *about;  /* one line */
    const char *source; /* paper, site */
    const mn__task *task;
    size_t n_task;
} mn__task_set;

#define MN_TASK_SET(name) extern const mn__task_set mn__tasks_##name;
#include "eval/tasks.def"
#undef MN_TASK_SET

/* All sets in registry order; *n receives their number. Static. */
const mn__task_set *const *mn__task_list(size_t *n);

typedef struct mn__task_ref {
    const mn__task *task;
    const mn__task_set *set;
    bool by_set; /* the set was named, the task itself was not */
} mn__task_ref;
/* Tasks that `names` means, commas between: names of tasks or sets, each task once, in the order
 * named. *out [*n] is the caller's (mn__free). MN_EUSAGE: unknown (the nearest is named), or none.
 */
mn_status mn__task_find(mn__task_ref **out, size_t *n, const char *names, mn_diag *diag);

/* A task over the user's own rows, with room for the texts it points to. */
typedef struct mn__own_task {
    mn__task task;
    char name[64], metric[64];
} mn__own_task;
/* From a file's name ("data/my.jsonl.xz" becomes "my"). What it asks follows from the metric (see
 * mn__asks). prompt NULL: context, blank line, input, and the context alone where likelihoods are
 * asked for; borrowed. max_new 0: 128. The rows are opened by that path (mn__source_params.own). */
void mn__own_task_init(mn__own_task *out, const char *path, const char *metric, const char *prompt,
                       size_t max_new);

/* Cut an answer, in place, as the task's rules say; returns its length. */
size_t mn__task_tidy(const mn__task *task, char *answer);

#endif
