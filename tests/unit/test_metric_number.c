/* test_metric_number.c: numbers in the output against a number, a paragraph's, several, an order.
 */
#include "metric_fixture.h"

/* Right ones / all runs of digits. */
static void test_retrieval(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"Paragraph 12", {"Paragraph 12"}, 1},
        {"12", {"Paragraph 12"}, 1},
        {"x12y", {"Paragraph 12"}, 1},
        {"Paragraph 12 and 3", {"Paragraph 12"}, 0.5},
        {"12 12 7", {"Paragraph 12"}, 2.0 / 3},
        {"Paragraph 1", {"Paragraph 12"}, 0},
        {"112", {"Paragraph 12"}, 0},
        {"012", {"Paragraph 12"}, 0}, /* compared as written */
        {"twelve", {"Paragraph 12"}, 0},
        {"", {"Paragraph 12"}, 0},
        {"１２", {"Paragraph 12"}, 0}, /* full-width digits are digits, but others */
        {"12 １２", {"Paragraph 12"}, 0.5},
        {"3", {"see Paragraph 3, Paragraph 4"}, 1}, /* the first in the gold answer */
        {"4", {"Paragraph x, Paragraph 4"}, 1},     /* that has a number */
        {"1,2", {"Paragraph 1", "Paragraph 2"}, 0.5},
    };
    MF_TABLE("retrieval", NULL, cases);
    mf_refuse("retrieval", "12", "12", "paragraph");
    mf_refuse("retrieval", "12", "paragraph 12", "paragraph");
}

static void test_retrieval_zh(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"段落3", {"段落3"}, 1}, {"段落 3", {"段落3"}, 1}, {"第3段，段落4", {"段落3"}, 0.5},
        {"三", {"段落3"}, 0},    {"", {"段落3"}, 0},       {"答案是段落13", {"段落3"}, 0},
    };
    MF_TABLE("retrieval_zh", NULL, cases);
    mf_refuse("retrieval_zh", "3", "Paragraph 3", "paragraph");
}

static void test_count(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"7", {"7"}, 1},        {"There are 7 paragraphs.", {"7"}, 1},
        {"7 or 8", {"7"}, 0.5}, {"7.0", {"7"}, 0.5}, /* two runs of digits */
        {"-7", {"7"}, 1},                            /* a sign is none */
        {"07", {"7"}, 0},       {"seven", {"7"}, 0},
        {"", {"7"}, 0},         {"2 3 2 2", {"2"}, 0.75},
    };
    MF_TABLE("count", NULL, cases);
}

static void test_first_number(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The pass key is 71432. 5", {"71432"}, 1},
        {"5 and 71432", {"71432"}, 0},
        {"071432", {"71432"}, 0},
        {"714 32", {"71432"}, 0},
        {"７ 71432", {"71432"}, 1}, /* ASCII digits alone are digits here */
        {"none", {"71432"}, 0},
        {"", {"71432"}, 0},
    };
    MF_TABLE("first_number", NULL, cases);
}

/* The last word, as int() reads it. */
static void test_last_number(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"The result is 12.", {"12"}, 1},
        {"12 is it", {"12"}, 0},
        {"12)", {"12"}, 0},
        {"`-7`", {"-7"}, 1},
        {"- 7", {"-7"}, 0},
        {"+12", {"12"}, 1},
        {"0012", {"12"}, 1},
        {"-0", {"0"}, 1},
        {"1_2", {"12"}, 1}, /* as in Python's source */
        {"1__2", {"12"}, 0},
        {"_12", {"12"}, 0},
        {"3.12", {"12"}, 1}, /* a dot is a space */
        {"1,200", {"1200"}, 0},
        {"\u0661\u0662", {"12"}, 1},                           /* Arabic digits */
        {"98765432109876543210", {"98765432109876543210"}, 1}, /* beyond 64 bits */
        {"", {"12"}, 0},
        {" . ", {"12"}, 0},
    };
    MF_TABLE("last_number", NULL, cases);
    mf_refuse("last_number", "12", "twelve", "whole number");
}

static void test_math_find(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"It is 3.50", {"3.5"}, 1}, {"03.5", {"3.5"}, 1}, {"3", {"3.5"}, 0},
        {"3.5.1", {"3.5"}, 1},      {"3.", {"3"}, 1}, /* a dot without digits behind it is no
                                                         decimal point */
        {"7.0", {"7"}, 0}, /* a whole gold number wants a whole one; the script dies */
        {"07", {"7"}, 1},           {"7", {"7.0"}, 1}, /* a decimal one takes both */
        {"-3.5", {"3.5"}, 1},                          /* no sign is seen */
        {"-3.5", {"-3.5"}, 0},                         /* so a negative gold number is never met */
        {"8 7", {"7"}, 0},                             /* the first number */
        {"0.0", {"0.00"}, 1},       {"seven", {"7"}, 0},  {"", {"7"}, 0},
    };
    MF_TABLE("math_find", NULL, cases);
    mf_refuse("math_find", "7", "seven", "no number");
    mf_refuse("math_find", "7", "7.", "no number");
}

/* How many agree from the front on / all of gold's. */
static void test_math_calc(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"1 2 3", {"1", "2", "3"}, 1},
        {"[1, 2, 4]", {"1", "2", "3"}, 2.0 / 3},
        {"2 2 3", {"1", "2", "3"}, 0}, /* what follows a wrong one is not looked at */
        {"1", {"1", "2", "3"}, 1.0 / 3},
        {"01 2", {"1", "2", "3"}, 2.0 / 3},
        {"1 2 3 9", {"1", "2", "3"}, 1},
        {"1.2.3", {"1", "2", "3"}, 1},
        {"5", {"-5"}, 0},
        {"", {"1", "2", "3"}, 0},
    };
    MF_TABLE("math_calc", NULL, cases);
    mf_refuse("math_calc", "1", "one", "whole number");
}

/* Pairs in the right order / all pairs. */
static void test_order(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"[1] > [0] > [2]", {"[1] > [0] > [2]"}, 1},
        {"1 0 2", {"[1] > [0] > [2]"}, 1},
        {"[2] > [1] > [3]", {"[1] > [0] > [2]"}, 1},       /* counted from 1 on */
        {"[0] > [1] > [2]", {"[1] > [0] > [2]"}, 2.0 / 3}, /* 1 before 0 is wrong */
        {"[2] > [0] > [1]", {"[1] > [0] > [2]"}, 0},       /* turned round */
        {"[1] > [0]", {"[1] > [0] > [2]"}, 0},             /* another number of them */
        {"[1] > [0] > [2] > [3]", {"[1] > [0] > [2]"}, 0},
        {"[1] > [0] > [99999999999]", {"[1] > [0] > [2]"}, 1.0 / 3}, /* 1 before 0 */
        {"[1] > [0] > [2]\n[7]", {"[1] > [0] > [2]"}, 1},            /* the first line alone */
        {"\n [1] > [0] > [2]", {"[1] > [0] > [2]"}, 1},
        {"none", {"[1] > [0] > [2]"}, 0},
        {"", {"[1] > [0] > [2]"}, 0},
    };
    MF_TABLE("order", NULL, cases);
    mf_refuse("order", "1 0", "[1]", "order");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retrieval),   cmocka_unit_test(test_retrieval_zh),
        cmocka_unit_test(test_count),       cmocka_unit_test(test_first_number),
        cmocka_unit_test(test_last_number), cmocka_unit_test(test_math_find),
        cmocka_unit_test(test_math_calc),   cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
