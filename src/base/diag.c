/* diag.c: the sentence that goes with a failure, and the nearest known name for a mistyped one. */
#include "base/diag.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 63 }; /* longer words are no typing error of a name */

void mn__make_printable(char *s, char instead)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = instead;
}

mn_status mn__fail(mn_diag *diag, mn_status st, const char *fmt, ...)
{
    if (!diag) return st;
    mn_diag text; /* an argument may point into diag->text */
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text.text, sizeof text.text, fmt, args);
    va_end(args);
    if (n < 0) text.text[0] = '\0';
    mn__make_printable(text.text, '?');
    *diag = text;
    return st;
}

void mn__diag_prefix(mn_diag *diag, const char *fmt, ...)
{
    if (!diag) return;
    mn_diag text;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text.text, sizeof text.text, fmt, args);
    va_end(args);
    if (n < 0) return;
    size_t used = strlen(text.text);
    size_t room = sizeof text.text - used;
    snprintf(text.text + used, room, ": %.*s", (int)room, diag->text); /* cut where it must be */
    mn__make_printable(text.text, '?');
    *diag = text;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, replacements and swaps of neighbours between two short words, case
 * ignored. */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *here = rows[2];
    for (size_t j = 0; j <= n_b; j++) above[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        here[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t d = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            d = min_size(d, min_size(above[j], here[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                           same_letter(a[i - 2], b[j - 1]);
            if (swapped) d = min_size(d, before[j - 2] + 1);
            here[j] = d;
        }
        size_t *oldest = before;
        before = above;
        above = here;
        here = oldest;
    }
    return above[n_b];
}

const char *mn__nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t best_distance = WORD_MAX;
    size_t n_word = strlen(word);
    if (n_word == 0 || n_word > WORD_MAX) return NULL;
    for (; *names; names++) {
        size_t n_name = strlen(*names);
        if (n_name > WORD_MAX) continue;
        size_t longer = n_word > n_name ? n_word : n_name;
        size_t near = longer < 3 ? 1 : (longer + 1) / 3; /* a third of the letters may be wrong */
        size_t distance = edit_distance(word, n_word, *names, n_name);
        if (distance <= near && distance < longer && distance < best_distance) {
            best = *names;
            best_distance = distance;
        }
    }
    return best;
}
