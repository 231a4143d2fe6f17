/* test_hash.c: the checksum is XXH64, by its published values. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_known_answers(void **state)
{
    (void)state;
    assert_true(mn__hash64("", 0, 0) == 0xef46db3751d8e999u);
    assert_true(mn__hash64("a", 1, 0) == 0xd24ec4f1a98c6e5bu);
    assert_true(mn__hash64("abc", 3, 0) == 0x44bc2cf5ad770999u);
    assert_true(mn__hash64("abc", 3, 1) != mn__hash64("abc", 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
