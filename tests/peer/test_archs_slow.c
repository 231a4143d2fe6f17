/* test_archs_slow.c: every architecture and rule of rotation against llama_decode, at each kernel
 * level that multiplies in F32. The text is three times the window, and longer than a chunk of
 * 512. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch_case.h"

static const arch_length length = {600, 200};

static void test_ref(void **state)
{
    (void)state;
    arch_check_all(length, "ref");
}

static void test_avx2(void **state)
{
    (void)state;
    arch_check_all(length, "avx2");
}

static void test_avx512(void **state)
{
    (void)state;
    arch_check_all(length, "avx512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref),
        cmocka_unit_test(test_avx2),
        cmocka_unit_test(test_avx512),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
