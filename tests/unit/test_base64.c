/* test_base64.c: the groups of RFC 4648, and numbers of several bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/base64.h"

static void hold(const char *bytes, size_t n, const uint64_t *number, const char *want)
{
    char out[64] = "";
    FILE *f = fmemopen(out, sizeof out, "w");
    mn__base64 b = {.to = f};
    assert_non_null(f);
    mn__base64_put(&b, bytes, n);
    if (number) mn__base64_put_varint(&b, *number);
    mn__base64_flush(&b);
    fclose(f);
    assert_string_equal(out, want);
}

static void test_groups(void **state)
{
    (void)state;
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t n = 0; n < 7; n++) hold("foobar", n, NULL, want[n]);
    hold("\xff\xfe\xfb", 3, NULL, "//77");
}

static void test_varints(void **state)
{
    (void)state;
    const uint64_t small = 127, two = 300, most = UINT64_MAX;
    hold("", 0, &small, "fw==");
    hold("", 0, &two, "rAI="); /* AC 02 */
    hold("Man", 3, &two, "TWFurAI=");
    hold("", 0, &most, "////////////AQ==");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_varints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
