/* test_team.c: splits cover everything once, barriers order what threads write, claims hand out
 * each item once. */
#include "base/team.h"
#include "base/clock.h"

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { N_THREAD = 4, N_ROUND = 300, N_ITEM = 1000 };

static void test_split(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 5, 31, 32, 33, 1000, SIZE_MAX - 1}, grains[] = {1, 7, 32, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
            for (int n_thread = 1; n_thread <= 9; n_thread++) {
                size_t next = 0, least = SIZE_MAX, most = 0;
                for (int thread = 0; thread < n_thread; thread++) {
                    size_t begin, end;
                    const mn__crew crew = {NULL, thread, n_thread};
                    mn__team_split(&crew, sizes[i], grains[g], &begin, &end);
                    assert_true(begin == next && end >= begin);
                    assert_true(begin % grains[g] == 0 || begin == sizes[i]);
                    size_t n_run = (end - begin) / grains[g] + ((end - begin) % grains[g] != 0);
                    least = n_run < least ? n_run : least;
                    most = n_run > most ? n_run : most;
                    next = end;
                }
                assert_true(next == sizes[i]);
                assert_true(most - least <= 1);
            }
        }
    }
}

struct board {
    int n_thread_seen;
    size_t cell[N_THREAD];
    size_t n_wrong[N_THREAD];
    uint8_t n_claimed[N_ITEM]; /* each written by its claimer alone */
};

/* Each round everyone writes its cell, meets, reads all cells, meets again. */
static void write_and_read(const mn__crew *crew, void *arg)
{
    struct board *b = arg;
    if (crew->thread == 0) b->n_thread_seen = crew->n_thread;
    for (size_t round = 1; round <= N_ROUND; round++) {
        b->cell[crew->thread] = round;
        mn__team_wait(crew);
        for (int i = 0; i < crew->n_thread; i++) b->n_wrong[crew->thread] += b->cell[i] != round;
        mn__team_wait(crew);
    }
}

static void test_barrier(void **state)
{
    (void)state;
    for (int n_thread = 1; n_thread <= N_THREAD; n_thread++) {
        struct board b = {0};
        mn__team *t = mn__team_new(n_thread);
        assert_non_null(t);
        assert_int_equal(mn__team_size(t), n_thread);
        for (int i = 0; i < 3; i++) mn__team_run(t, write_and_read, &b);
        assert_int_equal(b.n_thread_seen, n_thread);
        for (int i = 0; i < n_thread; i++) {
            assert_int_equal(b.n_wrong[i], 0);
            assert_int_equal(b.cell[i], N_ROUND);
        }
        mn__team_free(t);
    }
}

/* One comes late by far more than anyone spins: the others sleep and are woken. */
static void come_late(const mn__crew *crew, void *arg)
{
    struct board *b = arg;
    const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
    for (int round = 0; round < 5; round++) {
        if (crew->thread == round % crew->n_thread) {
            nanosleep(&nap, NULL);
            b->cell[0]++;
        }
        mn__team_wait(crew);
    }
}

static void test_sleepers_are_woken(void **state)
{
    (void)state;
    struct board b = {0};
    mn__team *t = mn__team_new(N_THREAD);
    struct timespec before, after;
    double begin = mn__clock_s();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    mn__team_run(t, come_late, &b);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double wall = mn__clock_s() - begin;
    double busy = (double)(after.tv_sec - before.tv_sec);
    busy += 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    assert_int_equal(b.cell[0], 5);
    assert_true(wall >= 0.0249);
    assert_true(busy < wall); /* three threads that spun would burn more than one processor */
    mn__team_free(t);
}

static void claim_items(const mn__crew *crew, void *arg)
{
    struct board *b = arg;
    for (int round = 0; round < 10; round++) {
        size_t i;
        while ((i = mn__team_claim(crew)) < N_ITEM) b->n_claimed[i]++;
        mn__team_wait(crew);
        if (crew->thread == 0) mn__team_claim_reset(crew);
        mn__team_wait(crew);
    }
}

static void test_claims(void **state)
{
    (void)state;
    struct board b = {0};
    mn__team *t = mn__team_new(N_THREAD);
    mn__team_run(t, claim_items, &b);
    for (int i = 0; i < N_ITEM; i++) assert_int_equal(b.n_claimed[i], 10);
    mn__team_free(t);
}

/* Inside another parallel region OpenMP gives one thread; a barrier for four would never open. */
static void test_fewer_threads_than_asked_for(void **state)
{
    (void)state;
    struct board b[2] = {{0}, {0}};
    omp_set_max_active_levels(1);
#pragma omp parallel num_threads(2)
    {
        struct board *mine = &b[omp_get_thread_num()];
        mn__team *t = mn__team_new(N_THREAD);
        mn__team_run(t, write_and_read, mine);
        mn__team_free(t);
    }
    assert_int_equal(b[0].n_thread_seen, 1);
    assert_int_equal(b[0].cell[0], N_ROUND);
    assert_int_equal(b[1].cell[0], N_ROUND);
    assert_int_equal(b[0].cell[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_sleepers_are_woken),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_fewer_threads_than_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
