/* config.h: the options of a training: from an INI file, from overrides, checked against each
 * other. config.def lists them. A mn__config is plain data: copied by assignment, owned by nobody.
 */
#ifndef MN_LM_CONFIG_H
#define MN_LM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/cpu.h"
#include "mneme/status.h"

enum { MN__CONFIG_TEXT = 256 };
typedef char mn__config_text[MN__CONFIG_TEXT];

/* Members are section_key; choices are numbers in the order of their names, which is that of the
 * enums below or of the layers' own. */
typedef struct mn__config {
#define MN_CONFIG_SECTION(section, meaning)
#define MN_CONFIG_SIZE(section, key, use, fallback, least, most, meaning) size_t section##_##key;
#define MN_CONFIG_REAL(section, key, use, fallback, least, most, meaning) double section##_##key;
#define MN_CONFIG_FLAG(section, key, use, fallback, meaning)              bool section##_##key;
#define MN_CONFIG_CHOICE(section, key, use, fallback, names, meaning)     int section##_##key;

#define MN_CONFIG_TEXT(section, key, use, fallback, meaning) mn__config_text section##_##key;
#include "lm/config.def"
#undef MN_CONFIG_SECTION
#undef MN_CONFIG_SIZE
#undef MN_CONFIG_REAL
#undef MN_CONFIG_FLAG
#undef MN_CONFIG_CHOICE
#undef MN_CONFIG_TEXT
} mn__config;

typedef enum mn__arch_kind {
    MN__ARCH_DENSE,
    MN__ARCH_MOE,
    MN__ARCH_PKM,
    MN__ARCH_MEMORY_PLUS,
    MN__ARCH_ULTRAMEM,
    MN__ARCH_ULTRAMEM_V2,
    MN__ARCH_MEMORYFORMER,
    MN__ARCH_LOOKUP_FFN,
    MN__ARCH_KINDS,
} mn__arch_kind;
typedef enum mn__update_kind {
    MN__UPDATE_DENSE,
    MN__UPDATE_DEFERRED,
    MN__UPDATE_SELECTIVE,
} mn__update_kind;

typedef enum mn__compute_kind {
    MN__COMPUTE_AUTO, /* mn__config_check makes it one of the others */
    MN__COMPUTE_F32,
    MN__COMPUTE_BF16,
} mn__compute_kind;

typedef enum mn__projection_kind { /* of LookupFFN */
                                   MN__PROJECTION_DENSE,
                                   MN__PROJECTION_BH4,
} mn__projection_kind;

typedef enum mn__config_kind {
    MN__CONFIG_IS_SECTION, /* no option: a heading; key is empty */
    MN__CONFIG_IS_SIZE,
    MN__CONFIG_IS_REAL,
    MN__CONFIG_IS_FLAG,
    MN__CONFIG_IS_CHOICE,
    MN__CONFIG_IS_TEXT,
} mn__config_kind;
typedef enum mn__config_use {
    MN__CONFIG_MODEL,
    MN__CONFIG_TRAIN,
    MN__CONFIG_FREE,
} mn__config_use;

/* A line of the table. */
typedef struct mn__config_field {
    mn__config_kind kind;
    mn__config_use use;
    const char *section, *key, *name; /* name: section.key */
    const char *names;                /* of choices, | between; of texts: the default */
    double fallback, least, most;     /* texts have none; choices: a number */
    const char *meaning;
    size_t at; /* in mn__config */
} mn__config_field;

/* The table, sections before their keys; i in [0, mn__config_count()). */
size_t mn__config_count(void);
const mn__config_field *mn__config_at(size_t i);
/* A value as it would be written, in `cap` bytes; reading it again gives the same bits. */
void mn__config_value(const mn__config *c, const mn__config_field *f, char *out, size_t cap);

/* All defaults. */
void mn__config_init(mn__config *c);
/* MN_EUSAGE: no such section or key (the nearest is suggested), or not a value of it; MN_ERANGE:
 * out of its range. *c is untouched then. */
mn_status mn__config_set(mn__config *c, const char *section, const char *key, const char *value,
                         mn_diag *diag);
/* "section.key=value". */
mn_status mn__config_override(mn__config *c, const char *text, mn_diag *diag);
/* An INI file over what is there. MN_EIO, MN_EINPUT: a line that is none, a key twice, with file
 * and line; what mn__config_set says. MN_EFAIL: built without inih. */
mn_status mn__config_read(mn__config *c, const char *path, mn_diag *diag);
/* All defaults, over them the file (NULL: none), over it `set`. What the two above say. */
mn_status mn__config_load(mn__config *out, const char *path, const char *const *set, size_t n_set,
                          mn_diag *diag);

/* Options against each other: what follows from others is filled in, and what cannot be is one
 * sentence with MN_ERANGE. A vocabulary is there by then. To be called once all is set, and idle
 * when called again. */
mn_status mn__config_check(mn__config *c, mn_diag *diag);
/* What `auto` becomes on a processor: bf16 where it multiplies that (decision 0019). */
mn__compute_kind mn__compute_of(mn__cpu_level best);

#endif
