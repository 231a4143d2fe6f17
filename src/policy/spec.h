/* spec.h: a word with options, `name:key=value,key=value`: policies, and whatever else is asked for
 * in this way. */
#ifndef MN_SPEC_H
#define MN_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include "base/diag.h"

enum { MN__SPEC_ITEMS = 48, MN__SPEC_KEY = 24, MN__SPEC_VALUE = 512 };

typedef struct mn__spec_item {
    char key[MN__SPEC_KEY], value[MN__SPEC_VALUE];
    bool given; /* by the user, not a default */
    bool own;   /* the policy has a default of its own */
} mn__spec_item;

typedef struct mn__spec {
    const char *what; /* "policy", or another kind of thing: sentences begin with it; static */
    char name[MN__SPEC_KEY];
    size_t n;
    mn__spec_item item[MN__SPEC_ITEMS];
    const struct mn__namm *namm; /* what an option's file holds; borrowed, NULL: nothing was read */
} mn__spec;

/* The user's text as it stands. has_switches: a key may stand alone (mn__spec_switch). MN_EUSAGE: a
 * name or pair that is none, an option given twice. */
mn_status mn__spec_parse(mn__spec *out, const char *what, const char *text, bool has_switches,
                         mn_diag *diag);
/* All options there are, `key=value key=value` with their defaults, then the user's laid over them.
 * MN_EUSAGE: an option that is none of these, the nearest told. */
mn_status mn__spec_lay(mn__spec *out, const mn__spec *user, const char *defaults, mn_diag *diag);

const char *mn__spec_get(const mn__spec *s, const char *key); /* NULL: no such option */
bool mn__spec_is_given(const mn__spec *s, const char *key);
/* Values with their bounds checked: MN_EUSAGE with option, wanted and found. */
mn_status mn__spec_size(const mn__spec *s, const char *key, size_t lo, size_t hi, size_t *out,
                        mn_diag *diag);
mn_status mn__spec_real(const mn__spec *s, const char *key, double lo, double hi, double *out,
                        mn_diag *diag);
/* Index of the value in words (ends with NULL). */
mn_status mn__spec_word(const mn__spec *s, const char *key, const char *const *words, int *out,
                        mn_diag *diag);
/* `key`, `key=1`: true; `key=0`. */
mn_status mn__spec_switch(const mn__spec *s, const char *key, bool *out, mn_diag *diag);

#endif
