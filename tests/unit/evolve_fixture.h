/* evolve_fixture.h: what tests of runs share: ranks that are threads, and raters whose losses can
 * be done by hand. */
#ifndef MN_TEST_EVOLVE_FIXTURE_H
#define MN_TEST_EVOLVE_FIXTURE_H

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "evolve/rater.h"
#include "mneme/evolve.h"

/* ---- ranks of one process ---- */

enum { EF_MAX_RANK = 4, EF_MAX_WORD = 1 << 16 };

typedef struct ef_world {
    pthread_barrier_t barrier;
    uint64_t next, word[EF_MAX_WORD];
    pthread_mutex_t lock;
} ef_world;

static inline void ef_world_init(ef_world *w, int n)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(pthread_barrier_init(&w->barrier, NULL, (unsigned)n), 0);
    assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
}

static inline void ef_world_fini(ef_world *w)
{
    pthread_barrier_destroy(&w->barrier);
    pthread_mutex_destroy(&w->lock);
}

static inline uint64_t ef_claim(void *ctx)
{
    ef_world *w = ctx;
    return __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
}

static inline void ef_restart(void *ctx)
{
    ef_world *w = ctx;
    __atomic_store_n(&w->next, 0, __ATOMIC_RELAXED);
}

static inline mn_status ef_share(void *ctx, uint64_t *x, size_t n, mn_diag *diag)
{
    ef_world *w = ctx;
    (void)diag;
    if (n > EF_MAX_WORD) return MN_ERANGE;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < n; i++) w->word[i] |= x[i];
    pthread_mutex_unlock(&w->lock);
    pthread_barrier_wait(&w->barrier);
    memcpy(x, w->word, n * sizeof *x);
    if (pthread_barrier_wait(&w->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        memset(w->word, 0, n * sizeof *w->word);
    pthread_barrier_wait(&w->barrier);
    return MN_OK;
}

static inline mn_evolve_ranks ef_ranks(ef_world *w, int rank, int n)
{
    return (mn_evolve_ranks){rank, n, ef_claim, ef_restart, ef_share, w};
}

/* ---- a rater ---- */

/* Prompts are bowls around points of their own; some candidates fail on some, some prompts cannot
 * be. */
typedef struct ef_bowl {
    size_t n_param;
    uint64_t n_call, n_rating;
    uint64_t left_item;  /* items that are a multiple of it, 0 apart, cannot be; 0: none */
    uint64_t break_item; /* this one ends the run; 0: none */
    double fail_above;   /* candidates with x[0] above it fail on odd prompts; 0: none */
    unsigned delay_us;
} ef_bowl;

static inline double ef_loss(const ef_bowl *b, uint64_t item, const double *x)
{
    double sum = 0;
    if (b->fail_above > 0 && item % 2 && x[0] > b->fail_above) return NAN;
    for (size_t j = 0; j < b->n_param; j++) {
        double off = x[j] - 0.3 * mn__rng_normal(1, 2, item, (uint32_t)j);
        sum += (1 + (double)j) * off * off;
    }
    return sum;
}

static inline mn_status ef_rate(void *ctx, size_t worker, uint64_t item, const double *x, size_t n,
                                mn__rating *out, mn_diag *diag)
{
    ef_bowl *b = ctx;
    (void)worker;
    __atomic_fetch_add(&b->n_call, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&b->n_rating, n, __ATOMIC_RELAXED);
    if (b->delay_us) usleep(b->delay_us);
    if (b->left_item && item && item % b->left_item == 0) {
        snprintf(diag->text, sizeof diag->text, "too long a prompt");
        return MN_ERANGE;
    }
    if (b->break_item && item == b->break_item) {
        snprintf(diag->text, sizeof diag->text, "a disk that is gone");
        return MN_EIO;
    }
    for (size_t i = 0; i < n; i++) {
        out[i].loss = ef_loss(b, item, x + i * b->n_param);
        out[i].kept_share = item % 3 ? 0.25 + 0.01 * (double)(item % 5) : NAN;
    }
    return MN_OK;
}

#endif
