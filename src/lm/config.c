/* config.c: one table, and what reads and writes members of mn__config by it. */
#include "lm/config.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

enum { NAME_MAX_BYTES = 64 };

#define FIELD(kind_, use_, section_, key_, names_, fallback_, least_, most_, meaning_) \
    {.kind = MN__CONFIG_IS_##kind_,                                                    \
     .use = MN__CONFIG_##use_,                                                         \
     .section = #section_,                                                             \
     .key = #key_,                                                                     \
     .name = #section_ "." #key_,                                                      \
     .names = names_,                                                                  \
     .fallback = fallback_,                                                            \
     .least = least_,                                                                  \
     .most = most_,                                                                    \
     .meaning = meaning_,                                                              \
     .at = offsetof(mn__config, section_##_##key_)},
#define MN_CONFIG_SECTION(section_, meaning_) \
    {.kind = MN__CONFIG_IS_SECTION,           \
     .use = MN__CONFIG_FREE,                  \
     .section = #section_,                    \
     .key = "",                               \
     .name = #section_,                       \
     .meaning = meaning_},
#define MN_CONFIG_SIZE(section, key, use, fallback, least, most, meaning)                     \
    FIELD(SIZE, use, section, key, NULL, (double)(fallback), (double)(least), (double)(most), \
          meaning)
#define MN_CONFIG_REAL(section, key, use, fallback, least, most, meaning) \
    FIELD(REAL, use, section, key, NULL, fallback, least, most, meaning)
#define MN_CONFIG_FLAG(section, key, use, fallback, meaning) \
    FIELD(FLAG, use, section, key, NULL, fallback, 0, 1, meaning)
#define MN_CONFIG_CHOICE(section, key, use, fallback, names, meaning) \
    FIELD(CHOICE, use, section, key, names, fallback, 0, 0, meaning)
#define MN_CONFIG_TEXT(section, key, use, fallback, meaning) \
    FIELD(TEXT, use, section, key, fallback, 0, 0, 0, meaning)
static const mn__config_field fields[] = {
#include "lm/config.def"
};
enum { N_FIELD = sizeof fields / sizeof *fields };

size_t mn__config_count(void)
{
    return N_FIELD;
}

const mn__config_field *mn__config_at(size_t i)
{
    return &fields[i];
}

static void *member(mn__config *c, const mn__config_field *f)
{
    return (char *)c + f->at;
}

static const void *member_of(const mn__config *c, const mn__config_field *f)
{
    return (const char *)c + f->at;
}

void mn__config_init(mn__config *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < N_FIELD; i++) {
        const mn__config_field *f = &fields[i];
        switch (f->kind) {
        case MN__CONFIG_IS_SECTION: break;
        case MN__CONFIG_IS_SIZE: *(size_t *)member(c, f) = (size_t)f->fallback; break;
        case MN__CONFIG_IS_REAL: *(double *)member(c, f) = f->fallback; break;
        case MN__CONFIG_IS_FLAG: *(bool *)member(c, f) = f->fallback > 0; break;
        case MN__CONFIG_IS_CHOICE: *(int *)member(c, f) = (int)f->fallback; break;
        case MN__CONFIG_IS_TEXT: snprintf(member(c, f), MN__CONFIG_TEXT, "%s", f->names); break;
        }
    }
}

/* ---- out ---- */

/* The i-th of names with | between; its length in *n, 0: there is none. */
static const char *choice_name(const char *names, int i, size_t *n)
{
    while (i-- > 0) {
        names += strcspn(names, "|");
        names += *names == '|';
    }
    *n = strcspn(names, "|");
    return names;
}

void mn__config_value(const mn__config *c, const mn__config_field *f, char *out, size_t cap)
{
    const void *at = member_of(c, f);
    size_t n;
    const char *name;
    if (cap) *out = 0;
    switch (f->kind) {
    case MN__CONFIG_IS_SECTION: break;
    case MN__CONFIG_IS_SIZE: snprintf(out, cap, "%zu", *(const size_t *)at); break;
    case MN__CONFIG_IS_REAL:
        snprintf(out, cap, "%.9g", *(const double *)at);
        if (strtod(out, NULL) != *(const double *)at)
            snprintf(out, cap, "%.17g", *(const double *)at);
        break;
    case MN__CONFIG_IS_FLAG: snprintf(out, cap, "%s", *(const bool *)at ? "yes" : "no"); break;
    case MN__CONFIG_IS_CHOICE:
        name = choice_name(f->names, *(const int *)at, &n);
        snprintf(out, cap, "%.*s", (int)n, name);
        break;
    case MN__CONFIG_IS_TEXT: snprintf(out, cap, "%s", (const char *)at); break;
    }
}

/* ---- in ---- */

/* Text that came from a user, fit for a sentence. */
static void printable(char out[NAME_MAX_BYTES], const char *text)
{
    snprintf(out, NAME_MAX_BYTES, "%s", text);
    mn__make_printable(out, ' ');
}

static mn_status not_this(const mn__config_field *f, const char *wanted, const char *value,
                          mn_diag *diag)
{
    char shown[NAME_MAX_BYTES];
    printable(shown, value);
    return mn__fail(diag, MN_EUSAGE, "%s: %s wanted, '%s' found", f->name, wanted, shown);
}

/* mn__nearest over what the table lists: sections (section NULL), or keys of one. */
static const char *nearest_of(const char *word, const char *section)
{
    const char *names[N_FIELD + 1];
    size_t n = 0;
    for (size_t i = 0; i < N_FIELD; i++) {
        const mn__config_field *f = &fields[i];
        const bool is_section = f->kind == MN__CONFIG_IS_SECTION;
        if (section ? !is_section && strcmp(f->section, section) == 0 : is_section)
            names[n++] = section ? f->key : f->section;
    }
    names[n] = NULL;
    return mn__nearest(word, names);
}

static mn_status unknown(const char *section, const char *key, mn_diag *diag)
{
    char shown[NAME_MAX_BYTES], from[NAME_MAX_BYTES];
    bool has_section = false;
    for (size_t i = 0; i < N_FIELD; i++) has_section |= strcmp(fields[i].section, section) == 0;
    const char *near = nearest_of(has_section ? key : section, has_section ? section : NULL);
    printable(from, section);
    printable(shown, key);
    if (!*section)
        return mn__fail(diag, MN_EUSAGE, "'%s' stands in no section: [model] or another wanted",
                        shown);
    if (!has_section)
        return mn__fail(diag, MN_EUSAGE, "no section [%s] of a training%s%s%s", from,
                        near ? ": did you mean [" : "", near ? near : "", near ? "]?" : "");
    return mn__fail(diag, MN_EUSAGE, "no key '%s' in section [%s]%s%s%s", shown, from,
                    near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static mn_status out_of_range(const mn__config_field *f, const char *value, mn_diag *diag)
{
    char shown[NAME_MAX_BYTES];
    printable(shown, value);
    return mn__fail(diag, MN_ERANGE, "%s: %.15g to %.15g wanted, %s found", f->name, f->least,
                    f->most, shown);
}

static mn_status set_size(const mn__config_field *f, const char *value, size_t *out, mn_diag *diag)
{
    char *end;
    errno = 0;
    const unsigned long long x = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end) return not_this(f, "a whole number", value, diag);
    if (errno || x > SIZE_MAX || (double)x < f->least || (double)x > f->most)
        return out_of_range(f, value, diag);
    *out = (size_t)x;
    return MN_OK;
}

static mn_status set_real(const mn__config_field *f, const char *value, double *out, mn_diag *diag)
{
    char *end;
    const double x = strtod(value, &end);
    if (end == value || *end) return not_this(f, "a number", value, diag);
    if (!isfinite(x) || x < f->least || x > f->most) return out_of_range(f, value, diag);
    *out = x;
    return MN_OK;
}

static mn_status set_flag(const mn__config_field *f, const char *value, bool *out, mn_diag *diag)
{
    const bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0) return not_this(f, "yes or no", value, diag);
    *out = yes;
    return MN_OK;
}

static mn_status set_choice(const mn__config_field *f, const char *value, int *out, mn_diag *diag)
{
    size_t n;
    const char *name = choice_name(f->names, 0, &n);
    for (int i = 0; n; name = choice_name(f->names, ++i, &n)) {
        if (strlen(value) != n || memcmp(value, name, n) != 0) continue;
        *out = i;
        return MN_OK;
    }
    char wanted[160];
    snprintf(wanted, sizeof wanted, "one of %s", f->names);
    return not_this(f, wanted, value, diag);
}

static mn_status set_text(const mn__config_field *f, const char *value, char *out, mn_diag *diag)
{
    if (strlen(value) >= MN__CONFIG_TEXT)
        return mn__fail(diag, MN_ERANGE, "%s: at most %d bytes wanted, %zu found", f->name,
                        MN__CONFIG_TEXT - 1, strlen(value));
    memmove(out, value, strlen(value) + 1);
    return MN_OK;
}

static const mn__config_field *find(const char *section, const char *key)
{
    for (size_t i = 0; i < N_FIELD; i++)
        if (fields[i].kind != MN__CONFIG_IS_SECTION && strcmp(fields[i].section, section) == 0 &&
            strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

mn_status mn__config_set(mn__config *c, const char *section, const char *key, const char *value,
                         mn_diag *diag)
{
    const mn__config_field *f = find(section, key);
    if (!f) return unknown(section, key, diag);
    switch (f->kind) {
    case MN__CONFIG_IS_SECTION: break;
    case MN__CONFIG_IS_SIZE: return set_size(f, value, member(c, f), diag);
    case MN__CONFIG_IS_REAL: return set_real(f, value, member(c, f), diag);
    case MN__CONFIG_IS_FLAG: return set_flag(f, value, member(c, f), diag);
    case MN__CONFIG_IS_CHOICE: return set_choice(f, value, member(c, f), diag);
    case MN__CONFIG_IS_TEXT: return set_text(f, value, member(c, f), diag);
    }
    return MN_OK;
}

mn_status mn__config_override(mn__config *c, const char *text, mn_diag *diag)
{
    char section[NAME_MAX_BYTES], key[NAME_MAX_BYTES], shown[NAME_MAX_BYTES];
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    printable(shown, text);
    if (!equals || !dot || dot > equals || equals - text >= NAME_MAX_BYTES)
        return mn__fail(diag, MN_EUSAGE, "section.key=value wanted, '%s' found", shown);
    snprintf(section, sizeof section, "%.*s", (int)(dot - text), text);
    snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
    return mn__config_set(c, section, key, equals + 1, diag);
}

mn_status mn__config_load(mn__config *out, const char *path, const char *const *set, size_t n_set,
                          mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__config_init(out);
    if (path) MN_TRY(mn__config_read(out, path, diag));
    for (size_t i = 0; i < n_set; i++) MN_TRY(mn__config_override(out, set[i], diag));
done:
    return st;
}
