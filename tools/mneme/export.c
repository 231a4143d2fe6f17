/* export.c: a training's model for all the other verbs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "mneme/export.h"
#include "ui.h"
#include "verbs.h"

static void print_text(const mn_export_info *info, const char *path)
{
    char b[32];
    const struct {
        const char *what;
        size_t bytes;
    } row[] = {{"matrices", info->matrix_bytes},
               {"tables", info->table_bytes},
               {"norms, biases, keys", info->other_bytes}};
    printf("%s: %zu parameters after %" PRIu64 " steps, %" PRIu64 " tokens\n", path, info->n_params,
           info->step, info->tokens);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        printf("  %-44s %12s\n", row[i].what, ui_human((double)row[i].bytes, b));
}

static json_t *info_json(const mn_export_info *info, const char *path)
{
    return json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "file", ui_json_text(path), "parameters",
                     (json_int_t)info->n_params, "step", (json_int_t)info->step, "tokens",
                     (json_int_t)info->tokens, "matrix_bytes", (json_int_t)info->matrix_bytes,
                     "table_bytes", (json_int_t)info->table_bytes, "other_bytes",
                     (json_int_t)info->other_bytes);
}

mn_status verb_export(const args *a, mn_diag *diag)
{
    mn_status st;
    int type, tables;
    mn_export_info info;
    const char *out = a->value[OPT_OUT];
    mn_export_params p = {.tokenizer = a->value[OPT_TOKENIZER], .name = a->value[OPT_NAME]};
    if (a->n_rest != 1)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "one training's folder or checkpoint is wanted, %zu given",
                        a->n_rest));
    if (!out) MN_TRY(mn__fail(diag, MN_EUSAGE, "--out FILE is wanted: where the model goes"));
    MN_TRY(
        args_choice(a, OPT_TYPE, (const char *const[]){"f32", "bf16", "q8", NULL}, 0, &type, diag));
    MN_TRY(args_choice(a, OPT_TABLES, (const char *const[]){"auto", "f32", "bf16", "int8", NULL}, 0,
                       &tables, diag));
    p.type = (mn_export_type)type;
    p.tables = (mn_export_tables)tables;
    MN_TRY(mn_export(a->rest[0], out, &p, &info, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(info_json(&info, out));
    else if (!args_has(a, OPT_QUIET))
        print_text(&info, out);
done:
    return st;
}
