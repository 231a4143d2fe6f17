/* topm.c: exact selection of the m largest.
 *
 * The m-th largest of the maxima of blocks of 16 is a value that at least m scores reach: most
 * others fail against it in one comparison, and those that pass are sorted into a list of m by
 * insertion, whose last entry is the next bound. */
#include "layer/topm.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 16, LANES = 4 };

/* A NaN would fall out of every comparison. */
static mn__real plain(mn__real x)
{
    return x == x ? x : -(mn__real)INFINITY;
}

/* Where x goes in a descending list of n, behind its equals. */
static size_t place(const mn__real *list, size_t n, mn__real x)
{
    size_t lo = 0;
    while (lo < n) {
        size_t mid = lo + (n - lo) / 2;
        if (list[mid] >= x)
            lo = mid + 1;
        else
            n = mid;
    }
    return lo;
}

/* The largest of at most a block: maxima side by side, a vector instruction's. */
static mn__real highest(const mn__real *x, size_t n)
{
    const mn__real low = -(mn__real)INFINITY;
    mn__real top[LANES] = {low, low, low, low};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) top[k] = x[i + k] > top[k] ? x[i + k] : top[k];
    for (; i < n; i++) top[0] = x[i] > top[0] ? x[i] : top[0];
    for (size_t k = 1; k < LANES; k++) top[0] = top[k] > top[0] ? top[k] : top[0];
    return top[0];
}

/* The m-th largest block maximum; -infinity when there are fewer blocks. */
static mn__real lower_bound(const mn__real *score, size_t n, size_t m, mn__real *list)
{
    size_t n_list = 0;
    if ((n + BLOCK - 1) / BLOCK < m) return -(mn__real)INFINITY;
    for (size_t i = 0; i < n; i += BLOCK) {
        mn__real top = highest(score + i, n - i < BLOCK ? n - i : BLOCK);
        if (n_list == m && !(top > list[m - 1])) continue;
        size_t at = place(list, n_list, top);
        n_list += n_list < m;
        memmove(list + at + 1, list + at, (n_list - at - 1) * sizeof *list);
        list[at] = top;
    }
    return list[m - 1];
}

void mn__topm(const mn__real *score, size_t n, size_t m, uint32_t *index, mn__real *value,
              mn__real *work)
{
    mn__real bound = lower_bound(score, n, m, work);
    size_t n_list = 0;
    for (size_t i = 0; i < n; i++) {
        mn__real x = plain(score[i]);
        if (x < bound || (n_list == m && x <= value[m - 1])) continue;
        size_t at = place(value, n_list, x);
        n_list += n_list < m;
        memmove(value + at + 1, value + at, (n_list - at - 1) * sizeof *value);
        memmove(index + at + 1, index + at, (n_list - at - 1) * sizeof *index);
        value[at] = x;
        index[at] = (uint32_t)i;
    }
}
