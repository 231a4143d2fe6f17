/* main.c: mneme VERB [options] FILE. Results on standard output, all else on standard error. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "build_info.h"
#include "ui.h"
#include "verbs.h"

typedef mn_status (*verb_fn)(const args *a, mn_diag *diag);
static const verb_fn verb_fns[VERB_COUNT] = {
    [VERB_PULL] = verb_pull,       [VERB_RUN] = verb_run,       [VERB_CHAT] = verb_chat,
    [VERB_INSPECT] = verb_inspect, [VERB_PLAN] = verb_plan,     [VERB_WATCH] = verb_watch,
    [VERB_BENCH] = verb_bench,     [VERB_EVAL] = verb_eval,     [VERB_EVOLVE] = verb_evolve,
    [VERB_TRAIN] = verb_train,     [VERB_EXPORT] = verb_export,   [VERB_REPORT] = verb_report,
};

static json_t *policies_json(void)
{
    size_t n, n_option, n_own;
    const mn_policy_info *p = mn_policy_list(&n);
    const mn_policy_option *o = mn_policy_option_list(&n_option);
    const mn_policy_own_option *own = mn_policy_own_option_list(&n_own);
    json_t *policies = json_array(), *options = json_array(), *owns = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(policies, json_pack("{s:s,s:s,s:s,s:s}", "name", p[i].name, "summary",
                                                  p[i].summary, "paper", p[i].paper, "options",
                                                  p[i].options));
    for (size_t i = 0; i < n_option; i++)
        json_array_append_new(options, json_pack("{s:s,s:s,s:s}", "key", o[i].key, "default",
                                                 o[i].value, "meaning", o[i].meaning));
    for (size_t i = 0; i < n_own; i++)
        json_array_append_new(owns, json_pack("{s:s,s:s,s:s}", "policy", own[i].policy, "key",
                                              own[i].key, "meaning", own[i].meaning));
    return json_pack("{s:o,s:o,s:o}", "policies", policies, "options", options, "own_options",
                     owns);
}

static void list_policies(void)
{
    size_t n;
    const mn_policy_info *p = mn_policy_list(&n);
    for (size_t i = 0; i < n; i++) {
        printf("%-14s %s%s%s\n", p[i].name, p[i].summary, *p[i].paper ? "  " : "", p[i].paper);
        if (*p[i].options) printf("%-14s   %s\n", "", p[i].options);
    }
    const mn_policy_option *o = mn_policy_option_list(&n);
    printf("\nOptions of all (name:key=value,key=value):\n");
    for (size_t i = 0; i < n; i++)
        printf("%s=%-*s %s\n", o[i].key, (int)(18 - strlen(o[i].key)), o[i].value, o[i].meaning);
    const mn_policy_own_option *own = mn_policy_own_option_list(&n);
    printf("\nOptions of one policy:\n");
    for (size_t i = 0; i < n; i++)
        printf("%-13s %-10s %s\n", own[i].policy, own[i].key, own[i].meaning);
}

/* Things that are asked for instead of work. */
static bool answered(int argc, char **argv, const args *a, bool help)
{
    if (argc > 2 && !strcmp(argv[1], "--document")) return args_document(stdout, argv[2]);
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
        printf("mneme %s (%s)\n", mn_version(), MN_BUILD_COMMIT);
        return true;
    }
    if (help) {
        args_help(stdout, a->verb);
        return true;
    }
    if (a->verb != VERB_COUNT && args_has(a, OPT_POLICY) && !strcmp(a->value[OPT_POLICY], "list")) {
        if (args_has(a, OPT_JSON))
            ui_print_json(policies_json());
        else
            list_policies();
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    args a = {.verb = VERB_COUNT};
    mn_diag diag = {{0}};
    bool help = false;
    int color;
    bool done = answered(argc, argv, &a, false);
    mn_status st = done ? MN_OK : args_parse(&a, argc, argv, &help, &diag);
    done = done || (st == MN_OK && answered(argc, argv, &a, help));
    if (st == MN_OK && !done)
        st = args_choice(&a, OPT_COLOR, (const char *const[]){"auto", "always", "never", NULL}, 0,
                         &color, &diag);
    if (st == MN_OK && !done) {
        ui_catch_interrupt();
        st = verb_fns[a.verb](&a, &diag);
    }
    if ((fflush(stdout) || ferror(stdout)) && st == MN_OK) {
        ui_follow_reader();
        st = MN_EIO;
        snprintf(diag.text, sizeof diag.text, "standard output cannot be written");
    }
    if (st != MN_OK) {
        fprintf(stderr, "%smneme: %s", ui_color(&a, "red"),
                *diag.text ? diag.text : mn_status_text(st));
        if (st == MN_ENOMEM && args_has(&a, OPT_MEM_LIMIT))
            fprintf(stderr, " (--mem-limit %s)", a.value[OPT_MEM_LIMIT]);
        if (st == MN_EBUDGET) fprintf(stderr, " (--ctx, --policy, --budget)");
        fprintf(stderr, "%s\n", ui_color(&a, ""));
    }
    args_free(&a);
    return mn_status_exit_code(st);
}
