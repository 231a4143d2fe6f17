/* test_metric_rouge.c: both ROUGE-L. For rouge 1.0.1: U the different words in any common
 * subsequence of a sentence of each text, p = |U| / different words of the output, r = |U| /
 * different words of the gold answer. */
#include "metric_fixture.h"

static void test_rouge_l(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"the cat sat", {"the cat sat"}, ROUGE_F(1.0, 1.0)}, /* 0.999999995: never quite 1 */
        {"the cat", {"the cat sat down"}, ROUGE_F(1.0, 0.5)},
        {"the cat sat down", {"the cat"}, ROUGE_F(0.5, 1.0)},
        {"The cat", {"the cat"}, ROUGE_F(0.5, 0.5)},  /* case counts */
        {"cat, dog", {"cat dog"}, ROUGE_F(0.5, 0.5)}, /* punctuation belongs to its word */
        {"a a a b", {"a b"}, ROUGE_F(1.0, 1.0)},   /* different words count, repetitions do not */
        {"b a", {"a b"}, ROUGE_F(0.5, 0.5)},       /* order counts: a subsequence of one word */
        {"a\nb\tc", {"a b c"}, ROUGE_F(1.0, 1.0)}, /* a line's end is a space */
        {"red", {"blue"}, 0},
        {"x", {"y", "x z", "q"}, ROUGE_F(1.0, 0.5)}, /* the best gold answer */
    };
    MF_TABLE("rouge_l", NULL, cases);
}

static void test_rouge_l_sentences(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"x b. a y", {"a b"}, ROUGE_F(0.5, 1.0)}, /* b from the first, a from the second: U = a b */
        {"a", {"a. a b"}, ROUGE_F(1.0, 0.5)},     /* U = a, the gold's words are a b */
        {"3.14", {"3 14"}, ROUGE_F(1.0, 1.0)},    /* a decimal point ends a sentence */
        {"a. ", {"a"}, ROUGE_F(0.5, 1.0)},        /* the space behind it is a sentence of one empty
                                                     word: the output has two words */
        {"a. ", {"a. "}, ROUGE_F(1.0, 1.0)},      /* which is shared, where both have it */
        {"a.", {"a"}, ROUGE_F(1.0, 1.0)},         /* nothing behind it is none */
        {"b a", {"a b. b"}, ROUGE_F(0.5, 0.5)},   /* of the equally long a and b, the way back takes
                                                     the b: U = b, not a b */
        {"a b c d", {"d c b a"}, ROUGE_F(0.25, 0.25)},
    };
    MF_TABLE("rouge_l", NULL, cases);
}

/* The package raises on a text without a sentence; LongBench then says 0. */
static void test_rouge_l_empty(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"", {"cat"}, 0},
        {"cat", {""}, 0},
        {"", {""}, 0},
        {"...", {"cat"}, 0},
        {" ", {"cat"}, 0},
        {".", {"."}, 0},
        {" ", {" "}, ROUGE_F(1.0, 1.0)}, /* two empty words are equal words */
    };
    MF_TABLE("rouge_l", NULL, cases);
}

static void test_rouge_l_chars(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"東京都", {"東京"}, ROUGE_F(2.0 / 3, 1.0)},
        {"東京", {"京都"}, ROUGE_F(0.5, 0.5)},
        {"東京。", {"東京"}, ROUGE_F(2.0 / 3, 1.0)}, /* the Japanese full stop is a character */
        {"ab.cd", {"abcd"}, ROUGE_F(1.0, 1.0)}, /* the ASCII one ends a sentence: U = a b c d */
        {"", {"東京"}, 0},
        {"今日は晴れ", {"今日は雨", "晴れ"}, ROUGE_F(0.6, 0.75)}, /* 3 of 5, 3 of 4; the other is
                                                                    2 of 5, 2 of 2 and less */
    };
    MF_TABLE("rouge_l_chars", NULL, cases);
}

/* rouge_score: hits / words both ways, no 1e-8, words of a-z and 0-9 in lower case. */
static void test_rouge_lsum(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The cat sat.", {"the CAT sat"}, 1},
        {"a b c", {"a c"}, 0.8},  /* p 2/3, r 1 */
        {"b a\na", {"a b"}, 0.4}, /* of the equally long b and a, the way back takes the a, which
                                     the second line has too: one hit, p 1/3, r 1/2 */
        {"b a", {"a b"}, 0.5},    /* one hit of two */
        {"a. b", {"a b"}, 1},     /* only lines are sentences */
        {"a a a", {"a"}, 0.5},    /* one hit: p 1/3, r 1 */
        {"a", {"a\na"}, 2.0 / 3}, /* the second a finds none left: p 1, r 1/2 */
        {"don't", {"don t"}, 1},  /* an apostrophe separates */
        {"été", {"t"}, 1},        /* so does every letter beyond a-z */
        {"中国", {"中国"}, 0},    /* no word at all */
        {"", {"a"}, 0},
        {"a", {""}, 0},
        {"\n\n", {"\n"}, 0},
        {"COVID-19", {"covid 19"}, 1},
        /* the example of the ROUGE paper: w1 w2 by the first line, w1 w3 w5 by the second, four
         * hits of 5 and of 10 words */
        {"w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", {"w1 w2 w3 w4 w5"}, PLAIN_F(0.4, 0.8)},
        {"x", {"y", "x z"}, 2.0 / 3},
    };
    MF_TABLE("rouge_lsum", NULL, cases);
}

/* Long texts whose scores follow from their making. */
static void test_long(void **state)
{
    (void)state;
    enum { N = 20000 };
    static char up[8 * N + 1], down[8 * N + 1], half[8 * N + 1];
    size_t n_up = 0, n_down = 0, n_half = 0;
    for (unsigned i = 0; i < N; i++) {
        n_up += (size_t)snprintf(up + n_up, 8, "w%u ", i);
        n_down += (size_t)snprintf(down + n_down, 8, "w%u ", N - 1 - i);
        n_half += (size_t)snprintf(half + n_half, 8, i % 2 ? "x%u " : "w%u ", i);
    }
    const mf_case cases[] = {
        {up, {up}, ROUGE_F(1.0, 1.0)},           /* the package's recursion fails here */
        {up, {down}, ROUGE_F(1.0 / N, 1.0 / N)}, /* one word is in order */
        {half, {up}, ROUGE_F(0.5, 0.5)},         /* the even words are */
    };
    MF_TABLE("rouge_l", NULL, cases);
    const mf_case lsum[] = {{up, {down}, 1.0 / N}, {half, {up}, 0.5}};
    MF_TABLE("rouge_lsum", NULL, lsum);
}

/* More words than are compared: a sentence, not an hour. */
static void test_too_long(void **state)
{
    (void)state;
    static char text[2 * 40000 + 1];
    for (size_t i = 0; i < 40000; i++) memcpy(text + 2 * i, "a ", 3);
    static const char *const names[] = {"rouge_l", "rouge_lsum", "rouge_l_chars"};
    for (size_t i = 0; i < 3; i++) {
        mn__metric *m = mf_open(names[i], NULL);
        const char *answer = "a";
        const mn__gold gold = {.answers = &answer, .n_answer = 1};
        double score = 7;
        mn_diag diag = {""};
        assert_int_equal(mn__metric_score(m, &gold, text, strlen(text), &score, &diag), MN_ERANGE);
        assert_non_null(strstr(diag.text, "32768"));
        assert_true(score == 7);
        mn__metric_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rouge_l),       cmocka_unit_test(test_rouge_l_sentences),
        cmocka_unit_test(test_rouge_l_empty), cmocka_unit_test(test_rouge_l_chars),
        cmocka_unit_test(test_rouge_lsum),    cmocka_unit_test(test_long),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
