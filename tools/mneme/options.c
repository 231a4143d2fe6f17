/* options.c: options.def as a table, and the documents that are made of it. */
#include "options.h"

#include "mneme/policy.h"
#include "mneme/train.h"

#include <ctype.h>
#include <string.h>

const verb_info verb_table[VERB_COUNT] = {
#define MN_VERB(id, name, args, text) {name, args, text},
#include "options.def"
};

const option_info option_table[OPT_COUNT] = {
#define MN_OPTION(id, name, letter, arg, verbs, text) {name, letter, arg, verbs, text},
#include "options.def"
};

const char *verb_name(verb_id verb)
{
    return verb_table[verb].name;
}

/* Text from column `indent` on, broken at 78. */
static void wrapped(FILE *to, const char *text, int indent)
{
    int at = indent;
    while (*text) {
        const char *end = strchr(text, ' ');
        int n = end ? (int)(end - text) : (int)strlen(text);
        if (at > indent && at + 1 + n > 78) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", n, text);
        at += n;
        text += n;
        while (*text == ' ') text++;
    }
    fputc('\n', to);
}

static void option_head(char *buf, size_t cap, const option_info *o)
{
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(buf, cap, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void args_help(FILE *to, verb_id verb)
{
    if (verb == VERB_COUNT) {
        fprintf(to,
                "mneme %s: transformers whose memory is learned\n\nUsage: mneme VERB [options]\n\n",
                mn_version());
        for (int v = 0; v < VERB_COUNT; v++) {
            fprintf(to, "  %-9s", verb_table[v].name);
            wrapped(to, verb_table[v].text, 11);
        }
        fprintf(to,
                "\n'mneme VERB --help' tells a verb's options; 'man mneme' tells everything.\n");
        return;
    }
    const verb_info *v = &verb_table[verb];
    fprintf(to, "Usage: mneme %s [options]%s%s\n\n%s.\n\n", v->name, *v->args ? " " : "", v->args,
            v->text);
    for (int i = 0; i < OPT_COUNT; i++) {
        char head[64];
        if (!(option_table[i].verbs & (1u << verb))) continue;
        option_head(head, sizeof head, &option_table[i]);
        fprintf(to, "  %-25s ", head);
        if (strlen(head) > 25) fprintf(to, "\n%*s", 28, "");
        wrapped(to, option_table[i].text, 28);
    }
}

/* roff wants backslashes, hyphens in options and leading dots escaped. */
static void roff(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '-') fputc('\\', to);
        fputc(*text, to);
    }
}

static void man_option(FILE *to, const option_info *o)
{
    fprintf(to, ".TP\n.B ");
    if (o->letter) fprintf(to, "\\-%c, ", o->letter);
    fprintf(to, "\\-\\-");
    roff(to, o->name);
    if (o->arg) fprintf(to, " \\fI%s\\fR", o->arg);
    fputc('\n', to);
    roff(to, o->text);
    fprintf(to, ".\n");
    const char *sep = "(";
    for (int v = 0; v < VERB_COUNT; v++)
        if (o->verbs & (1u << v)) {
            fprintf(to, "%s\\fB%s\\fR", sep, verb_table[v].name);
            sep = ", ";
        }
    fprintf(to, ")\n");
}

static void man_page(FILE *to)
{
    fprintf(
        to,
        ".TH MNEME 1 \"\" \"mneme %s\" \"User Commands\"\n.SH NAME\nmneme \\- transformers whose "
        "memory is learned\n",
        mn_version());
    fprintf(to, ".SH SYNOPSIS\n.B mneme\n.I VERB\n[\\fIoptions\\fR] [\\fIFILE\\fR]\n.SH VERBS\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(to, ".TP\n.B %s ", verb_table[v].name);
        roff(to, verb_table[v].args);
        fprintf(to, "\n%s.\n", verb_table[v].text);
    }
    fprintf(to, ".SH OPTIONS\nThe verbs that take an option stand behind it.\n");
    for (int i = 0; i < OPT_COUNT; i++) man_option(to, &option_table[i]);
    fprintf(
        to,
        ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 bad input, 4 out of memory or over "
        "budget, 5 a required threshold was "
        "missed, 130 interrupted.\n");
    fprintf(
        to,
        ".SH ENVIRONMENT\n.TP\n.B XDG_CACHE_HOME\nmodels are kept in \\fImneme/models\\fR below "
        "it (default \\fI~/.cache\\fR).\n"
        ".TP\n.B MNEME_DATA\nwhere the sets of evaluation lie, unless \\-\\-data says.\n"
        ".TP\n.B MNEME_NAMM\nfolder in which policy namm looks first for the NAMM of a model.\n"
        ".TP\n.B NO_COLOR\nno colours unless \\-\\-color always.\n");
}

static void completion(FILE *to)
{
    fprintf(to, "# bash completion for mneme, made from its option table\n_mneme()\n{\n    local "
                "cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n");
    fprintf(to, "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '");
    for (int v = 0; v < VERB_COUNT; v++) fprintf(to, "%s ", verb_table[v].name);
    fprintf(
        to,
        "--help --version' -- \"$cur\"))\n        return\n    fi\n    case $cur in\n    -*)\n    "
        "    case $verb in\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(to, "        %s) COMPREPLY=($(compgen -W '", verb_table[v].name);
        for (int i = 0; i < OPT_COUNT; i++)
            if (option_table[i].verbs & (1u << v)) fprintf(to, "--%s ", option_table[i].name);
        fprintf(to, "' -- \"$cur\")) ;;\n");
    }
    fprintf(
        to,
        "        esac ;;\n    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\ncomplete "
        "-o filenames -F _mneme mneme\n");
}

/* A bar would end the cell of a table, in code too. */
static void cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') fputc('\\', to);
        fputc(*text, to);
    }
}

static void markdown(FILE *to)
{
    fprintf(
        to,
        "# The command\n\nMade by `mneme --document markdown` from `tools/mneme/options.def`.\n\n"
        "| verb | does |\n|---|---|\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(to, "| `mneme %s%s", verb_table[v].name, *verb_table[v].args ? " " : "");
        cell(to, verb_table[v].args);
        fprintf(to, "` | %s |\n", verb_table[v].text);
    }
    fprintf(to, "\n| option | verbs | meaning |\n|---|---|---|\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        const option_info *o = &option_table[i];
        fprintf(to, "| `--%s%s", o->name, o->arg ? " " : "");
        cell(to, o->arg ? o->arg : "");
        fprintf(to, "` |");
        for (int v = 0; v < VERB_COUNT; v++)
            if (o->verbs & (1u << v)) fprintf(to, " %s", verb_table[v].name);
        fprintf(to, " | %s |\n", o->text);
    }
}

static void policies(FILE *to)
{
    size_t n;
    const mn_policy_info *p = mn_policy_list(&n);
    fprintf(to, "# Policies\n\n"
                "Made by `mneme --document policies` from `src/policy/policies.def`. A policy is "
                "written `name:key=value,key=value`.\n\n"
                "| policy | what stays | paper | own options, other defaults |\n"
                "|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        fprintf(to, "| `%s` | %s | %s | %s%s%s |\n", p[i].name, p[i].summary, p[i].paper,
                *p[i].options ? "`" : "", p[i].options, *p[i].options ? "`" : "");
    const mn_policy_option *o = mn_policy_option_list(&n);
    fprintf(to, "\n## Options of every policy\n\n| option | default | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        fprintf(to, *o[i].value ? "| `%s` | `%s` | %s |\n" : "| `%s` | %s | %s |\n", o[i].key,
                o[i].value, o[i].meaning);
    const mn_policy_own_option *own = mn_policy_own_option_list(&n);
    fprintf(to, "\n## Options of one policy\n\n| policy | option | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        fprintf(to, "| `%s` | `%s` | %s |\n", own[i].policy, own[i].key, own[i].meaning);
}

/* A name or value in code; nothing where there is none. */
static void code(FILE *to, const char *text)
{
    if (!*text) return;
    fputc('`', to);
    cell(to, text);
    fputc('`', to);
}

static void training(FILE *to)
{
    mn_train_option o;
    fprintf(to,
            "# Options of trainings\n\nMade by `mneme --document training` from "
            "`config.def`, which `mneme train` reads INI files by. On the command line: "
            "`--set section.key=value`.\n\n"
            "A run goes on in its folder with the same options: those that are `free` may change, "
            "the others are refused with the first difference; `model` marks what an exported "
            "model is made of. [training.md](training.md) begins at the beginning.\n");
    for (size_t i = 0; mn_train_option_get(i, &o); i++) {
        if (!*o.key) {
            fprintf(to,
                    "\n## [%s]\n\n%s.\n\n| option | default | values | changes | meaning |\n"
                    "|---|---|---|---|---|\n",
                    o.section, o.meaning);
            continue;
        }
        fprintf(to, "| `%s` | ", o.key);
        code(to, o.value);
        fprintf(to, " | %s | %s | ", o.range, o.changes);
        cell(to, o.meaning);
        fprintf(to, " |\n");
    }
}

bool args_document(FILE *to, const char *kind)
{
    if (!strcmp(kind, "man"))
        man_page(to);
    else if (!strcmp(kind, "completion"))
        completion(to);
    else if (!strcmp(kind, "markdown"))
        markdown(to);
    else if (!strcmp(kind, "policies"))
        policies(to);
    else if (!strcmp(kind, "training"))
        training(to);
    else
        return false;
    return true;
}
