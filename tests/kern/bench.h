/* bench.h: timings of kernels at shapes of real models, and the machine's peaks to hold them
 * against. */
#ifndef MN_TEST_KERN_BENCH_H
#define MN_TEST_KERN_BENCH_H

#include "kern/kern.h"

/* Multiply-adds in registers alone: floating-point operations per second that the level could do, 0
 * where there is no such unit (peak_tile: AMX granted and tiles begun; peak_pair: dpbf16; peak_fma:
 * f32 vectors). */
double peak_tile(void);
double peak_pair(void);
double peak_fma(int level);

/* Time every kernel whose name contains filter at levels [first, last], seconds each, and print a
 * table; ratios are to ref/. */
void bench_run(const char *filter, int first, int last, double seconds);

#endif
