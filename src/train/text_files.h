/* text_files.h: the files of a corpus, as an option names them. */
#ifndef MN_TRAIN_TEXT_FILES_H
#define MN_TRAIN_TEXT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"

typedef struct mn__text_files {
    char **path; /* [n] */
    size_t n, room;
    uint64_t bytes; /* of all, as they lie there */
    /* Of names without folders, sizes, and the first and last 64 KiB of each: the same files
     * elsewhere are the same corpus. */
    uint64_t identity;
} mn__text_files;

/* `list`: files, taken whatever their names are, and folders, of which files NAME.txt and
 * NAME.jsonl are taken in the order of their names, also packed (.xz, .zst); commas between. `what`
 * names the list in sentences. MN_EUSAGE: an empty list; MN_EINPUT: a folder without texts, no
 * regular file; MN_EIO, MN_ENOMEM. */
mn_status mn__text_files_list(mn__text_files *out, const char *list, const char *what,
                              mn_diag *diag);
void mn__text_files_free(mn__text_files *f); /* one of zeros is fine */

/* All files of a folder whose names end in `end`, sorted by name, each as "FOLDER/NAME": added. */
mn_status mn__text_files_add_folder(mn__text_files *f, const char *folder, const char *const *ends,
                                    mn_diag *diag);

#endif
