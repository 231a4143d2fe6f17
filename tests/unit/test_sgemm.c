/* test_sgemm.c: a product is the same whatever signals come while it is computed. oneDNN keeps
 * values where a handler's frame would lie. */
#include "tensor/sgemm.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <cmocka.h>

enum { MOST = 1 << 15, ROUNDS = 2000 };

static volatile sig_atomic_t n_signal;

static void on_alarm(int sig)
{
    (void)sig;
    n_signal = n_signal + 1;
}

static void alarms(long every_us)
{
    const struct itimerval t = {{0, every_us}, {0, every_us}};
    assert_int_equal(setitimer(ITIMER_REAL, &t, NULL), 0);
}

/* Shapes that a small model trains with. */
static const struct shape {
    size_t m, n, k, ld_a, ld_b, ld_c;
    bool turn_a, turn_b, add;
} shapes[] = {
    {32, 32, 32, 192, 192, 256, false, true, false},
    {32, 176, 64, 64, 64, 176, false, true, false},
    {64, 64, 16, 32, 16, 64, false, true, false},
    {32, 512, 64, 64, 64, 512, false, true, false},
    {32, 64, 64, 176, 64, 64, true, false, true},
    {16, 64, 64, 176, 64, 64, true, false, true},
    {32, 32, 32, 256, 64, 192, true, false, true},
    {32, 128, 64, 64, 128, 128, true, false, true},
    {32, 32, 32, 256, 192, 64, false, false, true},
    {32, 64, 192, 192, 64, 64, false, false, false},
    {32, 64, 176, 176, 64, 64, false, false, true},
    {16, 64, 512, 512, 64, 64, false, false, false},
};

static void test_signals(void **state)
{
    (void)state;
    static float a[MOST], b[MOST], c[MOST], quiet[MOST];
    const struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < MOST; i++) {
        a[i] = (float)(int)(i * 7919 % 31) - 15;
        b[i] = (float)(int)(i * 104729 % 29) - 14;
    }
    assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        const mn__sgemm p = {.m = s->m,
                             .n = s->n,
                             .k = s->k,
                             .a = a,
                             .b = b,
                             .c = c,
                             .ld_a = s->ld_a,
                             .ld_b = s->ld_b,
                             .ld_c = s->ld_c,
                             .turn_a = s->turn_a,
                             .turn_b = s->turn_b,
                             .add = s->add};
        memset(c, 0, sizeof c);
        if (!mn__sgemm_run(&p)) skip(); /* built without oneDNN */
        memcpy(quiet, c, sizeof c);
        alarms(50);
        for (size_t round = 0; round < ROUNDS; round++) {
            memset(c, 0, p.m * p.ld_c * sizeof *c);
            mn__sgemm_run(&p);
            assert_memory_equal(c, quiet, sizeof c);
        }
        alarms(0);
    }
    assert_true(n_signal > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
