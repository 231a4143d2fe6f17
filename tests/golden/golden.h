/* golden.h: reading golden files: every value is fetched with its type and shape checked, every
 * field must be known, and the first thing that is wrong leaves a sentence. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct golden {
    const char *path;
    json_t *root;
    char why[768]; /* the first thing that was wrong */
} golden;

/* Always false; keeps the first sentence. */
bool golden_fail(golden *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Every field of `obj` stands in `known` (space-separated); `where` names obj in the sentence, ""
 * for the file itself. */
bool golden_fields(golden *g, const json_t *obj, const char *where, const char *known);
bool golden_size(golden *g, const json_t *obj, const char *name, size_t lo, size_t hi, size_t *out);
bool golden_real(golden *g, const json_t *obj, const char *name, double *out);
/* Borrowed. */
bool golden_text(golden *g, const json_t *obj, const char *name, const char **out);
/* "half" or "adjacent", of the field `pairs`. */
bool golden_pairs(golden *g, const json_t *obj, bool *adjacent);
/* Nested lists of exactly these lengths (shape ends with 0), outermost first, as one block owned by
 * the caller (free); NULL when wrong. nulls: a null counts as NAN instead of being an error. */
double *golden_numbers(golden *g, const json_t *obj, const char *name, const size_t *shape,
                       bool nulls);
/* Kernel level to replay at: MN_TEST_CPU of the environment, or the best. */
int golden_level(void);
/* |found - want| <= tolerance, or a sentence with `what`. */
bool golden_near(golden *g, const char *what, double want, double found, double tolerance);

#define MN_GOLDEN(kind) bool golden_##kind(golden *g);
#include "golden/kinds.def"
#undef MN_GOLDEN

#endif
