/* asker.c: a question is a few words, the prompts, the candidates; all are shared by an or with the
 * zeros of the other ranks, which leaves every bit as it was. */
#include "evolve/asker.h"

#include <string.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/heap.h"

enum { BEGIN = 1, RATE, END };

typedef struct head {
    uint64_t what, stage, n_item, n, n_block;
} head;
enum { HEAD_WORDS = sizeof(head) / sizeof(uint64_t) };

void mn__asker_init(mn__asker *a, const mn_evolve_params *p, const mn__rater_maker *maker)
{
    size_t n = p->n_thread > 0 ? (size_t)p->n_thread : (size_t)mn__cpu_count();
    *a = (mn__asker){.p = p, .maker = maker, .stage = SIZE_MAX};
    a->population = (mn__population){.ranks = &p->ranks,
                                     .n_worker = n < MN__WORKER_MAX ? n : MN__WORKER_MAX,
                                     .tick = p->tick,
                                     .note = p->note,
                                     .stop = p->stop,
                                     .ctx = p->ctx};
}

void mn__asker_fini(mn__asker *a)
{
    if (a->rater.free) a->rater.free(a->rater.ctx);
    a->rater = (mn__rater){0};
    a->stage = SIZE_MAX;
}

/* ---- between ranks ---- */

static mn_status share(const mn__asker *a, uint64_t *word, size_t n, mn_diag *diag)
{
    const mn_evolve_ranks *ranks = &a->p->ranks;
    return ranks->n > 1 ? ranks->share(ranks->ctx, word, n, diag) : MN_OK;
}

static mn_status share_head(const mn__asker *a, head *h, mn_diag *diag)
{
    uint64_t word[HEAD_WORDS];
    memcpy(word, h, sizeof word);
    mn_status st = share(a, word, HEAD_WORDS, diag);
    memcpy(h, word, sizeof word);
    return st;
}

/* The rater of a stage, on this rank. */
static mn_status make(mn__asker *a, size_t stage, mn_diag *diag)
{
    mn__asker_fini(a);
    mn_status st =
        a->maker->make(a->maker->ctx, stage, a->p->stage[stage].fidelity, &a->rater, diag);
    if (st != MN_OK) return st;
    a->stage = stage;
    if (!a->rater.n_item || a->rater.n_item > (uint64_t)1 << 52)
        return mn__fail(diag, MN_ERANGE, "stage %zu: 1 to 2^52 prompts wanted, %llu found",
                        stage + 1, (unsigned long long)a->rater.n_item);
    return MN_OK;
}

/* A round's arrays, of this rank. */
typedef struct body {
    uint64_t *item, *x; /* x: bits of [n][n_param] doubles */
    mn__rating *rating;
    bool *left;
} body;

static void body_free(body *b)
{
    mn__free(b->item);
    mn__free(b->x);
    mn__free(b->rating);
    mn__free(b->left);
}

static mn_status body_init(body *b, const head *h, size_t n_param, mn_diag *diag)
{
    size_t n_cell, n_number;
    *b = (body){0};
    if (mn__mul_size((size_t)h->n_item, (size_t)h->n, &n_cell) &&
        mn__mul_size((size_t)h->n, n_param, &n_number)) {
        b->item = mn__alloc_zero(MN_MEM_OPT, (size_t)h->n_item * sizeof *b->item);
        b->x = mn__alloc_array(MN_MEM_OPT, n_number, sizeof *b->x);
        b->rating = mn__alloc_array(MN_MEM_OPT, n_cell, sizeof *b->rating);
        b->left = mn__alloc_zero(MN_MEM_OPT, (size_t)h->n_item * sizeof *b->left);
    }
    if (!b->item || !b->x || !b->rating || !b->left)
        return mn__fail(diag, MN_ENOMEM, "no memory for %llu candidates on %llu prompts",
                        (unsigned long long)h->n, (unsigned long long)h->n_item);
    memset(b->x, 0, n_number * sizeof *b->x);
    return MN_OK;
}

/* On every rank, from the same head on; the body's items and x are rank 0's. */
static mn_status work(mn__asker *a, const head *h, body *b, mn__round *r, mn_diag *diag)
{
    mn_status st;
    size_t n_param = a->p->search.n;
    MN_TRY(share(a, b->item, (size_t)h->n_item, diag));
    MN_TRY(share(a, b->x, (size_t)h->n * n_param, diag));
    *r = (mn__round){.rater = &a->rater,
                     .item = b->item,
                     .n_item = (size_t)h->n_item,
                     .x = (const double *)(const void *)b->x,
                     .n = (size_t)h->n,
                     .n_param = n_param,
                     .n_block = (size_t)h->n_block,
                     .rating = b->rating,
                     .left = b->left};
    MN_TRY(mn__population_rate(&a->population, r, diag));
done:
    return st;
}

/* ---- rank 0 ---- */

/* The others are told first: to make a rater may take long. */
mn_status mn__asker_begin(mn__asker *a, size_t stage, mn_diag *diag)
{
    head h = {.what = BEGIN, .stage = stage};
    mn_status st = share_head(a, &h, diag);
    return st == MN_OK ? make(a, stage, diag) : st;
}

/* Put a question to all ranks; the body is the caller's to free. */
static mn_status put_question(mn__asker *a, const mn__question *q, body *b, mn__round *r,
                              mn_diag *diag)
{
    mn_status st;
    const mn_evolve_ranks *ranks = &a->p->ranks;
    size_t n_worker = a->population.n_worker * (size_t)ranks->n;
    head h = {RATE, a->stage, q->n_item, q->n, mn__population_blocks(q->n_item, q->n, n_worker)};
    MN_TRY(body_init(b, &h, a->p->search.n, diag));
    memcpy(b->item, q->item, q->n_item * sizeof *b->item);
    memcpy(b->x, q->x, q->n * a->p->search.n * sizeof *b->x);
    if (ranks->n > 1) ranks->restart(ranks->ctx); /* all have shared the last answers */
    MN_TRY(share_head(a, &h, diag));
    MN_TRY(work(a, &h, b, r, diag));
done:
    return st;
}

mn_status mn__asker_ask(mn__asker *a, const mn__question *q, mn__rating *rating, bool *left,
                        mn_diag *diag)
{
    mn__round r;
    body b;
    mn_status st = put_question(a, q, &b, &r, diag);
    if (st == MN_OK) {
        memcpy(rating, b.rating, q->n_item * q->n * sizeof *rating);
        memcpy(left, b.left, q->n_item * sizeof *left);
    }
    body_free(&b);
    return st;
}

mn_status mn__asker_rate(mn__asker *a, const mn__question *q, double *loss, double *kept,
                         size_t *n_left, mn_diag *diag)
{
    mn_status st;
    mn__round r;
    body b = {0};
    double *room = mn__alloc_array(MN_MEM_OPT, q->n_item, sizeof *room);
    if (!room) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for %zu prompts", q->n_item));
    MN_TRY(put_question(a, q, &b, &r, diag));
    size_t n = mn__population_losses(&r, a->p->statistic, loss, kept, room);
    for (size_t k = 0; k < q->n; k++) loss[k] += mn__population_excess(kept[k], a->p->target_share);
    *n_left = q->n_item - n;
    if (!n)
        st = mn__fail(diag, MN_EINPUT, "stage %zu: none of %zu prompts can be rated", a->stage + 1,
                      q->n_item);
done:
    body_free(&b);
    mn__free(room);
    return st;
}

mn_status mn__asker_end(mn__asker *a, mn_diag *diag)
{
    head h = {.what = END};
    return share_head(a, &h, diag);
}

/* ---- other ranks ---- */

static mn_status follow_round(mn__asker *a, const head *h, mn_diag *diag)
{
    mn__round r;
    body b;
    mn_status st = body_init(&b, h, a->p->search.n, diag);
    if (st == MN_OK) st = work(a, h, &b, &r, diag);
    body_free(&b);
    return st;
}

mn_status mn__asker_follow(mn__asker *a, mn_diag *diag)
{
    mn_status st;
    for (;;) {
        head h = {0};
        MN_TRY(share_head(a, &h, diag));
        if (h.what == END) break;
        if (h.stage >= a->p->n_stage)
            return mn__fail(diag, MN_EUSAGE, "the ranks of a run were started differently");
        MN_TRY(h.what == BEGIN ? make(a, (size_t)h.stage, diag) : follow_round(a, &h, diag));
    }
done:
    return st;
}
