/* metric_choice.c: is the right one named? Classes, options, parts of the output. */
#include "eval/metric_internal.h"

#include <string.h>

#include "base/diag.h"

static bool is_letter_choice(uint32_t c)
{
    return c >= 'A' && c <= 'D';
}

static bool is_star(uint32_t c)
{
    return c == '*';
}

/* Does `what` stand in `text`? */
static mn_status has(mn__scratch *s, mn__piece text, mn__piece what, bool *yes)
{
    size_t at;
    if (mn__piece_find(s, text, what, &at) != MN_OK) return MN_ENOMEM;
    *yes = at != MN__NOWHERE;
    return MN_OK;
}

/* The classes that stand in the output, in the order of the row. */
static mn_status classes_named(const mn__scoring *x, mn__pieces *named)
{
    *named = (mn__pieces){mn__scratch_take(x->scratch, x->gold->n_class, sizeof *named->p), 0};
    if (!named->p) return MN_ENOMEM;
    for (size_t i = 0; i < x->gold->n_class; i++) {
        mn__piece class;
        bool yes;
        const char *text = x->gold->classes[i];
        if (mn__piece_read(x->scratch, text, strlen(text), &class) != MN_OK ||
            has(x->scratch, x->output, class, &yes) != MN_OK)
            return MN_ENOMEM;
        if (yes) named->p[named->n++] = class;
    }
    return MN_OK;
}

static void remove_first(mn__pieces *list, mn__piece equal)
{
    size_t i = 0;
    while (!mn__piece_equal(list->p[i], equal)) i++;
    memmove(&list->p[i], &list->p[i + 1], (--list->n - i) * sizeof *list->p);
}

/* A class whose name is a part of the right one's is struck from the list. The script does so while
 * it runs over that list: the one behind a struck one is never looked at. Its second way, the most
 * similar class when none is named, cannot be reached ("list != 0" holds for an empty list). */
mn_status mn__score_classification(const mn__scoring *x, double *score)
{
    mn__pieces named;
    if (x->gold->n_class == 0)
        return mn__fail(x->diag, MN_EINPUT, "the row has no all_classes to choose from");
    if (classes_named(x, &named) != MN_OK) return MN_ENOMEM;
    for (size_t i = 0; i < named.n; i++) {
        bool part;
        if (has(x->scratch, x->answer, named.p[i], &part) != MN_OK) return MN_ENOMEM;
        if (part && !mn__piece_equal(named.p[i], x->answer)) remove_first(&named, named.p[i]);
    }
    *score = 0.0;
    for (size_t i = 0; i < named.n; i++)
        if (mn__piece_equal(named.p[i], x->answer)) *score = 1.0 / (double)named.n;
    return MN_OK;
}

static mn_status contains(const mn__scoring *x, mn__piece lower_output, mn__piece answer, bool *yes)
{
    mn__piece lower;
    if (mn__piece_lower(x->scratch, answer, &lower) != MN_OK) return MN_ENOMEM;
    return has(x->scratch, lower_output, lower, yes);
}

mn_status mn__score_contains(const mn__scoring *x, double *score)
{
    mn__piece output;
    bool yes = false;
    mn_status st = mn__piece_lower(x->scratch, x->output, &output);
    if (st == MN_OK) st = contains(x, output, x->answer, &yes);
    *score = yes;
    return st;
}

mn_status mn__score_contains_all(const mn__scoring *x, double *score)
{
    mn__piece output;
    size_t n_there = 0;
    mn_status st = mn__piece_lower(x->scratch, x->output, &output);
    for (size_t i = 0; st == MN_OK && i < x->gold->n_answer; i++) {
        bool yes = false;
        st = contains(x, output, x->answers[i], &yes);
        n_there += yes;
    }
    *score = (double)n_there / (double)x->gold->n_answer;
    return st;
}

/* The letter of the first "PREFIX(X)" or "PREFIX X" in the text, 0: none. */
static uint32_t letter_behind(mn__piece text, const char *prefix, bool bracket)
{
    size_t n = strlen(prefix);
    for (size_t i = 0; i + n < text.n; i++) {
        mn__piece at = mn__piece_from(text, i);
        if (!mn__piece_starts(at, prefix)) continue;
        if (bracket && (at.n < n + 2 || at.c[n + 1] != ')')) continue;
        if (is_letter_choice(at.c[n])) return at.c[n];
    }
    return 0;
}

mn_status mn__choice_stated(mn__scratch *s, mn__piece output, uint32_t *letter)
{
    mn__piece text;
    if (mn__piece_without(s, output, is_star, 0, &text) != MN_OK) return MN_ENOMEM;
    *letter = letter_behind(text, "The correct answer is (", true);
    if (!*letter) *letter = letter_behind(text, "The correct answer is ", false);
    return MN_OK;
}

static bool is_only_letter(mn__piece p, uint32_t letter)
{
    return letter != 0 && p.n == 1 && p.c[0] == letter;
}

mn_status mn__score_choice_lb2(const mn__scoring *x, double *score)
{
    uint32_t letter;
    if (mn__choice_stated(x->scratch, x->output, &letter) != MN_OK) return MN_ENOMEM;
    *score = is_only_letter(x->answer, letter);
    return MN_OK;
}

/* A letter that opens the output, alone or in brackets: "B", "B. text", "(B) text", "[B]". */
static uint32_t leading_letter(mn__piece p)
{
    p = mn__piece_strip(p);
    bool bracket = p.n > 0 && (p.c[0] == '(' || p.c[0] == '[');
    if (bracket) p = mn__piece_from(p, 1);
    if (p.n == 0 || !is_letter_choice(p.c[0])) return 0;
    if (p.n == 1) return p.c[0];
    return strchr(bracket ? ")]" : ".:,)\n", p.c[1] < 0x80 && p.c[1] ? (int)p.c[1] : 'x') ? p.c[0]
                                                                                          : 0;
}

static uint32_t chosen_letter(uint32_t stated, mn__piece output)
{
    if (stated) return stated;
    uint32_t letter = leading_letter(output);
    return letter ? letter : letter_behind(output, "(", true);
}

mn_status mn__score_choice_letter(const mn__scoring *x, double *score)
{
    uint32_t letter;
    if (mn__choice_stated(x->scratch, x->output, &letter) != MN_OK) return MN_ENOMEM;
    *score = is_only_letter(x->answer, chosen_letter(letter, x->output));
    return MN_OK;
}

/* The first character's letter, small ones too; what stands behind it does not matter. */
mn_status mn__score_choice_bamboo(const mn__scoring *x, double *score)
{
    mn__piece p = mn__piece_strip(x->output);
    uint32_t c = p.n > 0 ? p.c[0] : 0;
    if (c >= 'a' && c <= 'd') c -= 32;
    *score = is_letter_choice(c) && is_only_letter(x->answer, c);
    return MN_OK;
}

static bool holds_char(mn__piece p, uint32_t c)
{
    return mn__piece_find_char(p, c) != MN__NOWHERE;
}

/* The letters A to D of p, each once, in their order. */
static mn_status letters_sorted(mn__scratch *s, mn__piece p, mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, 4, sizeof *c);
    if (!c) return MN_ENOMEM;
    *out = (mn__piece){c, 0};
    for (uint32_t letter = 'A'; letter <= 'D'; letter++)
        if (holds_char(p, letter)) c[out->n++] = letter;
    return MN_OK;
}

/* The script's guess when there is no letter. */
static const uint32_t letter_a[] = {'A'};
static const mn__piece guess = {letter_a, 1};

static bool is_no_letter(uint32_t c)
{
    return !is_letter_choice(c);
}

/* Letters A to D of the gold answer's first word as they stand there; none: A. */
static mn_status leval_gold(const mn__scoring *x, mn__piece *gold)
{
    mn__pieces words;
    if (mn__piece_words(x->scratch, x->answer, &words) != MN_OK) return MN_ENOMEM;
    if (words.n == 0) return mn__fail(x->diag, MN_EINPUT, "empty gold answer");
    if (mn__piece_without(x->scratch, words.p[0], is_no_letter, 0, gold) != MN_OK) return MN_ENOMEM;
    if (gold->n == 0) *gold = guess;
    return MN_OK;
}

bool mn__in_abcd(mn__piece p)
{
    for (size_t i = 0; i < p.n; i++)
        if (!is_letter_choice(p.c[i]) || p.c[i] != p.c[0] + i) return false;
    return true;
}

/* 1: the same letters in the same order; 0.25: some of them and no other. */
static double leval_score(mn__piece chosen, mn__piece gold)
{
    if (mn__piece_equal(chosen, gold)) return 1.0;
    for (size_t i = 0; i < chosen.n; i++)
        if (!holds_char(gold, chosen.c[i])) return 0.0;
    return 0.25;
}

/* The first run of letters A to D, "" when there is none. */
static mn__piece first_letters(mn__piece p)
{
    size_t begin = 0, end;
    while (begin < p.n && !is_letter_choice(p.c[begin])) begin++;
    for (end = begin; end < p.n && is_letter_choice(p.c[end]);) end++;
    return mn__piece_part(p, begin, end);
}

mn_status mn__score_choice_leval(const mn__scoring *x, double *score)
{
    mn__piece gold, chosen = x->output;
    mn_status st = leval_gold(x, &gold);
    if (st != MN_OK) return st;
    *score = 0.0;
    if (mn__piece_strip(x->output).n == 0) return MN_OK;
    if (!mn__in_abcd(chosen)) chosen = mn__piece_part(first_letters(x->output), 0, 1);
    *score = leval_score(chosen.n > 0 ? chosen : guess, gold);
    return MN_OK;
}

/* Capital letters before a space, dot or closing bracket. */
static mn_status letters_marked(mn__scratch *s, mn__piece p, mn__piece *out)
{
    uint32_t *c = mn__scratch_take(s, p.n, sizeof *c);
    if (!c) return MN_ENOMEM;
    *out = (mn__piece){c, 0};
    for (size_t i = 0; i + 1 < p.n; i++) {
        mn__piece behind = mn__piece_part(p, i + 1, i + 2);
        bool marked = behind.c[0] == '.' || behind.c[0] == ')' || mn__piece_strip(behind).n == 0;
        if (marked) c[out->n++] = p.c[i];
    }
    return MN_OK;
}

/* Letters in front, if there are two or more; else those in front and those marked up to the word
 * Question; else the first run of letters, which the script leaves unsorted. */
static mn_status chosen_letters(mn__scratch *s, mn__piece output, mn__piece *chosen)
{
    size_t n = 0;
    while (n < output.n && is_letter_choice(output.c[n])) n++;
    mn__piece front = mn__piece_part(output, 0, n), rest = mn__piece_from(output, n), marked;
    if (n > 1) return letters_sorted(s, front, chosen);
    rest = mn__piece_part(rest, 0, mn__piece_find_ascii(rest, "Question"));
    if (letters_marked(s, rest, &marked) != MN_OK) return MN_ENOMEM;
    mn__pieces both = {(mn__piece[]){front, marked}, 2};
    if (mn__piece_join(s, &both, &marked) != MN_OK) return MN_ENOMEM;
    if (letters_sorted(s, marked, chosen) != MN_OK) return MN_ENOMEM;
    if (chosen->n == 0) *chosen = first_letters(rest);
    if (chosen->n == 0) *chosen = guess;
    return MN_OK;
}

mn_status mn__score_choice_letters(const mn__scoring *x, double *score)
{
    mn__piece gold, chosen = x->output;
    mn_status st = leval_gold(x, &gold);
    if (st != MN_OK) return st;
    *score = 0.0;
    if (mn__piece_strip(x->output).n == 0) return MN_OK;
    if (!mn__in_abcd(chosen) && chosen_letters(x->scratch, x->output, &chosen) != MN_OK)
        return MN_ENOMEM;
    *score = leval_score(chosen, gold);
    return MN_OK;
}

static bool starts_folded(mn__piece p, const char *lower)
{
    size_t i = 0;
    for (; lower[i] && i < p.n; i++) {
        uint32_t c = p.c[i] >= 'A' && p.c[i] <= 'Z' ? p.c[i] + 32 : p.c[i];
        if (c != (unsigned char)lower[i]) return false;
    }
    return !lower[i];
}

/* "Yes.", "No": with or without the dot, in any case. */
static bool is_yes_or_no(mn__piece p)
{
    if (p.n > 0 && p.c[p.n - 1] == '.') p.n--;
    return (p.n == 3 && starts_folded(p, "yes")) || (p.n == 2 && starts_folded(p, "no"));
}

/* Words in normal form, joined. */
static mn_status plain_words(mn__scratch *s, mn__piece p, mn__piece *out)
{
    mn__pieces words;
    if (mn__normal_english(s, p, &p) != MN_OK || mn__piece_words(s, p, &words) != MN_OK)
        return MN_ENOMEM;
    return mn__piece_join(s, &words, out);
}

/* A gold answer "(B) text" wants the letter, or the text in front; "Yes." and "No." want yes or
 * its absence; others want their words in front. */
mn_status mn__score_choice_text(const mn__scoring *x, double *score)
{
    mn__piece gold = mn__piece_strip(x->answer), output = mn__piece_strip(x->output), normal[2];
    uint32_t letter, wanted = 0;
    if (gold.n >= 3 && gold.c[0] == '(' && gold.c[2] == ')' && is_letter_choice(gold.c[1])) {
        wanted = gold.c[1];
        gold = mn__piece_from(gold, 3);
        if (mn__choice_stated(x->scratch, output, &letter) != MN_OK) return MN_ENOMEM;
        letter = chosen_letter(letter, output);
        *score = letter == wanted;
        if (letter) return MN_OK;
    } else if (is_yes_or_no(gold)) {
        *score = starts_folded(output, "yes") == starts_folded(gold, "yes");
        return MN_OK;
    }
    if (plain_words(x->scratch, output, &normal[0]) != MN_OK ||
        plain_words(x->scratch, gold, &normal[1]) != MN_OK)
        return MN_ENOMEM;
    mn__piece front = mn__piece_part(normal[0], 0, normal[1].n);
    bool whole = normal[0].n == front.n || normal[0].c[front.n] == ' ';
    *score = normal[1].n > 0 && whole && mn__piece_equal(front, normal[1]);
    return MN_OK;
}

enum { SAYS_NOTHING, SAYS_FALSE, SAYS_TRUE };

/* What the first word that holds "true" or "false" says. */
static mn_status verdict(mn__scratch *s, mn__piece p, int *says)
{
    mn__pieces words;
    if (mn__piece_words(s, p, &words) != MN_OK) return MN_ENOMEM;
    *says = SAYS_NOTHING;
    for (size_t i = 0; i < words.n && *says == SAYS_NOTHING; i++) {
        if (mn__piece_find_ascii(words.p[i], "true") != MN__NOWHERE) {
            *says = SAYS_TRUE;
        } else if (mn__piece_find_ascii(words.p[i], "false") != MN__NOWHERE) {
            *says = SAYS_FALSE;
        }
    }
    return MN_OK;
}

/* "True [fact: False]": what the story says, and what is so. Without [fact: the script dies; here
 * the second half is wrong. */
static mn_status two_verdicts(mn__scratch *s, mn__piece p, int says[2])
{
    mn__piece lower;
    if (mn__piece_lower(s, p, &lower) != MN_OK) return MN_ENOMEM;
    size_t at = mn__piece_find_ascii(lower, "[fact:");
    mn__piece fact = mn__piece_from(lower, at == MN__NOWHERE ? lower.n : at + 6);
    size_t again = mn__piece_find_ascii(fact, "[fact:");
    if (again != MN__NOWHERE) fact = mn__piece_part(fact, 0, again);
    if (fact.n > 0) fact.n--; /* the bracket */
    mn_status st = verdict(s, mn__piece_part(lower, 0, at), &says[0]);
    return st == MN_OK ? verdict(s, fact, &says[1]) : st;
}

mn_status mn__score_true_false(const mn__scoring *x, double *score)
{
    int output[2], gold[2];
    mn_status st = two_verdicts(x->scratch, x->output, output);
    if (st == MN_OK) st = two_verdicts(x->scratch, x->answer, gold);
    if (st != MN_OK) return st;
    if (gold[0] == SAYS_NOTHING || gold[1] == SAYS_NOTHING)
        return mn__fail(x->diag, MN_EINPUT, "the gold answer is no 'True [fact: False]'");
    *score = 0.5 * (output[0] == gold[0]) + 0.5 * (output[1] == gold[1]);
    return MN_OK;
}
