/* test_metric_choice.c: classes, parts of the output, letters, options, verdicts. */
#include "metric_fixture.h"

/* 1 over the number of classes named, when the right one is among them. */
static void test_classes(void **state)
{
    (void)state;
    static const char *const classes[] = {"Location", "Person", "City name", "Other location",
                                          "location"};
    const mn__gold with = {.classes = classes, .n_class = 5};
    static const mf_case cases[] = {
        {"Person", {"Person"}, 1},
        {"It is a Person.", {"Person"}, 1},
        {"Person Person", {"Person"}, 1}, /* named twice counts once */
        {"Person or City name", {"Person"}, 0.5},
        {"Location, Person or City name", {"City name"}, 1.0 / 3},
        {"Location", {"Person"}, 0},
        {"person", {"Person"}, 0}, /* case counts */
        {"", {"Person"}, 0},
        {"City nam", {"City name"}, 0},            /* none named: the script's way to the most
                                                      similar one is never reached */
        {"Other location", {"Other location"}, 1}, /* "location" is named too, but a part of the
                                                      right one: struck out */
        {"Other location", {"location"}, 0.5},     /* the right one is a part of another: nothing
                                                      is struck out */
        {"Personal", {"Person"}, 1},               /* a class may be a part of a word */
        {"Location", {"Person", "Location"}, 1},   /* the best gold answer */
        {"Person", {"Animal"}, 0},                 /* a gold answer that is no class */
    };
    MF_TABLE("classification", &with, cases);
    mf_refuse("classification", "Person", "Person", "all_classes");
}

/* The script strikes out of the list that it runs over: the one behind is not looked at. */
static void test_classes_skipped(void **state)
{
    (void)state;
    static const char *const classes[] = {"a", "ab", "abc"};
    const mn__gold with = {.classes = classes, .n_class = 3};
    /* a, ab and abc are named; a goes, and ab slips into its place: ab, abc are left */
    static const mf_case cases[] = {{"abc", {"abc"}, 0.5}, {"ab", {"ab"}, 1}};
    MF_TABLE("classification", &with, cases);
    static const char *const twice[] = {"a", "x", "abc"};
    const mn__gold apart = {.classes = twice, .n_class = 3};
    static const mf_case far[] = {{"abc x", {"abc"}, 0.5}, {"abc", {"abc"}, 1}};
    MF_TABLE("classification", &apart, far);
    static const char *const chinese[] = {"体育", "科技", "体育新闻"};
    const mn__gold zh = {.classes = chinese, .n_class = 3};
    static const mf_case lsht[] = {
        {"体育新闻", {"体育新闻"}, 1}, {"科技", {"体育"}, 0}, {"体育、科技", {"科技"}, 0.5}};
    MF_TABLE("classification", &zh, lsht);
}

static void test_contains(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The number is 4821.", {"4821"}, 1},
        {"14821", {"4821"}, 1}, /* in the middle of another, too */
        {"4 821", {"4821"}, 0},
        {"PARIS", {"paris"}, 1},
        {"ÉTÉ", {"été"}, 1},
        {"", {"x"}, 0},
        {"x", {""}, 1},               /* "" stands in every output */
        {"blue", {"red", "blue"}, 1}, /* one is enough */
        {"green", {"red", "blue"}, 0},
        {"東京都です", {"東京"}, 1},
        {"a\xff"
         "b",
         {"a\uFFFDb"},
         1},
    };
    MF_TABLE("contains", NULL, cases);
    static const mf_case all[] = {
        {"1 and 3", {"1", "2", "3", "4"}, 0.5},
        {"1 2 3 4", {"1", "2", "3", "4"}, 1},
        {"1234", {"1", "2", "3", "4"}, 1},
        {"none", {"1", "2"}, 0},
        {"", {"1", "2"}, 0},
        {"x",
         {"X", "x", "y"},
         2.0 / 3},                   /* case aside; equal answers count as often as they stand */
        {"abababac", {"ababac"}, 1}, /* found where a first try fails half-way */
    };
    MF_TABLE("contains_all", NULL, all);
}

static void test_letter(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"B", {"B"}, 1},
        {" B\n", {"B"}, 1},
        {"B. because", {"B"}, 1},
        {"(C) because", {"C"}, 1},
        {"[D]", {"D"}, 1},
        {"The correct answer is (D)", {"D"}, 1},
        {"**The correct answer is (A)**", {"A"}, 1},
        {"The correct answer is B", {"B"}, 1},
        {"I think (B) is right", {"B"}, 1},
        {"A. No: The correct answer is (B).", {"B"}, 1}, /* what is stated comes first */
        {"B", {"A"}, 0},
        {"Because", {"B"}, 0}, /* a letter in front stands alone */
        {"A man", {"A"}, 0},
        {"b", {"B"}, 0},
        {"E", {"A"}, 0},
        {"", {"A"}, 0},
        {"B", {"A", "B"}, 1},
    };
    MF_TABLE("choice_letter", NULL, cases);
    static const mf_case stated[] = {
        {"The correct answer is (B)", {"B"}, 1},
        {"The *correct* answer is **(B)**", {"B"}, 1},
        {"The correct answer is B", {"B"}, 1},
        {"The correct answer is Because", {"B"}, 1}, /* the letter may open a word */
        {"The correct answer is A. The correct answer is (B)", {"B"}, 1}, /* brackets first */
        {"The correct answer is (E). The correct answer is (B)", {"B"}, 1},
        {"B", {"B"}, 0}, /* nothing is stated */
        {"the correct answer is (B)", {"B"}, 0},
        {"The correct answer is: (B)", {"B"}, 0},
        {"The correct answer is (", {"B"}, 0},
        {"", {"B"}, 0},
    };
    MF_TABLE("choice_lb2", NULL, stated);
}

/* 1: the same letters; 0.25: a part of them. */
static void test_letters(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"ACD", {"ACD"}, 1},
        {"DCA", {"ACD"}, 1},          /* two and more in front are sorted */
        {"AC and D.", {"ACD"}, 0.25}, /* and nothing behind them is looked at */
        {"AACCD", {"ACD"}, 1},
        {"A. C. D.", {"ACD"}, 1}, /* marked by a dot, a space, a closing bracket */
        {"A) C) and D )", {"ACD"}, 1},
        {"A, C, D", {"ACD"}, 0.25}, /* a comma marks nothing: A alone */
        {"C", {"ACD"}, 0.25},
        {"AB", {"ACD"}, 0}, /* B is wrong */
        {"B", {"B"}, 1},
        {"It is B", {"B"}, 1},             /* nothing marked: the first run of letters */
        {"It is DA", {"AD"}, 0.25},        /* which is not sorted, and compared as it stands */
        {"A Question 2: B. C.", {"A"}, 1}, /* nothing behind the word Question counts */
        {"none", {"ACD"}, 0.25},           /* no letter: A is guessed */
        {"", {"ACD"}, 0},
        {" \n", {"A"}, 0},
        {"BC", {"BC"}, 1},
        {"CA", {"CA"}, 0.25},          /* the gold answer is not sorted either */
        {"B", {"B. C. are right"}, 1}, /* the gold answer's first word */
        {"A", {"E"}, 1},               /* a gold answer without a letter: A */
    };
    MF_TABLE("choice_letters", NULL, cases);
    mf_refuse("choice_letters", "A", " ", "empty");
}

static void test_first_letter(void **state)
{
    (void)state;
    static const mf_case leval[] = {
        {"The best is C", {"C"}, 1},
        {"Answer: C", {"C"}, 0}, /* the first of A to D is the A of Answer */
        {"(B) text", {"(B) text"}, 1},
        {"ABCD", {"A"}, 0},   /* a part of ABCD is taken whole */
        {"AB and", {"A"}, 1}, /* anything else by its first letter */
        {"none", {"A"}, 1},   /* A is guessed */
        {"none", {"B"}, 0},
        {"", {"A"}, 0},
        {"\t", {"A"}, 0},
        {"C", {"AC"}, 0.25},
    };
    MF_TABLE("choice_leval", NULL, leval);
    static const mf_case bamboo[] = {
        {"B", {"B"}, 1},       {"b) text", {"B"}, 1}, {" \nC", {"C"}, 1},
        {"Because", {"B"}, 1}, /* the first character decides, whatever follows */
        {"[B]", {"B"}, 0},     /* the script looks for "[B" in one character */
        {"(B)", {"B"}, 0},     {"E", {"A"}, 0},       {"", {"A"}, 0},
    };
    MF_TABLE("choice_bamboo", NULL, bamboo);
}

static void test_option(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"B", {"(B) The king"}, 1},
        {"(B)", {"(B) The king"}, 1},
        {"(C) The king", {"(B) The king"}, 0}, /* a letter decides */
        {"The king", {"(B) The king"}, 1},
        {"the King of France", {"(B) The king"}, 1}, /* the option's words in front */
        {"kingdom", {"(B) The king"}, 0},            /* whole words */
        {"queen", {"(B) The king"}, 0},
        {"", {"(B) The king"}, 0},
        {"yes, it is", {"Yes."}, 1},
        {"No", {"Yes."}, 0},
        {"No.", {"No."}, 1},
        {"Yes", {"No"}, 0},
        {"", {"No."}, 1}, /* whatever does not begin with yes is a no */
        {"Maybe", {"No."}, 1},
        {"plain text here", {"Plain text"}, 1},
    };
    MF_TABLE("choice_text", NULL, cases);
}

/* Half for what the story says, half for what is so. */
static void test_verdicts(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"True [fact: False]", {"True [fact: False]"}, 1},
        {"true [FACT: it is false.]", {"True [fact: False]"}, 1},
        {"True [fact: True]", {"True [fact: False]"}, 0.5},
        {"False [fact: False]", {"True [fact: False]"}, 0.5},
        {"False [fact: True]", {"True [fact: False]"}, 0},
        {"True", {"True [fact: False]"}, 0.5},               /* no fact: the second half is wrong */
        {"True [fact: False", {"True [fact: False]"}, 0.5},  /* the last character goes: "fals" */
        {"untrue [fact: false]", {"True [fact: False]"}, 1}, /* a word that holds "true" */
        {"true or false [fact: false]", {"True [fact: False]"}, 1}, /* the first word */
        {"maybe [fact: false]", {"True [fact: False]"}, 0.5},
        {"True [fact: true] [fact: false]", {"True [fact: False]"}, 0.5}, /* the first fact */
        {"", {"True [fact: False]"}, 0},
    };
    MF_TABLE("true_false", NULL, cases);
    mf_refuse("true_false", "True", "True", "True [fact: False]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),  cmocka_unit_test(test_classes_skipped),
        cmocka_unit_test(test_contains), cmocka_unit_test(test_letter),
        cmocka_unit_test(test_letters),  cmocka_unit_test(test_first_letter),
        cmocka_unit_test(test_option),   cmocka_unit_test(test_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
