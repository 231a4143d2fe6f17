/* text_files.c: files and folders of texts. */
#include "train/text_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"

enum { LOOK_BYTES = 1 << 16 };

void mn__text_files_free(mn__text_files *f)
{
    for (size_t i = 0; i < f->n; i++) mn__free(f->path[i]);
    mn__free(f->path);
    *f = (mn__text_files){0};
}

static mn_status add(mn__text_files *f, const char *path, mn_diag *diag)
{
    mn_status st = MN__GROW(f->path, f->n, f->room);
    char *copy = st == MN_OK ? mn__strdup(path) : NULL;
    if (!copy) return mn__fail(diag, MN_ENOMEM, "no memory for the names of files");
    f->path[f->n++] = copy;
    return MN_OK;
}

static bool has_end(const char *name, const char *const *ends)
{
    const size_t n = strlen(name);
    for (; *ends; ends++) {
        const size_t n_end = strlen(*ends);
        if (n > n_end && !strcmp(name + n - n_end, *ends)) return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mn_status mn__text_files_add_folder(mn__text_files *f, const char *folder, const char *const *ends,
                                    mn_diag *diag)
{
    mn_status st = MN_OK;
    const size_t first = f->n;
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    if (!dir)
        return mn__fail(diag, MN_EIO, "%s: cannot open this folder: %s", folder, strerror(errno));
    for (struct dirent *e = readdir(dir); e && st == MN_OK; e = readdir(dir)) {
        if (e->d_name[0] == '.' || !has_end(e->d_name, ends)) continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path)
            st = mn__fail(diag, MN_EINPUT, "%s: too long a name", folder);
        else
            st = add(f, path, diag);
    }
    closedir(dir);
    if (st == MN_OK && f->n > first) qsort(f->path + first, f->n - first, sizeof *f->path, by_name);
    return st;
}

static mn_status add_named(mn__text_files *f, const char *path, const char *what, mn_diag *diag)
{
    static const char *const ends[] = {".txt",      ".txt.xz",    ".txt.zst", ".jsonl",
                                       ".jsonl.xz", ".jsonl.zst", NULL};
    struct stat info;
    const size_t before = f->n;
    if (stat(path, &info))
        return mn__fail(diag, MN_EIO, "%s: %s: cannot open: %s", what, path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) return add(f, path, diag);
    const mn_status st = mn__text_files_add_folder(f, path, ends, diag);
    if (st != MN_OK || f->n > before) return st;
    return mn__fail(diag, MN_EINPUT,
                    "%s: %s: files .txt or .jsonl, plain or packed, wanted, none found", what,
                    path);
}

/* Hash of n bytes of the file from `at` on, on top of what is known. */
static bool look(FILE *file, long at, uint64_t *hash)
{
    char buf[LOOK_BYTES];
    if (fseek(file, at, SEEK_SET)) return false;
    const size_t n = fread(buf, 1, sizeof buf, file);
    *hash = mn__hash64(buf, n, *hash);
    return !ferror(file);
}

static mn_status identify(mn__text_files *f, mn_diag *diag)
{
    for (size_t i = 0; i < f->n; i++) {
        struct stat info;
        const char *path = f->path[i], *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        FILE *file = fopen(path, "rbe");
        if (!file || fstat(fileno(file), &info) || !S_ISREG(info.st_mode)) {
            const char *why = file ? "not a regular file" : strerror(errno);
            if (file) fclose(file);
            return mn__fail(diag, file ? MN_EINPUT : MN_EIO, "%s: cannot open: %s", path, why);
        }
        const uint64_t size = (uint64_t)info.st_size;
        f->bytes += size;
        f->identity = mn__hash64(name, strlen(name) + 1, f->identity);
        f->identity = mn__hash64(&size, sizeof size, f->identity);
        bool ok = look(file, 0, &f->identity);
        if (size > LOOK_BYTES) ok = ok && look(file, (long)(size - LOOK_BYTES), &f->identity);
        fclose(file);
        if (!ok) return mn__fail(diag, MN_EIO, "%s: cannot read", path);
    }
    return MN_OK;
}

mn_status mn__text_files_list(mn__text_files *out, const char *list, const char *what,
                              mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__text_files f = {0};
    *out = f;
    char *words = mn__strdup(list), *rest = NULL;
    if (!words) return mn__fail(diag, MN_ENOMEM, "no memory for the names of files");
    for (char *w = strtok_r(words, ",", &rest); w && st == MN_OK; w = strtok_r(NULL, ",", &rest)) {
        while (*w == ' ') w++;
        size_t n = strlen(w);
        while (n && w[n - 1] == ' ') w[--n] = '\0';
        if (n) st = add_named(&f, w, what, diag);
    }
    if (st == MN_OK && !f.n)
        st = mn__fail(diag, MN_EUSAGE, "%s: files or folders of text wanted, none given", what);
    if (st == MN_OK) st = identify(&f, diag);
    mn__free(words);
    if (st == MN_OK)
        *out = f;
    else
        mn__text_files_free(&f);
    return st;
}
