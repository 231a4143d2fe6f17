/* test_prompt.c: templates, the place where the question begins, and the cut in the middle by hand,
 * with a token for each byte. */
#include "eval/prompt.h"

#include "eval_fixture.h"

static mn__prompt fill(const char *prompt, const mn__row *row)
{
    mn__prompt p;
    mn_diag diag = {""};
    const mn__task task = {.name = "t", .prompt = prompt};
    if (mn__prompt_fill(&p, &task, row, &diag) != MN_OK) fail_msg("%s", diag.text);
    return p;
}

static void expect_fill(const char *prompt, const mn__row *row, const char *context,
                        const char *question)
{
    mn__prompt p = fill(prompt, row);
    assert_int_equal(p.split, strlen(context));
    assert_int_equal(p.n_byte, strlen(context) + strlen(question));
    assert_memory_equal(p.text, context, strlen(context));
    assert_string_equal(p.text + p.split, question);
    mn__prompt_free(&p);
}

static void test_fill(void **state)
{
    (void)state;
    static const char *const classes[] = {"one", "two", "three", "four"};
    mn__row row = {.context = "long {input}", .input = "why {context}?"}; /* data, not templates */
    expect_fill("Read:\n{context}\n\nQ: {input}\nA:", &row, "Read:\nlong {input}",
                "\n\nQ: why {context}?\nA:");
    expect_fill("{context}{input}", &row, "long {input}", "why {context}?");
    expect_fill("{input}: {context}", &row, "why {context}?: long {input}", "");
    expect_fill("{", &row, "", "{");
    expect_fill("{x}{{context}}{inpu}", &row, "{x}{long {input}", "}{inpu}");
    expect_fill("Q: {input}", &row, "", "Q: why {context}?");
    row.classes = classes;
    row.n_class = 4;
    expect_fill("{context} A {A} D {D}{E}", &row, "long {input}", " A one D four{E}");
    mn__row empty = {.context = "", .input = ""};
    expect_fill("{context}|{input}", &empty, "", "|");
}

static void test_option_missing(void **state)
{
    (void)state;
    static const char *const classes[] = {"one", "two"};
    const mn__task task = {.name = "t", .prompt = "{context}{C}"};
    mn__row row = {.context = "c", .input = "", .id = "r9", .classes = classes, .n_class = 2};
    mn__prompt p;
    mn_diag diag = {""};
    size_t before = ef_held();
    assert_int_equal(mn__prompt_fill(&p, &task, &row, &diag), MN_EINPUT);
    assert_string_equal(diag.text, "task t, row `r9`: the prompt asks for option C, the row has 2 "
                                   "options in `all_classes`");
    assert_int_equal(ef_held(), before);
}

/* `text` with the question behind `split`, cut to n tokens. */
static mn__prompt cut(const char *text, size_t split, size_t n)
{
    mn_diag diag = {""};
    char context[200], input[200];
    snprintf(context, sizeof context, "%.*s", (int)split, text);
    snprintf(input, sizeof input, "%s", text + split);
    const mn__row row = {.context = context, .input = input};
    mn__prompt p = fill("{context}{input}", &row);
    if (mn__prompt_cut(&p, &ef_bytes, n, &diag) != MN_OK) fail_msg("%s", diag.text);
    return p;
}

static void expect_cut(const char *text, size_t split, size_t n, const char *want, size_t at)
{
    mn__prompt p = cut(text, split, n);
    assert_string_equal(p.text, want);
    assert_int_equal(p.n_byte, strlen(want));
    assert_int_equal(p.n_token, strlen(want));
    assert_int_equal(p.split, at);
    mn__prompt_free(&p);
}

static void test_cut(void **state)
{
    (void)state;
    expect_cut("0123456789", 7, 10, "0123456789", 7);
    expect_cut("0123456789", 7, 11, "0123456789", 7);
    expect_cut("0123456789", 7, 8, "01236789", 5); /* question 789 behind 0123 6 */
    expect_cut("0123456789", 7, 9, "01236789", 5); /* odd: two halves of 4 */
    expect_cut("0123456789", 7, 6, "012789", 3);   /* the question is the last half */
    expect_cut("0123456789", 7, 4, "0189", 2);     /* it loses its beginning: the seam */
    expect_cut("0123456789", 10, 4, "0189", 4);    /* no question */
    expect_cut("0123456789", 0, 4, "0189", 2);     /* no context */
    expect_cut("0123456789", 7, 2, "09", 1);
    mn__prompt p = cut("0123456789", 7, 4);
    assert_int_equal(p.n_cut, 6);
    mn__prompt_free(&p);
}

/* é is two bytes: each half of a broken one becomes U+FFFD, and the text is counted anew. */
static void test_cut_in_character(void **state)
{
    (void)state;
    expect_cut("aé23456789", 8, 4, "a\uFFFD89", 4);
    expect_cut("0123é6", 5, 4, "01\uFFFD6", 2);
    expect_cut("0é234é", 8, 4, "0\uFFFDé", 6);
    mn__prompt p = cut("0é234é", 5, 4); /* the question 4é does not fit */
    assert_int_equal(p.split, 4);
    assert_int_equal(p.n_token, 6); /* two more than asked for */
    mn__prompt_free(&p);
}

/* A tokenizer that puts a blank in front of every text, as a token for each byte. */
static mn_status encode_blank(void *ctx, const char *text, size_t n_byte, mn_token_buf *out,
                              mn_diag *diag)
{
    (void)ctx;
    (void)diag;
    out->n = n_byte + 1;
    for (size_t i = 0; out->data && out->n <= out->cap && i <= n_byte; i++)
        out->data[i] = i ? (uint8_t)text[i - 1] : ' ';
    return MN_OK;
}

/* It goes again: from the beginning, and a blank of the last half's own with it, as in LongBench.
 */
static void test_cut_blank(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {{"12345 789", "123789"}, {"1234567 9", "12367 9"}, {" 2345 789", " 23789"}};
    const mn__tokens t = {.encode = encode_blank, .decode = ef_decode_bytes};
    for (size_t i = 0; i < 3; i++) {
        const mn__row row = {.context = cases[i].text, .input = ""};
        mn_diag diag = {""};
        mn__prompt p = fill("{context}", &row);
        assert_int_equal(mn__prompt_cut(&p, &t, 8, &diag), MN_OK);
        assert_string_equal(p.text, cases[i].want);
        assert_int_equal(p.n_byte, strlen(cases[i].want));
        assert_int_equal(p.n_token, p.n_byte + 1);
        mn__prompt_free(&p);
    }
}

static void test_cut_refused(void **state)
{
    (void)state;
    const mn__row row = {.context = "abc", .input = "d"};
    mn_diag diag = {""};
    mn__prompt p = fill("{context}{input}", &row);
    assert_int_equal(mn__prompt_cut(&p, &ef_bytes, 1, &diag), MN_ERANGE);
    assert_string_equal(p.text, "abcd");
    size_t before = ef_held();
    mn_mem_set_limit(1);
    assert_int_equal(mn__prompt_cut(&p, &ef_bytes, 2, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_string_equal(p.text, "abcd");
    assert_int_equal(ef_held(), before);
    mn__prompt_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),      cmocka_unit_test(test_option_missing),
        cmocka_unit_test(test_cut),       cmocka_unit_test(test_cut_in_character),
        cmocka_unit_test(test_cut_blank), cmocka_unit_test(test_cut_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
