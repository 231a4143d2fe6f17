/* team.c: one OpenMP region per step, and barriers in it. A barrier spins for some microseconds,
 * which is what an even split needs, then offers the processor to others, then sleeps in the
 * kernel: a busy machine loses little to us. The end of a region is such a barrier too, so that
 * OpenMP's own (which may spin for long) finds everyone there already. */
#include "base/team.h"
#include "base/clock.h"
#include "base/heap.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What threads write in turn lies on lines of its own. */
struct mn__team {
    alignas(64) atomic_int n_arrived;
    alignas(64) _Atomic uint32_t phase; /* grows by one when all have arrived */
    atomic_int n_sleeping;
    alignas(64) atomic_size_t next_item;
    alignas(64) atomic_int is_posted; /* orders fn and arg before the threads that read them */
    int n_thread;
    void (*fn)(const mn__crew *crew, void *arg);
    void *arg;
};

mn__team *mn__team_new(int n_thread)
{
    assert(n_thread >= 1);
    mn__team *t = mn__alloc_zero(MN_MEM_OTHER, sizeof *t);
    if (t) t->n_thread = n_thread;
    return t;
}

void mn__team_free(mn__team *t)
{
    mn__free(t);
}

int mn__team_size(const mn__team *t)
{
    return t->n_thread;
}

static void run_share(mn__team *t, int thread, int n_thread)
{
    (void)atomic_load_explicit(&t->is_posted, memory_order_acquire);
    const mn__crew crew = {t, thread, n_thread};
    t->fn(&crew, t->arg);
    mn__team_wait(&crew);
}

void mn__team_run(mn__team *t, void (*fn)(const mn__crew *crew, void *arg), void *arg)
{
    t->fn = fn;
    t->arg = arg;
    atomic_store_explicit(&t->is_posted, 1, memory_order_release);
    if (t->n_thread == 1) {
        run_share(t, 0, 1);
        return;
    }
    /* OpenMP may give fewer threads than asked for (a limit, a surrounding region): the crew
     * counts those that came. */
#pragma omp parallel num_threads(t->n_thread) default(none) firstprivate(t)
    run_share(t, omp_get_thread_num(), omp_get_num_threads());
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* True as soon as the phase has moved on, false when the patience is over. */
static bool wait_awake(const _Atomic uint32_t *phase, uint32_t old)
{
    enum { LOOKS_PER_CLOCK = 16 };
    const double spin_s = 20e-6, yield_s = 100e-6;
    double waited = 0, begin = mn__clock_s();
    while (waited < yield_s) {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (atomic_load_explicit(phase, memory_order_acquire) != old) return true;
            pause_briefly();
        }
        if (waited > spin_s) sched_yield();
        waited = mn__clock_s() - begin;
    }
    return false;
}

static void wait_asleep(mn__team *t, uint32_t old)
{
    /* Counted before the kernel compares the phase: who moves it on afterwards sees the sleeper
     * and wakes it. */
    atomic_fetch_add(&t->n_sleeping, 1);
    while (atomic_load(&t->phase) == old)
        syscall(SYS_futex, &t->phase, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&t->n_sleeping, 1);
}

void mn__team_wait(const mn__crew *crew)
{
    mn__team *t = crew->team;
    if (crew->n_thread == 1) return;
    /* The phase cannot move on before this thread arrives. */
    uint32_t old = atomic_load_explicit(&t->phase, memory_order_relaxed);
    if (atomic_fetch_add(&t->n_arrived, 1) + 1 == crew->n_thread) {
        atomic_store_explicit(&t->n_arrived, 0, memory_order_relaxed);
        atomic_store(&t->phase, old + 1);
        if (atomic_load(&t->n_sleeping))
            syscall(SYS_futex, &t->phase, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    if (!wait_awake(&t->phase, old)) wait_asleep(t, old);
}

void mn__team_split(const mn__crew *crew, size_t n, size_t grain, size_t *begin, size_t *end)
{
    assert(grain > 0);
    size_t n_run = n / grain + (n % grain != 0);
    size_t n_thread = (size_t)crew->n_thread, thread = (size_t)crew->thread;
    /* Everyone takes `each` runs, the first `rest` threads one more. */
    size_t each = n_run / n_thread, rest = n_run % n_thread;
    size_t first = thread * each + (thread < rest ? thread : rest);
    size_t last = first + each + (thread < rest);
    *begin = first < n_run ? first * grain : n;
    *end = last < n_run ? last * grain : n;
}

size_t mn__team_claim(const mn__crew *crew)
{
    return atomic_fetch_add_explicit(&crew->team->next_item, 1, memory_order_relaxed);
}

void mn__team_claim_reset(const mn__crew *crew)
{
    atomic_store_explicit(&crew->team->next_item, 0, memory_order_relaxed);
}
