/* piece.h: texts as code points, pieces of them, and numbers for equal pieces. What the metrics are
 * made of: everything here lives in a scratch that is given back at once. */
#ifndef MN_EVAL_PIECE_H
#define MN_EVAL_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"

/* Blocks that are freed together. Starts as zero. */
typedef struct mn__scratch {
    struct scratch_block *last;
} mn__scratch;
/* n * size bytes, not cleared, aligned for anything; NULL when the heap refuses. */
void *mn__scratch_take(mn__scratch *s, size_t n, size_t size);
void mn__scratch_free(mn__scratch *s);

/* n code points, borrowed: from the scratch or from a longer text. */
typedef struct mn__piece {
    const uint32_t *c;
    size_t n;
} mn__piece;
typedef struct mn__pieces {
    mn__piece *p;
    size_t n;
} mn__pieces;

#define MN__NOWHERE SIZE_MAX

/* All that can fail here fails with MN_ENOMEM alone; a function that has a scratch may. */
mn_status mn__piece_read(mn__scratch *s, const char *utf8, size_t n, mn__piece *out);
/* An ASCII string, [32] at most, compared without making a piece of it. */
bool mn__piece_is(mn__piece p, const char *ascii);
bool mn__piece_starts(mn__piece p, const char *ascii);
bool mn__piece_equal(mn__piece a, mn__piece b);
mn__piece mn__piece_from(mn__piece p, size_t begin);             /* p[begin:] */
mn__piece mn__piece_part(mn__piece p, size_t begin, size_t end); /* p[begin:end] */
mn__piece mn__piece_strip(mn__piece p);                          /* spaces at both ends */
mn__piece mn__piece_first_line(mn__piece p); /* without line feeds in front, up to the next one */

/* Where the piece or ASCII string first stands in `text`, or MN__NOWHERE. Linear time. */
mn_status mn__piece_find(mn__scratch *s, mn__piece text, mn__piece what, size_t *at);
size_t mn__piece_find_ascii(mn__piece text, const char *what);
size_t mn__piece_find_char(mn__piece text, uint32_t c);

/* Lower case, each code point by itself. */
mn_status mn__piece_lower(mn__scratch *s, mn__piece p, mn__piece *out);
/* Each code point for which `drop` says so is left out, or becomes `instead` when that is not 0. */
mn_status mn__piece_without(mn__scratch *s, mn__piece p, bool (*drop)(uint32_t c), uint32_t instead,
                            mn__piece *out);
/* The words between spaces; none is empty. */
mn_status mn__piece_words(mn__scratch *s, mn__piece p, mn__pieces *out);
/* The parts between separators; like str.split(c) one more than there are separators. */
mn_status mn__piece_split(mn__scratch *s, mn__piece p, uint32_t c, mn__pieces *out);
/* Each code point a piece. */
mn_status mn__piece_chars(mn__scratch *s, mn__piece p, mn__pieces *out);
/* The longest runs for which `inside` holds. */
mn_status mn__piece_runs(mn__scratch *s, mn__piece p, bool (*inside)(uint32_t c), mn__pieces *out);
/* Joined with one space. */
mn_status mn__piece_join(mn__scratch *s, const mn__pieces *parts, mn__piece *out);

/* Sequences of numbers: equal pieces have equal ones, from 0 on without a gap. */
typedef struct mn__ids {
    uint32_t *id;
    size_t n;
} mn__ids;
/* Numbers for two lists of pieces together; *n_id: how many different pieces. */
mn_status mn__ids_of(mn__scratch *s, const mn__pieces *a, const mn__pieces *b, mn__ids *ids_a,
                     mn__ids *ids_b, size_t *n_id);

#endif
