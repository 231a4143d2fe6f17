/* test_metric_f1.c: F1 over words and over characters, and equality. In the comments p is precision
 * (shared / words of the output), r recall (shared / words of the gold answer), F = 2pr / (p + r).
 */
#include "metric_fixture.h"

static void test_words(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"Paris", {"Paris"}, 1},
        {"The Eiffel Tower", {"eiffel tower"}, 1}, /* case and article go */
        {"An apple, a pear!", {"apple pear"}, 1},  /* so does punctuation */
        {"It is Paris.", {"Paris"}, 0.5},          /* p 1/3, r 1 */
        {"Paris", {"It is Paris."}, 0.5},          /* p 1, r 1/3 */
        {"cat cat dog", {"cat dog dog"}, 2.0 / 3}, /* one cat, one dog of 3: p = r = 2/3 */
        {"cat", {"cat cat cat"}, 0.5},             /* p 1, r 1/3 */
        {"red", {"blue"}, 0},                      /* nothing shared */
        {"12,000", {"12000"}, 1},                  /* a comma is dropped, not a space */
        {"re-entry", {"reentry"}, 1},              /* so is a hyphen */
        {"a_b", {"ab"}, 1},                        /* and an underscore */
        {"the-end", {"theend"}, 1},                /* before articles are looked for */
        {"U.S.A", {"usa"}, 1},
        {"theatre", {"theatre"}, 1},               /* articles are whole words */
        {"New\nYork\tCity", {"new york city"}, 1}, /* any space separates */
        {" \r\n Paris \v", {"Paris"}, 1},
    };
    MF_TABLE("qa_f1", NULL, cases);
}

static void test_nothing(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"", {"Paris"}, 0},  {"Paris", {""}, 0},
        {"", {""}, 0},     /* nothing shared: 0, though both are equal */
        {"the", {"a"}, 0}, /* nothing is left of either */
        {"...", {"..."}, 0}, {"   ", {"x"}, 0},
    };
    MF_TABLE("qa_f1", NULL, cases);
}

static void test_several_golds(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"John Smith", {"Smith", "John Smith", "Jon"}, 1}, /* the best counts, wherever it stands */
        {"John Smith", {"Jon", "Smith"}, 2.0 / 3},         /* p 1/2, r 1 */
        {"blue", {"red", "dark blue"}, 2.0 / 3},           /* p 1, r 1/2 */
        {"green", {"red", "dark blue"}, 0},
        {"x", {"", "x"}, 1},
    };
    MF_TABLE("qa_f1", NULL, cases);
}

static void test_unicode(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"ÉCOLE ÜBER", {"école über"}, 1},
        {"ШКОЛА", {"школа"}, 1},
        {"“Paris”", {"Paris"}, 0}, /* curly quotes are no ASCII punctuation: they stay */
        {"Paris。", {"Paris"}, 0}, /* nor is the Chinese full stop */
        {"Paris\u00a0France", {"paris france"}, 1}, /* a no-break space separates */
        {"Paris\u3000France", {"paris france"}, 1}, /* so does a full-width one */
        {"１２", {"12"}, 0},                        /* full-width digits are other characters */
        {"ＡＢＣ", {"ａｂｃ"}, 1},                  /* but they have lower case */
        {"thé", {"th\u00e9"}, 1},
        {"the\u0301 cat", {"\u0301 cat"}, 1}, /* a combining accent is no letter: "the" is one word,
                                                 and an article */
        {"théa the", {"théa"}, 1},            /* a letter with its accent is one */
        {"中国", {"中国 北京"}, 2.0 / 3},     /* Chinese without spaces is one word: p 1, r 1/2 */
        {"日本の首都は東京", {"東京"}, 0},    /* so this shares nothing */
        {"\u0130", {"i"}, 1},                 /* ours: Python's lower case adds a dot above */
    };
    MF_TABLE("qa_f1", NULL, cases);
}

/* Each maximal broken part is one U+FFFD. */
static void test_broken_utf8(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"\xff cat", {"\uFFFD cat"}, 1},
        {"caf\xc3", {"caf\uFFFD"}, 1},               /* cut off in a character */
        {"\xe4\xb8 x", {"\uFFFD x"}, 1},             /* two of three bytes: one broken part */
        {"\xed\xa0\x80", {"\uFFFD\uFFFD\uFFFD"}, 1}, /* a surrogate: three */
        {"\x80\x80", {"\uFFFD\uFFFD"}, 1},
        {"\xc0\xaf", {"/"}, 0},       /* an overlong slash is no slash */
        {"ok \xff", {"ok"}, 2.0 / 3}, /* it counts as a word: p 1/2, r 1 */
    };
    MF_TABLE("qa_f1", NULL, cases);
}

static void test_characters(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"北京", {"北京"}, 1},
        {"北京市", {"北京"}, 0.8},       /* p 2/3, r 1 */
        {"京北", {"北京"}, 1},           /* order does not count */
        {"东东京", {"东京京"}, 2.0 / 3}, /* repetitions do: 2 of 3 both ways */
        {"北京。", {"北京！"}, 1},       /* punctuation goes */
        {"。、！", {"北京"}, 0},
        {"", {"北京"}, 0},
        {"北 京\n", {"北\u3000京"}, 1}, /* spaces go, full-width ones too */
        {"《北京》", {"北京"}, 0.8},    /* U+300A is not in the list, U+300B is: p 2/3, r 1 */
        {"3．14", {"3.14"}, 6.0 / 7},   /* U+FF0E is not either: p 3/4, r 1 */
        {"3.14", {"314"}, 1},
        {"Ｎew", {"new"}, 2.0 / 3}, /* full-width N: 2 of 3 both ways */
        {"ABC", {"abc"}, 1},
        {"東京タワー", {"東京"}, 4.0 / 7},         /* p 2/5, r 1 */
        {"ア・イ", {"アイ"}, 0.8},                 /* the Japanese middle dot stays: p 2/3, r 1 */
        {"ｱ｡ｲ", {"ｱｲ"}, 1},                        /* the half-width full stop goes */
        {"大阪", {"東京", "京都", "大阪府"}, 0.8}, /* the third: p 1, r 2/3 */
        {"𠀀𠀁", {"𠀀"}, 2.0 / 3},                 /* beyond the basic plane: one character each */
    };
    MF_TABLE("qa_f1_chars", NULL, cases);
}

static void test_exact(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The cat.", {"cat"}, 1},
        {"cats", {"cat"}, 0},
        {"", {"the"}, 1}, /* both are empty in normal form, and equal */
        {" new   york ", {"New York"}, 1},
        {"new york", {"newyork"}, 0},
        {"york new", {"new york"}, 0},
        {"cat", {"dog", "Cat!"}, 1},
        {"cat dog", {"cat"}, 0},
    };
    MF_TABLE("exact", NULL, cases);
}

/* 100,000 words against one: p 1/100000, r 1, F = 2 / 100001. */
static void test_long(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = malloc(4 * N + 1);
    assert_non_null(text);
    for (size_t i = 0; i < N; i++) memcpy(text + 4 * i, "cat ", 5);
    const mf_case words[] = {{text, {"cat"}, 2.0 / (N + 1)}, {text, {text}, 1}};
    MF_TABLE("qa_f1", NULL, words);
    /* 300,000 letters, a third of them c */
    const mf_case chars[] = {{text, {"c"}, 2.0 / (3 * N + 1)}, {text, {"xyz"}, 0}};
    MF_TABLE("qa_f1_chars", NULL, chars);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_several_golds), cmocka_unit_test(test_unicode),
        cmocka_unit_test(test_broken_utf8),   cmocka_unit_test(test_characters),
        cmocka_unit_test(test_exact),         cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
