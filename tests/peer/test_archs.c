/* test_archs.c: every architecture and rule of rotation against llama_decode, at the kernel levels
 * that multiply in F32. The text is three times the window, and longer than a chunk of 512. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "arch_case.h"
#include "ours.h"

static void check_level(const char *cpu)
{
    const arch_length length = {600, 200};
    double worst = 0;
    if (!ours_has_level(cpu)) skip();
    for (size_t i = 0; i < arch_n_case; i++) {
        double d = arch_check(&arch_cases[i], length, cpu);
        worst = d > worst ? d : worst;
    }
    printf("all architectures, %s: logits differ by %.1e at most\n", cpu, worst);
    assert_true(worst <= 1e-3);
}

static void test_ref(void **state)
{
    (void)state;
    check_level("ref");
}

static void test_avx2(void **state)
{
    (void)state;
    check_level("avx2");
}

static void test_avx512(void **state)
{
    (void)state;
    check_level("avx512");
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
