/* hits.c: a stable radix sort of hits by row, lowest digits first. */
#include "layer/hits.h"

#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, TOUCH_GRAIN = 64 };

static void sort_by_digit(const uint32_t *row, size_t n, unsigned shift, const uint32_t *from,
                          uint32_t *to)
{
    uint32_t at[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) at[row[i] >> shift & (DIGITS - 1)]++;
    for (size_t d = 0; d < DIGITS; d++) {
        uint32_t count = at[d];
        at[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++) to[at[row[from[i]] >> shift & (DIGITS - 1)]++] = from[i];
}

void mn__hits_sort(const mn__env *env, const uint32_t *row, size_t n_hit, size_t bound,
                   mn__hits *out)
{
    *out = (mn__hits){.order = mn__tape_take(env->tape, n_hit, sizeof(uint32_t)),
                      .first = mn__tape_take(env->tape, n_hit + 1, sizeof(uint32_t))};
    size_t mark = mn__tape_mark(env->tape);
    uint32_t *other = mn__tape_take(env->tape, n_hit, sizeof(uint32_t)), *order = out->order;
    mn__tape_cut(env->tape, mark);
    if (mn__env_is_dry(env)) return;
    unsigned n_pass = 0;
    while (n_pass * DIGIT_BITS < 32 && (bound - 1) >> (n_pass * DIGIT_BITS)) n_pass++;
    if (n_pass % 2) { /* an odd number of passes ends in the other array */
        order = other;
        other = out->order;
    }
    for (size_t i = 0; i < n_hit; i++) order[i] = (uint32_t)i;
    for (unsigned pass = 0; pass < n_pass; pass++) {
        uint32_t *swap = order;
        sort_by_digit(row, n_hit, pass * DIGIT_BITS, order, other);
        order = other;
        other = swap;
    }
    for (size_t i = 0; i < n_hit; i++)
        if (!i || row[out->order[i]] != row[out->order[i - 1]])
            out->first[out->n_row++] = (uint32_t)i;
    out->first[out->n_row] = (uint32_t)n_hit;
}

typedef struct touching {
    mn__row_hook *hook;
    const uint32_t *row;
    mn__hits by_row;
} touching;

static void touch_rows(void *arg, size_t begin, size_t end, int thread)
{
    const touching *t = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        t->hook->touch(t->hook, t->row[t->by_row.order[t->by_row.first[i]]]);
}

void mn__hits_touch(const mn__env *env, const mn__param *table, const uint32_t *row, size_t n_hit)
{
    size_t mark = mn__tape_mark(env->tape);
    touching t = {.hook = table->hook, .row = row};
    if (!t.hook) return;
    mn__hits_sort(env, row, n_hit, table->dim[0], &t.by_row);
    mn__each(env, t.by_row.n_row, TOUCH_GRAIN, touch_rows, &t);
    mn__tape_cut(env->tape, mark);
}
