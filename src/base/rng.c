/* rng.c: Philox-4x32-10, and uniform and normal numbers by name.
 * Ref: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 * A name (seed, purpose, a, b) is laid out as key = seed, low word first, and
 * counter = (a low, a high, b, purpose). */
#include "base/rng.h"

#include <math.h>

enum { N_ROUND = 10 };

void mn__philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4])
{
    const uint64_t M0 = 0xD2511F53, M1 = 0xCD9E8D57; /* multipliers of the two halves */
    const uint32_t W0 = 0x9E3779B9, W1 = 0xBB67AE85; /* key increments: golden ratio, sqrt(3) - 1 */
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t x0 = ctr[0], x1 = ctr[1], x2 = ctr[2], x3 = ctr[3];
    for (int i = 0; i < N_ROUND; i++) {
        uint64_t p0 = M0 * x0, p1 = M1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x1 = (uint32_t)p1;
        x3 = (uint32_t)p0;
        k0 += W0;
        k1 += W1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

static void block_of_name(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b, uint32_t out[4])
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t ctr[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, purpose};
    mn__philox(key, ctr, out);
}

double mn__rng_uniform(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b)
{
    uint32_t w[4];
    block_of_name(seed, purpose, a, b, w);
    uint64_t bits = ((uint64_t)(w[0] >> 5) << 26) | (w[1] >> 6); /* 27 + 26 bits */
    return (double)bits * 0x1p-53;
}

double mn__rng_normal(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b)
{
    const double two_pi = 6.283185307179586476925286766559;
    uint32_t w[4];
    block_of_name(seed, purpose, a, b, w);
    double radius = ((double)w[0] + 1.0) * 0x1p-32; /* (0,1]: the logarithm is finite */
    double angle = (double)w[1] * 0x1p-32;
    return sqrt(-2.0 * log(radius)) * cos(two_pi * angle);
}
