/* metric_f1.c: F1 over what two texts share, counted with repetitions: precision is the share of
 * the output's tokens, recall of the gold one's; 0 when they share none, so also for two empty
 * texts. Ref: LongBench metrics.py; SQuAD for the normal form. */
#include "eval/metric_internal.h"

#include <string.h>

#include "text/unicode.h"

bool mn__is_ascii_punctuation(uint32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

bool mn__is_ascii_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* LongBench's list: without U+3008, U+3009, U+300A, U+FF0E and U+00B7, which therefore stay. */
static bool is_chinese_punctuation(uint32_t c)
{
    static const uint16_t runs[][2] = {
        {0x2013, 0x2014}, {0x2018, 0x2019}, {0x201b, 0x201f}, {0x2026, 0x2027}, {0x3001, 0x3003},
        {0x300b, 0x3011}, {0x3014, 0x301f}, {0x3030, 0x3030}, {0x303e, 0x303f}, {0xfe4f, 0xfe4f},
        {0xff01, 0xff0d}, {0xff0f, 0xff0f}, {0xff1a, 0xff20}, {0xff3b, 0xff40}, {0xff5b, 0xff64},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (c >= runs[i][0] && c <= runs[i][1]) return true;
    return false;
}

/* Runs of \w that are a, an or the become a space each. */
static void blank_articles(uint32_t *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t begin = i;
        while (i < n && mn__unicode_is_word(c[i])) i++;
        mn__piece run = {c + begin, i - begin};
        if (mn__piece_is(run, "a") || mn__piece_is(run, "an") || mn__piece_is(run, "the"))
            for (size_t k = begin; k < i; k++) c[k] = ' ';
    }
}

mn_status mn__normal_english(mn__scratch *s, mn__piece p, mn__piece *out)
{
    mn__piece lower;
    uint32_t *c = mn__scratch_take(s, p.n, sizeof *c);
    if (!c || mn__piece_lower(s, p, &lower) != MN_OK) return MN_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < lower.n; i++)
        if (!mn__is_ascii_punctuation(lower.c[i])) c[n++] = lower.c[i];
    blank_articles(c, n);
    *out = (mn__piece){c, n};
    return MN_OK;
}

static bool drop_chinese(uint32_t c)
{
    return mn__is_ascii_punctuation(c) || is_chinese_punctuation(c) || mn__unicode_is_space(c);
}

mn_status mn__normal_chinese(mn__scratch *s, mn__piece p, mn__piece *out)
{
    mn__piece lower;
    if (mn__piece_lower(s, p, &lower) != MN_OK) return MN_ENOMEM;
    return mn__piece_without(s, lower, drop_chinese, 0, out);
}

static mn_status f1(mn__scratch *s, const mn__pieces *output, const mn__pieces *answer,
                    double *score)
{
    mn__ids a, b;
    size_t n_id, n_same = 0;
    if (mn__ids_of(s, output, answer, &a, &b, &n_id) != MN_OK) return MN_ENOMEM;
    uint32_t *count = mn__scratch_take(s, n_id, sizeof *count);
    if (!count) return MN_ENOMEM;
    memset(count, 0, n_id * sizeof *count);
    for (size_t i = 0; i < a.n; i++) count[a.id[i]]++;
    for (size_t i = 0; i < b.n; i++) {
        if (count[b.id[i]] == 0) continue;
        count[b.id[i]]--;
        n_same++;
    }
    *score = 0.0;
    if (n_same == 0) return MN_OK;
    double precision = (double)n_same / (double)a.n, recall = (double)n_same / (double)b.n;
    *score = 2 * precision * recall / (precision + recall);
    return MN_OK;
}

mn_status mn__score_qa_f1(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces words[2];
    for (size_t i = 0; i < 2; i++) {
        if ((st = mn__normal_english(x->scratch, text[i], &text[i])) != MN_OK) return st;
        if ((st = mn__piece_words(x->scratch, text[i], &words[i])) != MN_OK) return st;
    }
    return f1(x->scratch, &words[0], &words[1], score);
}

mn_status mn__score_qa_f1_chars(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces chars[2];
    for (size_t i = 0; i < 2; i++) {
        if ((st = mn__normal_chinese(x->scratch, text[i], &text[i])) != MN_OK) return st;
        if ((st = mn__piece_chars(x->scratch, text[i], &chars[i])) != MN_OK) return st;
    }
    return f1(x->scratch, &chars[0], &chars[1], score);
}

/* Words of the text as it stands, each made normal after that; what becomes empty is dropped. */
mn_status mn__score_qa_f1_words(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces words[2];
    for (size_t i = 0; i < 2; i++) {
        st = mn__words_cut(x->words, x->scratch, text[i], &words[i], x->diag);
        if (st != MN_OK) return st;
        size_t n = 0;
        for (size_t k = 0; k < words[i].n; k++) {
            mn__piece *word = &words[i].p[k];
            if ((st = mn__normal_chinese(x->scratch, *word, word)) != MN_OK) return st;
            if (word->n > 0) words[i].p[n++] = *word;
        }
        words[i].n = n;
    }
    return f1(x->scratch, &words[0], &words[1], score);
}

mn_status mn__score_exact(const mn__scoring *x, double *score)
{
    mn_status st;
    mn__piece text[2] = {x->output, x->answer};
    mn__pieces words;
    for (size_t i = 0; i < 2; i++) {
        if ((st = mn__normal_english(x->scratch, text[i], &text[i])) != MN_OK) return st;
        if ((st = mn__piece_words(x->scratch, text[i], &words)) != MN_OK) return st;
        if ((st = mn__piece_join(x->scratch, &words, &text[i])) != MN_OK) return st;
    }
    *score = mn__piece_equal(text[0], text[1]);
    return MN_OK;
}
