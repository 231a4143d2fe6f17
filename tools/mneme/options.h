/* options.h: options.def as a table. */
#ifndef MNEME_OPTIONS_H
#define MNEME_OPTIONS_H

#include "args.h"

typedef struct verb_info {
    const char *name, *args, *text;
} verb_info;
typedef struct option_info {
    const char *name;
    char letter;
    const char *arg; /* NULL: a flag */
    unsigned verbs;
    const char *text;
} option_info;

extern const verb_info verb_table[VERB_COUNT];
extern const option_info option_table[OPT_COUNT];

#endif
