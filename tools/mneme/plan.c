/* plan.c: the bytes a run will need, before it starts; or what a config costs (plan_config.c). */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "plan_config.h"
#include "ui.h"
#include "verbs.h"

static void print_text(const mn_plan *p, size_t n_prompt, size_t n_generate, const char *policy)
{
    char b[32];
    printf("reading %zu tokens, writing up to %zu, policy %s\n", n_prompt, n_generate, policy);
    const struct {
        const char *what;
        size_t bytes;
    } row[] = {{"weights (mapped, shared between processes)", p->weights_bytes},
               {"packed copies of weights", p->packed_bytes},
               {"KV cache, at its peak", p->kv_peak_bytes},
               {"KV cache, at the end", p->kv_final_bytes},
               {"policy state", p->policy_bytes},
               {"workspace", p->scratch_bytes},
               {"peak, without mapped weights", p->total_peak_bytes}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        printf("  %-44s %12s\n", row[i].what, ui_human((double)row[i].bytes, b));
}

/* A run's words stand behind options: one that stands alone is a config. */
static bool is_config(const args *a)
{
    return a->n_rest == 1 && !args_has(a, OPT_MODEL) && !args_has(a, OPT_FILE) &&
           !args_has(a, OPT_PROMPT);
}

mn_status verb_plan(const args *a, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn_model *m = NULL;
    mn_session_params sp;
    prompt p = {0};
    mn_plan plan;
    char *policy = NULL, name[UI_POLICY_BYTES];
    size_t n;
    if (is_config(a)) return plan_config(a, diag);
    if (a->n_rest)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "'%s': files follow -f, the question follows -p",
                        a->rest[0]));
    if (a->n_set)
        MN_TRY(mn__fail(diag, MN_EUSAGE, "--set: one config of a training wanted, none given"));
    MN_TRY(ui_session_params(a, &sp, diag));
    MN_TRY(args_size(a, OPT_TOKENS, 256, 0, 1 << 24, &n, diag));
    MN_TRY(ui_open_model(a, false, &m, diag));
    MN_TRY(ui_find_namm(a, m, &sp, &policy, diag));
    MN_TRY(mn_policy_name(sp.policy, name, sizeof name, diag));
    MN_TRY(ui_prompt(a, m, NULL, &p, diag));
    MN_TRY(mn_plan_make(m, &sp, p.n, n, &plan, diag));
    if (args_has(a, OPT_JSON))
        ui_print_json(json_pack(
            "{s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "prompt_tokens", (json_int_t)p.n,
            "generate_tokens", (json_int_t)n, "policy", ui_json_text(name), "weights_bytes",
            (json_int_t)plan.weights_bytes, "packed_bytes", (json_int_t)plan.packed_bytes,
            "kv_peak_bytes", (json_int_t)plan.kv_peak_bytes, "kv_final_bytes",
            (json_int_t)plan.kv_final_bytes, "policy_bytes", (json_int_t)plan.policy_bytes,
            "scratch_bytes", (json_int_t)plan.scratch_bytes, "total_peak_bytes",
            (json_int_t)plan.total_peak_bytes));
    else
        print_text(&plan, p.n, n, name);
done:
    free(p.token);
    free(policy);
    mn_model_free(m);
    return st;
}
