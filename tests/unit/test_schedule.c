/* test_schedule.c: rates at the corners of a schedule; what selective steps leave alone. */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "train/adamw.h"

static void near(double found, double want)
{
    if (!(fabs(found - want) <= 1e-12)) fail_msg("%.15g wanted, %.15g found", want, found);
}

static void test_corners(void **state)
{
    const mn__schedule s = {.rate = 2, .n_warmup = 10, .n_step = 110, .first = 0.25, .last = 0.1};
    const mn__value_schedule v = {.times = 5, .share = 0.5}, same = {.times = 1, .share = 1};
    (void)state;
    near(mn__schedule_rate(&s, 0), 0.5);
    near(mn__schedule_rate(&s, 5), 1.25);
    near(mn__schedule_rate(&s, 10), 2);
    near(mn__schedule_rate(&s, 60), 1.1);
    near(mn__schedule_rate(&s, 110), 0.2);
    near(mn__schedule_rate(&s, 100000), 0.2);
    near(mn__schedule_value_rate(&s, &v, 0), 2.5);
    near(mn__schedule_value_rate(&s, &v, 11),
         mn__schedule_rate(&s, 11) * (1 + 4 * (1 - 11.0 / 55)));
    near(mn__schedule_value_rate(&s, &v, 60), 1.1);
    for (size_t i = 0; i < 130; i++)
        near(mn__schedule_value_rate(&s, &same, i), mn__schedule_rate(&s, i));
}

/* Two rows: the one that was touched moves though its gradient is 0, the other keeps its bits, in
 * moments too, whatever came before. */
static void test_selective(void **state)
{
    float w[16] = {1, 2, 3, 4}, g[16] = {0.5f, -0.5f, 1, -1};
    mn__param p = {.dim = {2, 2}, .n_dim = 2, .group = MN__PARAM_VALUES, .row = 2};
    const mn__adamw_config config = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = {0, 0, 0.1}, .selective = true};
    const double lr[MN__ADAMW_GROUPS] = {0.1, 0.1, 0.1};
    mn__params list = {0};
    mn__adamw *o = NULL;
    (void)state;
    mn__params_add(&list, &p, p, "", "table");
    p.w = w;
    p.g = g;
    assert_int_equal(mn__adamw_new(&o, &list, &config, NULL), MN_OK);
    for (size_t row = 0; row < 2; row++) p.hook->touch(p.hook, row);
    assert_int_equal(mn__adamw_step(o, NULL, lr, 1, NULL), MN_OK);
    const float before[] = {w[0], w[1], w[2], w[3]}, m2 = o->m[2], v2 = o->v[2], m0 = o->m[0];
    assert_true(w[0] < 1 && w[2] < 3 && w[1] > 2 && m2 > 0);
    for (int i = 0; i < 3; i++) {
        p.hook->touch(p.hook, 0);
        assert_int_equal(mn__adamw_step(o, NULL, lr, 1, NULL), MN_OK);
    }
    mn__adamw_flush(o, NULL);
    assert_true(w[0] < before[0] && o->m[0] < m0);
    assert_true(w[2] == before[2] && w[3] == before[3] && o->m[2] == m2 && o->v[2] == v2);
    p.hook->touch(p.hook, 1);
    assert_int_equal(mn__adamw_step(o, NULL, lr, 1, NULL), MN_OK);
    assert_true(w[2] < before[2] && o->m[2] == 0.9f * m2);
    mn__adamw_free(o);
    mn__params_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corners),
        cmocka_unit_test(test_selective),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
