/* args.h: the command line, parsed by getopt_long from options.def. */
#ifndef MNEME_ARGS_H
#define MNEME_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "mneme/status.h"

typedef enum verb_id {
#define MN_VERB(id, name, args, text) VERB_##id,
#include "options.def"
    VERB_COUNT
} verb_id;

typedef enum option_id {
#define MN_OPTION(id, name, letter, arg, verbs, text) OPT_##id,
#include "options.def"
    OPT_COUNT
} option_id;

typedef struct args {
    verb_id verb;
    const char *value[OPT_COUNT]; /* last value given; flags: "" ; NULL: not given */
    const char **token;           /* every --token */
    size_t n_token;
    const char **file; /* -f FILE..., borrowed from argv */
    size_t n_file;
    const char **pin;
    size_t n_pin;
    const char **stage; /* every --stage */
    size_t n_stage;
    const char **set; /* every --set */
    size_t n_set;
    const char **policy; /* every --policy (bench compares several) */
    size_t n_policy;
    const char **rest; /* what follows the options */
    size_t n_rest;
} args;

/* MN_EUSAGE with a sentence naming the nearest verb or option. *help is set when --help was asked
 * for (verb may be VERB_COUNT). */
mn_status args_parse(args *out, int argc, char **argv, bool *help, mn_diag *diag);
void args_free(args *a);
static inline bool args_has(const args *a, option_id id)
{
    return a->value[id] != NULL;
}
/* Numbers with their range checked; dflt when not given. */
mn_status args_size(const args *a, option_id id, size_t dflt, size_t lo, size_t hi, size_t *out,
                    mn_diag *diag);
mn_status args_float(const args *a, option_id id, double dflt, double lo, double hi, double *out,
                     mn_diag *diag);
/* Numbers with commas between, at most cap of them; n 0 when not given. */
typedef struct args_list {
    size_t *at, cap, n;
} args_list;
mn_status args_sizes(const args *a, option_id id, size_t lo, size_t hi, args_list *out,
                     mn_diag *diag);
/* One of names[] (NULL-terminated): its index. */
mn_status args_choice(const args *a, option_id id, const char *const *names, int dflt, int *out,
                      mn_diag *diag);

void args_help(FILE *to, verb_id verb); /* VERB_COUNT: the command itself */
/* Generated documents, for the build: "man", "completion", "markdown". */
bool args_document(FILE *to, const char *kind);

const char *verb_name(verb_id verb);

#endif
