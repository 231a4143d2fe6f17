/* config_file.c: INI files of a training, read by inih, which keeps lines to 200 bytes: a longer
 * one is refused, not cut. */
#include "lm/config.h"

#include "base/diag.h"

#ifdef MN_HAVE_INIH

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { FIELDS_MAX = 256 };

typedef struct reading {
    mn__config *c;
    const char *path;
    FILE *file;
    size_t line;
    bool seen[FIELDS_MAX]; /* set by this file */
    mn_status st;          /* of the first line that was refused */
    mn_diag *diag;
} reading;

static mn_status refuse(reading *r, mn_status st)
{
    r->st = st;
    mn__diag_prefix(r->diag, "%s:%zu", r->path, r->line);
    return st;
}

/* fgets that counts lines and refuses what inih would cut, or read half of. */
static char *next_line(char *out, int cap, void *arg)
{
    reading *r = arg;
    if (r->st != MN_OK || !fgets(out, cap, r->file)) return NULL;
    const size_t n = strlen(out);
    r->line++;
    if (n && out[n - 1] == '\n') return out;
    if (feof(r->file) && n) return out;
    refuse(r, mn__fail(r->diag, MN_EINPUT, "a line of text up to %d bytes wanted", cap - 2));
    return NULL;
}

static int take(void *arg, const char *section, const char *key, const char *value)
{
    reading *r = arg;
    if (r->st != MN_OK) return 0;
    for (size_t i = 0; i < mn__config_count(); i++) {
        const mn__config_field *f = mn__config_at(i);
        if (strcmp(f->section, section) != 0 || strcmp(f->key, key) != 0 || !*key) continue;
        if (r->seen[i]) {
            refuse(r, mn__fail(r->diag, MN_EINPUT, "%s stands here a second time", f->name));
            return 0;
        }
        r->seen[i] = true;
    }
    const mn_status st = mn__config_set(r->c, section, key, value, r->diag);
    if (st != MN_OK) refuse(r, st);
    return st == MN_OK;
}

mn_status mn__config_read(mn__config *c, const char *path, mn_diag *diag)
{
    mn__config next = *c;
    reading r = {.c = &next, .path = path, .file = fopen(path, "re"), .diag = diag};
    if (!r.file) return mn__fail(diag, MN_EIO, "%s: cannot open: %s", path, strerror(errno));
    errno = 0;
    const int bad = ini_parse_stream(next_line, &r, take, &r);
    if (r.st == MN_OK && ferror(r.file))
        r.st = mn__fail(diag, MN_EIO, "%s: cannot read: %s", path, strerror(errno));
    if (r.st == MN_OK && bad)
        r.st = mn__fail(diag, bad > 0 ? MN_EINPUT : MN_ENOMEM,
                        "%s:%d: a [section], or key = value wanted", path, bad > 0 ? bad : 0);
    fclose(r.file);
    if (r.st == MN_OK) *c = next;
    return r.st;
}

#else

mn_status mn__config_read(mn__config *c, const char *path, mn_diag *diag)
{
    (void)c;
    return mn__fail(diag, MN_EFAIL,
                    "%s: this build reads no INI files: apt-get install libinih-dev, and build "
                    "again",
                    path);
}

#endif
