/* ruler.h: what makes RULER's rows, a file a kind. Ref: arXiv 2404.06654 and its published
 * settings. Deviations, in all of them: our words and draws; the haystack is the corpus given, from
 * a drawn sentence on, and begins again at its end; depths in it are counted in bytes, not in
 * sentences. */
#ifndef MN_EVAL_TASKS_RULER_H
#define MN_EVAL_TASKS_RULER_H

#include "eval/maker.h"

/* The settings of ruler_needle.c, by task->variant. */
enum {
    MN__RULER_SINGLE_1,
    MN__RULER_SINGLE_2,
    MN__RULER_SINGLE_3,
    MN__RULER_MULTIKEY_1,
    MN__RULER_MULTIKEY_2,
    MN__RULER_MULTIKEY_3,
    MN__RULER_MULTIVALUE,
    MN__RULER_MULTIQUERY
};
extern const mn__maker mn__ruler_in_noise, mn__ruler_in_essay, mn__ruler_in_needles;
extern const mn__maker mn__ruler_chain;                      /* ruler_chain.c: vt */
extern const mn__maker mn__ruler_common, mn__ruler_frequent; /* ruler_words.c: cwe, fwe */
extern const mn__maker mn__ruler_qa;                         /* ruler_qa.c */

#endif
