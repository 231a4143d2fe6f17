/* test_layer.c: lists of parameters and their first values, the tape and its dry run, loops over
 * threads. */
#include "layer/layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 150, LONG = 20000 };

static void test_params(void **state)
{
    (void)state;
    mn__params list = {0};
    mn__param p[MANY], buffer;
    for (size_t i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%zu", i);
        mn__params_add(&list, &p[i], (mn__param){.dim = {3, 7}, .n_dim = 2}, i % 2 ? "odd" : "",
                       name);
    }
    mn__params_add(&list, &buffer, (mn__param){.dim = {5}, .n_dim = 1, .group = MN__PARAM_STATE},
                   "", "buffer");
    assert_int_equal(list.st, MN_OK);
    assert_int_equal(list.n, MANY + 1);
    assert_string_equal(p[3].name, "odd.p3");
    assert_ptr_equal(mn__params_find(&list, "p4"), &p[4]);
    assert_null(mn__params_find(&list, "p3"));
    assert_int_equal(mn__params_size(&list, false), MANY * 32); /* 21, up to a multiple of 16 */
    assert_int_equal(mn__params_size(&list, true), 16);
    mn__real *w = calloc(2 * MANY * 32 + 16, sizeof *w), *g = w + MANY * 32, *s = g + MANY * 32;
    assert_non_null(w);
    mn__params_bind(&list, w, g, s);
    assert_ptr_equal(p[2].w, w + 64);
    assert_ptr_equal(p[2].g, g + 64);
    assert_int_equal(p[2].at, 64);
    assert_ptr_equal(buffer.w, s);
    assert_null(buffer.g);
    mn__params_bind(&list, w, NULL, s);
    assert_null(p[2].g);
    free(w);
    mn__params_fini(&list);
}

static void test_long_name(void **state)
{
    (void)state;
    char name[2 * MN__PARAM_NAME];
    mn__params list = {0};
    mn__param p;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    mn__params_add(&list, &p, (mn__param){.dim = {1}, .n_dim = 1}, "a", name);
    assert_int_equal(list.st, MN_ERANGE);
    assert_int_equal(strlen(p.name), MN__PARAM_NAME - 1);
    mn__params_fini(&list);
}

/* First values do not depend on threads or on what else there is. */
static void test_fill(void **state)
{
    (void)state;
    const mn__param like = {.dim = {LONG}, .n_dim = 1, .init = MN__INIT_CUT, .scale = 0.5};
    mn__param first, p, q, flat = like;
    mn__params one = {0}, two = {0};
    mn__team *team = mn__team_new(3);
    mn__real *w = calloc(4 * LONG, sizeof *w);
    double mean = 0, square = 0, most = 0;
    assert_true(team && w && LONG % 16 == 0);
    flat.init = MN__INIT_UNIFORM;
    mn__params_add(&one, &p, like, "", "same");
    mn__params_add(&two, &first, flat, "", "other");
    mn__params_add(&two, &q, like, "", "same");
    mn__params_bind(&one, w, NULL, NULL);
    mn__params_bind(&two, w + LONG, NULL, NULL);
    mn__params_fill(&one, NULL, 9);
    mn__params_fill(&two, team, 9);
    assert_memory_equal(p.w, q.w, LONG * sizeof *w);
    for (size_t i = 0; i < LONG; i++) {
        assert_true(fabs(first.w[i]) <= 0.5);
        mean += p.w[i] / LONG;
        square += p.w[i] * p.w[i] / LONG;
        most = fmax(most, fabs(p.w[i]));
    }
    assert_true(fabs(mean) < 0.02 && fabs(sqrt(square) - 0.49) < 0.02);
    assert_true(most > 1.2 && most <= 1.5);
    mn__params_fill(&two, team, 10);
    assert_true(p.w[0] != q.w[0]);
    mn__team_free(team);
    mn__params_fini(&one);
    mn__params_fini(&two);
    free(w);
}

static void test_tape(void **state)
{
    (void)state;
    mn__tape t = {0};
    assert_true(mn__tape_is_dry(&t));
    for (int wet = 0; wet < 2; wet++) {
        assert_int_equal((uintptr_t)mn__tape_take(&t, 3, 1) % 64, 0);
        const size_t mark = mn__tape_mark(&t);
        assert_int_equal(mark, 64);
        uint8_t *x = mn__tape_take(&t, 10, 10);
        if (wet) memset(x, 1, 100);
        mn__tape_cut(&t, mark);
        assert_ptr_equal(mn__tape_take(&t, 1, 1), x);
        assert_int_equal(t.peak, 64 + 128);
        if (!wet) assert_int_equal(mn__tape_reserve(&t, t.peak), MN_OK);
    }
    mn__tape_fini(&t);
    assert_true(mn__tape_is_dry(&t));
    mn_mem_set_limit(1 << 20);
    mn__tape_take(&t, SIZE_MAX / 2, 4); /* more than a size can say */
    assert_int_equal(t.peak, SIZE_MAX);
    assert_int_equal(mn__tape_reserve(&t, t.peak), MN_ENOMEM);
    mn_mem_set_limit(0);
}

static void huge(const mn__env *env, void *arg)
{
    (void)arg;
    mn__tape_take(env->tape, 1 << 20, 32);
}

static void test_plan_refused(void **state)
{
    (void)state;
    mn__tape t = {0};
    const mn__env env = {.tape = &t};
    mn_diag diag = {""};
    mn_mem_set_limit(1 << 20);
    assert_int_equal(mn__env_plan(&env, huge, NULL, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_string_equal(diag.text, "a step of training wants 33554432 bytes of scratch: refused");
    assert_true(mn__tape_is_dry(&t));
}

static void mark_range(void *arg, size_t begin, size_t end, int thread)
{
    uint8_t *seen = arg;
    assert_true(begin % 7 == 0 && end - begin <= 7 && thread >= 0 && thread < 3);
    for (size_t i = begin; i < end; i++) seen[i]++;
}

static void test_each(void **state)
{
    (void)state;
    mn__team *team = mn__team_new(3);
    uint8_t seen[100] = {0};
    mn__tape tape = {0};
    const mn__env env = {.team = team, .tape = &tape};
    assert_non_null(team);
    mn__each(&env, 100, 7, mark_range, seen); /* dry: nothing */
    for (size_t i = 0; i < 100; i++) assert_int_equal(seen[i], 0);
    for (int round = 1; round < 50; round++) {
        mn__team_each(round % 2 ? team : NULL, 100, 7, mark_range, seen);
        for (size_t i = 0; i < 100; i++) assert_int_equal(seen[i], round);
    }
    mn__team_each(team, 0, 7, mark_range, NULL);
    mn__team_free(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params), cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_fill),   cmocka_unit_test(test_tape),
        cmocka_unit_test(test_each),   cmocka_unit_test(test_plan_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
