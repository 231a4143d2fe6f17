/* test_archs.c: every architecture and rule of rotation against llama_decode, at the reference
 * kernels and at the best level here that multiplies in F32 (test_archs_slow.c: at all of them).
 * The text is three times the window and longer than two pages of the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch_case.h"
#include "ours.h"

static const arch_length length = {150, 50};

static void test_ref(void **state)
{
    (void)state;
    arch_check_all(length, "ref");
}

static void test_best(void **state)
{
    (void)state;
    arch_check_all(length, ours_has_level("avx512") ? "avx512" : "avx2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref),
        cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
