/* ranks.c: MPI, as far as verbs need it: a shared counter, a meeting, sums. MPI is started under
 * mpirun only, so that the command alone neither needs nor waits for it. */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"

static bool under_mpirun(void)
{
    static const char *const size[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        const char *text = getenv(size[i]);
        if (text && strtol(text, NULL, 10) > 1) return true;
    }
    return false;
}

/* mpirun stops the other processes by a signal when one is gone. */
void ranks_tell_end(const ranks *r, mn_status st, bool goes_on, const mn_diag *diag)
{
    if (r->met && (r->alike ? r->rank != 0 : r->well)) return;
    fputs("mneme: ", stderr);
    if (!r->met || !r->alike) fprintf(stderr, "rank %d: ", r->rank);
    fprintf(stderr, "%s%s\n", *diag->text ? diag->text : mn_status_text(st),
            st == MN_ECANCEL && !r->met ? ", or another rank has died: mpirun says which" : "");
    if (goes_on) fputs("mneme: the run ends; the same command goes on where it stopped\n", stderr);
}

static uint64_t next_alone; /* the counter of a process without others */

#ifdef MN_HAVE_MPI
#include <math.h>
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "ui.h"

typedef struct state {
    MPI_Win counter; /* one uint64_t, rank 0's */
    uint64_t *memory;
    pthread_mutex_t lock;
} state;

mn_status ranks_begin(ranks *r, mn_diag *diag)
{
    int level;
    *r = (ranks){.n = 1};
    if (!under_mpirun()) return MN_OK;
    state *s = calloc(1, sizeof *s);
    if (!s) return mn__fail(diag, MN_ENOMEM, "no memory for MPI");
    pthread_mutex_init(&s->lock, NULL);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->n);
    r->state = s;
    if (level < MPI_THREAD_SERIALIZED)
        return mn__fail(diag, MN_EFAIL, "this MPI serves one thread only");
    MPI_Win_allocate(r->rank == 0 ? sizeof *s->memory : 0, sizeof *s->memory, MPI_INFO_NULL,
                     MPI_COMM_WORLD, &s->memory, &s->counter);
    if (r->rank == 0) *s->memory = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, s->counter);
    return MN_OK;
}

/* Whoever still works finds no prompt left. */
static void use_up(state *s)
{
    const uint64_t many = UINT64_C(1) << 62;
    MPI_Accumulate(&many, 1, MPI_UINT64_T, 0, 0, 1, MPI_UINT64_T, MPI_SUM, s->counter);
    MPI_Win_flush(0, s->counter);
}

mn_status ranks_meet(ranks *r, mn_status st, bool (*stop)(void))
{
    const struct timespec nap = {.tv_nsec = 1000000};
    MPI_Request request;
    int here = 0, mine[] = {(int)st, -(int)st}, most[2];
    if (!r->state || st == MN_ECANCEL) return st;
    if (st != MN_OK) use_up(r->state);
    MPI_Iallreduce(mine, most, 2, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &here, MPI_STATUS_IGNORE), !here) {
        if (stop()) return MN_ECANCEL; /* one that is gone never comes */
        nanosleep(&nap, NULL);
    }
    r->met = most[0] != MN_OK;
    r->alike = most[0] == -most[1];
    r->well = st == MN_OK;
    return (mn_status)most[0];
}

uint64_t ranks_claim(const ranks *r)
{
    state *s = r->state;
    const uint64_t one = 1;
    uint64_t found = 0;
    if (!s) return __atomic_fetch_add(&next_alone, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&s->lock);
    MPI_Fetch_and_op(&one, &found, MPI_UINT64_T, 0, 0, MPI_SUM, s->counter);
    MPI_Win_flush(0, s->counter);
    pthread_mutex_unlock(&s->lock);
    return found;
}

void ranks_restart(const ranks *r)
{
    state *s = r->state;
    const uint64_t zero = 0;
    uint64_t found;
    __atomic_store_n(&next_alone, 0, __ATOMIC_RELAXED);
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    MPI_Fetch_and_op(&zero, &found, MPI_UINT64_T, 0, 0, MPI_REPLACE, s->counter);
    MPI_Win_flush(0, s->counter);
    pthread_mutex_unlock(&s->lock);
}

uint64_t ranks_sum(const ranks *r, uint64_t x)
{
    uint64_t sum = x;
    if (r->state) MPI_Allreduce(&x, &sum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return sum;
}

/* Piece [at, at + PIECE) of a block both ways, where there is one. */
enum { PIECE = 1 << 30 };
static int begin_pieces(int q, const mn_train_block *b, size_t at, MPI_Request *request)
{
    int n = 0;
    if (at < b->in_bytes)
        MPI_Irecv((char *)b->in + at, b->in_bytes - at < PIECE ? (int)(b->in_bytes - at) : PIECE,
                  MPI_BYTE, q, 0, MPI_COMM_WORLD, &request[n++]);
    if (at < b->out_bytes)
        MPI_Isend((const char *)b->out + at,
                  b->out_bytes - at < PIECE ? (int)(b->out_bytes - at) : PIECE, MPI_BYTE, q, 0,
                  MPI_COMM_WORLD, &request[n++]);
    return n;
}

static void tell_waiting(const ranks *r)
{
    fprintf(
        stderr,
        "mneme: rank %d: interrupted while it waits for another rank; where that one ended, it or "
        "mpirun says why; the same command goes on where it stopped\n",
        r->rank);
}

/* Others are waited for awake at first: most come soon. An interruption does not end it: another
 * may be writing a checkpoint. Where one dies, mpirun interrupts this process, then kills it. */
static void await(const ranks *r, int n, MPI_Request *request)
{
    const struct timespec nap = {.tv_nsec = 50000};
    const double began = mn__clock_s(), awake_s = 0.002, patience_s = 0.3;
    double asked = 0;
    int here = 0;
    while (MPI_Testall(n, request, &here, MPI_STATUSES_IGNORE), !here) {
        const double now = mn__clock_s();
        if (asked == 0 && ui_interrupted()) asked = now;
        if (asked > 0 && now - asked > patience_s) {
            tell_waiting(r);
            asked = INFINITY;
        }
        if (now - began < awake_s)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
}

void ranks_share(const ranks *r, uint64_t *x, size_t n)
{
    enum { MOST = 1 << 20 };
    for (size_t at = 0; r->state && at < n; at += MOST) {
        MPI_Request request; /* not waited for within MPI, where a signal would not be heard */
        MPI_Iallreduce(MPI_IN_PLACE, x + at, n - at < MOST ? (int)(n - at) : MOST, MPI_UINT64_T,
                       MPI_BOR, MPI_COMM_WORLD, &request);
        await(r, 1, &request);
    }
}

mn_status ranks_swap(const ranks *r, const mn_train_block *with, mn_diag *diag)
{
    MPI_Request *request = malloc(2 * (size_t)r->n * sizeof *request);
    size_t most = 0;
    if (!request) return mn__fail(diag, MN_ENOMEM, "no memory for MPI");
    for (int q = 0; q < r->n; q++) {
        if (q == r->rank && with[q].in != with[q].out && with[q].in_bytes)
            memcpy(with[q].in, with[q].out, with[q].in_bytes);
        if (with[q].in_bytes > most) most = with[q].in_bytes;
        if (with[q].out_bytes > most) most = with[q].out_bytes;
    }
    for (size_t at = 0; at < most; at += PIECE) {
        int n = 0;
        for (int q = 0; q < r->n; q++)
            if (q != r->rank) n += begin_pieces(q, &with[q], at, request + n);
        await(r, n, request);
    }
    free(request);
    return MN_OK;
}

void ranks_end(ranks *r, int code)
{
    state *s = r->state;
    if (!s) return;
    if (code && !r->met) MPI_Abort(MPI_COMM_WORLD, code);
    MPI_Win_unlock_all(s->counter);
    MPI_Win_free(&s->counter);
    MPI_Finalize();
    pthread_mutex_destroy(&s->lock);
    free(s);
    r->state = NULL;
    if (code) exit(code);
}

#else

mn_status ranks_begin(ranks *r, mn_diag *diag)
{
    *r = (ranks){.n = 1};
    return under_mpirun() ? mn__fail(diag, MN_EUSAGE,
                                     "started by mpirun, but built without MPI: install "
                                     "libopenmpi-dev and build again")
                          : MN_OK;
}

mn_status ranks_meet(ranks *r, mn_status st, bool (*stop)(void))
{
    (void)r;
    (void)stop;
    return st;
}

uint64_t ranks_claim(const ranks *r)
{
    (void)r;
    return __atomic_fetch_add(&next_alone, 1, __ATOMIC_RELAXED);
}

void ranks_restart(const ranks *r)
{
    (void)r;
    __atomic_store_n(&next_alone, 0, __ATOMIC_RELAXED);
}

void ranks_share(const ranks *r, uint64_t *x, size_t n)
{
    (void)r, (void)x, (void)n;
}

uint64_t ranks_sum(const ranks *r, uint64_t x)
{
    (void)r;
    return x;
}

mn_status ranks_swap(const ranks *r, const mn_train_block *with, mn_diag *diag)
{
    (void)r, (void)with;
    return mn__fail(diag, MN_EUSAGE, "built without MPI");
}

void ranks_end(ranks *r, int code)
{
    (void)r;
    (void)code;
}
#endif
