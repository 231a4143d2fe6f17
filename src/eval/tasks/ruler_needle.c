/* ruler_needle.c: needles `One of the special magic ... for KEY is: VALUE.` between lines of noise,
 * sentences of a text, or needles for other keys. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/tasks/ruler.h"

enum {
    STREAM_NUMBER = MN__STREAM_OWN,
    STREAM_KEY,
    STREAM_VALUE,
    STREAM_PLACE,
    STREAM_ORDER,
    STREAM_START,
    STREAM_QUERY
};
enum { MAX_NEEDLE = 4, N_DEPTH = 40, KEY_BYTES = 40 };

static const struct setting {
    bool uuid_key, uuid_value;
    size_t n_key, n_value, n_query;
} settings[] = {
    [MN__RULER_SINGLE_1] = {false, false, 1, 1, 1},
    [MN__RULER_SINGLE_2] = {false, false, 1, 1, 1},
    [MN__RULER_SINGLE_3] = {false, true, 1, 1, 1},
    [MN__RULER_MULTIKEY_1] = {false, false, 4, 1, 1},
    [MN__RULER_MULTIKEY_2] = {false, false, 1, 1, 1},
    [MN__RULER_MULTIKEY_3] = {true, true, 1, 1, 1},
    [MN__RULER_MULTIVALUE] = {false, false, 1, 4, 1},
    [MN__RULER_MULTIQUERY] = {false, false, 4, 1, 4},
};

static const struct setting *setting_of(const mn__recipe *r)
{
    return &settings[r->task->variant];
}

static void draw_key(const mn__recipe *r, size_t i, char out[KEY_BYTES])
{
    if (setting_of(r)->uuid_key)
        mn__draw_uuid(r, STREAM_KEY, i, out);
    else
        mn__draw_pair(r, i, out);
}

static void draw_value(const mn__recipe *r, size_t i, char out[KEY_BYTES])
{
    if (setting_of(r)->uuid_value)
        mn__draw_uuid(r, STREAM_VALUE, i, out);
    else
        snprintf(out, KEY_BYTES, "%u",
                 (unsigned)mn__draw_below(r, STREAM_NUMBER, i, 9000000) + 1000000);
}

/* Needle i: of key i / n_value. */
static void say_needle(const mn__recipe *r, size_t i, mn__draft *out)
{
    const struct setting *s = setting_of(r);
    char key[KEY_BYTES], value[KEY_BYTES];
    draw_key(r, i / s->n_value, key);
    draw_value(r, i, value);
    mn__draft_fmt(out, "One of the special magic %ss for %s is: %s.",
                  s->uuid_value ? "uuid" : "number", key, value);
}

static void ask(const mn__recipe *r, mn__made *out)
{
    const struct setting *s = setting_of(r);
    const char *what = s->uuid_value ? "uuid" : "number";
    bool one = s->n_query * s->n_value == 1;
    size_t order[MAX_NEEDLE];
    char names[MAX_NEEDLE * KEY_BYTES + 16] = "", key[KEY_BYTES], value[KEY_BYTES];
    mn__draw_order(r, STREAM_QUERY, order, s->n_key);
    for (size_t q = 0, n = 0; q < s->n_query; q++) {
        const char *before = q == 0 ? "" : q + 1 < s->n_query ? ", " : ", and ";
        draw_key(r, order[q], key);
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", before, key);
        for (size_t v = 0; v < s->n_value; v++) {
            draw_value(r, order[q] * s->n_value + v, value);
            mn__made_answer(out, value);
        }
    }
    mn__draft_fmt(&out->input,
                  one ? "What is the special magic %s for %s mentioned in the provided text? The "
                        "special magic %s for %s mentioned in the provided text is"
                      : "What are all the special magic %ss for %s mentioned in the provided text? "
                        "The special magic %ss for %s mentioned in the provided text are",
                  what, names, what, names);
}

static size_t first_sentence(const mn__recipe *r)
{
    return (size_t)mn__draw_below(r, STREAM_START, 0, r->text->n_sentence);
}

static double place_one(const mn__recipe *r, double depth, size_t n, size_t *place)
{
    return r->task->maker->text ? mn__place_in_text(r->text, first_sentence(r), n, depth, place)
                                : mn__place_at(depth, n, place);
}

/* Before which of n units each needle lies: different ones of 40 depths. One that was asked for is
 * that of the first needle whose value is wanted. Returns the depth of that one. */
static double place_needles(const mn__recipe *r, size_t n, size_t place[MAX_NEEDLE])
{
    const struct setting *s = setting_of(r);
    size_t depth[MAX_NEEDLE], order[MAX_NEEDLE], query[MAX_NEEDLE];
    mn__draw_places(r, STREAM_PLACE, depth, s->n_key * s->n_value, N_DEPTH);
    mn__draw_order(r, STREAM_ORDER, order, s->n_key * s->n_value);
    for (size_t i = 0; i < s->n_key * s->n_value; i++)
        place_one(r, (double)depth[order[i]] / (N_DEPTH - 1), n, &place[i]);
    mn__draw_order(r, STREAM_QUERY, query, s->n_key);
    size_t wanted = query[0] * s->n_value;
    double drawn = (double)depth[order[wanted]] / (N_DEPTH - 1);
    return place_one(r, isnan(r->depth) ? drawn : r->depth, n, &place[wanted]);
}

typedef void (*say_unit)(const mn__recipe *r, size_t i, mn__draft *out);

static void write_units(const mn__recipe *r, size_t n, say_unit say, const char *between,
                        mn__made *out)
{
    size_t place[MAX_NEEDLE], n_needle = setting_of(r)->n_key * setting_of(r)->n_value;
    out->depth = place_needles(r, n, place);
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j < n_needle; j++) {
            if (place[j] != i) continue;
            if (out->context.n) mn__draft_str(&out->context, between);
            say_needle(r, j, &out->context);
        }
        if (i == n) break;
        if (out->context.n) mn__draft_str(&out->context, between);
        say(r, i, &out->context);
    }
    ask(r, out);
}

static void say_noise(const mn__recipe *r, size_t i, mn__draft *out)
{
    (void)r;
    (void)i;
    mn__draft_str(out, mn__noise);
}

static void say_sentence(const mn__recipe *r, size_t i, mn__draft *out)
{
    mn__corpus_say(r->text, first_sentence(r) + i, out);
}

/* Needles of other keys: numbered behind those that are asked for. */
static void say_other(const mn__recipe *r, size_t i, mn__draft *out)
{
    say_needle(r, MAX_NEEDLE + i, out);
}

static mn_status write_noise(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    (void)diag;
    write_units(r, n, say_noise, "\n", out);
    return MN_OK;
}

static mn_status write_essay(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    (void)diag;
    write_units(r, n, say_sentence, " ", out);
    return MN_OK;
}

static mn_status write_needles(const mn__recipe *r, size_t n, mn__made *out, mn_diag *diag)
{
    (void)diag;
    write_units(r, n, say_other, "\n", out);
    return MN_OK;
}

static size_t most_needles(const mn__recipe *r)
{
    return setting_of(r)->uuid_key ? (size_t)1 << 30 : MN__N_PAIR - MAX_NEEDLE;
}

const mn__maker mn__ruler_in_noise = {.has_depth = true, .write = write_noise};
const mn__maker mn__ruler_in_essay = {
    .text = "corpus/en-books.valid", .has_depth = true, .write = write_essay};
const mn__maker mn__ruler_in_needles = {
    .has_depth = true, .n_most = most_needles, .write = write_needles};
