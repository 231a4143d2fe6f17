/* sgemm.h: oneDNN's product in f32, made safe to call from a thread that takes signals. */
#ifndef MN_SGEMM_H
#define MN_SGEMM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mn__sgemm {
    size_t m, n, k;
    const float *a; /* [m][ld_a], turned: [k][ld_a] */
    const float *b; /* [k][ld_b], turned: [n][ld_b] */
    float *c;       /* [m][ld_c]; may not alias a or b */
    size_t ld_a, ld_b, ld_c;
    bool turn_a, turn_b, add; /* add: onto c */
} mn__sgemm;
/* c (+)= a b, on this thread alone. false: not done (built without oneDNN, or it refused). */
bool mn__sgemm_run(const mn__sgemm *p);

#endif
