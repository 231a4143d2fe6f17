/* inspect.c: what is in a file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "pull.h"
#include "ui.h"
#include "verbs.h"

typedef struct view {
    json_t *doc; /* NULL: text */
    char section[16];
} view;

static void fact(const char *section, const char *name, const char *value, void *ctx)
{
    view *v = ctx;
    if (v->doc) {
        json_t *sec = json_object_get(v->doc, section);
        if (!sec) {
            sec = json_object();
            json_object_set_new(v->doc, section, sec);
        }
        json_t *key = ui_json_text(name);
        json_object_set_new(sec, json_string_value(key), ui_json_text(value));
        json_decref(key);
        return;
    }
    if (strcmp(v->section, section)) {
        printf("%s%s\n", *v->section ? "\n" : "", section);
        snprintf(v->section, sizeof v->section, "%s", section);
    }
    printf("  %-44s %s\n", name, value);
}

mn_status verb_inspect(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    char path[PATH_MAX];
    view v = {0};
    if (a->n_rest != 1)
        MN_TRY(
            mn__fail(diag, MN_EUSAGE, "one file or known model is wanted, %zu given", a->n_rest));
    MN_TRY(pull_resolve(a->rest[0], args_has(a, OPT_OFFLINE), args_has(a, OPT_QUIET), path,
                        sizeof path, diag));
    if (args_has(a, OPT_JSON)) v.doc = json_object();
    MN_TRY(mn_file_describe(path, fact, &v, diag));
    if (v.doc) ui_print_json(json_incref(v.doc));
done:
    json_decref(v.doc);
    return st;
}
