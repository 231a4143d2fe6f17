/* sort.c: qsort of doubles (sort.h). */
#include "base/sort.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
    return (x > y) - (x < y);
}

void mn__sort(double *x, size_t n)
{
    if (n > 1) qsort(x, n, sizeof *x, by_value); /* x may be NULL for none */
}

double mn__median(const double *sorted, size_t n)
{
    if (!n) return NAN;
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}
