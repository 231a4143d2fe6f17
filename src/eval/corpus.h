/* corpus.h: a text to hide needles in and to read on in, known by its sentences. */
#ifndef MN_EVAL_CORPUS_H
#define MN_EVAL_CORPUS_H

#include <stddef.h>

#include "eval/draft.h"
#include "mneme/status.h"

typedef struct mn__corpus {
    char *text; /* [n_byte] and a NUL; documents are parted by a blank line */
    size_t n_byte;
    size_t *begin; /* [n_sentence + 1]; sentences lie side by side, blanks behind their last word */
    size_t n_sentence;
} mn__corpus;

/* Read a text file, packed or not. Lines `<|endoftext|>` end documents. MN_EINPUT: invalid UTF-8, a
 * NUL byte, no text at all, more than 1 GiB; also as mn__unpack_open. */
mn_status mn__corpus_read(mn__corpus *out, const char *path, mn_diag *diag);
void mn__corpus_free(mn__corpus *c);

/* Append sentence i (beyond the last: from the first on again) as one line, blanks as one. */
void mn__corpus_say(const mn__corpus *c, size_t i, mn__draft *out);
/* Bytes of sentence i (< n_sentence) without the blanks at its end. */
size_t mn__corpus_bytes(const mn__corpus *c, size_t i);

#endif
