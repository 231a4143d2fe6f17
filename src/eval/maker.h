/* maker.h: rows that are made, not read: pure functions of (task, seed, index, length, depth) and
 * of the text they draw on, the same on every machine. */
#ifndef MN_EVAL_MAKER_H
#define MN_EVAL_MAKER_H

#include <stdint.h>

#include "eval/corpus.h"
#include "eval/prompt.h"

/* What one row is a function of. */
typedef struct mn__recipe {
    const mn__task *task;
    uint64_t seed, index;
    size_t length;          /* most tokens of the filled prompt */
    double depth;           /* where in the context the first needle is to lie, 0 to 1, which its
                               row repeats; NAN: drawn, and the row says where it came to lie */
    const mn__corpus *text; /* if the maker draws on one */
    const mn__row *stock;   /* [n_stock] rows of the task's files, if it draws on them */
    size_t n_stock;
} mn__recipe;

/* A row while it is written. */
typedef struct mn__made {
    mn__draft context, input;
    mn__draft answers; /* each followed by a NUL */
    size_t n_answer;
    double depth; /* of the first needle; NAN: nothing lies anywhere */
} mn__made;
void mn__made_answer(mn__made *m, const char *text);

typedef struct mn__maker {
    const char *text; /* corpus below the data directory unless another is given; NULL: none */
    bool stock;       /* draws on rows of the task's files */
    bool has_depth;   /* recipe.depth means something */
    size_t n_least;   /* units of the shortest row */
    /* Units of the longest that recipe allows; NULL: any number. */
    size_t (*n_most)(const mn__recipe *r);
    /* A row with n units (lines, sentences, pairs) of filling; its needles do not depend on n. */
    mn_status (*write)(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag);
} mn__maker;

/* The row with as many units as fit into recipe->length tokens of the prompt, never over, and not
 * one more would: it is shorter by less than a unit. MN_ERANGE: the shortest row is longer, or all
 * that there is to fill it with leaves a tenth of it empty. MN_ENOMEM, or what maker and tokenizer
 * say. Cost: about ten prompts written and counted. */
mn_status mn__make_row(mn__row *out, const mn__recipe *recipe, const mn__tokens *tokens,
                       mn_diag *diag);

/* ---- what makers share (maker_kit.c) ---- */

/* Draw i of a stream: uniform in [0, 1), and an integer in [0, n). Streams below 16 are the kit's.
 */
enum { MN__STREAM_OWN = 16 };
double mn__draw(const mn__recipe *r, uint32_t stream, uint64_t i);
uint64_t mn__draw_below(const mn__recipe *r, uint32_t stream, uint64_t i, uint64_t n);
/* order[n]: 0 to n-1 shuffled. */
void mn__draw_order(const mn__recipe *r, uint32_t stream, size_t *order, size_t n);
/* k different numbers below n, rising; k <= n. */
void mn__draw_places(const mn__recipe *r, uint32_t stream, size_t *place, size_t k, size_t n);

enum { MN__UUID_BYTES = 37, MN__PAIR_BYTES = 32, MN__N_PAIR = 256 * 256 };
/* A random UUID (version 4). */
void mn__draw_uuid(const mn__recipe *r, uint32_t stream, uint64_t i, char out[MN__UUID_BYTES]);
/* "adjective-noun", another for each i < MN__N_PAIR of a row. */
void mn__draw_pair(const mn__recipe *r, uint64_t i, char out[MN__PAIR_BYTES]);

/* The recipe's depth, or one of 40 evenly spaced ones (RULER's) drawn. */
double mn__depth(const mn__recipe *r);
/* A needle before unit *place of n: the place nearest to the depth. Returns the depth there. */
double mn__place_at(double depth, size_t n, size_t *place);
/* The same before one of n sentences from `first` on, depth counted in bytes: sentences are not
 * equally long. */
double mn__place_in_text(const mn__corpus *c, size_t first, size_t n, double depth, size_t *place);

/* Line i of n is number mn__around(i, gold, n) of what is drawn: the gold one is number 0, the
 * others keep theirs, so that it says the same however many lines there are. */
size_t mn__around(size_t i, size_t gold);
/* A JSON object of n >= 1 random keys and values, `between` behind each pair but the last; the gold
 * one's value becomes the answer, and its key is stored. */
void mn__write_pairs(const mn__recipe *r, size_t n, const char *between, mn__made *out,
                     char key[MN__UUID_BYTES]);

/* A line that says nothing (RULER and InfiniteBench repeat it). */
extern const char mn__noise[];

#endif
