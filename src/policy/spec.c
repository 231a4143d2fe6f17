/* spec.c: a policy as a word with options. Defaults of all policies, of the scorer, of the wrapper,
 * a preset and the user's own options are laid over each other in this order; a key that none of
 * them knows is a mistake. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "policy/policy_kind.h"

typedef struct entry {
    const char *name, *defaults;
    const mn__policy_kind *kind;
} entry;

static const entry registry[] = {
#define MN_POLICY(name, summary, paper, defaults) {#name, defaults, &mn__kind_##name},
#include "policy/policies.def"
#undef MN_POLICY
};
enum { N_POLICY = sizeof registry / sizeof registry[0] };

static const mn_policy_info infos[] = {
#define MN_POLICY(name, summary, paper, defaults) {#name, summary, paper, defaults},
#include "policy/policies.def"
#undef MN_POLICY
};

static const mn_policy_option common[] = {
#define MN_POLICY_OPTION(key, value, meaning) {#key, value, meaning},
#include "policy/policies.def"
#undef MN_POLICY_OPTION
};
enum { N_COMMON = sizeof common / sizeof common[0] };

/* Other words for the same option. */
static const char *const alias[][2] = {
    {"kernel", "pool"}, {"block", "chunk"}, {"n_sink", "sinks"}, {"lambda", "beta"}};

static const mn_policy_own_option own[] = {
#define MN_POLICY_OWN(policy, key, meaning) {#policy, #key, meaning},
#include "policy/policies.def"
#undef MN_POLICY_OWN
};

const mn_policy_own_option *mn_policy_own_option_list(size_t *n)
{
    *n = sizeof own / sizeof own[0];
    return own;
}

const mn_policy_info *mn_policy_list(size_t *n)
{
    *n = N_POLICY;
    return infos;
}

const mn_policy_option *mn_policy_option_list(size_t *n)
{
    *n = N_COMMON;
    return common;
}

static const char *true_key(const char *key)
{
    for (size_t i = 0; i < sizeof alias / sizeof alias[0]; i++)
        if (strcmp(key, alias[i][0]) == 0) return alias[i][1];
    return key;
}

static mn__spec_item *find(mn__spec *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->item[i].key, key) == 0) return &s->item[i];
    return NULL;
}

const char *mn__spec_get(const mn__spec *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->item[i].key, key) == 0) return s->item[i].value;
    return NULL;
}

bool mn__spec_is_given(const mn__spec *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->item[i].key, key) == 0) return s->item[i].given;
    return false;
}

/* Where a value comes from. */
enum source { COMMON, OWN, PRESET, GIVEN };

static mn_status put(mn__spec *s, const char *key, const char *value, enum source from,
                     mn_diag *diag)
{
    mn__spec_item *it = find(s, key);
    if (!it) {
        if (s->n == MN__SPEC_ITEMS)
            return mn__fail(diag, MN_EUSAGE, "%s %s: more than %d options", s->what, s->name,
                            MN__SPEC_ITEMS);
        it = &s->item[s->n++];
        *it = (mn__spec_item){0};
        snprintf(it->key, sizeof it->key, "%s", key);
    }
    snprintf(it->value, sizeof it->value, "%s", value);
    it->given = it->given || from == GIVEN;
    it->own = it->own || from == OWN;
    return MN_OK;
}

/* One `key=value` of n characters; the key's alias is resolved. is_switch: a key alone will do. */
static mn_status parse_pair(const char *what, const char *text, size_t n, bool is_switch, char *key,
                            char *value, mn_diag *diag)
{
    const char *eq = memchr(text, '=', n);
    if (!n || eq == text || (!eq && !is_switch))
        return mn__fail(diag, MN_EUSAGE, "%s option `%.*s`: key=value wanted", what,
                        (int)(n < 200 ? n : 200), text);
    size_t n_key = eq ? (size_t)(eq - text) : n, n_value = eq ? n - n_key - 1 : 0;
    if (n_key >= MN__SPEC_KEY || n_value >= MN__SPEC_VALUE)
        return mn__fail(
            diag, MN_EUSAGE,
            "%s option `%.40s...` is too long (key below %d, value below %d characters)", what,
            text, MN__SPEC_KEY, MN__SPEC_VALUE);
    memcpy(key, text, n_key);
    key[n_key] = 0;
    const char *name = true_key(key);
    if (name != key) snprintf(key, MN__SPEC_KEY, "%s", name);
    if (n_value) memcpy(value, eq + 1, n_value);
    value[n_value] = 0;
    return MN_OK;
}

/* A list of defaults of our own, separated by spaces. */
static mn_status overlay(mn__spec *s, const char *list, enum source from, mn_diag *diag)
{
    while (*list) {
        char key[MN__SPEC_KEY], value[MN__SPEC_VALUE];
        size_t n = strcspn(list, " ");
        mn_status st = parse_pair(s->what, list, n, false, key, value, diag);
        if (st == MN_OK) st = put(s, key, value, from, diag);
        if (st != MN_OK) return st;
        list += n;
        list += strspn(list, " ");
    }
    return MN_OK;
}

mn_status mn__spec_parse(mn__spec *s, const char *what, const char *text, bool has_switches,
                         mn_diag *diag)
{
    *s = (mn__spec){.what = what};
    size_t n = strcspn(text, ":");
    if (n == 0 || n >= sizeof s->name)
        return mn__fail(diag, MN_EUSAGE, "%s `%.60s`: a name of 1 to %d letters wanted", what, text,
                        (int)sizeof s->name - 1);
    memcpy(s->name, text, n);
    text += n;
    if (*text == ':') text++;
    while (*text) {
        char key[MN__SPEC_KEY], value[MN__SPEC_VALUE];
        n = strcspn(text, ",");
        mn_status st = parse_pair(what, text, n, has_switches, key, value, diag);
        if (st != MN_OK) return st;
        if (find(s, key))
            return mn__fail(diag, MN_EUSAGE, "%s %s: option %s is given twice", what, s->name, key);
        st = put(s, key, value, GIVEN, diag);
        if (st != MN_OK) return st;
        text += n;
        if (*text == ',' && *++text == 0)
            return mn__fail(diag, MN_EUSAGE, "%s %s: key=value wanted after the last comma", what,
                            s->name);
    }
    return MN_OK;
}

void mn__spec_set(mn__spec *s, const char *key, const char *value)
{
    mn__spec_item *it = find(s, key);
    snprintf(it->value, sizeof it->value, "%s", value);
}

mn_status mn__spec_default(mn__spec *s, const char *list, mn_diag *diag)
{
    while (*list) {
        char key[MN__SPEC_KEY], value[MN__SPEC_VALUE];
        size_t n = strcspn(list, ",");
        mn_status st = parse_pair(s->what, list, n, false, key, value, diag);
        if (st != MN_OK) return MN_EINPUT;
        const mn__spec_item *it = find(s, key);
        if (!it) return mn__fail(diag, MN_EINPUT, "policy %s has no option `%s`", s->name, key);
        if (!it->given) (void)put(s, key, value, OWN, diag); /* replaces one: cannot fail */
        list += n;
        list += *list == ',';
    }
    return MN_OK;
}

static mn_status find_policy(const entry **out, const char *name, mn_diag *diag)
{
    const char *names[N_POLICY + 1] = {0};
    for (size_t i = 0; i < N_POLICY; i++) {
        if (strcmp(registry[i].name, name) == 0) {
            *out = &registry[i];
            return MN_OK;
        }
        names[i] = registry[i].name;
    }
    const char *near = mn__nearest(name, names);
    return near ? mn__fail(diag, MN_EUSAGE, "unknown policy `%s`: did you mean `%s`?", name, near)
                : mn__fail(diag, MN_EUSAGE, "unknown policy `%s` (mn_policy_list names all)", name);
}

static mn_status add_preset(mn__spec *s, const char *preset, const entry *k, const entry *b,
                            mn_diag *diag)
{
    if (!preset || strcmp(preset, "none") == 0) return MN_OK;
    bool kvpress = strcmp(preset, "kvpress") == 0;
    if (!kvpress && strcmp(preset, "paper") != 0)
        return mn__fail(diag, MN_EUSAGE, "policy %s: preset is none, kvpress or paper, `%s` found",
                        s->name, preset);
    const char *of_base = kvpress ? b->kind->kvpress : b->kind->paper;
    const char *of_kind = kvpress ? k->kind->kvpress : k->kind->paper;
    if (!of_base && !of_kind)
        return mn__fail(diag, MN_EUSAGE, "policy %s has no preset `%s`", s->name, preset);
    mn_status st = overlay(s, of_base ? of_base : "", PRESET, diag);
    if (st == MN_OK && k != b) st = overlay(s, of_kind ? of_kind : "", PRESET, diag);
    return st;
}

static mn_status add_user(mn__spec *s, const mn__spec *user, mn_diag *diag)
{
    for (size_t i = 0; i < user->n; i++) {
        const char *key = user->item[i].key;
        if (!find(s, key)) {
            const char *names[MN__SPEC_ITEMS + 1] = {0};
            for (size_t j = 0; j < s->n; j++) names[j] = s->item[j].key;
            const char *near = mn__nearest(key, names);
            return near ? mn__fail(diag, MN_EUSAGE, "%s %s has no option `%s`: did you mean `%s`?",
                                   s->what, s->name, key, near)
                        : mn__fail(diag, MN_EUSAGE, "%s %s has no option `%s`", s->what, s->name,
                                   key);
        }
        mn_status st = put(s, key, user->item[i].value, GIVEN, diag);
        if (st != MN_OK) return st;
    }
    return MN_OK;
}

mn_status mn__spec_lay(mn__spec *out, const mn__spec *user, const char *defaults, mn_diag *diag)
{
    *out = (mn__spec){.what = user->what};
    snprintf(out->name, sizeof out->name, "%s", user->name);
    mn_status st = overlay(out, defaults, OWN, diag);
    return st == MN_OK ? add_user(out, user, diag) : st;
}

static const char *default_base(const entry *k, char *room)
{
    const char *at = strstr(k->defaults, "base=");
    size_t n = strcspn(at + 5, " ");
    memcpy(room, at + 5, n);
    room[n] = 0;
    return room;
}

/* The policy that a wrapper scores with, or the policy itself. */
static mn_status find_base(const entry **out, const entry *k, const mn__spec *user, mn_diag *diag)
{
    *out = k;
    if (!k->kind->wrapper) return MN_OK;
    char room[MN__SPEC_KEY];
    const char *name = mn__spec_get(user, "base");
    mn_status st = find_policy(out, name ? name : default_base(k, room), diag);
    if (st != MN_OK) return st;
    if (!(*out)->kind->make)
        return mn__fail(diag, MN_EUSAGE, "policy %s cannot wrap %s: base is a policy that scores",
                        k->name, (*out)->name);
    return MN_OK;
}

mn_status mn__spec_resolve(mn__spec *out, const mn__policy_kind **kind,
                           const mn__policy_kind **base, const char *text, mn_diag *diag)
{
    const entry *k, *b;
    mn_status st;
    mn__spec *user = mn__alloc(MN_MEM_OTHER, sizeof *user);
    if (!user) return mn__fail(diag, MN_ENOMEM, "out of memory for a policy");
    MN_TRY(mn__spec_parse(user, "policy", text && *text ? text : "full", false, diag));
    MN_TRY(find_policy(&k, user->name, diag));
    MN_TRY(find_base(&b, k, user, diag));
    *out = (mn__spec){.what = user->what};
    snprintf(out->name, sizeof out->name, "%s", user->name);
    for (size_t i = 0; i < N_COMMON && k->kind != &mn__kind_full; i++)
        MN_TRY(put(out, common[i].key, common[i].value, COMMON, diag));
    MN_TRY(overlay(out, b->defaults, OWN, diag));
    if (k != b) MN_TRY(overlay(out, k->defaults, OWN, diag));
    MN_TRY(add_preset(out, mn__spec_get(user, "preset"), k, b, diag));
    MN_TRY(add_user(out, user, diag));
    *kind = k->kind;
    *base = b->kind;
done:
    mn__free(user);
    return st;
}

static bool is_neutral(const mn__spec_item *it)
{
    if (strcmp(it->key, "preset") == 0) return true; /* its effects are spelt out */
    for (size_t i = 0; i < N_COMMON && !it->own; i++)
        if (strcmp(it->key, common[i].key) == 0) return strcmp(it->value, common[i].value) == 0;
    return false;
}

char *mn__spec_text(const mn__spec *s)
{
    size_t size = sizeof s->name + 2;
    for (size_t i = 0; i < s->n; i++) size += strlen(s->item[i].key) + strlen(s->item[i].value) + 2;
    char *text = mn__alloc(MN_MEM_OTHER, size);
    if (!text) return NULL;
    size_t at = (size_t)snprintf(text, size, "%s", s->name);
    char sep = ':';
    for (size_t i = 0; i < s->n; i++)
        if (!is_neutral(&s->item[i])) {
            at += (size_t)snprintf(text + at, size - at, "%c%s=%s", sep, s->item[i].key,
                                   s->item[i].value);
            sep = ',';
        }
    return text;
}

mn_status mn__spec_real(const mn__spec *s, const char *key, double lo, double hi, double *out,
                        mn_diag *diag)
{
    const char *text = mn__spec_get(s, key);
    char *end;
    double x = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !(x >= lo && x <= hi))
        return mn__fail(diag, MN_EUSAGE, "%s %s: %s is a number from %g to %g, `%s` found", s->what,
                        s->name, key, lo, hi, text ? text : "");
    *out = x;
    return MN_OK;
}

mn_status mn__spec_size(const mn__spec *s, const char *key, size_t lo, size_t hi, size_t *out,
                        mn_diag *diag)
{
    const char *text = mn__spec_get(s, key);
    char *end;
    errno = 0;
    unsigned long long x = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || errno || x < lo || x > hi)
        return mn__fail(diag, MN_EUSAGE, "%s %s: %s is a whole number from %zu to %zu, `%s` found",
                        s->what, s->name, key, lo, hi, text ? text : "");
    *out = (size_t)x;
    return MN_OK;
}

mn_status mn__spec_word(const mn__spec *s, const char *key, const char *const *words, int *out,
                        mn_diag *diag)
{
    const char *text = mn__spec_get(s, key);
    char list[256] = "";
    for (int i = 0; words[i]; i++) {
        if (text && strcmp(text, words[i]) == 0) {
            *out = i;
            return MN_OK;
        }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", words[i]);
    }
    return mn__fail(diag, MN_EUSAGE, "%s %s: %s is one of %s, `%s` found", s->what, s->name, key,
                    list, text ? text : "");
}

mn_status mn__spec_switch(const mn__spec *s, const char *key, bool *out, mn_diag *diag)
{
    static const char *const words[] = {"0", "1", NULL};
    const char *text = mn__spec_get(s, key);
    int x = 1;
    mn_status st = text && !*text ? MN_OK : mn__spec_word(s, key, words, &x, diag);
    if (st == MN_OK) *out = x != 0;
    return st;
}
