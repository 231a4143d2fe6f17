/* train_options.c: the table of options, for programs and documents. */
#include <stdio.h>
#include <string.h>

#include "mneme/train.h"
#include "lm/config.h"

/* "a|b" as "a, b". */
static void list_names(const char *names, char *out, size_t cap)
{
    size_t at = 0;
    for (; *names && at + 3 < cap; names++) {
        out[at++] = *names == '|' ? ',' : *names;
        if (*names == '|') out[at++] = ' ';
    }
    out[at] = '\0';
}

static void put_range(const mn__config_field *f, char *out, size_t cap)
{
    if (f->kind == MN__CONFIG_IS_SIZE || f->kind == MN__CONFIG_IS_REAL)
        snprintf(out, cap, "%.15g to %.15g", f->least, f->most);
    if (f->kind == MN__CONFIG_IS_FLAG) snprintf(out, cap, "yes or no");
    if (f->kind == MN__CONFIG_IS_CHOICE) list_names(f->names, out, cap);
}

bool mn_train_option_get(size_t i, mn_train_option *out)
{
    static const char *const changes[] = {
        [MN__CONFIG_MODEL] = "model", [MN__CONFIG_TRAIN] = "run", [MN__CONFIG_FREE] = "free"};
    mn__config c;
    mn__config_text value;
    if (i >= mn__config_count()) return false;
    const mn__config_field *f = mn__config_at(i);
    mn__config_init(&c);
    mn__config_value(&c, f, value, sizeof value);
    *out = (mn_train_option){
        .section = f->section, .key = f->key, .changes = changes[f->use], .meaning = f->meaning};
    snprintf(out->value, sizeof out->value, "%.63s", value);
    put_range(f, out->range, sizeof out->range);
    return true;
}
