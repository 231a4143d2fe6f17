/* test_diag.c: sentences, status texts, and suggestions for mistyped names. */
#include "base/diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_fail_writes_the_sentence(void **state)
{
    (void)state;
    mn_diag diag = {"before"};
    assert_int_equal(mn__fail(&diag, MN_EINPUT, "%s: %d wanted", "blk.3", 7), MN_EINPUT);
    assert_string_equal(diag.text, "blk.3: 7 wanted");
    assert_int_equal(mn__fail(NULL, MN_EIO, "nobody listens"), MN_EIO);
}

static void test_fail_cuts_and_cleans(void **state)
{
    (void)state;
    mn_diag diag;
    char longer[2000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    mn__fail(&diag, MN_EFAIL, "%s", longer);
    assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
    mn__fail(&diag, MN_EFAIL, "name '%s'", "a\x1b[31m\nb\x7f");
    assert_string_equal(diag.text, "name 'a?[31m?b?'");
}

static void test_arguments_may_be_the_sentence_itself(void **state)
{
    (void)state;
    mn_diag diag = {"inner"};
    mn__fail(&diag, MN_EFAIL, "outer: %s", diag.text);
    assert_string_equal(diag.text, "outer: inner");
}

static void test_prefix(void **state)
{
    (void)state;
    mn_diag diag = {"wrong"};
    mn__diag_prefix(&diag, "file %s", "a.gguf");
    assert_string_equal(diag.text, "file a.gguf: wrong");
    for (int i = 0; i < 300; i++) mn__diag_prefix(&diag, "deep");
    assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
    mn__diag_prefix(NULL, "nobody");
}

static mn_status leave_early(int *reached)
{
    mn_status st;
    MN_TRY(MN_OK);
    *reached = 1;
    MN_TRY(MN_ERANGE);
    *reached = 2;
done:
    return st;
}

static void test_try_leaves_on_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(leave_early(&reached), MN_ERANGE);
    assert_int_equal(reached, 1);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"full", "streaming", "h2o", "snapkv", "tova", NULL};
    assert_string_equal(mn__nearest("snapvk", names), "snapkv");
    assert_string_equal(mn__nearest("SnapKV", names), "snapkv");
    assert_string_equal(mn__nearest("2ho", names), "h2o"); /* one swap, but two replacements */
    assert_string_equal(mn__nearest("stream", names), "streaming");
    assert_string_equal(mn__nearest("h20", names), "h2o");
    assert_string_equal(mn__nearest("ful", names), "full");
    assert_string_equal(mn__nearest("tova", names), "tova");
    assert_null(mn__nearest("pyramidal", names));
    assert_null(mn__nearest("x", names));
    assert_null(mn__nearest("", names));
    char longer[500];
    memset(longer, 'f', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(mn__nearest(longer, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_writes_the_sentence),
        cmocka_unit_test(test_fail_cuts_and_cleans),
        cmocka_unit_test(test_arguments_may_be_the_sentence_itself),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_try_leaves_on_failure),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
