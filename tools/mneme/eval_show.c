/* eval_show.c: the headline of an evaluation as a table for people, or all figures as JSON. */
#include "eval_show.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "text_sink.h"
#include "ui.h"

static const char *field(const json_t *row, const char *key)
{
    const char *value = json_string_value(json_object_get(row, key));
    return value ? value : "";
}

static double number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *when(const json_t *row)
{
    const char *acts = field(row, "acts");
    return !strcmp(acts, "reading")                  ? "forget while reading"
           : strcmp(acts, "end")                     ? ""
           : !strcmp(field(row, "evict"), "context") ? "act at the context's end"
                                                     : "act at the prompt's end";
}

/* "+0.123 [+0.100, +0.151]" */
static void put_interval(const json_t *row, const char *key)
{
    char name[64];
    double mean = number(row, key);
    snprintf(name, sizeof name, "%s_ci95", key);
    const json_t *ends = json_object_get(row, name);
    if (isnan(mean))
        printf("  %-24s", "-");
    else if (json_array_size(ends) != 2)
        printf("  %+-24.3f", mean);
    else
        printf("  %+6.3f [%+6.3f, %+6.3f]", mean, json_number_value(json_array_get(ends, 0)),
               json_number_value(json_array_get(ends, 1)));
}

static void arm_name(const json_t *row, char name[128])
{
    snprintf(name, 128, "%s%s%s", field(row, "policy"), *field(row, "budget") ? "@" : "",
             field(row, "budget"));
}

static void put_line(const json_t *row)
{
    char name[128], kept[32] = "-", ratio[32] = "-", bytes[32] = "-";
    double share = number(row, "kv_share"), full = number(row, "full_ratio"),
           kv = number(row, "kv_bytes"), peak = number(row, "peak_kv_bytes");
    arm_name(row, name);
    if (!isnan(share)) snprintf(kept, sizeof kept, "%.1f%%", 100 * share);
    if (!isnan(full)) snprintf(ratio, sizeof ratio, "%.2f", full);
    printf("  %-36s %5.0f", name, number(row, "n"));
    put_interval(row, "nll_change");
    put_interval(row, "kl");
    printf(" %6s %6s %10s", ratio, kept, isnan(kv) ? bytes : ui_human(kv, bytes));
    printf(" %10s\n", isnan(peak) ? "-" : ui_human(peak, bytes));
}

/* The most that any policy of a block held for any prompt: lines i and those below it. */
static void put_block(const json_t *lines, size_t i)
{
    const json_t *first = json_array_get(lines, i), *row;
    char bytes[32];
    double most = NAN;
    for (; (row = json_array_get(lines, i)); i++)
        if (!strcmp(field(row, "run"), field(first, "run")) &&
            !strcmp(field(row, "acts"), field(first, "acts")))
            most = fmax(most, number(row, "peak_kv_bytes_most"));
    printf("%s%s%s:\n", when(first), isnan(most) ? "" : ", peak ",
           isnan(most) ? "" : ui_human(most, bytes));
}

static void put_table(const json_t *doc, const json_t *run)
{
    size_t i;
    const json_t *row, *lines = json_object_get(doc, "summary");
    bool several = json_array_size(json_object_get(doc, "runs")) > 1;
    char block[64] = "";
    printf("\n%s, policies act behind the %s%s%s\n", field(run, "model"), field(run, "evict"),
           several ? ", run " : "", several ? field(run, "run") : "");
    printf("  %-36s %5s  %-24s  %-24s %6s %6s %10s %10s\n", "policy@budget", "n",
           "gold NLL/token, change", "KL/token", "score", "kept", "KV", "peak");
    json_array_foreach(lines, i, row)
    {
        if (strcmp(field(row, "run"), field(run, "run"))) continue;
        if (strcmp(block, when(row))) {
            snprintf(block, sizeof block, "%s", when(row));
            if (*block) put_block(lines, i);
        }
        put_line(row);
    }
}

/* ---- scores of tasks ---- */

enum { LINE_WIDTH = 120, NAME_WIDTH = 38, LEAST_WIDTH = 11 };

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t width_of(const json_t *task)
{
    return 2 +
           larger(LEAST_WIDTH, larger(strlen(field(task, "task")), strlen(field(task, "metric"))));
}

/* Tasks of a run with a score, from number i on, as many as fit into a line; the number behind. */
static size_t next_columns(const json_t *tasks, size_t i, const char *run, json_t *columns)
{
    json_t *task;
    size_t width = NAME_WIDTH;
    for (; (task = json_array_get(tasks, i)); i++) {
        if (strcmp(field(task, "run"), run) || !strcmp(field(task, "metric"), "nll")) continue;
        width += width_of(task);
        if (width > LINE_WIDTH && json_array_size(columns)) break;
        json_array_append(columns, task);
    }
    return i;
}

static void put_cell(const json_t *rows, const json_t *line, const json_t *task)
{
    size_t i;
    const json_t *row;
    char cell[64] = "-";
    json_array_foreach(rows, i, row)
    {
        if (strcmp(field(row, "run"), field(line, "run")) ||
            strcmp(field(row, "task"), field(task, "task")) ||
            strcmp(field(row, "policy"), field(line, "policy")) ||
            strcmp(field(row, "budget"), field(line, "budget")))
            continue;
        if (!isnan(number(row, "score")))
            snprintf(cell, sizeof cell, "%.3f (%.0f)", number(row, "score"), number(row, "n"));
        break;
    }
    printf("%*s", (int)width_of(task), cell);
}

static void put_columns(const json_t *doc, const char *run, const json_t *columns)
{
    size_t i, k;
    const json_t *line, *task;
    static const char *const head[][2] = {{"task", "task"}, {"metric", "policy@budget"}};
    for (size_t h = 0; h < 2; h++) {
        printf("%s  %-36s", h ? "" : "\n", head[h][1]);
        json_array_foreach(columns, k, task)
            printf("%*s", (int)width_of(task), field(task, head[h][0]));
        putchar('\n');
    }
    json_array_foreach(json_object_get(doc, "summary"), i, line)
    {
        char name[128];
        if (strcmp(field(line, "run"), run)) continue;
        arm_name(line, name);
        printf("  %-36s", name);
        json_array_foreach(columns, k, task) put_cell(json_object_get(doc, "rows"), line, task);
        putchar('\n');
    }
}

static void put_scores(const json_t *doc, const char *run)
{
    const json_t *tasks = json_object_get(doc, "tasks");
    json_t *columns = json_array();
    for (size_t at = 0;;) {
        at = next_columns(tasks, at, run, columns);
        if (!json_array_size(columns)) break;
        put_columns(doc, run, columns);
        json_array_clear(columns);
    }
    json_decref(columns);
}

/* ---- both ---- */

static void put_all(const json_t *doc)
{
    size_t i;
    const json_t *run;
    json_array_foreach(json_object_get(doc, "runs"), i, run)
    {
        put_table(doc, run);
        put_scores(doc, field(run, "run"));
    }
    puts(
        "\nMeans over prompts with 95% bootstrap intervals, against the full cache. score: mean over"
        " tasks of the ratio\nto the full cache's, where that counts; of a task: mean of its metric "
        "(prompts). peak: of a prompt's cache until\nthe answer begins; of a block: the most of "
        "all.");
}

mn_status eval_document(const char *dir, mn_report_info *info, json_t **out, mn_diag *diag)
{
    text_sink t = {0};
    mn_status st = mn_report_json(dir, NULL, info, text_sink_put, &t, diag);
    *out = text_sink_json(&t);
    if (st == MN_OK && !*out) st = mn__fail(diag, MN_ENOMEM, "no memory for the table");
    return st;
}

mn_status eval_show(const args *a, const char *dir, mn_diag *diag)
{
    json_t *doc;
    mn_status st = eval_document(dir, NULL, &doc, diag);
    if (st != MN_OK) return st;
    if (args_has(a, OPT_JSON)) {
        ui_print_json(doc);
        return MN_OK;
    }
    put_all(doc);
    json_decref(doc);
    return MN_OK;
}
