/* test_rope.c: tables of rotations against angles worked out in another way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tensor/rope.h"

enum { N_ROT = 8 };
static const double freq[N_ROT / 2] = {1.0, 0.1, 0.01, 1e-4};

/* cos and sin of pos * f by rotating step by step in long double. */
static void turn(long double f, int64_t pos, long double *cosine, long double *sine)
{
    long double c = 1, s = 0, dc = cosl(f), ds = sinl(f);
    for (int64_t i = 0; i < pos; i++) {
        long double next = c * dc - s * ds;
        s = s * dc + c * ds;
        c = next;
    }
    *cosine = c;
    *sine = s;
}

static void table_holds_cos_and_sin(void **state)
{
    (void)state;
    const mn__rope r = {.n_rot = N_ROT, .magnitude = 1.0f, .freq = freq};
    const int64_t pos[] = {0, 1, 7, 100000};
    for (size_t p = 0; p < 4; p++) {
        float row[2][N_ROT / 2][2];
        mn__rope_table(&r, pos[p], 2, &row[0][0][0]);
        for (int64_t i = 0; i < 2; i++)
            for (size_t c = 0; c < N_ROT / 2; c++) {
                long double cosine, sine;
                turn(freq[c], pos[p] + i, &cosine, &sine);
                assert_true(fabsl(row[i][c][0] - cosine) < 1e-7L);
                assert_true(fabsl(row[i][c][1] - sine) < 1e-7L);
            }
    }
}

static void magnitude_scales_the_table_but_not_a_delta(void **state)
{
    (void)state;
    const mn__rope plain = {.n_rot = N_ROT, .magnitude = 1.0f, .freq = freq};
    const mn__rope yarn = {.n_rot = N_ROT, .magnitude = 1.25f, .freq = freq};
    float a[N_ROT], b[N_ROT], delta_a[N_ROT], delta_b[N_ROT];
    mn__rope_table(&plain, 5, 1, a);
    mn__rope_table(&yarn, 5, 1, b);
    mn__rope_delta(&plain, 5, delta_a);
    mn__rope_delta(&yarn, 5, delta_b);
    for (size_t i = 0; i < N_ROT; i++) {
        assert_true(a[i] != 0.0f);
        assert_true(fabsf(b[i] - 1.25f * a[i]) < 1e-7f);
        assert_true(delta_a[i] == a[i] && delta_b[i] == a[i]);
    }
}

static void delta_takes_one_position_to_another(void **state)
{
    (void)state;
    const mn__rope r = {.n_rot = N_ROT, .magnitude = 1.0f, .freq = freq};
    float from[N_ROT], to[N_ROT], delta[N_ROT];
    mn__rope_table(&r, 9000, 1, from);
    mn__rope_table(&r, 17, 1, to);
    mn__rope_delta(&r, 17 - 9000, delta);
    for (size_t c = 0; c < N_ROT; c += 2) {
        float cosine = from[c] * delta[c] - from[c + 1] * delta[c + 1];
        float sine = from[c] * delta[c + 1] + from[c + 1] * delta[c];
        assert_true(fabsf(cosine - to[c]) < 3e-7f);
        assert_true(fabsf(sine - to[c + 1]) < 3e-7f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds_cos_and_sin),
        cmocka_unit_test(magnitude_scales_the_table_but_not_a_delta),
        cmocka_unit_test(delta_takes_one_position_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
