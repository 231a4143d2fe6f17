/* test_corpus.c: sentences of a text. */
#include "eval/corpus.h"

#include "eval_fixture.h"

static mn__corpus read_text(const char *text)
{
    mn__corpus c;
    mn_diag diag = {""};
    if (mn__corpus_read(&c, ef_write_text("corpus.txt", text), &diag) != MN_OK)
        fail_msg("%s", diag.text);
    return c;
}

static void expect_sentences(const char *text, const char *const *want)
{
    mn__corpus c = read_text(text);
    mn__draft said = {0};
    size_t n = 0;
    for (; want[n]; n++) {
        assert_true(n < c.n_sentence);
        mn__draft_clear(&said);
        mn__corpus_say(&c, n, &said);
        assert_string_equal(mn__draft_text(&said), want[n]);
        assert_true(c.begin[n] < c.begin[n + 1]);
    }
    assert_int_equal(c.n_sentence, n);
    assert_int_equal(c.begin[0], 0);
    assert_int_equal(c.begin[n], c.n_byte);
    mn__draft_clear(&said);
    mn__corpus_say(&c, n + 1, &said); /* from the first on again */
    assert_string_equal(mn__draft_text(&said), want[(n + 1) % n]);
    mn__draft_free(&said);
    mn__corpus_free(&c);
}

static void test_sentences(void **state)
{
    (void)state;
    expect_sentences("One is. Two, 3.14 of them! \"Three?\" he said... Four",
                     (const char *const[]){"One is.", "Two, 3.14 of them!", "\"Three?\"",
                                           "he said...", "Four", NULL});
    expect_sentences(
        "\n  A title\n\nIt (really.) wraps\tround   here.\n\n\nEnd.  \n",
        (const char *const[]){"A title", "It (really.)", "wraps round here.", "End.", NULL});
    expect_sentences("吾輩は猫である。名前はまだ無い。「なに？」と言った",
                     (const char *const[]){"吾輩は猫である。", "名前はまだ無い。", "「なに？」",
                                           "と言った", NULL});
    expect_sentences("word", (const char *const[]){"word", NULL});
}

static void test_documents(void **state)
{
    (void)state;
    expect_sentences("First.\n<|endoftext|>\nSecond has a <|endoftext|> inside.\n<|endoftext|>",
                     (const char *const[]){"First.", "Second has a <|endoftext|> inside.", NULL});
    mn__corpus c = read_text("First.  \nSecond.");
    assert_int_equal(mn__corpus_bytes(&c, 0), 6);
    assert_int_equal(mn__corpus_bytes(&c, 1), 7);
    mn__corpus_free(&c);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } cases[] = {{"", 0, "a text wanted, none found"},
                 {" \n\t", 3, "a text wanted, none found"},
                 {"a\0b", 3, "a NUL byte found"},
                 {"a\xff", 2, "in UTF-8 wanted"}};
    size_t before = ef_held();
    for (size_t i = 0; i < 4; i++) {
        mn__corpus c;
        mn_diag diag = {""};
        const char *path = ef_write("corpus.txt", cases[i].bytes, cases[i].n);
        assert_int_equal(mn__corpus_read(&c, path, &diag), MN_EINPUT);
        assert_non_null(strstr(diag.text, cases[i].words));
        assert_null(c.text);
    }
    assert_int_equal(ef_held(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences),
                                       cmocka_unit_test(test_documents),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
