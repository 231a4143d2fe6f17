/* words_internal.h: the two cutters behind words.h. */
#ifndef MN_EVAL_WORDS_INTERNAL_H
#define MN_EVAL_WORDS_INTERNAL_H

#include "eval/piece.h"

/* jieba's dict.txt: words with how often they were seen, sorted. */
typedef struct mn__jieba_dict mn__jieba_dict;
typedef struct mn__jieba_range {
    size_t lo, hi; /* words that begin alike */
    size_t depth;  /* bytes that they have in common */
} mn__jieba_range;
mn_status mn__jieba_dict_open(mn__jieba_dict **out, const char *path, mn_diag *diag);
void mn__jieba_dict_close(mn__jieba_dict *d);
double mn__jieba_dict_log_total(const mn__jieba_dict *d);
mn__jieba_range mn__jieba_dict_all(const mn__jieba_dict *d);
/* Narrow to the words that go on with c; false: none does. *freq: of the word that ends here, 0:
 * none does. */
bool mn__jieba_dict_step(const mn__jieba_dict *d, mn__jieba_range *range, uint32_t c,
                         uint32_t *freq);

/* jieba's model of words that are in no dictionary: a character begins a word, ends it, stands
 * inside or alone. */
typedef struct mn__jieba_model mn__jieba_model;
mn_status mn__jieba_model_open(mn__jieba_model **out, const char *folder, mn_diag *diag);
void mn__jieba_model_close(mn__jieba_model *m);
/* Append the words of p, Han characters alone. */
mn_status mn__jieba_model_cut(const mn__jieba_model *m, mn__scratch *s, mn__piece p,
                              mn__pieces *out);

typedef struct mn__jieba mn__jieba;
mn_status mn__jieba_open(mn__jieba **out, const char *folder, mn_diag *diag);
void mn__jieba_close(mn__jieba *j);
mn_status mn__jieba_cut(const mn__jieba *j, mn__scratch *s, mn__piece text, mn__pieces *out);

typedef struct mn__morphemes mn__morphemes;
mn_status mn__morphemes_open(mn__morphemes **out, const char *folder, mn_diag *diag);
void mn__morphemes_close(mn__morphemes *m);
mn_status mn__morphemes_cut(const mn__morphemes *m, mn__scratch *s, mn__piece text, mn__pieces *out,
                            mn_diag *diag);

#endif
