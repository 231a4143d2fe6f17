/* rater_retained.c: score the lane, keep the best, add up what they were worth. */
#include "evolve/rater_retained.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

typedef struct ranked {
    float score, target;
    uint32_t slot;
} ranked;

typedef struct worker {
    float *param, *score, *scratch;
    ranked *rank;
} worker;

typedef struct retained {
    mn__retained_params p;
    size_t n_param, n_max;
    size_t *first; /* [n_item + 1] where a prompt's lanes begin */
    worker *worker;
} retained;

/* Higher score first, of equals the newer token; a score that is none last. */
static bool comes_before(const ranked *a, const ranked *b)
{
    const float x = isnan(a->score) ? -INFINITY : a->score,
                y = isnan(b->score) ? -INFINITY : b->score;
    return x != y ? x > y : a->slot > b->slot;
}

static void swap(ranked *a, ranked *b)
{
    const ranked t = *a;
    *a = *b;
    *b = t;
}

/* The m first of n come to the front, in any order. */
static void select_first(ranked *r, size_t n, size_t m)
{
    size_t lo = 0, hi = n;
    while (hi - lo > 1 && m > lo && m < hi) {
        const ranked pivot = r[lo + (hi - lo) / 2];
        size_t i = lo, j = hi - 1;
        while (i <= j) {
            while (comes_before(&r[i], &pivot)) i++;
            while (comes_before(&pivot, &r[j])) j--;
            if (i > j) break;
            swap(&r[i++], &r[j]);
            if (j-- == 0) break;
        }
        if (m <= j + 1)
            hi = j + 1;
        else if (m >= i)
            lo = i;
        else
            return;
    }
}

static double retained_share(const retained *r, worker *w, const mn__lane_sample *lane)
{
    const size_t n = lane->end - lane->begin, fixed = lane->n - n;
    double sum = 0, mass = 0;
    for (size_t i = 0; i < n; i++) mass += (double)lane->target[lane->begin + i];
    if (!(mass > 0)) return 1;
    for (size_t s = 0; s < r->p.n_share; s++) {
        const size_t budget = (size_t)(r->p.share[s] * (double)lane->n),
                     m = budget > fixed ? budget - fixed : 0;
        double kept = 0;
        for (size_t i = 0; i < n; i++)
            w->rank[i] = (ranked){.score = w->score[lane->begin + i],
                                  .target = lane->target[lane->begin + i],
                                  .slot = (uint32_t)i};
        if (m < n) select_first(w->rank, n, m);
        for (size_t i = 0; i < n && i < m; i++) kept += (double)w->rank[i].target;
        sum += kept / mass;
    }
    return sum / (double)r->p.n_share;
}

static double mean_share(const retained *r)
{
    double sum = 0;
    for (size_t s = 0; s < r->p.n_share; s++) sum += r->p.share[s];
    return sum / (double)r->p.n_share;
}

static mn_status rate(void *ctx, size_t i_worker, uint64_t item, const double *x, size_t n,
                      mn__rating *out, mn_diag *diag)
{
    const retained *r = ctx;
    worker *w = &r->worker[i_worker];
    const size_t first = r->first[item], n_lane = r->first[item + 1] - first;
    if (!n_lane) return mn__fail(diag, MN_ERANGE, "nothing was captured of it");
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        bool failed = false;
        for (size_t i = 0; i < r->n_param; i++) w->param[i] = (float)x[k * r->n_param + i];
        for (size_t l = first; l < first + n_lane; l++) {
            const mn__lane_sample *lane = &r->p.capture->lane[l];
            mn__namm_net_run(r->p.net, r->p.kern, w->param, lane->x, lane->n, NULL, w->score, NULL,
                             w->scratch);
            for (size_t i = lane->begin; i < lane->end; i++) failed |= isnan(w->score[i]);
            sum += retained_share(r, w, lane);
        }
        out[k] = (mn__rating){.loss = failed ? NAN : 1 - sum / (double)n_lane,
                              .kept_share = mean_share(r)};
    }
    return MN_OK;
}

static void free_rater(void *ctx)
{
    retained *r = ctx;
    if (!r) return;
    for (size_t i = 0; r->worker && i < r->p.n_worker; i++) {
        mn__free(r->worker[i].param);
        mn__free(r->worker[i].score);
        mn__free(r->worker[i].scratch);
        mn__free(r->worker[i].rank);
    }
    mn__free(r->worker);
    mn__free(r->first);
    mn__free(r);
}

/* Lanes stand in the order of their prompts. */
static mn_status list_items(retained *r, mn_diag *diag)
{
    const mn__capture *c = r->p.capture;
    size_t l = 0;
    if (!c->n_lane) return mn__fail(diag, MN_EINPUT, "no prompt was captured");
    r->first = mn__alloc_array(MN_MEM_OTHER, (size_t)c->n_item + 1, sizeof *r->first);
    if (!r->first) return mn__fail(diag, MN_ENOMEM, "no memory for a list of prompts");
    for (uint64_t i = 0; i <= c->n_item; i++) {
        r->first[i] = l;
        for (; l < c->n_lane && c->prompt[l] == i; l++)
            if (c->lane[l].n > r->n_max) r->n_max = c->lane[l].n;
    }
    return MN_OK;
}

static mn_status take_worker(const retained *r, worker *w, mn_diag *diag)
{
    const size_t scratch = mn__namm_net_scratch(r->p.net, r->n_max);
    w->param = mn__alloc_array(MN_MEM_OTHER, r->n_param, sizeof *w->param);
    w->score = mn__alloc_array(MN_MEM_OTHER, r->n_max, sizeof *w->score);
    w->scratch = mn__alloc_array(MN_MEM_OTHER, scratch, sizeof *w->scratch);
    w->rank = mn__alloc_array(MN_MEM_OTHER, r->n_max, sizeof *w->rank);
    return w->param && w->score && w->scratch && w->rank
               ? MN_OK
               : mn__fail(diag, MN_ENOMEM, "no memory for a worker");
}

mn_status mn__retained_rater_new(mn__rater *out, const mn__retained_params *params, mn_diag *diag)
{
    mn_status st;
    retained *r = mn__alloc_zero(MN_MEM_OTHER, sizeof *r);
    if (!r) return mn__fail(diag, MN_ENOMEM, "no memory for a rater");
    r->p = *params;
    r->n_param = mn__namm_net_params(params->net);
    MN_TRY(list_items(r, diag));
    r->worker = mn__alloc_zero(MN_MEM_OTHER, params->n_worker * sizeof *r->worker);
    if (!r->worker)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu workers", params->n_worker));
    for (size_t i = 0; i < params->n_worker; i++) MN_TRY(take_worker(r, &r->worker[i], diag));
    *out =
        (mn__rater){.ctx = r, .n_item = params->capture->n_item, .rate = rate, .free = free_rater};
    r = NULL;
done:
    free_rater(r);
    return st;
}
