/* find_namm.c: the NAMM for a model, by what its notes say. */
#include "find_namm.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "mneme/inspect.h"
#include "mneme/policy.h"
#include "ui.h"

enum { MAX_FOLDER = 3 };

#define ENDING    ".namm.gguf"
#define UNIVERSAL "any" ENDING

typedef struct finder {
    const args *a;
    const char *identity; /* of the model */
    bool *tells;
    size_t n_folder;
    char folder[MAX_FOLDER][PATH_MAX];
    char found[PATH_MAX]; /* for this model; "": not looked for yet */
} finder;

/* ---- folders ---- */

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* is_wanted: named in the sentence that says where none was found, there or not. */
static void add_folder(finder *f, const char *dir, const char *more, bool is_wanted)
{
    char *path = f->folder[f->n_folder];
    char whole[PATH_MAX];
    const int n = snprintf(path, PATH_MAX, "%s/%s", dir, more);
    if (n < 0 || n >= PATH_MAX || !(is_wanted || is_folder(path))) return;
    if (realpath(path, whole)) memcpy(path, whole, strlen(whole) + 1);
    f->n_folder++;
}

static mn_status list_folders(finder *f, mn_diag *diag)
{
    char self[PATH_MAX];
    const char *own = getenv("MNEME_NAMM");
    if (own && *own) {
        if (!is_folder(own))
            return mn__fail(diag, MN_EINPUT, "MNEME_NAMM: a folder wanted, '%s' found", own);
        snprintf(f->folder[f->n_folder++], PATH_MAX, "%s", own);
    }
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return MN_OK; /* no /proc: the variable is what is left */
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    const size_t n_before = f->n_folder;
    add_folder(f, self, "share/mneme/namm", false); /* a build tree */
    add_folder(f, self, MN_DATA_FROM_BIN "/namm", f->n_folder == n_before);
    return MN_OK;
}

static mn_status none(const finder *f, const char *what, mn_diag *diag)
{
    char places[MAX_FOLDER * 200] = "";
    size_t at = 0;
    for (size_t i = 0; i < f->n_folder; i++)
        at += (size_t)snprintf(places + at, sizeof places - at, "%s%.180s", i ? ", " : " in ",
                               f->folder[i]);
    return mn__fail(diag, MN_EINPUT,
                    "policy namm: no %s%s; namm:file=PATH names one, the variable MNEME_NAMM a "
                    "folder of them",
                    what, places);
}

/* ---- what a file says of itself ---- */

typedef struct about {
    char identity[512], model[256];
} about;

static void take_note(const char *section, const char *name, const char *value, void *ctx)
{
    about *x = ctx;
    if (strcmp(section, "note")) return;
    if (!strcmp(name, "base_identity")) snprintf(x->identity, sizeof x->identity, "%s", value);
    if (!strcmp(name, "base_model")) snprintf(x->model, sizeof x->model, "%s", value);
}

/* A file that is none is told of and passed over: the others are still good. */
static bool read_about(const finder *f, const char *path, about *x)
{
    mn_diag why = {""};
    *x = (about){"", ""};
    if (mn_file_describe(path, take_note, x, &why) == MN_OK) return true;
    if (*f->tells) ui_note(f->a, "namm: left out: %s", why.text);
    return false;
}

/* ---- one for the model ---- */

static int is_candidate(const struct dirent *e)
{
    const size_t n = strlen(e->d_name), ending = sizeof ENDING - 1;
    return n > ending && !strcmp(e->d_name + n - ending, ENDING) && strcmp(e->d_name, UNIVERSAL);
}

static int by_length(const struct dirent **a, const struct dirent **b)
{
    const size_t x = strlen((*a)->d_name), y = strlen((*b)->d_name);
    return x != y ? (x > y) - (x < y) : strcmp((*a)->d_name, (*b)->d_name);
}

/* The file of a folder that was trained for the model: true, and its path. */
static bool find_trained(const finder *f, const char *folder, char *path)
{
    about x;
    struct dirent **entry = NULL;
    bool is_found = false;
    const int n = scandir(folder, &entry, is_candidate, by_length);
    for (int i = 0; i < n && !is_found; i++) {
        const int length = snprintf(path, PATH_MAX, "%s/%s", folder, entry[i]->d_name);
        is_found = length < PATH_MAX && read_about(f, path, &x) && !strcmp(x.identity, f->identity);
    }
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    return is_found;
}

/* The universal one of a folder: true, and its path in f->found. A link to one that was made for
 * some model is that one, in notes and records too. */
static bool find_universal(finder *f, const char *folder, about *x)
{
    char whole[PATH_MAX];
    struct stat s;
    const int n = snprintf(f->found, PATH_MAX, "%s/%s", folder, UNIVERSAL);
    if (n >= PATH_MAX || lstat(f->found, &s)) return false;
    if (S_ISLNK(s.st_mode)) {
        if (!realpath(f->found, whole)) return false;
        memcpy(f->found, whole, strlen(whole) + 1);
    }
    return read_about(f, f->found, x);
}

static mn_status look(finder *f, mn_diag *diag)
{
    about x;
    char what[512];
    for (size_t i = 0; i < f->n_folder; i++) {
        if (find_trained(f, f->folder[i], f->found)) {
            if (*f->tells)
                ui_note(f->a, "namm: %s (trained for this model)", strrchr(f->found, '/') + 1);
            *f->tells = false;
            return MN_OK;
        }
        if (!find_universal(f, f->folder[i], &x)) continue;
        if (*f->tells)
            ui_note(f->a, "namm: %s (%s%s; no NAMM for this model beside it)",
                    strrchr(f->found, '/') + 1, *x.model ? "made for " : "universal", x.model);
        *f->tells = false;
        return MN_OK;
    }
    *f->found = '\0';
    snprintf(what, sizeof what, "file for %.400s and no " UNIVERSAL, f->identity);
    return none(f, what, diag);
}

/* ---- one by its name ---- */

static bool is_there(const char *name, size_t n)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%.*s", (int)n, name);
    return n < sizeof whole && access(whole, F_OK) == 0;
}

/* value: of option file, n bytes, with #HASH and @SIZE perhaps. A name without a path that is no
 * file here is looked for: *n_name bytes of the value are it, in whose place goes the path; "": the
 * value stays. */
static mn_status find_named(const finder *f, const char *value, size_t n, size_t *n_name,
                            char *path, mn_diag *diag)
{
    static const char *const ending[] = {"", ENDING};
    char what[NAME_MAX + 32];
    const char *mark = memchr(value, '#', n), *at = memchr(value, '@', n);
    *path = '\0';
    *n_name = mark ? (size_t)(mark - value) : n;
    if (memchr(value, '/', n) || is_there(value, *n_name)) return MN_OK;
    if (!mark && at) *n_name = (size_t)(at - value);
    if (is_there(value, *n_name)) return MN_OK;
    for (size_t i = 0; i < f->n_folder; i++)
        for (size_t k = 0; k < 2; k++) {
            const int length =
                snprintf(path, PATH_MAX, "%s/%.*s%s", f->folder[i], (int)*n_name, value, ending[k]);
            if (length < PATH_MAX && access(path, F_OK) == 0) return MN_OK;
        }
    *path = '\0';
    snprintf(what, sizeof what, "file %.*s here or", (int)(*n_name < NAME_MAX ? *n_name : NAME_MAX),
             value);
    return none(f, what, diag);
}

/* ---- policies as texts ---- */

/* The value of an option in a policy of n bytes: *n_value of them; NULL: there is none. */
static const char *find_option(const char *policy, size_t n, const char *key, size_t *n_value)
{
    const char *end = policy + n, *at = memchr(policy, ':', n);
    while (at && at < end) {
        at++;
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        const size_t n_key = strlen(key);
        if ((size_t)(stop - at) > n_key && !strncmp(at, key, n_key) && at[n_key] == '=') {
            *n_value = (size_t)(stop - at) - n_key - 1;
            return at + n_key + 1;
        }
        at = stop;
    }
    return NULL;
}

/* Is it `namm`, before what else may follow a name? */
static bool is_namm(const char *name, size_t n)
{
    return n >= 4 && !strncmp(name, "namm", 4) && (n == 4 || strchr(":@", name[4]));
}

bool scores_by_namm(const char *policy, size_t n)
{
    size_t n_base = 0;
    const char *base = find_option(policy, n, "base", &n_base);
    return is_namm(policy, n) || (base && is_namm(base, n_base));
}

/* One policy of n bytes, with a path where it lacks one. */
static mn_status put_policy(finder *f, FILE *to, const char *policy, size_t n, mn_diag *diag)
{
    mn_status st = MN_OK;
    char named[PATH_MAX] = "";
    const char *end = policy + n, *path = named;
    size_t n_value = 0, n_old = 0;
    const char *at = find_option(policy, n, "file", &n_value); /* where the path goes */
    if (!scores_by_namm(policy, n)) {
        fwrite(policy, 1, n, to);
        return MN_OK;
    }
    if (!f->n_folder) MN_TRY(list_folders(f, diag));
    if (at && n_value && *at != '@') {
        MN_TRY(find_named(f, at, n_value, &n_old, named, diag));
    } else {
        if (!*f->found) MN_TRY(look(f, diag));
        path = f->found;
    }
    if (strchr(path, ','))
        MN_TRY(mn__fail(diag, MN_EUSAGE, "policy namm: a path without a comma wanted, '%s' found",
                        path));
    if (at) {
        const char *rest = at + (*path ? n_old : 0);
        fprintf(to, "%.*s%s%.*s", (int)(at - policy), policy, path, (int)(end - rest), rest);
    } else { /* the first option */
        const char *rest = policy;
        while (rest < end && *rest != ':' && *rest != '@') rest++;
        fprintf(to, "%.*s:file=%s", (int)(rest - policy), policy, path);
        if (rest < end && *rest == ':') rest++;
        if (rest < end && *rest != '@') fputc(',', to);
        fwrite(rest, 1, (size_t)(end - rest), to);
    }
done:
    return st;
}

mn_status find_namm(const args *a, const mn_model *m, const char *policies, bool *tells, char **out,
                    mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t size = 0;
    mn_model_info info;
    mn_model_get_info(m, &info);
    *out = NULL;
    finder *f = calloc(1, sizeof *f);
    FILE *to = open_memstream(out, &size);
    if (!f || !to) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for policies"));
    f->a = a;
    f->identity = info.identity;
    f->tells = tells;
    for (const char *at = policies; *at;) {
        const size_t n = mn_policy_first(at);
        MN_TRY(put_policy(f, to, at, n, diag));
        at += n;
        if (*at) fputc(*at++, to);
    }
done:
    if (to && fclose(to) && st == MN_OK) st = mn__fail(diag, MN_ENOMEM, "no memory for policies");
    if (st != MN_OK) {
        free(*out);
        *out = NULL;
    }
    free(f);
    return st;
}
