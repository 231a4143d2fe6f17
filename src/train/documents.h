/* documents.h: the documents of text files, one after the other, in parts of bounded length, so
 * that no file and no document is ever held whole.
 *
 * Plain text: a file is one document, unless lines `<|endoftext|>` end documents inside it. Blank
 * lines mean nothing: they part paragraphs. Line breaks at a document's two ends are not its own.
 * JSON lines (NAME.jsonl, before .xz or .zst): an object a line, its text under one key; lines of
 * blanks are passed over. Documents without text are none. */
#ifndef MN_TRAIN_DOCUMENTS_H
#define MN_TRAIN_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"

typedef struct mn__documents_params {
    const char *field; /* of JSON lines; NULL: "text" */
    size_t part_bytes; /* the most a part has, at least 64; 0: 1 MiB */
    size_t line_bytes; /* the most a JSON line has; 0: 64 MiB */
    /* A share of the documents is held out, whichever the XXH64 of their first 1,024 bytes (or of
     * their first part, where that is shorter) says: those alone are told, or the others alone. 0:
     * all are told. */
    double held_share;
    bool tells_held;
    /* Asked now and then with the bytes read so far, as they lie in the files; true: stop. NULL:
     * nobody asks. */
    bool (*stop)(void *ctx, uint64_t n_read);
    void *ctx;
} mn__documents_params;

/* The longest beginning of what is left that ends in front of a line break, else in front of a
 * blank, else behind a character. Valid UTF-8, borrowed until the next call. */
typedef struct mn__document_part {
    const char *text; /* [n] no NUL behind it */
    size_t n;         /* 0 only where `ends` closes a document whose text is all told */
    bool begins, ends;
} mn__document_part;

typedef struct mn__documents mn__documents;

/* Files in this order; the paths are copied. params NULL: the defaults. MN_EUSAGE: no path, or part
 * too short. MN_ENOMEM. A file is opened when it is its turn. One thread a reader. */
mn_status mn__documents_open(mn__documents **out, const char *const *path, size_t n_path,
                             const mn__documents_params *params, mn_diag *diag);
/* The next part; *found is false at the end. MN_EINPUT: bytes that are no UTF-8 or NUL (file, line
 * and byte from 1), a line that is no object with a text under the key (file and line), a file
 * without any text, a damaged archive. MN_ECANCEL: stopped. MN_EIO, MN_ENOMEM. After a failure only
 * closing is left. */
mn_status mn__documents_next(mn__documents *d, mn__document_part *out, bool *found, mn_diag *diag);
/* The file of the last part. */
const char *mn__documents_path(const mn__documents *d);
void mn__documents_close(mn__documents *d); /* NULL is fine */

#endif
