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

static void test_levels(void **state)
{
    (void)state;
    static const char *const levels[] = {"ref", "avx2", "avx512"};
    arch_check_all(length, levels, sizeof levels / sizeof *levels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
