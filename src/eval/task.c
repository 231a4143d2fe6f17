/* task.c: the registry of tasks, and names to tasks. */
#include "eval/task.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { DEFAULT_MAX_NEW = 128 };

static const mn__task_set *const sets[] = {
#define MN_TASK_SET(name) &mn__tasks_##name,
#include "eval/tasks.def"
#undef MN_TASK_SET
};
enum { N_SET = sizeof sets / sizeof *sets };

const mn__task_set *const *mn__task_list(size_t *n)
{
    *n = N_SET;
    return sets;
}

const char *mn__family_name(mn__family family)
{
    static const char *const names[] = {
#define X(name, text) text,
        MN__FAMILY_MAP(X)
#undef X
    };
    return names[family];
}

static size_t count_tasks(void)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SET; i++) n += sets[i]->n_task;
    return n;
}

static void add(mn__task_ref *list, size_t *n, mn__task_ref ref)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i].task != ref.task) continue;
        list[i].by_set = list[i].by_set && ref.by_set;
        return;
    }
    list[(*n)++] = ref;
}

/* Everything that one name means; false: nothing. */
static bool add_named(mn__task_ref *list, size_t *n, const char *name)
{
    bool known = false;
    for (size_t i = 0; i < N_SET; i++) {
        bool whole = strcmp(sets[i]->name, name) == 0;
        for (size_t j = 0; j < sets[i]->n_task; j++) {
            const mn__task *task = &sets[i]->task[j];
            bool alone = strcmp(task->name, name) == 0; /* a set of one may have its task's name */
            if (!whole && !alone) continue;
            add(list, n, (mn__task_ref){task, sets[i], !alone});
            known = true;
        }
    }
    return known;
}

static mn_status unknown(const char *name, mn_diag *diag)
{
    const char *near = NULL, **names = NULL;
    size_t n = 0;
    names = mn__alloc_array(MN_MEM_OTHER, count_tasks() + N_SET + 1, sizeof *names);
    if (names) {
        for (size_t i = 0; i < N_SET; i++) {
            names[n++] = sets[i]->name;
            for (size_t j = 0; j < sets[i]->n_task; j++) names[n++] = sets[i]->task[j].name;
        }
        names[n] = NULL;
        near = mn__nearest(name, names);
    }
    mn__free(names);
    return mn__fail(diag, MN_EUSAGE, "no task or set of tasks is called `%.80s`%s%s%s", name,
                    near ? "; the nearest name is `" : "", near ? near : "", near ? "`" : "");
}

mn_status mn__task_find(mn__task_ref **out, size_t *n, const char *names, mn_diag *diag)
{
    mn_status st = MN_OK;
    char name[96];
    size_t n_found = 0;
    *out = NULL;
    *n = 0;
    mn__task_ref *list = mn__alloc_array(MN_MEM_OTHER, count_tasks(), sizeof *list);
    if (!list) return mn__fail(diag, MN_ENOMEM, "no memory for the list of tasks");
    for (const char *at = names; st == MN_OK; at++) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", length < 90 ? (int)length : 90, at);
        if (length && !add_named(list, &n_found, name)) st = unknown(name, diag);
        at += length;
        if (!*at) break;
    }
    if (st == MN_OK && n_found == 0)
        st = mn__fail(diag, MN_EUSAGE, "the name of a task or of a set of tasks wanted");
    if (st != MN_OK) {
        mn__free(list);
        return st;
    }
    *out = list;
    *n = n_found;
    return MN_OK;
}

static mn__asks asks_of(const char *metric)
{
    if (strcmp(metric, "accuracy_norm") == 0) return MN__ASKS_CHOICE;
    return strcmp(metric, "nll") == 0 ? MN__ASKS_TEXT : MN__ASKS_ANSWER;
}

void mn__own_task_init(mn__own_task *out, const char *path, const char *metric, const char *prompt,
                       size_t max_new)
{
    mn__asks asks = asks_of(metric);
    if (!prompt) prompt = asks == MN__ASKS_ANSWER ? "{context}\n\n{input}" : "{context}";
    if (asks == MN__ASKS_ANSWER && max_new == 0) max_new = DEFAULT_MAX_NEW;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n = strcspn(base, ".");
    snprintf(out->name, sizeof out->name, "%.*s", n < 60 ? (int)n : 60, base);
    snprintf(out->metric, sizeof out->metric, "%s", metric);
    mn__make_printable(out->name, '?');
    out->task = (mn__task){.name = out->name,
                           .family = MN__FAMILY_OWN,
                           .asks = asks,
                           .metric = out->metric,
                           .prompt = prompt,
                           .max_new = asks == MN__ASKS_ANSWER ? max_new : 0};
}

size_t mn__task_tidy(const mn__task *task, char *answer)
{
    char *from = answer;
    if (task->rules & (MN__RULE_FIRST_LINE | MN__RULE_STOP_LINE)) {
        from += strspn(from, "\n");
        from[strcspn(from, "\n")] = '\0';
    }
    size_t n = strlen(from);
    memmove(answer, from, n + 1);
    return n;
}
