/* watch_show.c: what each layer holds and what kinds of token are kept, as tables. */
#include "watch_show.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "text_sink.h"
#include "ui.h"

static double number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* "12.3%" or "-", in `width` columns. */
static void put_percent(double x, int width)
{
    if (isnan(x))
        printf("%*s", width, "-");
    else
        printf("%*.1f%%", width - 1, 100 * x);
}

static const char *const kinds[] = {"word", "number", "punctuation", "code", "space", "newline"};
static const char *const kind_heads[] = {"words", "numbers", "punct.", "code", "space", "newline"};
enum { N_KIND = sizeof kinds / sizeof *kinds };

static void put_layer(const char *name, const json_t *x)
{
    const json_t *lift = json_object_get(x, "lift");
    printf("  %-6s %8.0f", name, number(x, "kept"));
    put_percent(number(x, "share"), 8);
    printf(" %9.0f", number(x, "age"));
    put_percent(number(x, "last_tenth"), 10);
    put_percent(number(x, "heads_overlap"), 9);
    put_percent(number(x, "heads_overlap_chance"), 9);
    put_percent(number(x, "next_overlap"), 9);
    printf(" ");
    for (size_t k = 0; k < N_KIND; k++) {
        double v = number(lift, kinds[k]);
        if (isnan(v))
            printf(" %7s", "-");
        else
            printf(" %7.2f", v);
    }
    printf("\n");
}

static void put_layers(const json_t *doc)
{
    size_t i;
    const json_t *row;
    printf("  %-6s %8s %7s %9s %9s %8s %8s %8s ", "layer", "held", "share", "mean age", "last 10%",
           "heads", "chance", "next");
    for (size_t k = 0; k < N_KIND; k++) printf(" %7s", kind_heads[k]);
    printf("\n");
    json_array_foreach(json_object_get(doc, "layers"), i, row)
    {
        char name[24];
        snprintf(name, sizeof name, "%.0f", number(row, "layer"));
        put_layer(name, row);
    }
    put_layer("all", json_object_get(doc, "all"));
}

static void explain(void)
{
    printf("\nheld: tokens, mean over heads. last 10%%: of them, in the text's last tenth. heads, "
           "next: overlap (Jaccard) of the\nlayer's heads and with those of the next layer; "
           "chance: of random sets. words ... newline: share among the tokens\nheld over share in "
           "the text.\n");
}

static void put_kinds(const json_t *doc)
{
    size_t i;
    const json_t *row;
    printf("\n  %-12s %8s %9s %9s %6s\n", "kind", "tokens", "in text", "held", "lift");
    json_array_foreach(json_object_get(doc, "kinds"), i, row)
    {
        printf("  %-12s %8.0f ", json_string_value(json_object_get(row, "kind")),
               number(row, "tokens"));
        put_percent(number(row, "share"), 9);
        put_percent(number(row, "kept_share"), 10);
        printf(" %6.2f\n", number(row, "lift"));
    }
}

static void put_tables(const json_t *doc)
{
    printf("%s, policy %s: %.0f tokens read, %.0f written, %zu events, %.1f%% held at the end\n\n",
           json_string_value(json_object_get(doc, "model")),
           json_string_value(json_object_get(doc, "policy")), number(doc, "prompt_tokens"),
           number(doc, "generated_tokens"), json_array_size(json_object_get(doc, "events")),
           100 * number(doc, "kept_share"));
    if (!json_array_size(json_object_get(doc, "layers"))) return;
    put_layers(doc);
    explain();
    put_kinds(doc);
}

mn_status watch_show(const args *a, const mn_watch *w, mn_diag *diag)
{
    text_sink t = {0};
    mn_status st = mn_watch_json(w, text_sink_put, &t, diag);
    json_t *doc = text_sink_json(&t);
    if (st == MN_OK && !doc) st = mn__fail(diag, MN_ENOMEM, "no memory for the tables");
    if (st == MN_OK && args_has(a, OPT_JSON))
        ui_print_json(json_incref(doc));
    else if (st == MN_OK)
        put_tables(doc);
    json_decref(doc);
    return st;
}

static void put_tasks(const json_t *doc)
{
    size_t i;
    const json_t *row;
    printf("%s, policy %s, budget %s\n", json_string_value(json_object_get(doc, "model")),
           json_string_value(json_object_get(doc, "policy")),
           json_string_value(json_object_get(doc, "budget")));
    json_array_foreach(json_object_get(doc, "tasks"), i, row)
    {
        double n = number(row, "texts");
        printf("\n%s (%s): %.0f %s of %.0f tokens", json_string_value(json_object_get(row, "task")),
               json_string_value(json_object_get(row, "family")), n, n == 1 ? "text" : "texts",
               number(row, "tokens"));
        printf(", %.1f%% held at the end\n", 100 * number(row, "kept_share"));
        if (n > 0) put_layers(row);
    }
    explain();
    printf("Means over a task's texts.\n");
}

mn_status watch_show_tasks(const args *a, const mn_model *m, const mn_eval_params *p, mn_diag *diag)
{
    text_sink t = {0};
    mn_status st = mn_watch_tasks_json(m, p, text_sink_put, &t, diag);
    json_t *doc = text_sink_json(&t);
    if (st == MN_OK && !doc) st = mn__fail(diag, MN_ENOMEM, "no memory for the tables");
    if (st == MN_OK && args_has(a, OPT_JSON))
        ui_print_json(json_incref(doc));
    else if (st == MN_OK)
        put_tasks(doc);
    json_decref(doc);
    return st;
}
