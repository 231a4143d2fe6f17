/* test_team.c: splits cover everything once, barriers order what threads write, claims hand out
 * each item once; workers run every step once, sleep between steps, leave signals to the program
 * and end with their team. */
#include "base/team.h"
#include "base/clock.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { N_THREAD = 4, N_MANY = 7, N_ROUND = 300, N_ITEM = 1000 };

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

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(long us)
{
    const struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

struct board {
    int n_thread_seen;
    size_t cell[N_MANY];
    size_t n_wrong[N_MANY];
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
    for (int round = 0; round < 5; round++) {
        if (crew->thread == round % crew->n_thread) {
            nap(5 * 1000);
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
    double begin = mn__clock_s(), busy_begin = cpu_s();
    mn__team_run(t, come_late, &b);
    double wall = mn__clock_s() - begin, busy = cpu_s() - busy_begin;
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

/* ---- the workers' life ---- */

static size_t count_tasks(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

struct tally {
    size_t step;
    size_t n_run[N_MANY], n_wrong[N_MANY];
    int n_thread;
};

/* Every thread has run every step before this one, and none a later one. */
static void count_step(const mn__crew *crew, void *arg)
{
    struct tally *y = arg;
    y->n_wrong[crew->thread] += y->n_run[crew->thread]++ != y->step;
    y->n_wrong[crew->thread] += crew->n_thread != y->n_thread;
}

static void run_steps(mn__team *t, struct tally *y, size_t n)
{
    y->n_thread = mn__team_size(t);
    for (size_t i = 0; i < n; i++, y->step++) mn__team_run(t, count_step, y);
}

static size_t wrong_steps(const struct tally *y)
{
    size_t n = 0;
    for (int i = 0; i < N_MANY; i++)
        n += y->n_wrong[i] + (y->n_run[i] != (i < y->n_thread ? y->step : 0));
    return n;
}

static void test_many_steps(void **state)
{
    (void)state;
    for (int n_thread = 1; n_thread <= N_THREAD; n_thread++) {
        struct tally y = {0};
        mn__team *t = mn__team_new(n_thread);
        run_steps(t, &y, 3000);
        assert_int_equal(y.step, 3000);
        assert_int_equal(y.n_thread, n_thread);
        assert_int_equal(wrong_steps(&y), 0);
        mn__team_free(t);
    }
}

/* Steps that follow at once, within a worker's patience, and long after it. */
static void test_steps_far_apart(void **state)
{
    (void)state;
    const long pause_us[] = {0, 20, 100, 250, 300, 350, 1000, 5000};
    struct tally y = {0};
    mn__team *t = mn__team_new(N_THREAD);
    for (size_t i = 0; i < 10 * sizeof pause_us / sizeof *pause_us; i++) {
        nap(pause_us[i % (sizeof pause_us / sizeof *pause_us)]);
        run_steps(t, &y, 3);
        assert_int_equal(wrong_steps(&y), 0);
    }
    mn__team_free(t);
}

static void test_idle_workers_burn_nothing(void **state)
{
    (void)state;
    struct tally y = {0};
    mn__team *t = mn__team_new(N_THREAD);
    run_steps(t, &y, 10);
    double begin = cpu_s();
    nap(200 * 1000);
    assert_true(cpu_s() - begin < 0.02); /* one that spun would burn ten times as much */
    run_steps(t, &y, 10);
    assert_int_equal(wrong_steps(&y), 0);
    mn__team_free(t);
}

static void *run_own_team(void *arg)
{
    mn__team *t = mn__team_new(3);
    run_steps(t, arg, 1000);
    mn__team_free(t);
    return NULL;
}

static void test_several_teams(void **state)
{
    (void)state;
    enum { N_TEAM = 3 };
    mn__team *t[N_TEAM];
    struct tally y[N_TEAM] = {{0}}, own[N_TEAM] = {{0}};
    pthread_t thread[N_TEAM];
    for (int i = 0; i < N_TEAM; i++) t[i] = mn__team_new(i + 2);
    for (int i = 0; i < N_TEAM; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_own_team, &own[i]), 0);
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < N_TEAM; i++) run_steps(t[i], &y[i], 1 + (size_t)(round % 3));
    for (int i = 0; i < N_TEAM; i++) {
        pthread_join(thread[i], NULL);
        mn__team_free(t[i]);
        assert_int_equal(y[i].step, 600);
        assert_int_equal(y[i].n_thread, i + 2);
        assert_int_equal(wrong_steps(&y[i]), 0);
        assert_int_equal(own[i].step, 1000);
        assert_int_equal(wrong_steps(&own[i]), 0);
    }
}

/* A thread that was joined may be listed for a moment longer. */
static void wait_for_tasks(size_t n)
{
    for (int i = 0; i < 2000 && count_tasks() != n; i++) nap(1000);
    assert_int_equal(count_tasks(), n);
}

static void test_workers_end_with_their_team(void **state)
{
    (void)state;
    const size_t n_before = count_tasks();
    for (int round = 0; round < 200; round++) {
        struct tally y = {0};
        mn__team *t = mn__team_new(N_THREAD);
        assert_non_null(t);
        if (round % 20 == 0) {
            wait_for_tasks(n_before + N_THREAD - 1);
            nap(round % 40 ? 0 : 1000); /* ended awake and asleep, with and without a step */
        }
        run_steps(t, &y, (size_t)(round % 3));
        assert_int_equal(wrong_steps(&y), 0);
        mn__team_free(t);
        if (round % 20 == 0) wait_for_tasks(n_before);
    }
    wait_for_tasks(n_before);
    mn__team_free(NULL);
}

static void note_self(const mn__crew *crew, void *arg)
{
    pthread_t *self = arg;
    self[crew->thread] = pthread_self();
}

static void test_one_thread_is_the_caller(void **state)
{
    (void)state;
    const size_t n_before = count_tasks();
    pthread_t self[2];
    mn__team *t = mn__team_new(1);
    assert_int_equal(count_tasks(), n_before);
    mn__team_run(t, note_self, self);
    assert_true(pthread_equal(self[0], pthread_self()));
    mn__team_free(t);
    t = mn__team_new(2);
    mn__team_run(t, note_self, self);
    assert_true(pthread_equal(self[0], pthread_self()));
    assert_false(pthread_equal(self[1], pthread_self()));
    mn__team_free(t);
}

/* ---- the workers' manners ---- */

struct manners {
    sigset_t mask[N_THREAD];
    char name[N_THREAD][16];
};

static void note_manners(const mn__crew *crew, void *arg)
{
    struct manners *m = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &m->mask[crew->thread]);
    pthread_getname_np(pthread_self(), m->name[crew->thread], sizeof m->name[0]);
}

static volatile sig_atomic_t n_signal;

static void on_signal(int sig)
{
    (void)sig;
    n_signal++;
}

static void test_signals_go_to_the_caller(void **state)
{
    (void)state;
    const int outside[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGPROF, SIGCHLD, SIGTSTP};
    const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct manners m;
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t usr1, before, after, pending;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaction(SIGUSR1, &sa, NULL);
    sigemptyset(&before);
    sigaddset(&before, SIGWINCH);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    mn__team *t = mn__team_new(N_THREAD);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < 32; sig++)
        assert_int_equal(sigismember(&after, sig), sigismember(&before, sig));
    mn__team_run(t, note_manners, &m);
    for (int i = 1; i < N_THREAD; i++) {
        for (size_t k = 0; k < sizeof outside / sizeof *outside; k++)
            assert_true(sigismember(&m.mask[i], outside[k]));
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            assert_false(sigismember(&m.mask[i], own[k]));
    }
    /* With the caller closed to it too, a signal to the process finds nobody. */
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    nap(20 * 1000);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(n_signal, 0);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    assert_int_equal(n_signal, 1);
    mn__team_free(t);
}

static void test_names(void **state)
{
    (void)state;
    struct manners m;
    char name[24], before[16];
    pthread_getname_np(pthread_self(), before, sizeof before);
    mn__team *t = mn__team_new(N_THREAD);
    mn__team_run(t, note_manners, &m);
    assert_string_equal(m.name[0], before);
    for (int i = 1; i < N_THREAD; i++) {
        snprintf(name, sizeof name, "mneme-%d", i);
        assert_string_equal(m.name[i], name);
    }
    mn__team_free(t);
}

/* ---- when processors or threads are short ---- */

static atomic_int is_over;

static void *burn(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
    }
    return NULL;
}

/* More threads than processors, and others at work on these. */
static void test_barrier_under_load(void **state)
{
    (void)state;
    struct board b = {0};
    pthread_t other[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&other[i], NULL, burn, NULL), 0);
    mn__team *t = mn__team_new(N_MANY);
    mn__team_run(t, write_and_read, &b);
    atomic_store(&is_over, 1);
    for (int i = 0; i < 2; i++) pthread_join(other[i], NULL);
    assert_int_equal(b.n_thread_seen, N_MANY);
    for (int i = 0; i < N_MANY; i++) {
        assert_int_equal(b.n_wrong[i], 0);
        assert_int_equal(b.cell[i], N_ROUND);
    }
    mn__team_free(t);
}

/* A stack larger than the address space: the system refuses every worker, and a barrier for four
 * would never open. */
static void test_fewer_threads_than_asked_for(void **state)
{
    (void)state;
    struct board b = {0};
    pthread_attr_t before, huge;
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    pthread_attr_init(&huge);
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 48), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    mn__team *t = mn__team_new(N_THREAD);
    assert_int_equal(pthread_setattr_default_np(&before), 0);
    assert_non_null(t);
    assert_int_equal(mn__team_size(t), 1);
    mn__team_run(t, write_and_read, &b);
    assert_int_equal(b.n_thread_seen, 1);
    assert_int_equal(b.cell[0], N_ROUND);
    assert_int_equal(b.cell[1], 0);
    mn__team_free(t);
    pthread_attr_destroy(&huge);
    pthread_attr_destroy(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_sleepers_are_woken),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_many_steps),
        cmocka_unit_test(test_steps_far_apart),
        cmocka_unit_test(test_idle_workers_burn_nothing),
        cmocka_unit_test(test_several_teams),
        cmocka_unit_test(test_workers_end_with_their_team),
        cmocka_unit_test(test_one_thread_is_the_caller),
        cmocka_unit_test(test_signals_go_to_the_caller),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_barrier_under_load),
        cmocka_unit_test(test_fewer_threads_than_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
