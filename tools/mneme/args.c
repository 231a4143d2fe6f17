/* args.c: getopt_long over the option table, and values with their ranges. */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "options.h"

enum { LONG_ONLY = 256 };

/* ---- verbs ---- */

static mn_status find_verb(const char *word, verb_id *out, mn_diag *diag)
{
    const char *names[VERB_COUNT + 1] = {0};
    if (*word == '-')
        return mn__fail(diag, MN_EUSAGE, "'%s' stands where the verb should: mneme VERB [options]",
                        word);
    for (int v = 0; v < VERB_COUNT; v++) {
        names[v] = verb_table[v].name;
        if (!strcmp(word, names[v])) {
            *out = (verb_id)v;
            return MN_OK;
        }
    }
    const char *near = mn__nearest(word, names);
    if (near) return mn__fail(diag, MN_EUSAGE, "unknown verb '%s'; did you mean '%s'?", word, near);
    return mn__fail(diag, MN_EUSAGE, "unknown verb '%s'; 'mneme --help' lists them", word);
}

/* ---- options ---- */

typedef struct tables {
    struct option lopt[OPT_COUNT + 1];
    char sopt[2 * OPT_COUNT + 3];
    const char *names[OPT_COUNT + 1];
} tables;

static void make_tables(tables *t, verb_id verb)
{
    size_t n = 0, s = 0;
    t->sopt[s++] = '-'; /* words come in order, as option 1 */
    t->sopt[s++] = ':';
    for (int i = 0; i < OPT_COUNT; i++) {
        const option_info *o = &option_table[i];
        if (!(o->verbs & (1u << verb))) continue;
        t->names[n] = o->name;
        t->lopt[n++] =
            (struct option){o->name, o->arg ? required_argument : no_argument, NULL, LONG_ONLY + i};
        if (!o->letter) continue;
        t->sopt[s++] = o->letter;
        if (o->arg) t->sopt[s++] = ':';
    }
    t->lopt[n] = (struct option){0};
    t->names[n] = NULL;
    t->sopt[s] = 0;
}

static int by_letter(int c)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_table[i].letter == c) return i;
    return -1;
}

static mn_status unknown(const char *word, const tables *t, verb_id verb, mn_diag *diag)
{
    const char *near = strncmp(word, "--", 2) ? NULL : mn__nearest(word + 2, t->names);
    if (near)
        return mn__fail(diag, MN_EUSAGE, "unknown option '%s' of 'mneme %s'; did you mean '--%s'?",
                        word, verb_name(verb), near);
    return mn__fail(diag, MN_EUSAGE, "unknown option '%s'; 'mneme %s --help' lists them", word,
                    verb_name(verb));
}

static void keep(args *a, int id, const char *value)
{
    a->value[id] = value ? value : "";
    if (id == OPT_TOKEN) a->token[a->n_token++] = value;
    if (id == OPT_FILE) a->file[a->n_file++] = value;
    if (id == OPT_PIN) a->pin[a->n_pin++] = value;
    if (id == OPT_POLICY) a->policy[a->n_policy++] = value;
    if (id == OPT_STAGE) a->stage[a->n_stage++] = value;
    if (id == OPT_SET) a->set[a->n_set++] = value;
}

static mn_status parse_options(args *a, int argc, char **argv, bool *help, mn_diag *diag)
{
    tables t;
    bool after_file = false; /* words right after -f FILE are files too */
    make_tables(&t, a->verb);
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, t.sopt, t.lopt, NULL)) != -1;) {
        int id = c >= LONG_ONLY ? c - LONG_ONLY : c == 1 ? -1 : by_letter(c);
        if (c == '?') { /* a letter may stand in a cluster, which optind has not left yet */
            const char letter[] = {'-', (char)optopt, 0};
            return unknown(optopt > 0 && optopt < LONG_ONLY ? letter : argv[optind - 1], &t,
                           a->verb, diag);
        }
        if (c == ':')
            return mn__fail(diag, MN_EUSAGE, "option '%s' wants a value", argv[optind - 1]);
        if (c == 1 && after_file)
            a->file[a->n_file++] = optarg;
        else if (c == 1)
            a->rest[a->n_rest++] = optarg;
        else
            keep(a, id, optarg);
        if (c != 1) after_file = id == OPT_FILE;
        if (id == OPT_HELP) *help = true;
    }
    while (optind < argc) a->rest[a->n_rest++] = argv[optind++];
    return MN_OK;
}

mn_status args_parse(args *out, int argc, char **argv, bool *help, mn_diag *diag)
{
    *out = (args){.verb = VERB_COUNT};
    *help = false;
    if (argc < 2) return mn__fail(diag, MN_EUSAGE, "a verb is wanted; 'mneme --help' lists them");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        *help = true;
        return argc > 2 && argv[2][0] != '-' ? find_verb(argv[2], &out->verb, diag) : MN_OK;
    }
    mn_status st = find_verb(argv[1], &out->verb, diag);
    if (st != MN_OK) return st;
    size_t n = (size_t)argc + 1;
    out->token = calloc(n, sizeof *out->token);
    out->file = calloc(n, sizeof *out->file);
    out->pin = calloc(n, sizeof *out->pin);
    out->policy = calloc(n, sizeof *out->policy);
    out->stage = calloc(n, sizeof *out->stage);
    out->set = calloc(n, sizeof *out->set);
    out->rest = calloc(n, sizeof *out->rest);
    if (!out->file || !out->pin || !out->token || !out->policy || !out->stage || !out->set ||
        !out->rest)
        return mn__fail(diag, MN_ENOMEM, "no memory for the command line");
    return parse_options(out, argc - 1, argv + 1, help, diag);
}

void args_free(args *a)
{
    free(a->token);
    free(a->file);
    free(a->pin);
    free(a->policy);
    free(a->stage);
    free(a->set);
    free(a->rest);
}

/* ---- values ---- */

mn_status args_size(const args *a, option_id id, size_t dflt, size_t lo, size_t hi, size_t *out,
                    mn_diag *diag)
{
    const char *text = a->value[id];
    char *end = NULL;
    *out = dflt;
    if (!text) return MN_OK;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || v < lo || v > hi)
        return mn__fail(diag, MN_EUSAGE, "--%s: a number from %zu to %zu wanted, '%s' found",
                        option_table[id].name, lo, hi, text);
    *out = (size_t)v;
    return MN_OK;
}

mn_status args_sizes(const args *a, option_id id, size_t lo, size_t hi, args_list *out,
                     mn_diag *diag)
{
    const char *at = a->value[id], *name = option_table[id].name;
    for (out->n = 0; at && *at;) {
        char *end;
        errno = 0;
        const unsigned long long v = strtoull(at, &end, 10);
        if (end == at || (*end && *end != ',') || errno || v < lo || v > hi)
            return mn__fail(diag, MN_EUSAGE, "--%s: numbers from %zu to %zu wanted, '%s' found",
                            name, lo, hi, at);
        if (out->n == out->cap)
            return mn__fail(diag, MN_EUSAGE, "--%s: at most %zu", name, out->cap);
        out->at[out->n++] = (size_t)v;
        at = *end ? end + 1 : end;
    }
    return MN_OK;
}

mn_status args_float(const args *a, option_id id, double dflt, double lo, double hi, double *out,
                     mn_diag *diag)
{
    const char *text = a->value[id];
    char *end = NULL;
    *out = dflt;
    if (!text) return MN_OK;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < lo || v > hi)
        return mn__fail(diag, MN_EUSAGE, "--%s: a number from %g to %g wanted, '%s' found",
                        option_table[id].name, lo, hi, text);
    *out = v;
    return MN_OK;
}

mn_status args_choice(const args *a, option_id id, const char *const *names, int dflt, int *out,
                      mn_diag *diag)
{
    const char *text = a->value[id];
    char list[256] = "";
    *out = dflt;
    if (!text) return MN_OK;
    for (int i = 0; names[i]; i++) {
        if (!strcmp(text, names[i])) {
            *out = i;
            return MN_OK;
        }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
    }
    return mn__fail(diag, MN_EUSAGE, "--%s: one of %s wanted, '%s' found", option_table[id].name,
                    list, text);
}
