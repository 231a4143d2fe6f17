/* test_cpu.c: levels by name, and detection against what the kernel says of the same processor. */
#include "base/cpu.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_names_round_trip(void **state)
{
    (void)state;
    mn_diag diag;
    for (int i = 0; i <= (int)mn__cpu_best(); i++) {
        mn__cpu_level level = MN__CPU_COUNT;
        const char *name = mn__cpu_level_name((mn__cpu_level)i);
        assert_int_equal(mn__cpu_level_parse(name, &level, &diag), MN_OK);
        assert_int_equal(level, i);
    }
    mn__cpu_level level = MN__CPU_COUNT;
    assert_int_equal(mn__cpu_level_parse("auto", &level, &diag), MN_OK);
    assert_int_equal(level, mn__cpu_best());
    assert_string_equal(mn__cpu_level_name(MN__CPU_AVX512BF16), "avx512bf16");
    assert_string_equal(mn__cpu_level_name(MN__CPU_COUNT), "unknown");
}

static void test_bad_levels(void **state)
{
    (void)state;
    mn_diag diag;
    mn__cpu_level level = MN__CPU_COUNT;
    assert_int_equal(mn__cpu_level_parse("avx152", &level, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "did you mean 'avx512'"));
    assert_int_equal(mn__cpu_level_parse("mmxmmxmmx", &level, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "auto ref avx2 avx512 avx512bf16 amx"));
    assert_int_equal(level, MN__CPU_COUNT);
    if (mn__cpu_best() + 1 < MN__CPU_COUNT) {
        const char *above = mn__cpu_level_name(mn__cpu_best() + 1);
        assert_int_equal(mn__cpu_level_parse(above, &level, &diag), MN_EUSAGE);
        assert_non_null(strstr(diag.text, mn__cpu_level_name(mn__cpu_best())));
    }
}

/* The kernel lists what the processor has and the system saves; AMX also needs this process's
 * grant. */
static void test_agrees_with_the_kernel(void **state)
{
    (void)state;
#ifdef MN_REF_ONLY
    skip(); /* the level is the build's */
#endif
    static char flags[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) skip();
    while (fgets(flags, sizeof flags, file) && strncmp(flags, "flags", 5) != 0) {
    }
    fclose(file);
    if (strncmp(flags, "flags", 5) != 0) skip();
    mn__cpu_level best = mn__cpu_best();
    assert_int_equal(best >= MN__CPU_AVX2, strstr(flags, " avx2 ") && strstr(flags, " fma "));
    const bool has_512 = strstr(flags, " avx512vl ") && strstr(flags, " avx512bw ");
    assert_int_equal(best >= MN__CPU_AVX512, has_512);
    assert_int_equal(best >= MN__CPU_AVX512BF16, strstr(flags, " avx512_bf16 ") != NULL);
    assert_int_equal(mn__cpu_has_vnni(), strstr(flags, " avx512_vnni ") != NULL);
    if (best == MN__CPU_AMX) assert_non_null(strstr(flags, " amx_bf16 "));
}

static void test_figures(void **state)
{
    (void)state;
    cpu_set_t one, all;
    assert_true(strlen(mn__cpu_model()) > 0);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(mn__cpu_count(), CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(mn__cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_round_trip),
        cmocka_unit_test(test_bad_levels),
        cmocka_unit_test(test_agrees_with_the_kernel),
        cmocka_unit_test(test_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
