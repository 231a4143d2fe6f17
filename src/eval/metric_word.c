/* metric_word.c: a word of the output, and where an answer is announced: InfiniteBench's and
 * BABILong's rules. */
#include "eval/metric_internal.h"

#include <string.h>

#include "base/diag.h"

static bool is_mark(uint32_t c)
{
    return c < 0x80 && c && strchr("\n:\"'.,?!{}", (int)c);
}

/* Words of the output once marks are spaces. */
static mn_status unmarked_words(const mn__scoring *x, mn__pieces *words)
{
    mn__piece text;
    if (mn__piece_without(x->scratch, x->output, is_mark, ' ', &text) != MN_OK) return MN_ENOMEM;
    return mn__piece_words(x->scratch, text, words);
}

mn_status mn__score_word(const mn__scoring *x, double *score)
{
    mn__pieces words;
    if (unmarked_words(x, &words) != MN_OK) return MN_ENOMEM;
    *score = 0.0;
    for (size_t i = 0; i < words.n; i++)
        if (mn__piece_equal(words.p[i], x->answer)) *score = 1.0;
    return MN_OK;
}

/* The first gold answer alone counts. Both in lower case, where the script puts the output into
 * upper case: the same but for gold names with small letters, which never score there. */
mn_status mn__score_speaker(const mn__scoring *x, double *score)
{
    mn__pieces words;
    mn__piece name, word;
    if (unmarked_words(x, &words) != MN_OK ||
        mn__piece_lower(x->scratch, x->answers[0], &name) != MN_OK)
        return MN_ENOMEM;
    *score = 0.0;
    for (size_t i = 0; i < words.n; i++) {
        if (mn__piece_lower(x->scratch, words.p[i], &word) != MN_OK) return MN_ENOMEM;
        if (mn__piece_equal(word, name)) *score = 1.0;
    }
    return MN_OK;
}

/* Spaces in a row become one. */
static mn_status one_space(mn__scratch *s, mn__piece *p)
{
    uint32_t *c = mn__scratch_take(s, p->n, sizeof *c);
    if (!c) return MN_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->c[i] != ' ' || i == 0 || p->c[i - 1] != ' ') c[n++] = p->c[i];
    *p = (mn__piece){c, n};
    return MN_OK;
}

static bool is_a_gold(const mn__scoring *x, mn__piece p)
{
    for (size_t i = 0; i < x->gold->n_answer; i++)
        if (mn__piece_equal(p, x->answers[i])) return true;
    return false;
}

/* Does a gold answer open p? */
static bool opens_with_gold(const mn__scoring *x, mn__piece p)
{
    for (size_t i = 0; i < x->gold->n_answer; i++)
        if (mn__piece_equal(mn__piece_part(p, 0, x->answers[i].n), x->answers[i])) return true;
    return false;
}

/* The first of the announcements, in their order, that stands in the text decides: what follows it
 * and one more character must open with a gold answer. false: none stands there. */
static bool announced(const mn__scoring *x, mn__piece text, const char *const *phrases,
                      double *score)
{
    for (; *phrases; phrases++) {
        size_t at = mn__piece_find_ascii(text, *phrases), behind = strlen(*phrases) + 1;
        if (at == MN__NOWHERE) continue;
        *score = text.n >= at + behind && opens_with_gold(x, mn__piece_from(text, at + behind));
        return true;
    }
    return false;
}

static bool is_choice_mark(uint32_t c)
{
    return c < 0x80 && c && strchr("\n\"'.,?!{}", (int)c);
}

/* The gold answers are the option's text and its letter. */
mn_status mn__score_ib_choice(const mn__scoring *x, double *score)
{
    static const char *const phrases[] = {"answer is:", "answer:", "answer is", "option is", NULL};
    mn__piece text = mn__piece_strip(x->output), first = mn__piece_part(text, 0, 1);
    mn__pieces words;
    *score = 0.0;
    if (text.n == 0) return MN_OK;
    *score = is_a_gold(x, mn__in_abcd(first) ? first : text);
    if (*score == 1.0 || mn__in_abcd(first)) return MN_OK;
    if (mn__piece_without(x->scratch, text, is_choice_mark, ' ', &text) != MN_OK ||
        one_space(x->scratch, &text) != MN_OK)
        return MN_ENOMEM;
    if (announced(x, text, phrases, score)) return MN_OK;
    if (mn__piece_words(x->scratch, text, &words) != MN_OK) return MN_ENOMEM;
    for (size_t i = 0; i < words.n; i++) {
        if (!mn__in_abcd(words.p[i])) continue;
        *score = is_a_gold(x, words.p[i]);
        break;
    }
    return MN_OK;
}

/* "Option" and "option" and single characters become a space each. */
static mn_status without_options(mn__scratch *s, mn__piece p, mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, p.n, sizeof *c);
    if (!c) return MN_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < p.n; i++) {
        mn__piece here = mn__piece_from(p, i);
        bool option = mn__piece_starts(here, "Option") || mn__piece_starts(here, "option");
        bool mark = p.c[i] < 0x80 && p.c[i] && strchr("\n`'\"-*", (int)p.c[i]);
        c[n++] = option || mark ? ' ' : p.c[i];
        if (option) i += 5;
    }
    *out = (mn__piece){c, n};
    return one_space(s, out);
}

/* The gold answers are the function's name and the option's letter. */
mn_status mn__score_ib_code_debug(const mn__scoring *x, double *score)
{
    static const char *const phrases[] = {"answer is:", "is:", "answer:", NULL};
    mn__piece text, output = mn__piece_strip(x->output);
    if (x->gold->n_answer != 2 || x->answers[1].n != 1)
        return mn__fail(x->diag, MN_EINPUT, "the gold answers are not a function and a letter");
    *score = 1.0;
    if (output.n >= 2 && output.c[0] == x->answers[1].c[0] &&
        (output.c[1] == '.' || output.c[1] == ':'))
        return MN_OK;
    *score = 0.0;
    if (without_options(x->scratch, output, &text) != MN_OK) return MN_ENOMEM;
    announced(x, text, phrases, score);
    return MN_OK;
}

/* BABILong's labels, in lower case: where, and who or what. */
static const char *const places[] = {"bathroom", "bedroom", "garden", "hallway",
                                     "kitchen",  "office",  NULL};
static const char *const things[] = {"bill",  "fred",     "jeff", "mary",
                                     "apple", "football", "milk", NULL};

static bool is_label(mn__piece p, const char *const *labels)
{
    for (; *labels; labels++)
        if (mn__piece_is(p, *labels)) return true;
    return false;
}

/* The first sentence, and nothing of an example that the output goes on with. */
static mn__piece first_statement(mn__piece lower)
{
    static const char *const ends[] = {".", "<context>", "<example>"};
    for (size_t i = 0; i < 3; i++)
        lower = mn__piece_part(lower, 0, mn__piece_find_ascii(lower, ends[i]));
    return lower;
}

/* Right when the gold label stands there and no other, those that the question names aside. */
mn_status mn__score_babilong(const mn__scoring *x, double *score)
{
    mn__piece output, gold, question = {NULL, 0};
    const char *asked = x->gold->question;
    mn_status st = mn__piece_lower(x->scratch, x->output, &output);
    if (st == MN_OK) st = mn__piece_lower(x->scratch, x->answer, &gold);
    if (st == MN_OK && asked) st = mn__piece_read(x->scratch, asked, strlen(asked), &question);
    if (st == MN_OK) st = mn__piece_lower(x->scratch, question, &question);
    if (st != MN_OK) return st;
    const char *const *labels = is_label(gold, places) ? places : things;
    if (!is_label(gold, labels))
        return mn__fail(x->diag, MN_EINPUT, "the gold answer is no label of BABILong's qa1 to qa5");
    output = first_statement(output);
    size_t n_named = 0, n_right = 0;
    for (; *labels; labels++) {
        if (mn__piece_find_ascii(question, *labels) != MN__NOWHERE) continue;
        if (mn__piece_find_ascii(output, *labels) == MN__NOWHERE) continue;
        n_named++;
        n_right += mn__piece_is(gold, *labels);
    }
    *score = n_named == 1 && n_right == 1;
    return MN_OK;
}
