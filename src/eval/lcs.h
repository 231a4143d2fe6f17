/* lcs.h: the longest common subsequence of two sequences of numbers. 64 cells of the table at once
 * (H. Hyyro 2004), so that 20,000 by 20,000 take milliseconds; to trace one back, each row of the
 * table is kept as bits, and only every sqrt(n)-th of them: memory stays below quadratic. */
#ifndef MN_EVAL_LCS_H
#define MN_EVAL_LCS_H

#include "eval/piece.h"

enum { MN__LCS_MAX = 32768 }; /* longest sequence */

/* Where both ways back are equally long: the scripts that we follow differ. */
typedef enum mn__lcs_tie {
    MN__LCS_BACK_IN_A, /* rouge_score: give up an element of a */
    MN__LCS_BACK_IN_B, /* rouge: one of b */
} mn__lcs_tie;

typedef struct mn__lcs {
    mn__ids b;
    size_t n_word;                 /* 64-bit words in a row of b */
    uint32_t *head, *next, *count; /* positions of each id in b: [n_id], [max_b], [n_id] */
    uint32_t *dense_of;            /* [n_id] 1 + which mask in dense, 0: made when needed */
    uint64_t *dense, *mask;        /* masks of frequent ids; one made for a row */
    uint64_t *row[2], *check, *block;
    size_t stride; /* rows between two that are kept */
} mn__lcs;

/* For ids below n_id and sequences up to max_a and max_b (at most MN__LCS_MAX). MN_ENOMEM. */
mn_status mn__lcs_init(mn__lcs *l, mn__scratch *s, size_t n_id, size_t max_a, size_t max_b);
/* The sequence that the following ones are compared with; borrowed until the next one is set. */
void mn__lcs_set_b(mn__lcs *l, mn__ids b);
size_t mn__lcs_length(mn__lcs *l, mn__ids a);
/* in[i] = true for each a.id[i] of the one that the way back from the table's end finds, matches
 * first; others are left alone. */
void mn__lcs_trace(mn__lcs *l, mn__ids a, mn__lcs_tie tie, bool *in);

#endif
