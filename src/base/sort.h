/* sort.h: numbers in order, and the one in the middle. */
#ifndef MN_BASE_SORT_H
#define MN_BASE_SORT_H

#include <stddef.h>

/* Rising; NaN behind all numbers. */
void mn__sort(double *x, size_t n);

/* Of n numbers in order; NaN for none. */
double mn__median(const double *sorted, size_t n);

#endif
