/* grammar_read.c: GBNF read by its own rules: NAME ::= alternatives, each a sequence of "literals",
 * [classes], <tokens>, names, (groups) and dots, each perhaps repeated. What libllama would build
 * from repetitions is counted along, because it multiplies them out. */
#include "text/grammar_internal.h"

#include <string.h>
#include "base/diag.h"
#include "base/file.h"

enum {
    MAX_DEPTH = 256,       /* of groups: libllama recurses */
    MAX_REPEAT = 2000,     /* libllama's own limit, on a count and on what it multiplies to */
    MAX_TOKEN_BYTES = 256, /* of <...> */
};
#define MAX_ELEMENT ((uint64_t)1 << 20) /* that repetitions may multiply out to */
#define OPEN        UINT64_MAX          /* repeated any number of times */

struct walk {
    const char *text, *at;
    mn__grammar *g;
    const mn__vocab *vocab;
    size_t depth;
    uint64_t n_symbol, n_element; /* rules that libllama will have, what it multiplies out */
    mn_diag *diag;
};

/* What a repetition would repeat. */
struct last {
    int32_t item; /* MN__ITEM_NONE: nothing */
    uint64_t n_symbol, n_element;
};

/* ---- failing, moving on ---- */

static size_t line_of(const struct walk *w, const char *at)
{
    size_t line = 1;
    for (const char *p = w->text; p < at; p++) line += *p == '\n';
    return line;
}

static mn_status wrong(const struct walk *w, const char *wanted)
{
    const size_t shown = strcspn(w->at, "\r\n");
    const size_t line = line_of(w, w->at);
    if (shown == 0)
        return mn__fail(w->diag, MN_EINPUT, "grammar, line %zu: %s wanted, the end of the %s found",
                        line, wanted, *w->at != '\0' ? "line" : "text");
    return mn__fail(w->diag, MN_EINPUT, "grammar, line %zu: %s wanted, '%.*s' found", line, wanted,
                    (int)(shown < 24 ? shown : 24), w->at);
}

static mn_status too_much(const struct walk *w, const char *what, int most)
{
    return mn__fail(w->diag, MN_EINPUT, "grammar, line %zu: %s: at most %d", line_of(w, w->at),
                    what, most);
}

static void skip_space(struct walk *w, bool lines_too)
{
    const char *const blank = lines_too ? " \t\r\n" : " \t";
    for (;;) {
        w->at += strspn(w->at, blank);
        if (*w->at != '#') return;
        w->at += strcspn(w->at, "\r\n");
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-';
}

static size_t word_bytes(const char *at)
{
    size_t n = 0;
    while (is_word(at[n])) n++;
    return n;
}

/* Digits; beyond every limit the value does not matter. */
static uint64_t take_number(struct walk *w)
{
    const uint64_t beyond = 1000000000;
    uint64_t value = 0;
    for (; is_digit(*w->at); w->at++)
        if (value < beyond) value = 10 * value + (uint64_t)(*w->at - '0');
    return value;
}

/* ---- items ---- */

static int32_t add_item(mn__grammar *g, int32_t rule, int32_t what)
{
    const int32_t i = (int32_t)g->n_item++;
    mn__grammar_rule *r = &g->rule[rule];
    g->item[i] = (mn__grammar_item){.rule = what, .next = MN__ITEM_NONE};
    if (r->first == MN__ITEM_NONE)
        r->first = i;
    else
        g->item[r->last].next = i;
    r->last = i;
    return i;
}

static mn_status take_hex(struct walk *w, int n)
{
    for (int i = 0; i < n; i++, w->at++)
        if (*w->at == '\0' || strchr("0123456789abcdefABCDEF", *w->at) == NULL)
            return wrong(w, "a hexadecimal digit");
    return MN_OK;
}

static mn_status take_character(struct walk *w)
{
    if (*w->at == '\0') return wrong(w, "its closing mark");
    if (*w->at != '\\') {
        w->at++;
        while (((unsigned char)*w->at & 0xC0) == 0x80) w->at++;
        return MN_OK;
    }
    const char c = w->at[1];
    if (c == '\0' || strchr("xuUtrn\\\"[]-", c) == NULL)
        return wrong(w, "an escape out of \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\-");
    w->at += 2;
    return take_hex(w, c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0);
}

/* After the opening mark, up to the closing one. */
static mn_status read_characters(struct walk *w, char close, uint64_t *n)
{
    for (*n = 0; *w->at != close; ++*n) {
        mn_status st = take_character(w);
        if (st != MN_OK) return st;
        if (close != ']' || *w->at != '-' || w->at[1] == ']') continue;
        w->at++;
        st = take_character(w);
        if (st != MN_OK) return st;
        ++*n;
    }
    w->at++;
    return MN_OK;
}

static mn_status read_literal(struct walk *w, int32_t rule, struct last *last)
{
    const char close = *w->at == '[' ? ']' : '"';
    w->at += close == ']' && w->at[1] == '^' ? 2 : 1;
    *last = (struct last){.item = MN__ITEM_NONE, .n_symbol = 1};
    mn_status st = read_characters(w, close, &last->n_element);
    if (st == MN_OK && last->n_element > 0) last->item = add_item(w->g, rule, MN__ITEM_CHARACTER);
    return st;
}

/* <[123]>, or <text> where the text is one token. */
static mn_status read_token(struct walk *w, int32_t rule, struct last *last)
{
    if (*w->at == '!') w->at++;
    if (*w->at != '<') return wrong(w, "a token in < >");
    const size_t n = strcspn(w->at, ">\r\n");
    if (w->at[n] != '>' || n >= MAX_TOKEN_BYTES) return wrong(w, "a short token in < >");
    if (w->at[1] == '[') {
        const char *const begin = w->at;
        w->at += 2;
        if (!is_digit(*w->at)) return wrong(w, "the number of a token");
        const uint64_t token = take_number(w);
        if (w->at[0] != ']' || w->at[1] != '>') return wrong(w, "]>");
        w->at = begin;
        if (token >= (uint64_t)mn__vocab_n_token(w->vocab))
            return wrong(w, "a token of the vocabulary");
    } else {
        int32_t token[2];
        mn_token_buf buf = {.data = token, .cap = 2};
        mn_status st =
            mn__vocab_tokenize(w->vocab, w->at, n + 1, MN_TOKENIZE_PARSE_SPECIAL, &buf, w->diag);
        if (st == MN_ENOMEM) return st;
        if (st != MN_OK || buf.n != 1) return wrong(w, "one token of the vocabulary in < >");
    }
    w->at += n + 1;
    *last = (struct last){add_item(w->g, rule, MN__ITEM_CHARACTER), 1, 1};
    return MN_OK;
}

static void read_reference(struct walk *w, int32_t rule, struct last *last)
{
    const size_t n = word_bytes(w->at), n_before = w->g->n_rule;
    const mn__grammar_rule *to = mn__grammar_named(w->g, w->at, n, false);
    if (w->g->n_rule > n_before) {
        w->n_symbol++;
        w->g->rule[n_before].line = line_of(w, w->at);
    }
    w->at += n;
    *last = (struct last){add_item(w->g, rule, (int32_t)(to - w->g->rule)), 1, 1};
}

static mn_status read_alternatives(struct walk *w, int32_t rule, bool is_group);

static mn_status read_group(struct walk *w, int32_t rule, struct last *last)
{
    const uint64_t n_before = w->n_symbol++;
    const int32_t group = (int32_t)w->g->n_rule++;
    w->g->rule[group] = w->g->rule[rule];
    w->g->rule[group].is_defined = true;
    w->g->rule[group].first = MN__ITEM_NONE;
    if (++w->depth > MAX_DEPTH) return too_much(w, "groups inside each other", MAX_DEPTH);
    w->at++;
    skip_space(w, true);
    mn_status st = read_alternatives(w, group, true);
    if (st != MN_OK) return st;
    if (*w->at != ')') return wrong(w, "an item, | or )");
    w->at++;
    w->depth--;
    *last = (struct last){add_item(w->g, rule, group), w->n_symbol - n_before, 1};
    return MN_OK;
}

/* ---- repetitions ---- */

static mn_status repeat(struct walk *w, struct last *last, uint64_t min, uint64_t max)
{
    if (last->item == MN__ITEM_NONE) return wrong(w, "something to repeat, not its repetition,");
    if (max < min)
        return mn__fail(w->diag, MN_EINPUT,
                        "grammar, line %zu: repeated at least %llu and at most %llu times",
                        line_of(w, w->at), (unsigned long long)min, (unsigned long long)max);
    const uint64_t times = max != OPEN && max > 0 ? max : min > 0 ? min : 1;
    const uint64_t n_more = max == OPEN ? 1 : max - min; /* rules that make the rest optional */
    if (last->n_symbol * times > MAX_REPEAT)
        return too_much(w, "repetitions, multiplied out", MAX_REPEAT);
    w->n_element += (min + n_more) * (last->n_element + 3);
    if (w->n_element > MAX_ELEMENT)
        return too_much(w, "characters, repetitions multiplied out", (int)MAX_ELEMENT);
    w->n_symbol += n_more;
    mn__grammar_item *item = &w->g->item[last->item];
    if (min == 0) item->is_optional = true;
    if (max == 0) item->rule = MN__ITEM_CHARACTER; /* never there: nothing follows from it */
    *last = (struct last){max == 0 ? MN__ITEM_NONE : last->item, last->n_symbol * times,
                          min * last->n_element + (n_more > 0)};
    return MN_OK;
}

/* {m}, {m,} or {m,n}, the brace being next. */
static mn_status read_count(struct walk *w, bool is_group, uint64_t *min, uint64_t *max)
{
    w->at++;
    skip_space(w, is_group);
    if (!is_digit(*w->at)) return wrong(w, "a number");
    *min = *max = take_number(w);
    skip_space(w, is_group);
    if (*w->at == ',') {
        w->at++;
        skip_space(w, is_group);
        *max = is_digit(*w->at) ? take_number(w) : OPEN;
        skip_space(w, is_group);
    }
    if (*w->at != '}') return wrong(w, "}");
    if (*min > MAX_REPEAT) return too_much(w, "repetitions", MAX_REPEAT);
    if (*max > MAX_REPEAT) *max = OPEN; /* as libllama takes it */
    return MN_OK;
}

static mn_status read_repetition(struct walk *w, bool is_group, struct last *last)
{
    uint64_t min = *w->at == '+', max = *w->at == '?' ? 1 : OPEN;
    if (*w->at == '{') {
        mn_status st = read_count(w, is_group, &min, &max);
        if (st != MN_OK) return st;
    }
    mn_status st = repeat(w, last, min, max);
    w->at++;
    return st;
}

/* ---- sequences, rules ---- */

static mn_status read_item(struct walk *w, int32_t rule, bool is_group, struct last *last)
{
    switch (*w->at) {
    case '"':
    case '[': return read_literal(w, rule, last);
    case '<':
    case '!': return read_token(w, rule, last);
    case '(': return read_group(w, rule, last);
    case '*':
    case '+':
    case '?':
    case '{': return read_repetition(w, is_group, last);
    case '.':
        w->at++;
        *last = (struct last){add_item(w->g, rule, MN__ITEM_CHARACTER), 1, 1};
        return MN_OK;
    default: read_reference(w, rule, last); return MN_OK;
    }
}

static bool begins_item(char c)
{
    return c != '\0' && (is_word(c) || strchr("\"[<!(*+?{.", c) != NULL);
}

static mn_status read_alternatives(struct walk *w, int32_t rule, bool is_group)
{
    struct last last = {.item = MN__ITEM_NONE};
    for (;;) {
        while (begins_item(*w->at)) {
            mn_status st = read_item(w, rule, is_group, &last);
            if (st != MN_OK) return st;
            skip_space(w, is_group);
        }
        if (*w->at != '|') return MN_OK;
        w->at++;
        skip_space(w, true);
        add_item(w->g, rule, MN__ITEM_OR);
        last.item = MN__ITEM_NONE;
    }
}

static mn_status read_rule(struct walk *w)
{
    const size_t n = word_bytes(w->at), n_before = w->g->n_rule;
    if (n == 0) return wrong(w, "the name of a rule");
    mn__grammar_rule *r = mn__grammar_named(w->g, w->at, n, false);
    w->n_symbol += w->g->n_rule > n_before;
    r->line = line_of(w, w->at);
    r->is_defined = true;
    r->first = MN__ITEM_NONE; /* a second definition takes the place of the first */
    w->at += n;
    skip_space(w, false);
    if (strncmp(w->at, "::=", 3) != 0) return wrong(w, "::=");
    w->at += 3;
    skip_space(w, true);
    mn_status st = read_alternatives(w, (int32_t)(r - w->g->rule), false);
    if (st != MN_OK) return st;
    if (*w->at != '\0' && *w->at != '\r' && *w->at != '\n')
        return wrong(w, "an item, | or a new line");
    skip_space(w, true);
    return MN_OK;
}

mn__grammar_rule *mn__grammar_named(mn__grammar *g, const char *name, size_t n, bool find_only)
{
    size_t at = (size_t)mn__hash64(name, n, 0) & g->mask;
    for (; g->slot[at] != 0; at = (at + 1) & g->mask) {
        mn__grammar_rule *r = &g->rule[g->slot[at] - 1];
        if (r->n_name == n && memcmp(r->name, name, n) == 0) return r;
    }
    if (find_only) return NULL;
    mn__grammar_rule *r = &g->rule[g->n_rule++];
    g->slot[at] = (int32_t)g->n_rule;
    *r = (mn__grammar_rule){.name = name, .n_name = n, .first = MN__ITEM_NONE};
    return r;
}

mn_status mn__grammar_read(mn__grammar *g, const char *text, const mn__vocab *v, mn_diag *diag)
{
    struct walk w = {.text = text, .at = text, .g = g, .vocab = v, .diag = diag};
    skip_space(&w, true);
    while (*w.at != '\0') {
        mn_status st = read_rule(&w);
        if (st != MN_OK) return st;
    }
    return MN_OK;
}
