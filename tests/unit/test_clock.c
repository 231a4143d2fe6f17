/* test_clock.c: time passes, in seconds, and never backwards. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void test_monotonic_seconds(void **state)
{
    (void)state;
    double before = mn__clock_s();
    for (int i = 0; i < 1000; i++) {
        double now = mn__clock_s();
        assert_true(now >= before);
        before = now;
    }
    const struct timespec nap = {.tv_nsec = 20 * 1000 * 1000};
    double begin = mn__clock_s();
    nanosleep(&nap, NULL);
    double slept = mn__clock_s() - begin;
    assert_true(slept >= 0.0199 && slept < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_monotonic_seconds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
