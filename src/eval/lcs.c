/* lcs.c: a row of the table as bits. Bit j of row i is 0 where T[i][j+1] is T[i][j] + 1, so T[i][j]
 * is the number of zeros among the first j bits. The next row of element x, with the mask M of the
 * places where x stands in b: V' = (V + (V & M)) | (V & ~M), the sum carried from word to word. */
#include "eval/lcs.h"

#include <string.h>

mn_status mn__lcs_init(mn__lcs *l, mn__scratch *s, size_t n_id, size_t max_a, size_t max_b)
{
    size_t n_word = max_b / 64 + 1;
    *l = (mn__lcs){.stride = 1};
    while (l->stride * l->stride < max_a) l->stride++;
    l->head = mn__scratch_take(s, n_id, sizeof *l->head);
    l->count = mn__scratch_take(s, n_id, sizeof *l->count);
    l->dense_of = mn__scratch_take(s, n_id, sizeof *l->dense_of);
    l->next = mn__scratch_take(s, max_b, sizeof *l->next);
    l->dense = mn__scratch_take(s, 64 * n_word, sizeof *l->dense);
    l->mask = mn__scratch_take(s, n_word, sizeof *l->mask);
    l->row[0] = mn__scratch_take(s, 2 * n_word, sizeof *l->row[0]);
    l->check = mn__scratch_take(s, (l->stride + 1) * n_word, sizeof *l->check);
    l->block = mn__scratch_take(s, (l->stride + 1) * n_word, sizeof *l->block);
    if (!l->head || !l->count || !l->dense_of || !l->next || !l->dense || !l->mask || !l->row[0] ||
        !l->check || !l->block)
        return MN_ENOMEM;
    l->row[1] = l->row[0] + n_word;
    memset(l->count, 0, n_id * sizeof *l->count);
    memset(l->mask, 0, n_word * sizeof *l->mask);
    return MN_OK;
}

static void set_bit(uint64_t *words, size_t i)
{
    words[i / 64] |= (uint64_t)1 << (i % 64);
}

static bool get_bit(const uint64_t *words, size_t i)
{
    return words[i / 64] >> (i % 64) & 1;
}

/* Ids that stand in b more often than a row has words keep their mask: there are fewer than 64. */
static void keep_masks(mn__lcs *l)
{
    uint32_t n_dense = 0;
    for (size_t i = 0; i < l->b.n; i++) {
        uint32_t id = l->b.id[i];
        if (l->count[id] <= l->n_word) continue;
        if (l->dense_of[id] == 0) {
            l->dense_of[id] = ++n_dense;
            memset(l->dense + (n_dense - 1) * l->n_word, 0, l->n_word * sizeof *l->dense);
        }
        set_bit(l->dense + (l->dense_of[id] - 1) * l->n_word, i);
    }
}

void mn__lcs_set_b(mn__lcs *l, mn__ids b)
{
    for (size_t i = 0; i < l->b.n; i++) l->count[l->b.id[i]] = 0;
    l->b = b;
    l->n_word = b.n / 64 + 1;
    for (size_t i = 0; i < b.n; i++) {
        uint32_t id = b.id[i];
        l->next[i] = l->head[id];
        l->head[id] = (uint32_t)i;
        l->count[id]++;
        l->dense_of[id] = 0;
    }
    keep_masks(l);
}

static void first_row(const mn__lcs *l, uint64_t *row)
{
    memset(row, 0xff, l->n_word * sizeof *row);
}

static void next_row(mn__lcs *l, const uint64_t *from, uint64_t *to, uint32_t id)
{
    uint32_t n = l->count[id];
    bool kept = n > l->n_word;
    if (n == 0) {
        memcpy(to, from, l->n_word * sizeof *to);
        return;
    }
    uint64_t *mask = kept ? l->dense + (l->dense_of[id] - 1) * l->n_word : l->mask;
    if (!kept)
        for (uint32_t i = l->head[id], k = 0; k < n; k++, i = l->next[i]) set_bit(mask, i);
    uint64_t carry = 0;
    for (size_t w = 0; w < l->n_word; w++) {
        uint64_t hit = from[w] & mask[w];
        uint64_t sum = from[w] + hit;
        uint64_t over = sum < hit;
        sum += carry;
        carry = over | (sum < carry);
        to[w] = sum | (from[w] & ~mask[w]);
    }
    if (!kept)
        for (uint32_t i = l->head[id], k = 0; k < n; k++, i = l->next[i]) mask[i / 64] = 0;
}

/* T[i][j] from row i. */
static size_t zeros(const uint64_t *row, size_t j)
{
    size_t n_one = 0;
    for (size_t w = 0; w < j / 64; w++) n_one += (size_t)__builtin_popcountll(row[w]);
    if (j % 64 > 0)
        n_one += (size_t)__builtin_popcountll(row[j / 64] & (((uint64_t)1 << (j % 64)) - 1));
    return j - n_one;
}

size_t mn__lcs_length(mn__lcs *l, mn__ids a)
{
    first_row(l, l->row[0]);
    for (size_t i = 0; i < a.n; i++) next_row(l, l->row[i % 2], l->row[(i + 1) % 2], a.id[i]);
    return zeros(l->row[a.n % 2], l->b.n);
}

/* The way back through the rows base..*i, which stand in the block. */
static void walk_block(const mn__lcs *l, mn__ids a, mn__lcs_tie tie, size_t base, size_t *i_end,
                       size_t *j_end, bool *in)
{
    size_t i = *i_end, j = *j_end;
    const uint64_t *row = l->block + (i - base) * l->n_word;
    size_t here = zeros(row, j), above = zeros(row - l->n_word, j);
    while (i > base && j > 0) {
        bool match = a.id[i - 1] == l->b.id[j - 1];
        size_t left = here - !get_bit(row, j - 1);
        if (match) {
            in[i - 1] = true;
            j--;
        } else if (above < left || (above == left && tie == MN__LCS_BACK_IN_B)) {
            j--;
            here = left;
            above -= !get_bit(row - l->n_word, j);
            continue;
        }
        i--;
        row -= l->n_word;
        here = match ? here - 1 : above;
        if (i > base) above = zeros(row - l->n_word, j);
    }
    *i_end = i;
    *j_end = j;
}

void mn__lcs_trace(mn__lcs *l, mn__ids a, mn__lcs_tie tie, bool *in)
{
    size_t w = l->n_word;
    first_row(l, l->row[0]);
    for (size_t i = 0; i < a.n; i++) {
        if (i % l->stride == 0)
            memcpy(l->check + i / l->stride * w, l->row[i % 2], w * sizeof *l->check);
        next_row(l, l->row[i % 2], l->row[(i + 1) % 2], a.id[i]);
    }
    size_t i = a.n, j = l->b.n;
    while (i > 0 && j > 0) {
        size_t base = (i - 1) / l->stride * l->stride;
        memcpy(l->block, l->check + base / l->stride * w, w * sizeof *l->block);
        for (size_t r = base; r < i; r++)
            next_row(l, l->block + (r - base) * w, l->block + (r - base + 1) * w, a.id[r]);
        walk_block(l, a, tie, base, &i, &j, in);
    }
}
