/* metric_number.c: numbers in the output against a number, a paragraph's, or an order. Numbers are
 * compared as they are written ("07" is not "7") where the scripts do so. */
#include "eval/metric_internal.h"

#include <string.h>

#include "base/diag.h"
#include "text/unicode.h"

/* Of all runs of digits in the output, the share that is written like `wanted`. Digits of any
 * script make a run, as \d does. */
static mn_status number_share(const mn__scoring *x, mn__piece wanted, double *score)
{
    mn__pieces numbers;
    size_t n_right = 0;
    if (mn__piece_runs(x->scratch, x->output, mn__unicode_is_digit, &numbers) != MN_OK)
        return MN_ENOMEM;
    for (size_t i = 0; i < numbers.n; i++) n_right += mn__piece_equal(numbers.p[i], wanted);
    *score = numbers.n == 0 ? 0.0 : (double)n_right / (double)numbers.n;
    return MN_OK;
}

mn_status mn__score_count(const mn__scoring *x, double *score)
{
    return number_share(x, x->answer, score);
}

/* The first number in the gold answer that follows the word for paragraph at once. */
static mn_status paragraph(const mn__scoring *x, mn__piece word, double *score)
{
    mn__piece rest = x->answer;
    for (;;) {
        size_t at, n = 0;
        if (mn__piece_find(x->scratch, rest, word, &at) != MN_OK) return MN_ENOMEM;
        if (at == MN__NOWHERE)
            return mn__fail(x->diag, MN_EINPUT, "the gold answer names no paragraph's number");
        rest = mn__piece_from(rest, at + word.n);
        while (n < rest.n && mn__unicode_is_digit(rest.c[n])) n++;
        if (n > 0) return number_share(x, mn__piece_part(rest, 0, n), score);
    }
}

mn_status mn__score_retrieval(const mn__scoring *x, double *score)
{
    mn__piece word;
    if (mn__piece_read(x->scratch, "Paragraph ", 10, &word) != MN_OK) return MN_ENOMEM;
    return paragraph(x, word, score);
}

mn_status mn__score_retrieval_zh(const mn__scoring *x, double *score)
{
    static const uint32_t word[] = {0x6bb5, 0x843d}; /* "paragraph" in Chinese */
    return paragraph(x, (mn__piece){word, 2}, score);
}

mn_status mn__score_first_number(const mn__scoring *x, double *score)
{
    mn__pieces numbers;
    if (mn__piece_runs(x->scratch, x->output, mn__is_ascii_digit, &numbers) != MN_OK)
        return MN_ENOMEM;
    *score = numbers.n > 0 && mn__piece_equal(numbers.p[0], x->answer);
    return MN_OK;
}

/* A whole number as int() reads it: a sign, digits of any script, single _ between them. Digits
 * become ASCII, zeros in front go. false: it is none. */
typedef struct whole {
    bool negative;
    size_t n;
    char *digits;
} whole;

static mn_status read_whole(mn__scratch *s, mn__piece p, whole *out, bool *good)
{
    bool digit_before = false;
    p = mn__piece_strip(p);
    *out = (whole){p.n > 0 && p.c[0] == '-', 0, mn__scratch_take(s, p.n, 1)};
    if (!out->digits) return MN_ENOMEM;
    *good = false;
    for (size_t i = p.n > 0 && (p.c[0] == '-' || p.c[0] == '+'); i < p.n; i++) {
        int digit = mn__unicode_digit(p.c[i]);
        if (digit < 0 && !(p.c[i] == '_' && digit_before)) return MN_OK;
        digit_before = digit >= 0;
        if (digit > 0 || (digit == 0 && out->n > 0)) out->digits[out->n++] = (char)('0' + digit);
    }
    *good = digit_before;
    if (out->n == 0) out->negative = false;
    return MN_OK;
}

static bool same_whole(const whole *a, const whole *b)
{
    return a->negative == b->negative && a->n == b->n &&
           (a->n == 0 || memcmp(a->digits, b->digits, a->n) == 0);
}

static mn_status gold_whole(const mn__scoring *x, mn__piece answer, whole *out)
{
    bool good;
    if (read_whole(x->scratch, answer, out, &good) != MN_OK) return MN_ENOMEM;
    return good ? MN_OK : mn__fail(x->diag, MN_EINPUT, "the gold answer is no whole number");
}

static bool is_code_mark(uint32_t c)
{
    return c == '\n' || c == '.' || c == '`' || c == '\'' || c == '"' || c == ':';
}

mn_status mn__score_last_number(const mn__scoring *x, double *score)
{
    whole gold, found;
    mn__piece text;
    mn__pieces words;
    bool good;
    mn_status st = gold_whole(x, x->answer, &gold);
    if (st != MN_OK) return st;
    *score = 0.0;
    if (mn__piece_without(x->scratch, x->output, is_code_mark, ' ', &text) != MN_OK ||
        mn__piece_words(x->scratch, text, &words) != MN_OK)
        return MN_ENOMEM;
    if (words.n == 0) return MN_OK;
    if (read_whole(x->scratch, words.p[words.n - 1], &found, &good) != MN_OK) return MN_ENOMEM;
    *score = good && same_whole(&gold, &found);
    return MN_OK;
}

/* digits[.digits] at the front of p, any script: how long it is; *dot where the dot stands. */
static size_t decimal_length(mn__piece p, size_t *dot)
{
    size_t n = 0;
    while (n < p.n && mn__unicode_is_digit(p.c[n])) n++;
    *dot = n;
    if (n == 0 || n + 1 >= p.n || p.c[n] != '.' || !mn__unicode_is_digit(p.c[n + 1])) return n;
    for (n++; n < p.n && mn__unicode_is_digit(p.c[n]);) n++;
    return n;
}

/* Equal as numbers: zeros in front and behind do not count. */
static bool same_decimal(mn__piece a, size_t dot_a, mn__piece b, size_t dot_b)
{
    mn__piece p[2] = {a, b};
    size_t dot[2] = {dot_a, dot_b};
    for (size_t i = 0; i < 2; i++) {
        while (p[i].n > dot[i] + 1 && mn__unicode_digit(p[i].c[p[i].n - 1]) == 0) p[i].n--;
        if (p[i].n == dot[i] + 1) p[i].n--; /* nothing is left behind the dot */
        while (dot[i] > 0 && mn__unicode_digit(p[i].c[0]) == 0) {
            p[i] = mn__piece_from(p[i], 1);
            dot[i]--;
        }
    }
    if (p[0].n != p[1].n || dot[0] != dot[1]) return false;
    for (size_t i = 0; i < p[0].n; i++)
        if (i != dot[0] && mn__unicode_digit(p[0].c[i]) != mn__unicode_digit(p[1].c[i]))
            return false;
    return true;
}

/* A gold number without a dot wants one without; the script dies where the output has one. */
mn_status mn__score_math_find(const mn__scoring *x, double *score)
{
    mn__piece gold = mn__piece_strip(x->answer), found;
    size_t dot_gold, dot, at = 0;
    bool negative = gold.n > 0 && gold.c[0] == '-';
    if (negative) gold = mn__piece_from(gold, 1);
    if (decimal_length(gold, &dot_gold) != gold.n || gold.n == 0)
        return mn__fail(x->diag, MN_EINPUT, "the gold answer is no number");
    while (at < x->output.n && !mn__unicode_is_digit(x->output.c[at])) at++;
    found = mn__piece_from(x->output, at);
    found.n = decimal_length(found, &dot);
    bool kind = dot_gold < gold.n || dot == found.n;
    *score = found.n > 0 && !negative && kind && same_decimal(gold, dot_gold, found, dot);
    return MN_OK;
}

mn_status mn__score_math_calc(const mn__scoring *x, double *score)
{
    mn__pieces numbers;
    size_t n = 0;
    if (mn__piece_runs(x->scratch, x->output, mn__is_ascii_digit, &numbers) != MN_OK)
        return MN_ENOMEM;
    for (; n < x->gold->n_answer && n < numbers.n; n++) {
        whole gold, found;
        bool good;
        mn_status st = gold_whole(x, x->answers[n], &gold);
        if (st == MN_OK) st = read_whole(x->scratch, numbers.p[n], &found, &good);
        if (st != MN_OK) return st;
        if (!same_whole(&gold, &found)) break;
    }
    *score = (double)n / (double)x->gold->n_answer;
    return MN_OK;
}

enum { ORDER_MAX = 64 };

/* The numbers in the order in which they stand, large ones as some number over 9999; -1: there are
 * too many. */
static mn_status read_order(mn__scratch *s, mn__piece p, int order[ORDER_MAX], int *n)
{
    mn__pieces numbers;
    if (mn__piece_runs(s, p, mn__is_ascii_digit, &numbers) != MN_OK) return MN_ENOMEM;
    *n = -1;
    if (numbers.n > ORDER_MAX) return MN_OK;
    for (size_t i = 0; i < numbers.n; i++) {
        order[i] = 0;
        for (size_t k = 0; k < numbers.p[i].n && order[i] <= 9999; k++)
            order[i] = 10 * order[i] + (int)(numbers.p[i].c[k] - '0');
    }
    *n = (int)numbers.n;
    return MN_OK;
}

static bool pair_stands(const int *order, int n, int first, int second)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; order[i] == first && j < n; j++)
            if (order[j] == second) return true;
    return false;
}

/* Numbers from 1 on are taken for numbers from 0 on. Another number of them than gold's: 0. */
mn_status mn__score_order(const mn__scoring *x, double *score)
{
    int gold[ORDER_MAX], order[ORDER_MAX], n_gold, n_order, n_right = 0;
    mn__piece line = mn__piece_first_line(mn__piece_strip(x->output));
    if (read_order(x->scratch, x->answer, gold, &n_gold) != MN_OK ||
        read_order(x->scratch, line, order, &n_order) != MN_OK)
        return MN_ENOMEM;
    if (n_gold < 2) return mn__fail(x->diag, MN_EINPUT, "the gold answer is no order of numbers");
    *score = 0.0;
    if (n_order != n_gold) return MN_OK;
    int least = order[0];
    for (int i = 0; i < n_order; i++) least = order[i] < least ? order[i] : least;
    for (int i = 0; i < n_order; i++) order[i] -= least == 1;
    for (int i = 0; i < n_gold; i++)
        for (int j = i + 1; j < n_gold; j++)
            n_right += pair_stands(order, n_order, gold[i], gold[j]);
    *score = 2.0 * n_right / (n_gold * (n_gold - 1));
    return MN_OK;
}
