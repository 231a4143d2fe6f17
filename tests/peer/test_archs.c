/* test_archs.c: every architecture and rule of rotation against llama_decode, at the reference
 * kernels and at the best level here that multiplies in F32 (test_archs_slow.c: at all of them).
 * The text is three times the window and longer than two pages of the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch_case.h"
#include "ours.h"

static const arch_length length = {150, 50};

static void test_levels(void **state)
{
    (void)state;
    const char *best = ours_has_level("avx512") ? "avx512"
                       : ours_has_level("avx2") ? "avx2"
                                                : "ref";
    const char *const levels[] = {best, "ref"};
    size_t n_level = strcmp(best, "ref") == 0 ? 1 : 2;
#ifdef MN_TEST_SANITIZED
    n_level = 1; /* the plain kernels are the same for every architecture */
#endif
    arch_check_all(length, levels, n_level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
