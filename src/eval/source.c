/* source.c: opens what a task needs below the data directory, and reads or makes its rows. */
#include "eval/source.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/heap.h"

enum { PATH_BYTES = 1024, MAX_STOCK = 1 << 20 };

struct mn__source {
    const mn__task *task;
    mn__task_ref ref; /* set NULL: the user's own */
    mn__source_params params;
    char *data, *own; /* copies */
    /* Read rows: */
    mn__rows *rows;
    const char *file; /* in task->files, behind what is open */
    uint64_t next;    /* number of the row that is read next */
    uint64_t n_bad;   /* of files read to their end, and rows of the wrong kind */
    mn_diag first_bad;
    /* Made rows: */
    mn__corpus text;
    mn__row *stock; /* [n_stock] */
    size_t n_stock, cap_stock;
};

/* ---- where files lie ---- */

/* The first of base + suffix, base + suffix.xz, base + suffix.zst that is there. */
static mn_status find_file(mn__task_ref ref, const char *data, const char *name, const char *suffix,
                           char path[PATH_BYTES], mn_diag *diag)
{
    static const char *const packed[] = {"", ".xz", ".zst"};
    const char *task = ref.task->name, *source = ref.set ? ref.set->source : "";
    if (!data)
        return mn__fail(diag, MN_EINPUT,
                        "task %s: a data directory with %s%s in it wanted, none given", task, name,
                        suffix);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        int n = snprintf(path, PATH_BYTES, "%s/%s%s%s", data, name, suffix, packed[i]);
        if (n < 0 || n >= PATH_BYTES)
            return mn__fail(diag, MN_EINPUT, "task %s: the data directory's path is too long",
                            task);
        if (access(path, F_OK) == 0) return MN_OK;
    }
    return mn__fail(diag, MN_EINPUT,
                    "task %s: no %s/%s%s (or .xz, .zst of it): put the set there (%s)", task, data,
                    name, suffix, source);
}

/* The first of a task's files (`files`: what is left of task->files), below the data directory;
 * the others are what is left then. */
static mn_status next_file(mn__task_ref ref, const char *data, const char **files,
                           char path[PATH_BYTES], mn_diag *diag)
{
    char name[256];
    size_t n = strcspn(*files, " ");
    snprintf(name, sizeof name, "%s/%.*s", ref.task->dir, (int)n, *files);
    *files += n;
    *files += **files == ' ';
    return find_file(ref, data, name, ".jsonl", path, diag);
}

mn_status mn__source_look(mn__task_ref ref, const mn__source_params *params, mn_diag *diag)
{
    mn_status st = MN_OK;
    char path[PATH_BYTES];
    const mn__maker *maker = params->length ? ref.task->maker : NULL;
    const char *files = ref.task->dir && (!maker || maker->stock) ? ref.task->files : "";
    if (params->own) return MN_OK;
    while (*files) MN_TRY(next_file(ref, params->data, &files, path, diag));
    if (maker && maker->text && !params->text)
        MN_TRY(find_file(ref, params->data, maker->text, ".txt", path, diag));
done:
    return st;
}

/* ---- read rows ---- */

/* What is told first stays. */
static void note_bad(mn__source *s, uint64_t n, const char *what)
{
    if (s->n_bad == 0) snprintf(s->first_bad.text, sizeof s->first_bad.text, "%s", what);
    s->n_bad += n;
}

static void close_file(mn__source *s)
{
    if (!s->rows) return;
    note_bad(s, mn__rows_n_bad(s->rows), mn__rows_first_bad(s->rows));
    mn__rows_close(s->rows);
    s->rows = NULL;
}

/* The next of the task's files; *found is false when there is none. */
static mn_status open_next(mn__source *s, bool *found, mn_diag *diag)
{
    char path[PATH_BYTES];
    mn_status st = MN_OK;
    close_file(s);
    *found = *s->file != '\0';
    if (!*found) return MN_OK;
    if (s->own) {
        s->file = "";
        MN_TRY(mn__rows_open(&s->rows, s->own, &s->params.rows, diag));
    } else {
        MN_TRY(next_file(s->ref, s->data, &s->file, path, diag));
        MN_TRY(mn__rows_open(&s->rows, path, &s->params.rows, diag));
    }
done:
    return st;
}

static mn_status rewind_rows(mn__source *s, mn_diag *diag)
{
    bool found;
    close_file(s);
    s->n_bad = 0;
    s->first_bad.text[0] = '\0';
    s->next = 0;
    s->file = s->own ? "own" : s->task->files;
    return open_next(s, &found, diag);
}

static bool is_wanted(const mn__task *task, const mn__row *row)
{
    if (!task->dataset) return true;
    if (!*row->dataset) return true; /* it does not say */
    size_t n = strlen(task->dataset);
    bool open = n && task->dataset[n - 1] == '*';
    return open ? strncmp(row->dataset, task->dataset, n - 1) == 0
                : strcmp(row->dataset, task->dataset) == 0;
}

/* A row holds what the task asks for. */
static mn_status check_kind(const mn__source *s, const mn__row *row, mn_diag *diag)
{
    bool choice = s->task->asks == MN__ASKS_CHOICE;
    if (choice ? row->n_choice : row->n_answer) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "%.500s:%llu: task %s wants a row with %s, none found",
                    mn__rows_path(s->rows), (unsigned long long)row->line, s->task->name,
                    choice ? "`continuations` and `gold`" : "`answers`");
}

static mn_status read_next(mn__source *s, mn__row *out, bool *found, mn_diag *diag)
{
    mn_status st = MN_OK;
    *found = false;
    while (s->rows) {
        bool more;
        mn_diag bad;
        MN_TRY(mn__rows_next(s->rows, out, found, diag));
        if (!*found) {
            MN_TRY(open_next(s, &more, diag));
            continue;
        }
        bool wanted = is_wanted(s->task, out);
        st = wanted ? check_kind(s, out, &bad) : MN_OK;
        if (wanted && st == MN_OK) break;
        mn__row_free(out);
        *found = false;
        if (st == MN_OK) continue;
        if (!s->params.rows.skip_bad) return mn__fail(diag, st, "%s", bad.text);
        if (s->n_bad == 0 && mn__rows_n_bad(s->rows)) /* one before it in this file */
            snprintf(bad.text, sizeof bad.text, "%s", mn__rows_first_bad(s->rows));
        note_bad(s, 1, bad.text);
        st = MN_OK;
    }
done:
    s->next += *found;
    return st;
}

/* The letters that the prompt gives to options which are answers are answers too. */
static mn_status answer_by_letter(mn__row *row, mn_diag *diag)
{
    static const char letter[][2] = {"A", "B", "C", "D"};
    mn__row view = *row, lettered;
    const char **answers = mn__alloc_array(MN_MEM_OTHER, 2 * row->n_answer, sizeof *answers);
    if (!answers) return mn__fail(diag, MN_ENOMEM, "no memory for a row's answers");
    for (size_t i = 0; i < row->n_answer; i++) answers[i] = row->answers[i];
    for (size_t i = 0; i < row->n_answer; i++) {
        for (size_t k = 0; k < row->n_class && k < 4; k++) {
            if (strcmp(row->answers[i], row->classes[k]) != 0) continue;
            answers[view.n_answer++] = letter[k];
            break;
        }
    }
    view.answers = answers;
    mn_status st = mn__row_copy(&lettered, &view, diag);
    mn__free(answers);
    if (st != MN_OK) return st;
    mn__row_free(row);
    *row = lettered;
    return MN_OK;
}

static mn_status no_rows(const mn__source *s, mn_diag *diag)
{
    char where[PATH_BYTES];
    if (s->own)
        snprintf(where, sizeof where, "%s", s->own);
    else
        snprintf(where, sizeof where, "%s/%s", s->data, s->task->dir);
    if (!s->n_bad)
        return mn__fail(diag, MN_EINPUT, "task %s: rows of it wanted in %s, none found",
                        s->task->name, where);
    return mn__fail(diag, MN_EINPUT,
                    "task %s: rows of it wanted in %s, only malformed lines found: %llu, the "
                    "first is %s",
                    s->task->name, where, (unsigned long long)s->n_bad, s->first_bad.text);
}

static mn_status read_row(mn__source *s, uint64_t i, mn__row *out, bool *found, mn_diag *diag)
{
    mn_status st = MN_OK;
    if (i < s->next || !s->rows) MN_TRY(rewind_rows(s, diag));
    for (;;) {
        bool wanted = s->next == i;
        MN_TRY(read_next(s, out, found, diag));
        if (!*found || wanted) break;
        mn__row_free(out);
    }
    if (!*found && s->next == 0) MN_TRY(no_rows(s, diag));
    if (!*found || !(s->task->rules & MN__RULE_LETTER)) goto done;
    st = answer_by_letter(out, diag);
    if (st != MN_OK) mn__row_free(out);
    *found = st == MN_OK;
done:
    return st;
}

/* ---- made rows ---- */

static mn_status keep_stock(mn__source *s, const mn__row *row, mn_diag *diag)
{
    if (s->n_stock == MAX_STOCK || MN__GROW(s->stock, s->n_stock, s->cap_stock) != MN_OK)
        return mn__fail(diag, MN_ENOMEM, "task %s: no memory for more than %zu rows", s->task->name,
                        s->n_stock);
    s->stock[s->n_stock++] = *row;
    return MN_OK;
}

static mn_status read_stock(mn__source *s, mn_diag *diag)
{
    mn_status st;
    mn__row row;
    bool found = true;
    MN_TRY(rewind_rows(s, diag));
    while (found) {
        MN_TRY(read_next(s, &row, &found, diag));
        if (!found) break;
        st = keep_stock(s, &row, diag);
        if (st != MN_OK) mn__row_free(&row);
        if (st != MN_OK) goto done;
    }
    if (s->n_stock == 0)
        st = mn__fail(diag, MN_EINPUT, "task %s: its files in %s/%s hold no row of it",
                      s->task->name, s->data, s->task->dir);
done:
    return st;
}

static mn_status open_maker(mn__source *s, const mn__source_params *params, mn_diag *diag)
{
    const mn__maker *maker = s->task->maker;
    char path[PATH_BYTES];
    mn_status st = MN_OK;
    if (!maker)
        return mn__fail(diag, MN_EUSAGE,
                        "task %s: its rows are read and have their own lengths, %zu tokens asked "
                        "for",
                        s->task->name, params->length);
    if (params->text && !maker->text)
        return mn__fail(diag, MN_EUSAGE, "task %s draws on no text, %s given", s->task->name,
                        params->text);
    if (params->n_depth && !maker->has_depth)
        return mn__fail(diag, MN_EUSAGE, "task %s has no needle to put at %zu depths",
                        s->task->name, params->n_depth);
    assert(params->tokens);
    if (maker->stock) MN_TRY(read_stock(s, diag));
    if (params->text) {
        MN_TRY(mn__corpus_read(&s->text, params->text, diag));
    } else if (maker->text) {
        MN_TRY(find_file(s->ref, s->data, maker->text, ".txt", path, diag));
        MN_TRY(mn__corpus_read(&s->text, path, diag));
    }
done:
    return st;
}

static mn_status make_row(const mn__source *s, uint64_t i, mn__row *out, mn_diag *diag)
{
    const mn__source_params *p = &s->params;
    double depth = NAN;
    if (p->n_depth)
        depth = p->n_depth > 1 ? (double)(i % p->n_depth) / (double)(p->n_depth - 1) : 0;
    const mn__recipe recipe = {.task = s->task,
                               .seed = p->seed,
                               .index = i,
                               .length = p->length,
                               .depth = depth,
                               .text = &s->text,
                               .stock = s->stock,
                               .n_stock = s->n_stock};
    return mn__make_row(out, &recipe, p->tokens, diag);
}

/* ---- both ---- */

static bool copy_text(char **out, const char *text)
{
    *out = text ? mn__strdup(text) : NULL;
    return !text || *out;
}

mn_status mn__source_open(mn__source **out, mn__task_ref ref, const mn__source_params *params,
                          mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__source *s = mn__alloc_zero(MN_MEM_OTHER, sizeof *s);
    if (!s || !copy_text(&s->data, params->data) || !copy_text(&s->own, params->own))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "task %s: no memory for its rows", ref.task->name));
    s->task = ref.task;
    s->ref = ref;
    s->params = *params;
    if (params->length) {
        MN_TRY(open_maker(s, params, diag));
    } else if (!ref.task->dir && !params->own) {
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "task %s: its rows are made, the length of a prompt wanted",
                        ref.task->name));
    } else {
        MN_TRY(rewind_rows(s, diag));
    }
    *out = s;
    s = NULL;
done:
    mn__source_close(s);
    return st;
}

mn_status mn__source_get(mn__source *s, uint64_t i, mn__row *out, bool *found, mn_diag *diag)
{
    *found = false;
    if (s->params.length == 0) return read_row(s, i, out, found, diag);
    if (i >= s->params.n_made) return MN_OK;
    mn_status st = make_row(s, i, out, diag);
    *found = st == MN_OK;
    return st;
}

uint64_t mn__source_n_bad(const mn__source *s)
{
    return s->n_bad + (s->rows ? mn__rows_n_bad(s->rows) : 0);
}

const char *mn__source_first_bad(const mn__source *s)
{
    return s->n_bad || !s->rows ? s->first_bad.text : mn__rows_first_bad(s->rows);
}

void mn__source_close(mn__source *s)
{
    if (!s) return;
    mn__rows_close(s->rows);
    mn__corpus_free(&s->text);
    for (size_t i = 0; i < s->n_stock; i++) mn__row_free(&s->stock[i]);
    mn__free(s->stock);
    mn__free(s->data);
    mn__free(s->own);
    mn__free(s);
}
