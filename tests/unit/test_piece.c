/* test_piece.c: texts as code points and pieces of them, most against what Python's str does. */
#include "eval/piece.h"

#include "eval_fixture.h"

static mn__scratch scratch;

static mn__piece piece_of(const char *utf8)
{
    mn__piece p;
    assert_int_equal(mn__piece_read(&scratch, utf8, strlen(utf8), &p), MN_OK);
    return p;
}

static void expect(mn__piece p, const char *want)
{
    mn__piece w = piece_of(want);
    assert_true(mn__piece_equal(p, w));
}

/* want: the pieces with bars between. */
static void expect_all(const mn__pieces *parts, const char *want)
{
    for (size_t i = 0; i < parts->n; i++) {
        char text[16];
        size_t n = strcspn(want, "|");
        snprintf(text, sizeof text, "%.*s", (int)n, want);
        expect(parts->p[i], text);
        want += n;
        assert_int_equal(*want == '|', i + 1 < parts->n);
        want += *want == '|';
    }
    assert_int_equal(*want, 0);
}

static int clean(void **state)
{
    (void)state;
    mn__scratch_free(&scratch);
    return ef_held() == 0 ? 0 : 1;
}

static void test_scratch(void **state)
{
    (void)state;
    uint8_t *last = NULL;
    for (size_t i = 1; i < 2000; i++) {
        uint8_t *p = mn__scratch_take(&scratch, i, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)i, 3 * i);
        if (last) assert_int_equal(last[3 * (i - 1) - 1], (uint8_t)(i - 1)); /* not written over */
        last = p;
    }
    assert_non_null(mn__scratch_take(&scratch, 1 << 20, 1)); /* larger than a block */
    assert_null(mn__scratch_take(&scratch, SIZE_MAX, 2));
    assert_null(mn__scratch_take(&scratch, SIZE_MAX - 8, 1));
    mn_mem_set_limit(1);
    assert_null(mn__scratch_take(&scratch, 1 << 20, 1));
    mn_mem_set_limit(0);
    mn__scratch_free(&scratch);
    mn__scratch_free(&scratch); /* once more is fine */
}

static void test_compare(void **state)
{
    (void)state;
    mn__piece p = piece_of("héllo wörld"), none = piece_of("");
    assert_int_equal(p.n, 11);
    assert_true(mn__piece_is(piece_of("abc"), "abc") && !mn__piece_is(piece_of("abc"), "ab"));
    assert_true(mn__piece_is(none, "") && !mn__piece_is(none, "a") && !mn__piece_is(p, ""));
    assert_true(mn__piece_starts(p, "h") && mn__piece_starts(p, "") && !mn__piece_starts(p, "x"));
    assert_false(mn__piece_starts(piece_of("ab"), "abc"));
    assert_true(mn__piece_equal(none, none) && !mn__piece_equal(p, none));
    expect(mn__piece_from(p, 6), "wörld");
    expect(mn__piece_from(p, 99), "");
    expect(mn__piece_part(p, 1, 3), "él");
    expect(mn__piece_part(p, 3, 1), "");
    expect(mn__piece_part(p, 9, 99), "ld");
}

static void test_lines(void **state)
{
    (void)state;
    expect(mn__piece_strip(piece_of(" \t\n a b\u3000 ")), "a b");
    expect(mn__piece_strip(piece_of(" \n")), "");
    expect(mn__piece_first_line(piece_of("\n\n a\nb")), " a");
    expect(mn__piece_first_line(piece_of("a")), "a");
    expect(mn__piece_first_line(piece_of("\n\n")), "");
}

static void test_find(void **state)
{
    (void)state;
    size_t at;
    assert_int_equal(mn__piece_find_ascii(piece_of("says the end"), "the"), 5);
    assert_int_equal(mn__piece_find_ascii(piece_of("ab"), ""), 0);
    assert_int_equal(mn__piece_find_ascii(piece_of("ab"), "abc"), MN__NOWHERE);
    assert_int_equal(mn__piece_find_char(piece_of("aéb"), 0xe9), 1);
    assert_int_equal(mn__piece_find_char(piece_of("aéb"), 'x'), MN__NOWHERE);
    uint32_t x = 1;
    for (size_t round = 0; round < 3000; round++) { /* few letters: borders of all kinds */
        char text[24] = "", what[8] = "";
        for (size_t i = 0; i < round % 23; i++)
            text[i] = (char)('a' + ((x = x * 1664525 + 1013904223) >> 30) % 2);
        for (size_t i = 0; i < round % 7; i++)
            what[i] = (char)('a' + ((x = x * 1664525 + 1013904223) >> 30) % 2);
        const char *want = strstr(text, what);
        assert_int_equal(mn__piece_find(&scratch, piece_of(text), piece_of(what), &at), MN_OK);
        assert_int_equal(at, want ? (size_t)(want - text) : MN__NOWHERE);
    }
}

static bool is_vowel(uint32_t c)
{
    return c < 0x80 && c && strchr("aeiou", (int)c);
}

static void test_change(void **state)
{
    (void)state;
    mn__piece p;
    assert_int_equal(mn__piece_lower(&scratch, piece_of("ÀB Σc"), &p), MN_OK);
    expect(p, "àb σc");
    assert_int_equal(mn__piece_without(&scratch, piece_of("a band"), is_vowel, 0, &p), MN_OK);
    expect(p, " bnd");
    assert_int_equal(mn__piece_without(&scratch, piece_of("a band"), is_vowel, '*', &p), MN_OK);
    expect(p, "* b*nd");
}

static void test_parts(void **state)
{
    (void)state;
    mn__pieces parts;
    mn__piece p;
    assert_int_equal(mn__piece_words(&scratch, piece_of("  one\ttwo\u3000é \n"), &parts), MN_OK);
    expect_all(&parts, "one|two|é");
    assert_int_equal(mn__piece_join(&scratch, &parts, &p), MN_OK);
    expect(p, "one two é");
    assert_int_equal(mn__piece_words(&scratch, piece_of(" "), &parts), MN_OK);
    assert_int_equal(parts.n, 0);
    assert_int_equal(mn__piece_join(&scratch, &parts, &p), MN_OK);
    assert_int_equal(p.n, 0);
    assert_int_equal(mn__piece_split(&scratch, piece_of(",a,,b,"), ',', &parts), MN_OK);
    expect_all(&parts, "|a||b|");
    assert_int_equal(mn__piece_split(&scratch, piece_of(""), ',', &parts), MN_OK);
    expect_all(&parts, "");
    assert_int_equal(mn__piece_chars(&scratch, piece_of("aé字"), &parts), MN_OK);
    expect_all(&parts, "a|é|字");
    assert_int_equal(mn__piece_runs(&scratch, piece_of("aebioc"), is_vowel, &parts), MN_OK);
    expect_all(&parts, "ae|io");
}

static void test_ids(void **state)
{
    (void)state;
    static const uint32_t want_a[] = {0, 1, 0, 2}, want_b[] = {2, 3, 0};
    mn__pieces a, b;
    mn__ids ids_a, ids_b;
    size_t n;
    assert_int_equal(mn__piece_words(&scratch, piece_of("x y x z"), &a), MN_OK);
    assert_int_equal(mn__piece_words(&scratch, piece_of("z w x"), &b), MN_OK);
    assert_int_equal(mn__ids_of(&scratch, &a, &b, &ids_a, &ids_b, &n), MN_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(ids_a.id, want_a, sizeof want_a);
    assert_memory_equal(ids_b.id, want_b, sizeof want_b);
    char text[4000] = "";
    for (size_t i = 0, at = 0; i < 500; i++) /* 100 different ones in a full table */
        at += (size_t)snprintf(text + at, sizeof text - at, "w%zu ", i * 37 % 100);
    assert_int_equal(mn__piece_words(&scratch, piece_of(text), &a), MN_OK);
    assert_int_equal(mn__ids_of(&scratch, &a, &b, &ids_a, &ids_b, &n), MN_OK);
    assert_int_equal(n, 103);
    for (size_t i = 100; i < 500; i++) assert_int_equal(ids_a.id[i], ids_a.id[i - 100]);
}

static void test_no_memory(void **state)
{
    (void)state;
    mn__pieces parts, none = {0};
    mn__ids ids_a, ids_b;
    mn__piece p, long_text = {.n = 1 << 20};
    size_t n;
    long_text.c = mn__scratch_take(&scratch, long_text.n, sizeof *long_text.c);
    memset((void *)long_text.c, 0, long_text.n * sizeof *long_text.c);
    assert_int_equal(mn__piece_chars(&scratch, long_text, &parts), MN_OK);
    mn_mem_set_limit(1);
    assert_int_equal(mn__piece_lower(&scratch, long_text, &p), MN_ENOMEM);
    assert_int_equal(mn__piece_without(&scratch, long_text, is_vowel, 0, &p), MN_ENOMEM);
    assert_int_equal(mn__piece_split(&scratch, long_text, 0, &parts), MN_ENOMEM);
    assert_int_equal(mn__piece_chars(&scratch, long_text, &parts), MN_ENOMEM);
    assert_int_equal(mn__piece_find(&scratch, long_text, long_text, &n), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__piece_chars(&scratch, long_text, &parts), MN_OK);
    mn_mem_set_limit(1);
    assert_int_equal(mn__piece_join(&scratch, &parts, &p), MN_ENOMEM);
    assert_int_equal(mn__ids_of(&scratch, &parts, &none, &ids_a, &ids_b, &n), MN_ENOMEM);
    mn_mem_set_limit(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_scratch, clean),
        cmocka_unit_test_teardown(test_compare, clean),
        cmocka_unit_test_teardown(test_lines, clean),
        cmocka_unit_test_teardown(test_find, clean),
        cmocka_unit_test_teardown(test_change, clean),
        cmocka_unit_test_teardown(test_parts, clean),
        cmocka_unit_test_teardown(test_ids, clean),
        cmocka_unit_test_teardown(test_no_memory, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
