/* rater_retained.c: score the lane, keep the best, add up what they were worth. Linear networks are
 * one product for all candidates: a lane's inputs stand where attention has keys, candidates where
 * it has queries. */
#include "evolve/rater_retained.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "evolve/sample.h"
#include "kern/kern.h"

enum { TOGETHER = 16, BIN_BITS = 11, N_BIN = 1 << BIN_BITS };

typedef struct worker {
    float *param;        /* [TOGETHER][n_param] */
    float *score;        /* [TOGETHER][n_pad] */
    float *page;         /* [n_pad / 16][n_param][16], linear: inputs and ones */
    float *scratch;      /* of the network */
    uint32_t *key, *few; /* [n_max] */
    uint64_t *drawn;     /* [n_lane] */
} worker;

typedef struct retained {
    mn__retained_params p;
    size_t n_param, n_max, n_pad; /* n_pad: n_max up to whole pages */
    size_t *first;                /* [n_item + 1] where a prompt's lanes begin */
    worker *worker;
} retained;

/* ---- what stays ---- */

/* Numbers that rise with the scores. False: one of them is none. */
static bool take_keys(uint32_t *key, const float *score, size_t n)
{
    bool is_known = true;
    for (size_t i = 0; i < n; i++) {
        const float s = score[i] + 0.0f; /* -0 is 0 */
        uint32_t bits;
        is_known &= !isnan(s);
        memcpy(&bits, &s, sizeof bits);
        key[i] = bits ^ (bits >> 31 ? UINT32_MAX : (uint32_t)1 << 31);
    }
    return is_known;
}

/* The *m-th of the largest of n keys, 1 <= *m <= n; of those that are equal to it the *m newest
 * belong to them. By their upper, middle and lower bits. few [n] */
static uint32_t find_last_kept(const uint32_t *key, size_t n, uint32_t *few, size_t *m)
{
    static const int shift[] = {32 - BIN_BITS, 32 - 2 * BIN_BITS, 0};
    for (size_t pass = 0; pass < sizeof shift / sizeof *shift; pass++) {
        uint32_t count[N_BIN] = {0}, bin = N_BIN - 1;
        size_t n_few = 0;
        for (size_t i = 0; i < n; i++) count[key[i] >> shift[pass] & (N_BIN - 1)]++;
        for (; *m > count[bin]; bin--) *m -= count[bin];
        for (size_t i = 0; i < n; i++) {
            few[n_few] = key[i];
            n_few += (key[i] >> shift[pass] & (N_BIN - 1)) == bin;
        }
        key = few;
        n = n_few;
    }
    return key[0];
}

static double mass_of(const float *target, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)target[i];
    return sum;
}

/* What the m with the highest scores are worth. */
static double worth_of(const worker *w, const float *target, size_t n, size_t m)
{
    double sum = 0;
    if (m == 0) return 0;
    if (m >= n) return mass_of(target, n);
    const uint32_t last = find_last_kept(w->key, n, w->few, &m);
    for (size_t i = 0; i < n; i++) sum += w->key[i] > last ? (double)target[i] : 0;
    for (size_t i = n; m > 0; i--) {
        if (w->key[i - 1] != last) continue;
        sum += (double)target[i - 1];
        m--;
    }
    return sum;
}

/* Mean over the shares of what stays of the lane's target, which sums to `mass`. NAN: a score is
 * none. */
static double retained_share(const retained *r, const worker *w, const mn__lane_sample *lane,
                             double mass, const float *score)
{
    const size_t n = lane->end - lane->begin, fixed = lane->n - n;
    double sum = 0;
    if (!take_keys(w->key, score + lane->begin, n)) return NAN;
    if (!(mass > 0)) return 1;
    for (size_t s = 0; s < r->p.n_share; s++) {
        const size_t budget = (size_t)(r->p.share[s] * (double)lane->n);
        sum += worth_of(w, lane->target + lane->begin, n, budget > fixed ? budget - fixed : 0);
    }
    return sum / mass / (double)r->p.n_share;
}

static double mean_share(const retained *r)
{
    double sum = 0;
    for (size_t s = 0; s < r->p.n_share; s++) sum += r->p.share[s];
    return sum / (double)r->p.n_share;
}

/* ---- scores of some candidates ---- */

static void put_page(const retained *r, const worker *w, const mn__lane_sample *lane)
{
    const size_t E = r->p.net->n_in, n_block = (lane->n + 15) / 16;
    for (size_t b = 0; b < n_block; b++) {
        float *to = w->page + b * r->n_param * 16;
        const size_t n = lane->n - b * 16 < 16 ? lane->n - b * 16 : 16;
        memset(to, 0, E * 16 * sizeof *to);
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < E; c++) to[c * 16 + i] = lane->x[(b * 16 + i) * E + c];
        for (size_t i = 0; i < 16; i++) to[E * 16 + i] = 1;
    }
}

/* x [n][n_param] -> score [n][n_pad]. Linear: the lane is in the pages. */
static void score_lane(const retained *r, const worker *w, const mn__lane_sample *lane,
                       const double *x, size_t n)
{
    const size_t D = r->n_param;
    for (size_t i = 0; i < n * D; i++) w->param[i] = (float)x[i];
    for (size_t t = 0; r->p.net->head == MN__NAMM_LINEAR && t < lane->n; t += MN__PAGE_TOKENS) {
        const void *page = w->page + t * D;
        const size_t n_here = lane->n - t < MN__PAGE_TOKENS ? lane->n - t : MN__PAGE_TOKENS;
        r->p.kern->qk_f32(w->score + t, r->n_pad, w->param, D, n, &page, n_here, D, NULL);
    }
    for (size_t k = 0; r->p.net->head != MN__NAMM_LINEAR && k < n; k++)
        mn__namm_net_run(r->p.net, r->p.kern, w->param + k * D, lane->x, lane->n, NULL,
                         w->score + k * r->n_pad, NULL, w->scratch);
}

/* ---- a prompt ---- */

/* The same lanes for all candidates, whenever the prompt comes. */
static size_t draw_lanes(const retained *r, const worker *w, uint64_t item, size_t n)
{
    const size_t n_drawn = r->p.n_lane && r->p.n_lane < n ? r->p.n_lane : n;
    const mn__sample_name name = {r->p.seed, item, MN__RNG_LANE};
    mn__sample_draw(&name, n, n_drawn, w->drawn);
    return n_drawn;
}

static mn_status rate(void *ctx, size_t i_worker, uint64_t item, const double *x, size_t n,
                      mn__rating *out, mn_diag *diag)
{
    const retained *r = ctx;
    const worker *w = &r->worker[i_worker];
    const size_t first = r->first[item],
                 n_lane = draw_lanes(r, w, item, r->first[item + 1] - first);
    if (!n_lane) return mn__fail(diag, MN_ERANGE, "nothing was captured of it");
    for (size_t k = 0; k < n; k++) out[k] = (mn__rating){.loss = 1, .kept_share = mean_share(r)};
    for (size_t l = 0; l < n_lane; l++) {
        const mn__lane_sample *lane = &r->p.capture->lane[first + w->drawn[l]];
        const double mass = mass_of(lane->target + lane->begin, lane->end - lane->begin);
        if (r->p.net->head == MN__NAMM_LINEAR) put_page(r, w, lane);
        for (size_t k0 = 0; k0 < n; k0 += TOGETHER) {
            const size_t n_here = n - k0 < TOGETHER ? n - k0 : TOGETHER;
            score_lane(r, w, lane, x + k0 * r->n_param, n_here);
            for (size_t k = 0; k < n_here; k++)
                out[k0 + k].loss -=
                    retained_share(r, w, lane, mass, w->score + k * r->n_pad) / (double)n_lane;
        }
    }
    return MN_OK;
}

/* ---- life ---- */

static void free_rater(void *ctx)
{
    retained *r = ctx;
    if (!r) return;
    for (size_t i = 0; r->worker && i < r->p.n_worker; i++) {
        mn__free(r->worker[i].param);
        mn__free(r->worker[i].score);
        mn__free(r->worker[i].scratch);
        mn__free(r->worker[i].page);
        mn__free(r->worker[i].key);
        mn__free(r->worker[i].few);
        mn__free(r->worker[i].drawn);
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
    r->n_pad = (r->n_max + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
    return MN_OK;
}

static mn_status take_worker(const retained *r, worker *w, mn_diag *diag)
{
    const bool is_linear = r->p.net->head == MN__NAMM_LINEAR;
    const size_t scratch = is_linear ? 0 : mn__namm_net_scratch(r->p.net, r->n_max),
                 page = is_linear ? r->n_pad * r->n_param : 0;
    w->param = mn__alloc_array(MN_MEM_OTHER, r->n_param, TOGETHER * sizeof *w->param);
    w->score = mn__alloc_array(MN_MEM_OTHER, r->n_pad, TOGETHER * sizeof *w->score);
    w->page = mn__alloc_array(MN_MEM_OTHER, page, sizeof *w->page);
    w->scratch = mn__alloc_array(MN_MEM_OTHER, scratch, sizeof *w->scratch);
    w->key = mn__alloc_array(MN_MEM_OTHER, r->n_max, sizeof *w->key);
    w->few = mn__alloc_array(MN_MEM_OTHER, r->n_max, sizeof *w->few);
    w->drawn = mn__alloc_array(MN_MEM_OTHER, r->p.capture->n_lane, sizeof *w->drawn);
    return w->param && w->score && w->page && w->scratch && w->key && w->few && w->drawn
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
