/* golden_read.c: values out of golden files. */
#include "golden/golden.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"

bool golden_fail(golden *g, const char *fmt, ...)
{
    va_list ap;
    if (*g->why) return false;
    va_start(ap, fmt);
    vsnprintf(g->why, sizeof g->why, fmt, ap);
    va_end(ap);
    return false;
}

static bool is_word_of(const char *word, const char *list)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return n > 0;
    return false;
}

bool golden_fields(golden *g, const json_t *obj, const char *where, const char *known)
{
    const char *key;
    json_t *value;
    if (!json_is_object(obj))
        return golden_fail(g, "%s: an object is wanted", *where ? where : "the file");
    json_object_foreach((json_t *)obj, key, value)
    {
        if (!is_word_of(key, known))
            return golden_fail(g, "unknown field `%s`%s%s", key, *where ? " of " : "", where);
    }
    return true;
}

bool golden_size(golden *g, const json_t *obj, const char *name, size_t lo, size_t hi, size_t *out)
{
    const json_t *v = json_object_get(obj, name);
    if (!json_is_integer(v)) return golden_fail(g, "`%s`: a whole number is wanted", name);
    json_int_t x = json_integer_value(v);
    if (x < (json_int_t)lo || x > (json_int_t)hi)
        return golden_fail(g, "`%s`: %zu to %zu wanted, %lld found", name, lo, hi, (long long)x);
    *out = (size_t)x;
    return true;
}

bool golden_real(golden *g, const json_t *obj, const char *name, double *out)
{
    const json_t *v = json_object_get(obj, name);
    if (!json_is_number(v)) return golden_fail(g, "`%s`: a number is wanted", name);
    *out = json_number_value(v);
    return true;
}

bool golden_text(golden *g, const json_t *obj, const char *name, const char **out)
{
    *out = json_string_value(json_object_get(obj, name));
    return *out || golden_fail(g, "`%s`: a text is wanted", name);
}

bool golden_pairs(golden *g, const json_t *obj, bool *adjacent)
{
    const char *text;
    if (!golden_text(g, obj, "pairs", &text)) return false;
    *adjacent = strcmp(text, "adjacent") == 0;
    return *adjacent || strcmp(text, "half") == 0 ||
           golden_fail(g, "`pairs`: half or adjacent wanted, `%s` found", text);
}

static bool flatten(golden *g, const json_t *v, const char *name, const size_t *shape, bool nulls,
                    double **out)
{
    if (!*shape) {
        if (nulls && json_is_null(v))
            *(*out)++ = NAN;
        else if (json_is_number(v))
            *(*out)++ = json_number_value(v);
        else
            return golden_fail(g, "`%s`: numbers are wanted%s", name, nulls ? ", or null" : "");
        return true;
    }
    if (!json_is_array(v) || json_array_size(v) != *shape)
        return golden_fail(g, "`%s`: a list of %zu wanted, %zu found", name, *shape,
                           json_array_size(v));
    for (size_t i = 0; i < *shape; i++)
        if (!flatten(g, json_array_get(v, i), name, shape + 1, nulls, out)) return false;
    return true;
}

double *golden_numbers(golden *g, const json_t *obj, const char *name, const size_t *shape,
                       bool nulls)
{
    size_t n = 1;
    for (const size_t *s = shape; *s; s++) n *= *s;
    double *block = calloc(n, sizeof *block), *at = block;
    if (!block) golden_fail(g, "out of memory");
    if (block && flatten(g, json_object_get(obj, name), name, shape, nulls, &at)) return block;
    free(block);
    return NULL;
}

bool golden_near(golden *g, const char *what, double want, double found, double tolerance)
{
    if (fabs(found - want) <= tolerance) return true;
    return golden_fail(g, "%s: %.9g wanted, %.9g found, tolerance %g", what, want, found,
                       tolerance);
}

int golden_level(void)
{
    const char *name = getenv("MN_TEST_CPU");
    mn__cpu_level level = MN__CPU_REF;
    mn_diag diag = {{0}};
    if (mn__cpu_level_parse(name ? name : "auto", &level, &diag) != MN_OK) {
        fprintf(stderr, "MN_TEST_CPU: %s\n", diag.text);
        exit(1);
    }
    return (int)level;
}
