/* product_key.c: s[i,j] = K[0,i].q1 + K[1,j].q2, the best cells, w = softmax(s).
 *
 *   ds_l = w_l (dw_l - sum_k w_k dw_k)
 *
 * In a grid of two descending lists a cell (a, b) has (a+1)(b+1) - 1 cells before it that are no
 * worse, so that only those with (a+1)(b+1) <= n_keep can be kept: about n ln n of n^2. */
#include "layer/product_key.h"

#include <string.h>

#include "layer/key_scan.h"
#include "layer/topm.h"

enum { HEAD_GRAIN = 8, TOKEN_GRAIN = 8 };

static size_t n_candidate(size_t n_keep)
{
    size_t n = 0;
    for (size_t a = 1; a <= n_keep; a++) n += n_keep / a;
    return n;
}

typedef struct pass {
    const mn__product_key *k;
    mn__product_key_found *found;
    mn__real *value;     /* [n][n_head][2][n_keep]: of the lists */
    mn__real *work;      /* [threads][candidates + n_keep] */
    uint32_t *candidate; /* [candidates]: places in the grid, ascending */
    size_t n_candidate;
    const mn__real *dweight;
    mn__real *dscore; /* [n][n_head][2][n_keep]: of listed keys */
} pass;

static void softmax(const mn__real *x, size_t n, mn__real *y)
{
    mn__real sum = 0;
    for (size_t i = 0; i < n; i++) sum += y[i] = mn__exp(x[i] - x[0]); /* the largest is first */
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

/* begin, end: heads of tokens. */
static void choose_cells(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t m = p->k->n_keep;
    mn__real *score = p->work + (size_t)thread * (p->n_candidate + m),
             *work = score + p->n_candidate;
    for (size_t i = begin; i < end; i++) {
        const mn__real *high = p->value + i * 2 * m;
        const uint32_t *list = p->found->list + i * 2 * m;
        uint32_t *place = p->found->place + i * m;
        for (size_t c = 0; c < p->n_candidate; c++)
            score[c] = high[p->candidate[c] / m] + high[m + p->candidate[c] % m];
        mn__topm(score, p->n_candidate, m, place, p->found->score + i * m, work);
        for (size_t l = 0; l < m; l++) {
            place[l] = p->candidate[place[l]];
            p->found->cell[i * m + l] =
                list[place[l] / m] * (uint32_t)p->k->n_key + list[m + place[l] % m];
        }
        softmax(p->found->score + i * m, m, p->found->weight + i * m);
    }
}

static uint32_t *take_indices(const mn__env *env, size_t n)
{
    return mn__tape_take(env->tape, n, sizeof(uint32_t));
}

static mn__query_form form_of(const mn__product_key *k)
{
    return (mn__query_form){.token = k->n_head * 2 * k->half, .head = 2 * k->half, .axis = k->half};
}

void mn__product_key_forward(const mn__product_key *k, const mn__env *env, size_t n,
                             const mn__real *query, mn__product_key_found *found)
{
    const size_t m = k->n_keep, n_kept = n * k->n_head * m;
    *found = (mn__product_key_found){.cell = take_indices(env, n_kept),
                                     .score = mn__take_reals(env, n_kept),
                                     .weight = mn__take_reals(env, n_kept),
                                     .list = take_indices(env, 2 * n_kept),
                                     .place = take_indices(env, n_kept)};
    size_t mark = mn__tape_mark(env->tape);
    pass p = {.k = k, .found = found, .n_candidate = n_candidate(m)};
    p.value = mn__take_reals(env, 2 * n_kept);
    p.work = mn__take_reals(env, (size_t)mn__env_threads(env) * (p.n_candidate + m));
    p.candidate = take_indices(env, p.n_candidate);
    const mn__key_scan scan = {.n_head = k->n_head,
                               .n_key = k->n_key,
                               .width = k->half,
                               .n_list = m,
                               .n_high = m,
                               .key = k->key,
                               .query = query,
                               .form = form_of(k)};
    mn__key_scan_run(&scan, env, n, found->list, p.value);
    if (!mn__env_is_dry(env)) {
        size_t at = 0;
        for (size_t a = 0; a < m; a++)
            for (size_t b = 0; (a + 1) * (b + 1) <= m; b++)
                p.candidate[at++] = (uint32_t)(a * m + b);
    }
    mn__each(env, n * k->n_head, HEAD_GRAIN, choose_cells, &p);
    mn__tape_cut(env->tape, mark);
}

static void back_cells(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const size_t m = p->k->n_keep;
    (void)thread;
    memset(p->dscore + begin * 2 * m, 0, (end - begin) * 2 * m * sizeof *p->dscore);
    for (size_t i = begin; i < end; i++) {
        const mn__real *w = p->found->weight + i * m, *dw = p->dweight + i * m;
        const uint32_t *place = p->found->place + i * m;
        mn__real mean = 0, *dlist = p->dscore + i * 2 * m;
        for (size_t l = 0; l < m; l++) mean += w[l] * dw[l];
        for (size_t l = 0; l < m; l++) {
            mn__real ds = w[l] * (dw[l] - mean);
            dlist[place[l] / m] += ds;
            dlist[m + place[l] % m] += ds;
        }
    }
}

void mn__product_key_backward(const mn__product_key *k, const mn__env *env, size_t n,
                              const mn__real *query, const mn__product_key_found *found,
                              const mn__real *dweight, mn__real *dquery, mn__real *dkey)
{
    size_t mark = mn__tape_mark(env->tape);
    mn__product_key_found kept = *found;
    pass p = {.k = k, .found = &kept, .dweight = dweight};
    p.dscore = mn__take_reals(env, n * k->n_head * 2 * k->n_keep);
    mn__each(env, n * k->n_head, HEAD_GRAIN, back_cells, &p);
    const mn__key_back back = {.n_head = k->n_head,
                               .n_key = k->n_key,
                               .n_part = 1,
                               .width = k->half,
                               .n_list = k->n_keep,
                               .list = found->list,
                               .dscore = p.dscore,
                               .key = k->key,
                               .query = query,
                               .form = form_of(k),
                               .dquery = dquery,
                               .dkey = dkey};
    if (!mn__env_is_dry(env)) memset(dquery, 0, n * k->n_head * 2 * k->half * sizeof *dquery);
    mn__key_back_run(&back, env, n);
    mn__tape_cut(env->tape, mark);
}
