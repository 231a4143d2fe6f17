/* test_unicode.c: characters as Python's str sees them: some by hand, and sums over all code points
 * that Python 3.11 (Unicode 14) gives. */
#include "text/unicode.h"

#include "eval_fixture.h"

static void expect_read(const char *bytes, size_t n, const uint32_t *want, size_t n_want)
{
    uint32_t out[16];
    assert_int_equal(mn__unicode_read(bytes, n, out), n_want);
    assert_memory_equal(out, want, n_want * sizeof *want);
}

#define READ(bytes, ...)                                                  \
    expect_read(bytes, sizeof bytes - 1, (const uint32_t[]){__VA_ARGS__}, \
                sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void test_read(void **state)
{
    (void)state;
    READ("a\xc3\xa9\xe5\xad\x97\xf0\x9f\xa6\x99", 'a', 0xe9, 0x5b57, 0x1f999);
    READ("a\0b", 'a', 0, 'b');
    READ("\xff"
         "a",
         0xfffd, 'a');
    READ("\xe5\xad", 0xfffd); /* a beginning: one */
    READ("\xe5\xad"
         "a",
         0xfffd, 'a');
    READ("\xc0\x80", 0xfffd, 0xfffd);                         /* no character begins so */
    READ("\xed\xa0\x80", 0xfffd, 0xfffd, 0xfffd);             /* half of a pair */
    READ("\xf4\x90\x80\x80", 0xfffd, 0xfffd, 0xfffd, 0xfffd); /* beyond U+10FFFF */
    expect_read("", 0, NULL, 0);
}

static void test_write(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        char bytes[4];
        uint32_t back;
        if (c >= 0xd800 && c < 0xe000) continue;
        size_t n = mn__unicode_write(c, bytes);
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(mn__unicode_read(bytes, n, &back), 1);
        assert_int_equal(back, c);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    static const uint32_t words[] = {'a', 'Z', '_', '5', 0xe9, 0x5b57, 0x663, 0xb2, 0x2167, 0x3007},
                          none[] = {'-', ' ', 0x3002, 0x301, 0, 0x10ffff, 0x110000},
                          spaces[] = {' ', '\t', '\n', 0x1c, 0x85, 0xa0, 0x2028, 0x3000},
                          solid[] = {'a', 0x200b, 0xfeff, 0, 0x180e};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_true(mn__unicode_is_word(words[i]));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(mn__unicode_is_word(none[i]));
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        assert_true(mn__unicode_is_space(spaces[i]));
    for (size_t i = 0; i < sizeof solid / sizeof *solid; i++)
        assert_false(mn__unicode_is_space(solid[i]));
    assert_int_equal(mn__unicode_digit('7'), 7);
    assert_int_equal(mn__unicode_digit(0x663), 3);  /* Arabic */
    assert_int_equal(mn__unicode_digit(0xff15), 5); /* full-width */
    assert_int_equal(mn__unicode_digit(0xb2), -1);  /* superscript: a number, but no digit */
    assert_int_equal(mn__unicode_digit('a'), -1);
    assert_true(mn__unicode_is_digit('0') && !mn__unicode_is_digit(0x2167));
}

static void test_lower(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {
        {'A', 'a'},     {'z', 'z'},         {'[', '['},     {0xc9, 0xe9},   {0xdf, 0xdf},
        {0x1c4, 0x1c6}, {0x3a3, 0x3c3},     {0x1e9e, 0xdf}, {0x212a, 'k'},  {0x13a0, 0xab70},
        {0x130, 'i'},   {0x10400, 0x10428}, {0x100, 0x101}, {0x101, 0x101}, {0x5b57, 0x5b57}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(mn__unicode_lower(cases[i][0]), cases[i][1]);
}

static void test_all(void **state)
{
    (void)state;
    uint64_t n_word = 0, word = 0, n_space = 0, space = 0, n_digit = 0, digit = 0, n_lower = 0,
             lower = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t small = mn__unicode_lower(c);
        if (mn__unicode_is_word(c)) n_word++, word += c;
        if (mn__unicode_is_space(c)) n_space++, space += c;
        if (mn__unicode_is_digit(c)) n_digit++, digit += (uint64_t)mn__unicode_digit(c) * c;
        if (small != c) n_lower++, lower += (uint64_t)small * (c % 9973);
    }
    assert_int_equal(n_word, 133548);
    assert_int_equal(word, 14002814312);
    assert_int_equal(n_space, 29);
    assert_int_equal(space, 141704);
    assert_int_equal(n_digit, 660);
    assert_int_equal(digit, 138635010);
    assert_int_equal(n_lower, 1433);
    assert_int_equal(lower, 186819933958);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_write),
                                       cmocka_unit_test(test_kinds), cmocka_unit_test(test_lower),
                                       cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
