/* spec_name.c: policies as texts for records: a list of them, and a policy's name, in which a file
 * stands by its name and content (`file=any.namm.gguf#5d1c...`), so that the same file in another
 * folder is the same policy and another file in its place is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "policy/evict.h"
#include "policy/namm.h"
#include "policy/policy_kind.h"

enum { HASH_DIGITS = 16 };

size_t mn_policy_first(const char *list)
{
    size_t n = strcspn(list, ",");
    while (list[n] == ',') {
        const char *piece = list + n + 1;
        size_t length = strcspn(piece, ",");
        const char *colon = memchr(piece, ':', length), *equals = memchr(piece, '=', length);
        if (!equals || (colon && colon < equals)) break; /* the next policy */
        n += 1 + length;
    }
    return n;
}

/* ---- PATH#HASH ---- */

/* Bytes of the path; *hash is set where one follows it. */
static size_t split_value(const char *value, bool *has_hash, uint64_t *hash)
{
    const char *mark = strrchr(value, '#');
    *has_hash = mark && strlen(mark + 1) == HASH_DIGITS &&
                strspn(mark + 1, "0123456789abcdef") == HASH_DIGITS;
    if (!*has_hash) return strlen(value);
    *hash = strtoull(mark + 1, NULL, 16);
    return (size_t)(mark - value);
}

mn_status mn__namm_open(mn__namm **out, const char *value, mn_diag *diag)
{
    mn_status st;
    bool has_hash;
    uint64_t hash = 0;
    char path[MN__SPEC_VALUE];
    mn__namm *m = NULL;
    *out = NULL;
    const size_t n = split_value(value, &has_hash, &hash);
    if (n >= sizeof path)
        return mn__fail(diag, MN_EUSAGE, "%.60s...: a shorter path wanted", value);
    memcpy(path, value, n);
    path[n] = '\0';
    MN_TRY(mn__namm_read(&m, path, diag));
    if (has_hash && hash != m->hash)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a NAMM with hash %016llx wanted, %016llx found", path,
                        (unsigned long long)hash, (unsigned long long)m->hash));
    *out = m;
    m = NULL;
done:
    mn__namm_free(m);
    return st;
}

void mn__namm_label(const mn__namm *m, const char *value, char *out, size_t cap)
{
    bool has_hash;
    uint64_t hash;
    const size_t n = split_value(value, &has_hash, &hash);
    size_t begin = n;
    while (begin > 0 && value[begin - 1] != '/') begin--;
    snprintf(out, cap, "%.*s#%016llx", (int)(n - begin), value + begin,
             (unsigned long long)m->hash);
}

/* ---- a policy's text ---- */

/* The value of option `file`, *n bytes of it; NULL: there is none. */
static const char *find_file(const char *spec, size_t *n)
{
    const char *at = strchr(spec, ':');
    while (at && *at) {
        at++;
        *n = strcspn(at, ",");
        if (strncmp(at, "file=", 5) == 0 && *n > 5) {
            *n -= 5;
            return at + 5;
        }
        at += *n;
    }
    return NULL;
}

mn_status mn__policy_pin(char **out, const char *spec, bool by_name, mn_diag *diag)
{
    mn_status st;
    size_t n = 0;
    mn__namm *m = NULL;
    char value[MN__SPEC_VALUE], label[MN__SPEC_VALUE + HASH_DIGITS + 2];
    *out = NULL;
    MN_TRY(mn_policy_check(spec, diag));
    const char *file = find_file(spec, &n);
    if (!file) {
        *out = mn__strdup(spec);
        return *out ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for a policy's name");
    }
    snprintf(value, sizeof value, "%.*s", (int)n, file); /* a longer one was refused */
    MN_TRY(mn__namm_open(&m, value, diag));
    mn__namm_label(m, value, label, sizeof label);
    /* By path: what stands behind the file's name is the hash. */
    const char *tail = by_name ? label : strrchr(label, '#');
    bool has_hash;
    uint64_t hash;
    const size_t n_path = by_name ? 0 : split_value(value, &has_hash, &hash);
    const size_t size = strlen(spec) + strlen(label) + 1;
    *out = mn__alloc(MN_MEM_OTHER, size);
    if (!*out) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a policy's name"));
    snprintf(*out, size, "%.*s%.*s%s%s", (int)(file - spec), spec, (int)n_path, value, tail,
             file + n);
done:
    mn__namm_free(m);
    return st;
}

mn_status mn_policy_name(const char *spec, char *out, size_t cap, mn_diag *diag)
{
    char *name = NULL;
    mn_status st = mn__policy_pin(&name, spec, true, diag);
    if (st != MN_OK) return st;
    if (strlen(name) < cap)
        memcpy(out, name, strlen(name) + 1);
    else
        st = mn__fail(diag, MN_ERANGE, "policy %.60s...: its name has %zu bytes, room for %zu",
                      spec, strlen(name), cap);
    mn__free(name);
    return st;
}
