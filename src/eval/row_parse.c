/* row_parse.c: one line of JSON to a row, in one block. jansson judges the JSON and its UTF-8, and
 * refuses NUL characters. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "eval/rows.h"

/* ---- a row in one block ---- */

/* Lists first, texts behind them: pointers stay aligned. */
typedef struct filler {
    const char **list;
    char *text;
} filler;

static bool add_text(size_t *bytes, const char *s)
{
    return mn__add_size(*bytes, s ? strlen(s) + 1 : 1, bytes);
}

static bool add_list(size_t *bytes, const char *const *list, size_t n)
{
    size_t pointers;
    bool fits = mn__mul_size(n, sizeof *list, &pointers) && mn__add_size(*bytes, pointers, bytes);
    for (size_t i = 0; fits && i < n; i++) fits = add_text(bytes, list[i]);
    return fits;
}

static const char *put_text(filler *f, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    char *at = f->text;
    if (n) memcpy(at, s, n);
    at[n] = '\0';
    f->text += n + 1;
    return at;
}

static const char *const *put_list(filler *f, const char *const *list, size_t n)
{
    const char **at = f->list;
    f->list += n;
    for (size_t i = 0; i < n; i++) at[i] = put_text(f, list[i]);
    return at;
}

mn_status mn__row_copy(mn__row *out, const mn__row *view, mn_diag *diag)
{
    size_t bytes = 0, n_list = view->n_answer + view->n_class + 2 * view->n_choice;
    bool fits = add_text(&bytes, view->context) && add_text(&bytes, view->input) &&
                add_text(&bytes, view->id) && add_text(&bytes, view->dataset) &&
                add_text(&bytes, view->language) &&
                add_list(&bytes, view->answers, view->n_answer) &&
                add_list(&bytes, view->classes, view->n_class) &&
                add_list(&bytes, view->contexts, view->n_choice) &&
                add_list(&bytes, view->continuations, view->n_choice);
    void *block = fits ? mn__alloc(MN_MEM_OTHER, bytes) : NULL;
    if (!block) return mn__fail(diag, MN_ENOMEM, "no memory for a row of %zu bytes", bytes);
    filler f = {block, (char *)((const char **)block + n_list)};
    mn__row row = *view;
    row.block = block;
    row.answers = put_list(&f, view->answers, view->n_answer);
    row.classes = put_list(&f, view->classes, view->n_class);
    row.contexts = put_list(&f, view->contexts, view->n_choice);
    row.continuations = put_list(&f, view->continuations, view->n_choice);
    row.context = put_text(&f, view->context);
    row.input = put_text(&f, view->input);
    row.id = put_text(&f, view->id);
    row.dataset = put_text(&f, view->dataset);
    row.language = put_text(&f, view->language);
    *out = row;
    return MN_OK;
}

void mn__row_free(mn__row *row)
{
    mn__free(row->block);
    *row = (mn__row){0};
}

/* With the count and the texts' ends: no two lists lie alike. */
static uint64_t hash_list(const char *const *text, size_t n, uint64_t hash)
{
    hash = mn__hash64(&n, sizeof n, hash);
    for (size_t i = 0; i < n; i++) hash = mn__hash64(text[i], strlen(text[i]) + 1, hash);
    return hash;
}

uint64_t mn__row_hash(const mn__row *row)
{
    uint64_t h = hash_list(row->answers, row->n_answer, 0);
    h = hash_list(row->classes, row->n_class, h);
    h = hash_list(&row->input, 1, h);
    h = hash_list(row->continuations, row->n_choice, h);
    return mn__hash64(&row->gold, sizeof row->gold, h);
}

/* ---- from JSON ---- */

enum { N_LIST = 4, NUMBER_BYTES = 32 };

typedef struct parser {
    const json_t *object;
    const char *where;
    mn_diag *diag;
    const char **list[N_LIST]; /* owned, with the numbers' texts behind the pointers */
    size_t n_list;
    mn__row row;
} parser;

static const char *type_name(const json_t *v)
{
    static const char *const names[] = {"an object", "an array", "a text", "an integer",
                                        "a number",  "true",     "false",  "null"};
    return v ? names[json_typeof(v)] : "nothing";
}

static mn_status wrong(const parser *p, const char *key, const char *wanted, const char *found)
{
    return mn__fail(p->diag, MN_EINPUT, "%s: `%s`: %s wanted, %s found", p->where, key, wanted,
                    found);
}

/* The first of the keys (ends with NULL) that the object has and that is not null. */
static const json_t *find(const parser *p, const char *const *keys, const char **key)
{
    for (*key = *keys; *keys; keys++) {
        const json_t *v = json_object_get(p->object, *keys);
        if (!v || json_is_null(v)) continue;
        *key = *keys;
        return v;
    }
    return NULL;
}

static mn_status read_text(const parser *p, const char *const *keys, const char **out)
{
    const char *key;
    const json_t *v = find(p, keys, &key);
    *out = "";
    if (!v) return MN_OK;
    if (!json_is_string(v)) return wrong(p, key, "a text", type_name(v));
    *out = json_string_value(v);
    return MN_OK;
}

static mn_status read_integer(const parser *p, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(p->object, key);
    *out = 0;
    if (!v || json_is_null(v)) return MN_OK;
    if (!json_is_integer(v)) return wrong(p, key, "an integer", type_name(v));
    *out = json_integer_value(v);
    return MN_OK;
}

/* Texts; numbers become the shortest text that stands for them, in room. */
static const char *text_of(const json_t *v, char *room)
{
    if (json_is_string(v)) return json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(room, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return room;
    }
    if (!json_is_real(v)) return NULL;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(room, NUMBER_BYTES, "%.*g", digits, json_real_value(v));
        if (strtod(room, NULL) == json_real_value(v)) break;
    }
    return room;
}

/* An array of texts, or one text. *n = 0: there is no such key. */
static mn_status read_list(parser *p, const char *const *keys, const char *const **out, size_t *n)
{
    const char *key;
    const json_t *v = find(p, keys, &key);
    *n = 0;
    *out = NULL;
    if (!v) return MN_OK;
    bool is_array = json_is_array(v);
    size_t n_item = is_array ? json_array_size(v) : 1, bytes;
    if (n_item == 0) return wrong(p, key, "at least one text", "an empty array");
    const char **list = mn__mul_size(n_item, sizeof *list + NUMBER_BYTES, &bytes)
                            ? mn__alloc(MN_MEM_OTHER, bytes)
                            : NULL;
    if (!list) return mn__fail(p->diag, MN_ENOMEM, "%s: no memory for %zu texts", p->where, n_item);
    p->list[p->n_list++] = list;
    char *room = (char *)(list + n_item);
    for (size_t i = 0; i < n_item; i++, room += NUMBER_BYTES) {
        const json_t *item = is_array ? json_array_get(v, i) : v;
        list[i] = text_of(item, room);
        if (!list[i])
            return wrong(p, key, is_array ? "texts in the array" : "an array of texts",
                         type_name(item));
    }
    *out = list;
    *n = n_item;
    return MN_OK;
}

static mn_status read_choice(parser *p)
{
    static const char *const continuations[] = {"continuations", NULL};
    static const char *const contexts[] = {"contexts", NULL}, *const context[] = {"context", NULL};
    mn__row *row = &p->row;
    size_t n_context = 0;
    int64_t gold = 0;
    mn_status st;
    MN_TRY(read_list(p, continuations, &row->continuations, &row->n_choice));
    if (row->n_choice == 0) goto done;
    MN_TRY(read_list(p, contexts, &row->contexts, &n_context));
    if (n_context == 0) {
        if (!json_object_get(p->object, "context"))
            return wrong(p, "context", "a text, or an array `contexts`,", "nothing");
        const char **list = mn__alloc_array(MN_MEM_OTHER, row->n_choice, sizeof *list);
        if (!list)
            return mn__fail(p->diag, MN_ENOMEM, "%s: no memory for %zu texts", p->where,
                            row->n_choice);
        p->list[p->n_list++] = list;
        MN_TRY(read_text(p, context, &row->context));
        for (size_t i = 0; i < row->n_choice; i++) list[i] = row->context;
        row->contexts = list;
    } else if (n_context != row->n_choice) {
        return wrong(p, "contexts", "one text for each of `continuations`", "another number");
    }
    if (!json_object_get(p->object, "gold")) return wrong(p, "gold", "an integer", "nothing");
    MN_TRY(read_integer(p, "gold", &gold));
    if (gold < 0 || (uint64_t)gold >= row->n_choice)
        return wrong(p, "gold", "the index of one of `continuations`", "a number beyond them");
    row->gold = (size_t)gold;
done:
    return st;
}

static mn_status read_question(parser *p)
{
    static const char *const context[] = {"context", NULL}, *const input[] = {"input", "question",
                                                                              NULL};
    static const char *const answers[] = {"answers", "answer", NULL};
    mn__row *row = &p->row;
    const char *key;
    mn_status st;
    MN_TRY(read_text(p, context, &row->context));
    MN_TRY(read_text(p, input, &row->input));
    if (!find(p, context, &key) && !find(p, input, &key))
        return wrong(p, "context", "a text, or `input`,", "neither");
    MN_TRY(read_list(p, answers, &row->answers, &row->n_answer));
    if (row->n_answer == 0) return wrong(p, "answers", "an array of texts", "nothing");
done:
    return st;
}

static mn_status read_labels(parser *p)
{
    static const char *const dataset[] = {"dataset", "task", NULL},
                             *const language[] = {"language", NULL},
                             *const ids[] = {"_id", "id", "source_id", NULL},
                             *const classes[] = {"all_classes", "options", NULL};
    mn__row *row = &p->row;
    const char *const *id;
    const char *key;
    size_t n_id;
    mn_status st;
    MN_TRY(read_text(p, dataset, &row->dataset));
    MN_TRY(read_text(p, language, &row->language));
    const json_t *v = find(p, ids, &key);
    if (v && !json_is_string(v) && !json_is_integer(v))
        return wrong(p, key, "a text or an integer", type_name(v));
    MN_TRY(read_list(p, ids, &id, &n_id));
    row->id = n_id ? id[0] : "";
    v = find(p, classes, &key);
    if (!v || !json_is_array(v) || json_array_size(v)) /* [] stands for none */
        MN_TRY(read_list(p, classes, &row->classes, &row->n_class));
    MN_TRY(read_integer(p, "length", &row->length));
    MN_TRY(read_integer(p, "max_tokens", &row->max_tokens));
    row->depth = NAN;
    v = json_object_get(p->object, "depth");
    if (v && !json_is_null(v)) {
        if (!json_is_number(v)) return wrong(p, "depth", "a number", type_name(v));
        row->depth = json_number_value(v);
    }
done:
    return st;
}

mn_status mn__row_parse(mn__row *out, const char *line, size_t n, const char *where, mn_diag *diag)
{
    json_error_t error;
    mn_status st;
    parser p = {.where = where, .diag = diag};
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        if (memchr(line, '\0', n))
            return mn__fail(diag, MN_EINPUT, "%s: a JSON object wanted, a NUL byte found", where);
        return mn__fail(diag, MN_EINPUT, "%s: a JSON object wanted: %s (column %d)", where,
                        error.text, error.column);
    }
    p.object = object;
    if (!json_is_object(object))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: a JSON object wanted, %s found", where,
                        type_name(object)));
    MN_TRY(read_labels(&p));
    MN_TRY(read_choice(&p));
    if (p.row.n_choice == 0) MN_TRY(read_question(&p));
    MN_TRY(mn__row_copy(out, &p.row, diag));
done:
    for (size_t i = 0; i < p.n_list; i++) mn__free(p.list[i]);
    json_decref(object);
    return st;
}
