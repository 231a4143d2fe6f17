/* words.h: words of languages that put no spaces between them. */
#ifndef MN_EVAL_WORDS_H
#define MN_EVAL_WORDS_H

#include "eval/piece.h"

typedef enum mn__words_kind {
    MN__WORDS_NONE,
    MN__WORDS_ZH, /* by jieba's dictionary and model */
    MN__WORDS_JA, /* by MeCab */
} mn__words_kind;

typedef struct mn__words mn__words;

/* folder: holds jieba's dict.txt and finalseg/, or is a MeCab dictionary; NULL: where the Debian
 * package puts it. MN_EINPUT: missing, damaged, or mneme was built without MeCab. MN_ENOMEM. */
mn_status mn__words_open(mn__words **out, mn__words_kind kind, const char *folder, mn_diag *diag);
void mn__words_close(mn__words *w); /* NULL is fine */

/* The words of a text in order. Chinese: every character is in one of them, spaces and punctuation
 * too. Japanese: spaces are in none. Several threads may cut with one. MN_ERANGE: Japanese over
 * 32767 bytes. MN_ENOMEM, which leaves the diag to the caller. */
mn_status mn__words_cut(const mn__words *w, mn__scratch *s, mn__piece text, mn__pieces *out,
                        mn_diag *diag);

#endif
