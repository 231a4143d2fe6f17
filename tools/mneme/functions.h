/* functions.h: functions that searches are tried on. Their minimum is 0. */
#ifndef MNEME_FUNCTIONS_H
#define MNEME_FUNCTIONS_H

#include <stddef.h>

enum { FUNCTION_COUNT = 10 };

const char *function_name(size_t i);                        /* NULL from FUNCTION_COUNT on */
double function_value(size_t i, const double *x, size_t n); /* of x [n]; i < FUNCTION_COUNT */

#endif
