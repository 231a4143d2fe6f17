/* key_words.h: words for keys of made rows. */
#ifndef MN_EVAL_KEY_WORDS_H
#define MN_EVAL_KEY_WORDS_H

enum { MN__N_KEY_WORD = 256 };

extern const char *const mn__key_adjective[MN__N_KEY_WORD];
extern const char *const mn__key_noun[MN__N_KEY_WORD];

#endif
