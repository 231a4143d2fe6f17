/* test_metric_word.c: InfiniteBench's words and announcements, BABILong's places and things. */
#include "metric_fixture.h"

static void test_word(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The value is \"a1-b2\".", {"a1-b2"}, 1}, /* marks are spaces */
        {"{a1-b2}", {"a1-b2"}, 1},
        {"key:a1-b2,", {"a1-b2"}, 1},
        {"a1-b2c", {"a1-b2"}, 0},  /* whole words */
        {"A1-B2", {"a1-b2"}, 0},   /* case counts */
        {"(a1-b2)", {"a1-b2"}, 0}, /* round brackets are no marks */
        {"a1 -b2", {"a1-b2"}, 0},
        {"", {"a1-b2"}, 0},
        {"", {""}, 0}, /* no word at all */
        {"two words", {"two words"}, 0},
        {"x", {"y", "x"}, 1},
    };
    MF_TABLE("word", NULL, cases);
}

static void test_speaker(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"BRUCE", {"BRUCE"}, 1},        {"It was Bruce.", {"BRUCE"}, 1},
        {"Bruce's", {"BRUCE"}, 1}, /* an apostrophe is a space */
        {"(BRUCE)", {"BRUCE"}, 0},      {"Bruces", {"BRUCE"}, 0},
        {"Bruce", {"Bruce"}, 1},        /* ours: the script never finds a name in small letters */
        {"Anna", {"BRUCE", "ANNA"}, 0}, /* the first gold answer alone */
        {"Émile", {"ÉMILE"}, 1},        {"", {"BRUCE"}, 0},
    };
    MF_TABLE("speaker", NULL, cases);
}

/* Gold: the option's text and its letter. */
static void test_choice(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"B", {"The king", "B"}, 1},
        {" \nB. The king", {"The king", "B"}, 1},
        {"A", {"The king", "B"}, 0},
        {"Because", {"The king", "B"}, 1},                 /* its first character is the letter */
        {"A king: the answer is B", {"The king", "B"}, 0}, /* and so is this one's */
        {"The king", {"The king", "B"}, 1},                /* the option's text alone */
        {"the answer is B", {"The king", "B"}, 1},
        {"The answer is: The king.", {"The king", "B"}, 1},
        {"the answer is  B", {"The king", "B"}, 1},                  /* spaces become one */
        {"the answer is kings", {"king", "B"}, 1},                   /* it only has to begin so */
        {"the answer is A, or the answer: B", {"The king", "B"}, 1}, /* "answer:" is looked for
                                                                        before "answer is" */
        {"answer:B", {"The king", "B"}, 0}, /* one character behind it is skipped: the letter */
        {"the answer is", {"The king", "B"}, 0},
        {"the best option is B", {"The king", "B"}, 1},
        {"it must be B of these", {"The king", "B"}, 1}, /* the first word out of "ABCD" */
        {"it must be A, not B", {"The king", "B"}, 0},
        {"perhaps AB", {"The king", "B"}, 0}, /* AB is such a word, and wrong */
        {"no idea", {"The king", "B"}, 0},
        {"", {"The king", "B"}, 0},
        {" \n", {"The king", "B"}, 0},
    };
    MF_TABLE("ib_choice", NULL, cases);
}

/* Gold: the function and the letter. */
static void test_code_debug(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"C.", {"parse_args", "C"}, 1},
        {" C: it fails", {"parse_args", "C"}, 1},
        {"C", {"parse_args", "C"}, 0}, /* without dot or colon it is nothing */
        {"The answer is: C", {"parse_args", "C"}, 1},
        {"The bug is: `parse_args`", {"parse_args", "C"}, 1}, /* quotes are spaces, spaces one */
        {"The correct option is: C", {"parse_args", "C"}, 1},
        {"answer: Option C", {"parse_args", "C"}, 1}, /* "Option" is a space as well */
        {"The answer is C", {"parse_args", "C"}, 0},  /* no colon */
        {"answer is:C", {"parse_args", "C"}, 0},      /* the letter is skipped */
        {"answer is:", {"parse_args", "C"}, 0},
        {"D.", {"parse_args", "C"}, 0},
        {"The answer is: D, not C", {"parse_args", "C"}, 0},
        {"", {"parse_args", "C"}, 0},
    };
    MF_TABLE("ib_code_debug", NULL, cases);
    mf_refuse("ib_code_debug", "C.", "parse_args", "a function and a letter");
}

/* The right label, and no other that the question does not name. */
static void test_babilong(void **state)
{
    (void)state;
    const mn__gold mary = {.question = "Where is Mary? "};
    static const mf_case where[] = {
        {"kitchen", {"kitchen"}, 1},
        {"Mary is in the KITCHEN.", {"kitchen"}, 1},
        {"garden", {"kitchen"}, 0},
        {"kitchen or garden", {"kitchen"}, 0},
        {"kitchen. Then the garden.", {"kitchen"}, 1}, /* the first sentence alone */
        {"kitchen <context> garden", {"kitchen"}, 1},  /* and no example of its own */
        {"kitchen\n<example>\ngarden", {"kitchen"}, 1},
        {"kitchen Question garden", {"kitchen"}, 0}, /* the script cuts at "Question", but
                                                        in lower case: never */
        {"kitchenette", {"kitchen"}, 1},             /* a part of a word will do */
        {"", {"kitchen"}, 0},
        {"I do not know", {"kitchen"}, 0},
        {"bathroom", {"Bathroom"}, 1},
    };
    MF_TABLE("babilong", &mary, where);
    const mn__gold before = {.question = "Where was the apple before the garden?"};
    static const mf_case named[] = {
        {"Before the garden it was in the kitchen", {"kitchen"}, 1}, /* the question names it */
        {"garden", {"kitchen"}, 0},
        {"garden", {"garden"}, 0}, /* what the question names is never right */
    };
    MF_TABLE("babilong", &before, named);
    const mn__gold who = {.question = "Who gave the milk to Fred?"};
    static const mf_case things[] = {
        {"Bill gave the milk to Fred", {"Bill"}, 1},
        {"Jeff", {"Bill"}, 0},
        {"Bill, Jeff", {"Bill"}, 0},
        {"Bill in the kitchen", {"Bill"}, 1}, /* places are no labels of this question */
    };
    MF_TABLE("babilong", &who, things);
    MF_TABLE("babilong", NULL, where); /* without a question the same, here */
    mf_refuse("babilong", "kitchen", "cellar", "no label");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word),     cmocka_unit_test(test_speaker),
        cmocka_unit_test(test_choice),   cmocka_unit_test(test_code_debug),
        cmocka_unit_test(test_babilong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
