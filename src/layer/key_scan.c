/* key_scan.c: lists of the best keys, and the way back. */
#include "layer/key_scan.h"

#include "layer/hits.h"
#include "layer/ops.h"
#include "layer/topm.h"

enum { BLOCK = 128, TOKEN_GRAIN = 8, ROW_GRAIN = 32, KEY_GRAIN = 128 };

typedef struct product {
    const mn__key_scan *k;
    size_t begin, end, head_axis;
    mn__real *out;
} product;

static void multiply(void *arg, size_t begin, size_t end, int thread)
{
    const product *p = arg;
    const mn__key_scan *k = p->k;
    const mn__mm mm = {
        .m = p->end - p->begin,
        .n = end - begin,
        .k = k->width,
        .a = k->query + p->begin * k->form.token + p->head_axis / 2 * k->form.head +
             p->head_axis % 2 * k->form.axis,
        .b = k->key + (p->head_axis * k->n_key + begin) * k->width,
        .c = p->out + begin,
        .ld_a = k->form.token,
        .ld_b = k->width,
        .ld_c = k->n_key,
    };
    (void)thread;
    mn__mm_nt(&mm);
}

void mn__key_products(const mn__key_scan *k, const mn__env *env, size_t begin, size_t end,
                      size_t head_axis, mn__real *out)
{
    product p = {k, begin, end, head_axis, out};
    mn__count(env, MN__WORK_KEYS, (double)(end - begin) * (double)(k->n_key * k->width));
    mn__each(env, k->n_key, KEY_GRAIN, multiply, &p);
}

typedef struct listing {
    const mn__key_scan *k;
    size_t first, head_axis;
    mn__real *product, *work, *value; /* work [threads][n_list] */
    uint32_t *list;
} listing;

static void list_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const listing *l = arg;
    const mn__key_scan *k = l->k;
    const size_t n_low = k->n_list - k->n_high;
    mn__real *work = l->work + (size_t)thread * k->n_list;
    for (size_t i = begin; i < end; i++) {
        size_t at = ((l->first + i) * k->n_head * 2 + l->head_axis) * k->n_list;
        mn__real *score = l->product + i * k->n_key, *value = l->value + at;
        mn__topm(score, k->n_key, k->n_high, l->list + at, value, work);
        if (!n_low) continue;
        for (size_t j = 0; j < k->n_key; j++) score[j] = -score[j];
        mn__topm(score, k->n_key, n_low, l->list + at + k->n_high, value + k->n_high, work);
        for (size_t j = k->n_high; j < k->n_list; j++) value[j] = -value[j];
    }
}

void mn__key_scan_run(const mn__key_scan *k, const mn__env *env, size_t n, uint32_t *list,
                      mn__real *value)
{
    size_t mark = mn__tape_mark(env->tape), n_block = n < BLOCK ? n : BLOCK;
    listing l = {.k = k, .list = list, .value = value};
    l.product = mn__take_reals(env, n_block * k->n_key);
    l.work = mn__take_reals(env, (size_t)mn__env_threads(env) * k->n_list);
    for (l.first = 0; l.first < n; l.first += BLOCK) {
        size_t end = l.first + BLOCK < n ? l.first + BLOCK : n;
        for (l.head_axis = 0; l.head_axis < 2 * k->n_head; l.head_axis++) {
            mn__key_products(k, env, l.first, end, l.head_axis, l.product);
            mn__each(env, end - l.first, TOKEN_GRAIN, list_tokens, &l);
        }
    }
    mn__tape_cut(env->tape, mark);
}

typedef struct way_back {
    const mn__key_back *k;
    uint32_t *row; /* of the hits: (head, axis, key) */
    mn__hits by_row;
} way_back;

/* Of hit i in [n][n_head][2][n_list]. */
static size_t query_at(const mn__key_back *k, size_t i)
{
    size_t list = i / k->n_list;
    return list / (2 * k->n_head) * k->form.token + list / 2 % k->n_head * k->form.head +
           list % 2 * k->form.axis;
}

/* Listed keys that were not chosen in the end have no gradient. */
static void add_part(mn__real *y, mn__real a, const mn__real *x, size_t n)
{
    if (a < 0 || a > 0 || a != a) mn__axpy(y, a, x, n);
}

static void back_tokens(void *arg, size_t begin, size_t end, int thread)
{
    const way_back *w = arg;
    const mn__key_back *k = w->k;
    const size_t n_hit = k->n_head * 2 * k->n_list;
    (void)thread;
    for (size_t i = begin * n_hit; i < end * n_hit; i++) {
        size_t row = i / k->n_list % (2 * k->n_head) * k->n_key + k->list[i];
        mn__real *dquery = k->dquery + query_at(k, i);
        w->row[i] = (uint32_t)row;
        for (size_t s = 0; s < k->n_part; s++)
            add_part(dquery + s * k->form.part, k->dscore[i * k->n_part + s],
                     k->key + (row * k->n_part + s) * k->width, k->width);
    }
}

static void back_rows(void *arg, size_t begin, size_t end, int thread)
{
    const way_back *w = arg;
    const mn__key_back *k = w->k;
    (void)thread;
    for (size_t j = w->by_row.first[begin]; j < w->by_row.first[end]; j++) {
        size_t i = w->by_row.order[j];
        const mn__real *query = k->query + query_at(k, i);
        mn__real *dkey = k->dkey + (size_t)w->row[i] * k->n_part * k->width;
        for (size_t s = 0; s < k->n_part; s++)
            add_part(dkey + s * k->width, k->dscore[i * k->n_part + s], query + s * k->form.part,
                     k->width);
    }
}

void mn__key_back_run(const mn__key_back *k, const mn__env *env, size_t n)
{
    size_t mark = mn__tape_mark(env->tape), n_hit = n * k->n_head * 2 * k->n_list;
    way_back w = {.k = k, .row = mn__tape_take(env->tape, n_hit, sizeof(uint32_t))};
    mn__count(env, MN__WORK_KEYS,
              (k->dkey ? 2 : 1) * (double)n_hit * (double)(k->n_part * k->width));
    mn__each(env, n, TOKEN_GRAIN, back_tokens, &w);
    mn__hits_sort(env, w.row, n_hit, k->n_head * 2 * k->n_key, &w.by_row);
    if (k->dkey) mn__each(env, w.by_row.n_row, ROW_GRAIN, back_rows, &w);
    mn__tape_cut(env->tape, mark);
}
