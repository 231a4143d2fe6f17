/* pull_verb.c: fetch known models. */
#include <limits.h>
#include <stdio.h>

#include "base/diag.h"
#include "pull.h"
#include "ui.h"
#include "verbs.h"

static mn_status list(const args *a)
{
    size_t n;
    const pull_record *m = pull_known(&n);
    if (!args_has(a, OPT_JSON)) {
        pull_list(stdout);
        return MN_OK;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:I,s:s}", "name", m[i].name, "about",
                                              m[i].about, "licence", m[i].licence, "bytes",
                                              (json_int_t)m[i].bytes, "sha256", m[i].sha256));
    ui_print_json(json_pack("{s:o}", "models", list));
    return MN_OK;
}

mn_status verb_pull(const args *a, mn_diag *diag)
{
    json_t *doc = json_array();
    mn_status st = MN_OK;
    char path[PATH_MAX];
    if (args_has(a, OPT_LIST)) {
        json_decref(doc);
        return list(a);
    }
    if (!a->n_rest)
        MN_TRY(mn__fail(diag, MN_EUSAGE,
                        "which model? 'mneme pull --list' shows those that can be pulled by name"));
    for (size_t i = 0; i < a->n_rest; i++) {
        MN_TRY(pull_model(a->rest[i], args_has(a, OPT_OFFLINE), args_has(a, OPT_QUIET), path,
                          sizeof path, diag));
        if (!args_has(a, OPT_JSON)) puts(path);
        json_array_append_new(
            doc, json_pack("{s:s,s:o}", "name", a->rest[i], "path", ui_json_text(path)));
    }
    if (args_has(a, OPT_JSON)) {
        ui_print_json(json_pack("{s:o}", "models", doc));
        return MN_OK;
    }
done:
    json_decref(doc);
    return st;
}
