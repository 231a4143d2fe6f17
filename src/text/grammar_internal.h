/* grammar_internal.h: a grammar as the check sees it: which rules stand where in which rule. */
#ifndef MN_TEXT_GRAMMAR_INTERNAL_H
#define MN_TEXT_GRAMMAR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "text/grammar.h"

enum { MN__ITEM_NONE = -1, MN__ITEM_CHARACTER = -2, MN__ITEM_OR = -3 };

/* One thing in a sequence: a rule, something that writes a character, or the `|` between
 * alternatives. Those of a rule are chained, since groups stand in the middle of others. */
typedef struct mn__grammar_item {
    int32_t rule, next; /* index, or MN__ITEM_* */
    bool is_optional;
} mn__grammar_item;

/* A named rule, or a group: then the name is that of the rule around it. */
typedef struct mn__grammar_rule {
    const char *name;
    size_t n_name, line; /* bytes; where it was first met */
    int32_t first, last; /* of its items */
    bool is_defined, can_be_empty;
} mn__grammar_rule;

/* Every rule and item takes a byte of text at least. */
typedef struct mn__grammar {
    mn__grammar_rule *rule;
    mn__grammar_item *item;
    int32_t *slot; /* [mask + 1] open addressing by name: named rule + 1, or 0 */
    size_t mask, n_rule, n_item;
} mn__grammar;

/* Read the text into g, whose arrays have room. MN_EINPUT, MN_ENOMEM. */
mn_status mn__grammar_read(mn__grammar *g, const char *text, const mn__vocab *v, mn_diag *diag);
/* The named rule, made when there is none yet: NULL only with `find_only`. */
mn__grammar_rule *mn__grammar_named(mn__grammar *g, const char *name, size_t n, bool find_only);

#endif
