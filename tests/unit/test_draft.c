/* test_draft.c: text that grows, and what is left of it when memory ends. */
#include "eval/draft.h"

#include "eval_fixture.h"

static void test_grows(void **state)
{
    (void)state;
    mn__draft d = {0};
    size_t before = ef_held();
    assert_string_equal(mn__draft_text(&d), "");
    mn__draft_str(&d, "");
    assert_string_equal(d.text, "");
    for (int i = 0; i < 1000; i++) mn__draft_fmt(&d, "%d,", i);
    assert_int_equal(d.n, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(d.text, "0,1,2,3", 7);
    assert_string_equal(d.text + d.n - 8, "998,999,");
    mn__draft_put(&d, "\0x", 2);
    assert_int_equal(d.text[d.n - 2], 0);
    assert_int_equal(d.text[d.n], 0);
    mn__draft_clear(&d);
    assert_string_equal(mn__draft_text(&d), "");
    mn__draft_free(&d);
    assert_int_equal(ef_held(), before);
}

static void test_no_memory(void **state)
{
    (void)state;
    mn__draft d = {0};
    mn__draft_str(&d, "kept");
    mn_mem_set_limit(1);
    for (int i = 0; i < 100; i++) mn__draft_str(&d, "lost when the room is full");
    assert_true(d.failed);
    assert_memory_equal(d.text, "kept", 4);
    size_t n = d.n;
    mn_mem_set_limit(0);
    mn__draft_str(&d, "x"); /* stays failed: a hole in the text must not go unseen */
    assert_true(d.failed && d.n == n);
    mn__draft_clear(&d);
    assert_false(d.failed);
    mn__draft_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grows),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
