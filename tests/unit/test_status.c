/* test_status.c: every status has a text of its own and an exit code of the command line's
 * table. */
#include "mneme/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_texts_differ(void **state)
{
    (void)state;
    for (int i = 0; i < MN_STATUS_COUNT; i++) {
        assert_true(strlen(mn_status_text((mn_status)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(mn_status_text((mn_status)i), mn_status_text((mn_status)j));
    }
    assert_string_equal(mn_status_text((mn_status)-1), "unknown status");
    assert_string_equal(mn_status_text((mn_status)999), "unknown status");
}

static void test_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(mn_status_exit_code(MN_OK), 0);
    assert_int_equal(mn_status_exit_code(MN_EFAIL), 1);
    assert_int_equal(mn_status_exit_code(MN_EUSAGE), 2);
    assert_int_equal(mn_status_exit_code(MN_EINPUT), 3);
    assert_int_equal(mn_status_exit_code(MN_ENOMEM), 4);
    assert_int_equal(mn_status_exit_code(MN_EBUDGET), 4);
    assert_int_equal(mn_status_exit_code(MN_EREQUIRE), 5);
    assert_int_equal(mn_status_exit_code(MN_ECANCEL), 130);
    assert_int_equal(mn_status_exit_code((mn_status)999), 1);
}

static void test_version_has_three_numbers(void **state)
{
    (void)state;
    int major, minor, patch, used = 0;
    assert_int_equal(sscanf(mn_version(), "%d.%d.%d%n", &major, &minor, &patch, &used), 3);
    assert_int_equal(used, (int)strlen(mn_version()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_differ),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_version_has_three_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
