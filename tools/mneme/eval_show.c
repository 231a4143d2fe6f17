/* eval_show.c: the headline of an evaluation as a table for people, or all figures as JSON. */
#include "eval_show.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "mneme/eval.h"
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

static const char *when(const char *acts)
{
    return !strcmp(acts, "reading") ? "forget while reading"
           : !strcmp(acts, "end")   ? "act at the prompt's end"
                                    : "";
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

static void put_line(const json_t *row)
{
    char name[128], kept[32] = "-", ratio[32] = "-", bytes[32] = "-";
    double share = number(row, "kv_share"), full = number(row, "full_ratio"),
           kv = number(row, "kv_bytes");
    snprintf(name, sizeof name, "%s%s%s", field(row, "policy"), *field(row, "budget") ? "@" : "",
             field(row, "budget"));
    if (!isnan(share)) snprintf(kept, sizeof kept, "%.1f%%", 100 * share);
    if (!isnan(full)) snprintf(ratio, sizeof ratio, "%.2f", full);
    printf("  %-36s %5.0f", name, number(row, "n"));
    put_interval(row, "nll_change");
    put_interval(row, "kl");
    printf(" %6s %6s %10s\n", ratio, kept, isnan(kv) ? bytes : ui_human(kv, bytes));
}

static void put_table(const json_t *doc)
{
    size_t i;
    const json_t *row;
    char model[256] = "", evict[32] = "", block[64] = "";
    json_array_foreach(json_object_get(doc, "summary"), i, row)
    {
        if (strcmp(model, field(row, "model")) || strcmp(evict, field(row, "evict"))) {
            snprintf(model, sizeof model, "%s", field(row, "model"));
            snprintf(evict, sizeof evict, "%s", field(row, "evict"));
            *block = '\0';
            printf("\n%s, policies act behind the %s\n  %-36s %5s  %-24s  %-24s %6s %6s %10s\n",
                   model, evict, "policy@budget", "n", "gold NLL/token, change", "KL/token",
                   "score", "kept", "KV");
        }
        if (strcmp(block, when(field(row, "acts")))) {
            snprintf(block, sizeof block, "%s", when(field(row, "acts")));
            printf("%s:\n", block);
        }
        put_line(row);
    }
    printf(
        "\nMeans over prompts with 95%% bootstrap intervals, against the full cache. score: mean "
        "over tasks of the ratio to the full cache's, where that counts.\n");
}

mn_status eval_show(const args *a, const char *dir, mn_diag *diag)
{
    text_sink t = {0};
    mn_status st = mn_report_json(dir, NULL, text_sink_put, &t, diag);
    json_t *doc = text_sink_json(&t);
    if (st == MN_OK && !doc) st = mn__fail(diag, MN_ENOMEM, "no memory for the table");
    if (st == MN_OK && args_has(a, OPT_JSON))
        ui_print_json(json_incref(doc));
    else if (st == MN_OK)
        put_table(doc);
    json_decref(doc);
    return st;
}
