/* test_population.c: the matrix of ratings does not depend on who filled it; what fails, cannot be
 * or is stopped. */
#include "evolve/population.h"

#include "unit/evolve_fixture.h"

enum { N_PARAM = 3, N_ITEM = 7, N = 10 };

typedef struct answer {
    mn__rating rating[N_ITEM * N];
    bool left[N_ITEM];
    mn_status st;
    mn_diag diag;
} answer;

typedef struct asked {
    ef_bowl bowl;
    mn_evolve_ranks ranks;
    size_t n_worker, n_block;
    bool (*stop)(void *ctx);
    void *ctx;
    answer out;
} asked;

static const uint64_t item[N_ITEM] = {2, 3, 5, 8, 13, 21, 34};

static void candidates(double *x)
{
    for (uint32_t i = 0; i < N * N_PARAM; i++) x[i] = mn__rng_normal(5, 6, 0, i);
}

static void *ask(void *arg)
{
    asked *a = arg;
    double x[N * N_PARAM];
    candidates(x);
    a->bowl.n_param = N_PARAM;
    const mn__rater rater = {.ctx = &a->bowl, .n_item = 100, .rate = ef_rate};
    const mn__population p = {
        .ranks = &a->ranks, .n_worker = a->n_worker, .stop = a->stop, .ctx = a->ctx};
    const mn__round r = {.rater = &rater,
                         .item = item,
                         .n_item = N_ITEM,
                         .x = x,
                         .n = N,
                         .n_param = N_PARAM,
                         .n_block = a->n_block,
                         .rating = a->out.rating,
                         .left = a->out.left};
    a->out.st = mn__population_rate(&p, &r, &a->out.diag);
    return NULL;
}

static asked alone(size_t n_worker, size_t n_block)
{
    return (asked){.ranks = {.n = 1}, .n_worker = n_worker, .n_block = n_block};
}

/* ---- the same from all ---- */

static void test_threads_and_blocks(void **state)
{
    (void)state;
    double x[N * N_PARAM];
    candidates(x);
    asked one = alone(1, 1);
    ask(&one);
    assert_int_equal(one.out.st, MN_OK);
    assert_int_equal(one.bowl.n_call, N_ITEM);
    for (size_t i = 0; i < N_ITEM; i++)
        for (size_t k = 0; k < N; k++)
            assert_true(one.out.rating[i * N + k].loss ==
                        ef_loss(&one.bowl, item[i], x + k * N_PARAM));
    for (size_t n_worker = 1; n_worker <= 5; n_worker += 2)
        for (size_t n_block = 1; n_block <= N; n_block += 3) {
            asked other = alone(n_worker, n_block);
            ask(&other);
            assert_int_equal(other.out.st, MN_OK);
            assert_int_equal(other.bowl.n_call, N_ITEM * n_block);
            assert_int_equal(other.bowl.n_rating, N_ITEM * N); /* each once */
            assert_memory_equal(other.out.rating, one.out.rating, sizeof one.out.rating);
        }
}

static void test_ranks(void **state)
{
    (void)state;
    static ef_world world;
    static asked a[EF_MAX_RANK];
    asked one = alone(1, 1);
    one.bowl = (ef_bowl){.left_item = 13, .fail_above = 0.5};
    ask(&one);
    for (int n = 2; n <= EF_MAX_RANK; n += 2) {
        pthread_t thread[EF_MAX_RANK];
        uint64_t n_rating = 0;
        ef_world_init(&world, n);
        for (int rank = 0; rank < n; rank++) {
            a[rank] = (asked){.ranks = ef_ranks(&world, rank, n), .n_worker = 2, .n_block = 3};
            a[rank].bowl = (ef_bowl){.left_item = 13, .fail_above = 0.5, .delay_us = 500};
            assert_int_equal(pthread_create(&thread[rank], NULL, ask, &a[rank]), 0);
        }
        for (int rank = 0; rank < n; rank++) {
            pthread_join(thread[rank], NULL);
            n_rating += a[rank].bowl.n_rating;
            assert_int_equal(a[rank].out.st, MN_OK);
            assert_memory_equal(a[rank].out.rating, one.out.rating, sizeof one.out.rating);
            assert_memory_equal(a[rank].out.left, one.out.left, sizeof one.out.left);
        }
        assert_int_equal(n_rating, N_ITEM * N);
        ef_world_fini(&world);
    }
    assert_true(one.out.left[4] && !one.out.left[3]); /* item 13 */
}

static void test_blocks(void **state)
{
    (void)state;
    assert_int_equal(mn__population_blocks(16, 32, 2), 1);
    assert_int_equal(mn__population_blocks(16, 32, 64), 8);
    assert_int_equal(mn__population_blocks(1, 32, 4), 8);
    assert_int_equal(mn__population_blocks(1, 3, 4), 3);
}

/* ---- failures ---- */

static bool after_three(void *ctx)
{
    return __atomic_load_n(&((asked *)ctx)->bowl.n_call, __ATOMIC_RELAXED) >= 3;
}

static void test_stop(void **state)
{
    (void)state;
    asked a = alone(1, 1);
    a.stop = after_three;
    a.ctx = &a;
    ask(&a);
    assert_int_equal(a.out.st, MN_ECANCEL);
    assert_int_equal(a.bowl.n_call, 3);
    assert_string_equal(a.out.diag.text, "interrupted");
}

static void test_broken(void **state)
{
    (void)state;
    asked a = alone(3, 2);
    a.bowl.break_item = 8;
    ask(&a);
    assert_int_equal(a.out.st, MN_EIO);
    assert_string_equal(a.out.diag.text, "a disk that is gone");
}

/* ---- one number ---- */

static void test_losses(void **state)
{
    (void)state;
    enum { ITEMS = 5, CANDIDATES = 2 };
    bool left[ITEMS] = {false, true, false, false, false};
    mn__rating rating[ITEMS * CANDIDATES] = {{1, 0.5}, {1, NAN},  {99, 9},  {NAN, 9}, {8, NAN},
                                             {2, NAN}, {3, 0.25}, {3, NAN}, {4, NAN}, {NAN, NAN}};
    double loss[CANDIDATES], kept[CANDIDATES], room[ITEMS];
    mn__round r = {.n_item = ITEMS, .n = CANDIDATES, .n_block = 1, .rating = rating, .left = left};
    assert_int_equal(mn__population_losses(&r, MN_EVOLVE_MEAN, loss, kept, room), 4);
    assert_true(loss[0] == 4 && isnan(loss[1])); /* what was left out does not count */
    assert_true(kept[0] == 0.375 && isnan(kept[1]));
    mn__population_losses(&r, MN_EVOLVE_MEDIAN, loss, kept, room);
    assert_true(loss[0] == 3.5 && isnan(loss[1]));
    mn__population_losses(&r, MN_EVOLVE_TRIMMED, loss, kept, room);
    assert_true(loss[0] == 3.5 && isnan(loss[1])); /* 3 and 4: without 1 and 8 */
    rating[9].loss = INFINITY;
    mn__population_losses(&r, MN_EVOLVE_MEAN, loss, kept, room);
    assert_true(isinf(loss[1]));
    memset(left, 1, sizeof left);
    assert_int_equal(mn__population_losses(&r, MN_EVOLVE_MEAN, loss, kept, room), 0);
    assert_true(isnan(loss[0]) && isnan(kept[0]));
}

static void test_excess(void **state)
{
    (void)state;
    assert_true(mn__population_excess(0.5, 0.25) == 1 && mn__population_excess(1, 0.25) == 3);
    assert_true(mn__population_excess(0.25, 0.25) == 0 && mn__population_excess(0.1, 0.25) == 0);
    assert_true(mn__population_excess(1, 0) == 0 && mn__population_excess(NAN, 0.25) == 0);
    assert_float_equal(mn__population_excess(0.26, 0.25), 0.04, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_blocks),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_excess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
