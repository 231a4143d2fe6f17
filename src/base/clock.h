/* clock.h: monotonic seconds. */
#ifndef MN_BASE_CLOCK_H
#define MN_BASE_CLOCK_H
double mn__clock_s(void);
#endif
