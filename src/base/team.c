/* team.c: threads that live as long as their team, and two gates at which threads wait: for the
 * next step, and for each other within one. Who waits spins for some microseconds, which is what an
 * even split needs, then sleeps in the kernel: a busy machine loses little to us, and an idle
 * program nothing. Nobody yields: beside a busy process a thread that yields gets its processor
 * back milliseconds later, one that is woken at once. */
#include "base/team.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/signals.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Opens once per phase. Threads that open and pass in turn: a line of its own. */
typedef struct gate {
    alignas(64) _Atomic uint32_t phase; /* grows by one when it opens */
    atomic_int n_sleeping;
} gate;

/* How long a thread spins. Within a step all come almost together, and the longer it spins beside a
 * busy process the less of the processor the others of its team get. Between two steps of a text
 * one of 50,000 tokens is chosen, which takes some 180 microseconds: not worth a sleep. */
static const double in_step_s = 20e-6, between_steps_s = 250e-6;

typedef struct worker {
    pthread_t id;
    mn__crew crew; /* complete when the first step is posted */
} worker;

struct mn__team {
    gate step, barrier;
    alignas(64) atomic_int n_arrived;
    alignas(64) atomic_size_t next_item;
    alignas(64) int n_thread; /* the caller and those workers that could be started */
    void (*fn)(const mn__crew *crew, void *arg); /* of the posted step; NULL: the end */
    void *arg;
    worker worker[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* True as soon as the phase has moved on, false when the patience is over. */
static bool wait_awake(const gate *g, uint32_t old, double patience_s)
{
    enum { LOOKS_PER_CLOCK = 16 };
    const double begin = mn__clock_s();
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&g->phase, memory_order_acquire) != old) return true;
            pause_briefly();
        }
    } while (mn__clock_s() - begin < patience_s);
    return false;
}

static void wait_asleep(gate *g, uint32_t old)
{
    /* Counted before the kernel compares the phase: who moves it on afterwards sees the sleeper
     * and wakes it. */
    atomic_fetch_add(&g->n_sleeping, 1);
    while (atomic_load(&g->phase) == old)
        syscall(SYS_futex, &g->phase, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&g->n_sleeping, 1);
}

static void gate_pass(gate *g, uint32_t old, double patience_s)
{
    if (!wait_awake(g, old, patience_s)) wait_asleep(g, old);
}

static void gate_open(gate *g)
{
    atomic_fetch_add(&g->phase, 1);
    if (atomic_load(&g->n_sleeping))
        syscall(SYS_futex, &g->phase, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *work(void *arg)
{
    const mn__crew *crew = arg;
    mn__team *t = crew->team;
    for (uint32_t n_step = 0;; n_step++) {
        gate_pass(&t->step, n_step, between_steps_s);
        if (!t->fn) return NULL;
        t->fn(crew, t->arg);
        mn__team_wait(crew); /* the next step is posted only when all have come so far */
    }
}

static bool start_worker(mn__team *t, int thread)
{
    char name[24]; /* refused, and no harm done, where it is longer than the kernel keeps */
    worker *w = &t->worker[thread - 1];
    w->crew = (mn__crew){.team = t, .thread = thread};
    if (pthread_create(&w->id, NULL, work, &w->crew) != 0) return false;
    snprintf(name, sizeof name, "mneme-%d", thread);
    pthread_setname_np(w->id, name);
    return true;
}

mn__team *mn__team_new(int n_thread)
{
    sigset_t before;
    assert(n_thread >= 1);
    mn__team *t =
        mn__alloc_zero(MN_MEM_OTHER, sizeof *t + (size_t)(n_thread - 1) * sizeof *t->worker);
    if (!t) return NULL;
    t->n_thread = 1;
    mn__signals_hold(&before); /* workers take none: the program's own threads do */
    while (t->n_thread < n_thread && start_worker(t, t->n_thread)) t->n_thread++;
    mn__signals_release(&before);
    for (int i = 0; i < t->n_thread - 1; i++) t->worker[i].crew.n_thread = t->n_thread;
    return t;
}

void mn__team_free(mn__team *t)
{
    if (!t) return;
    t->fn = NULL;
    gate_open(&t->step);
    for (int i = 0; i < t->n_thread - 1; i++) pthread_join(t->worker[i].id, NULL);
    mn__free(t);
}

int mn__team_size(const mn__team *t)
{
    return t->n_thread;
}

void mn__team_run(mn__team *t, void (*fn)(const mn__crew *crew, void *arg), void *arg)
{
    const mn__crew crew = {t, 0, t->n_thread};
    t->fn = fn;
    t->arg = arg;
    if (t->n_thread > 1) gate_open(&t->step);
    fn(&crew, arg);
    mn__team_wait(&crew);
}

void mn__team_wait(const mn__crew *crew)
{
    mn__team *t = crew->team;
    if (crew->n_thread == 1) return;
    /* The phase cannot move on before this thread arrives. */
    uint32_t old = atomic_load_explicit(&t->barrier.phase, memory_order_relaxed);
    if (atomic_fetch_add(&t->n_arrived, 1) + 1 == crew->n_thread) {
        atomic_store_explicit(&t->n_arrived, 0, memory_order_relaxed);
        gate_open(&t->barrier);
    } else {
        gate_pass(&t->barrier, old, in_step_s);
    }
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
