/* population.c: threads over units, a unit being some candidates on one prompt; then the cells of
 * all ranks are joined, each set by one of them, so that nothing is added across ranks. */
#include "evolve/population.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/sort.h"

_Static_assert(sizeof(mn__rating) == 2 * sizeof(uint64_t), "ratings are shared as words");

typedef struct job {
    const mn__population *p;
    const mn__round *r;
    uint64_t next, n_done;
    pthread_mutex_t lock;
    mn_status st; /* of the worker that failed first */
    mn_diag diag;
} job;

typedef struct worker {
    job *j;
    size_t number;
} worker;

size_t mn__population_blocks(size_t n_item, size_t n, size_t n_worker)
{
    size_t wanted = (2 * n_worker + n_item - 1) / n_item;
    return wanted < n ? wanted : n;
}

/* ---- units ---- */

static uint64_t n_unit(const mn__round *r)
{
    return (uint64_t)r->n_item * r->n_block;
}

static bool must_stop(job *j)
{
    return __atomic_load_n(&j->st, __ATOMIC_RELAXED) != MN_OK ||
           (j->p->stop && j->p->stop(j->p->ctx));
}

static uint64_t claim(job *j)
{
    const mn_evolve_ranks *ranks = j->p->ranks;
    return ranks->n > 1 ? ranks->claim(ranks->ctx)
                        : __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
}

static void keep_failure(job *j, mn_status st, const mn_diag *diag)
{
    pthread_mutex_lock(&j->lock);
    if (j->st == MN_OK) {
        j->diag = *diag;
        __atomic_store_n(&j->st, st, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&j->lock);
}

/* A prompt that cannot be is told of once, whatever parts of the candidates found out. */
static void leave_out(job *j, size_t i, const mn_diag *diag)
{
    char text[sizeof diag->text + 64];
    pthread_mutex_lock(&j->lock);
    if (!j->r->left[i] && j->p->note) {
        snprintf(text, sizeof text, "prompt %llu left out: %s", (unsigned long long)j->r->item[i],
                 diag->text);
        j->p->note(j->p->ctx, text);
    }
    j->r->left[i] = true;
    pthread_mutex_unlock(&j->lock);
}

static void take(worker *w, uint64_t unit)
{
    job *j = w->j;
    const mn__round *r = j->r;
    mn_diag diag = {""};
    size_t i = (size_t)(unit / r->n_block), block = (size_t)(unit % r->n_block);
    size_t begin = r->n * block / r->n_block, end = r->n * (block + 1) / r->n_block;
    mn_status st = r->rater->rate(r->rater->ctx, w->number, r->item[i], r->x + begin * r->n_param,
                                  end - begin, r->rating + i * r->n + begin, &diag);
    if (st == MN_ERANGE || st == MN_EBUDGET) {
        leave_out(j, i, &diag);
    } else if (st != MN_OK) {
        keep_failure(j, st, &diag);
        return;
    }
    pthread_mutex_lock(&j->lock);
    j->n_done++;
    if (j->p->tick) j->p->tick(j->p->ctx, j->n_done, n_unit(r));
    pthread_mutex_unlock(&j->lock);
}

static void *work(void *arg)
{
    worker *w = arg;
    job *j = w->j;
    const mn_diag stopped = {"interrupted"};
    uint64_t unit = 0, n = n_unit(j->r);
    while (!must_stop(j) && (unit = claim(j)) < n) take(w, unit);
    if (unit < n) keep_failure(j, MN_ECANCEL, &stopped); /* keeps an earlier one */
    return NULL;
}

/* A system that refuses threads has fewer workers, down to the caller alone. */
static mn_status run_workers(job *j, mn_diag *diag)
{
    size_t n = j->p->n_worker, n_thread = 0;
    if (n > n_unit(j->r)) n = (size_t)n_unit(j->r);
    assert(n >= 1 && n <= MN__WORKER_MAX);
    worker *w = mn__alloc_array(MN_MEM_OTHER, n, sizeof *w);
    pthread_t *thread = mn__alloc_array(MN_MEM_OTHER, n, sizeof *thread);
    if (!w || !thread) {
        mn__free(w);
        mn__free(thread);
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu workers", n);
    }
    for (size_t i = 0; i < n; i++) w[i] = (worker){j, i};
    while (n_thread + 1 < n && !pthread_create(&thread[n_thread], NULL, work, &w[n_thread + 1]))
        n_thread++;
    work(&w[0]);
    for (size_t i = 0; i < n_thread; i++) pthread_join(thread[i], NULL);
    mn__free(w);
    mn__free(thread);
    if (j->n_done == n_unit(j->r)) return MN_OK; /* stopped too late to miss anything */
    if (j->st != MN_OK) mn__fail(diag, j->st, "%s", j->diag.text);
    return j->st;
}

/* ---- all ranks ---- */

static mn_status join(const mn__population *p, const mn__round *r, mn_diag *diag)
{
    size_t n_cell = 2 * r->n_item * r->n;
    uint64_t *word = mn__alloc_array(MN_MEM_OTHER, n_cell + r->n_item, sizeof *word);
    if (!word) return mn__fail(diag, MN_ENOMEM, "no memory for ratings");
    memcpy(word, r->rating, n_cell * sizeof *word);
    for (size_t i = 0; i < r->n_item; i++) word[n_cell + i] = r->left[i];
    mn_status st = p->ranks->share(p->ranks->ctx, word, n_cell + r->n_item, diag);
    memcpy(r->rating, word, n_cell * sizeof *word);
    for (size_t i = 0; i < r->n_item; i++) r->left[i] = word[n_cell + i] != 0;
    mn__free(word);
    return st;
}

mn_status mn__population_rate(const mn__population *p, const mn__round *r, mn_diag *diag)
{
    job j = {.p = p, .r = r};
    pthread_mutex_init(&j.lock, NULL);
    memset(r->rating, 0, r->n_item * r->n * sizeof *r->rating);
    memset(r->left, 0, r->n_item * sizeof *r->left);
    mn_status st = run_workers(&j, diag);
    pthread_mutex_destroy(&j.lock);
    if (st == MN_OK && p->ranks->n > 1) st = join(p, r, diag);
    return st;
}

/* ---- one number per candidate ---- */

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return n ? sum / (double)n : NAN;
}

/* May sort x. */
static double one_of(double *x, size_t n, mn_evolve_statistic s)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i])) return NAN;
    if (s == MN_EVOLVE_MEAN || n < 3) return mean_of(x, n);
    mn__sort(x, n);
    if (s == MN_EVOLVE_MEDIAN) return mn__median(x, n);
    size_t cut = n / 10 ? n / 10 : 1;
    return mean_of(x + cut, n - 2 * cut);
}

double mn__population_excess(double kept, double target)
{
    return target > 0 && kept > target ? kept / target - 1 : 0;
}

size_t mn__population_losses(const mn__round *r, mn_evolve_statistic s, double *loss, double *kept,
                             double *room)
{
    size_t n = 0;
    for (size_t k = 0; k < r->n; k++) {
        size_t n_kept = 0;
        double sum = 0;
        n = 0;
        for (size_t i = 0; i < r->n_item; i++) {
            const mn__rating *cell = &r->rating[i * r->n + k];
            if (r->left[i]) continue;
            room[n++] = cell->loss;
            if (isnan(cell->kept_share)) continue;
            sum += cell->kept_share;
            n_kept++;
        }
        loss[k] = one_of(room, n, s);
        kept[k] = n_kept ? sum / (double)n_kept : NAN;
    }
    return n;
}
