/* rng.h: counter-based random numbers (Philox-4x32-10): a value depends on its key and counter
 * alone, so that threads, chunks and order of evaluation cannot matter. Ref: Salmon et al.,
 * "Parallel random numbers: as easy as 1, 2, 3", 2011. */
#ifndef MN_BASE_RNG_H
#define MN_BASE_RNG_H

#include <stdint.h>

/* Four 32-bit words for (key, counter). */
void mn__philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]);
/* A uniform double in [0,1) with 53 bits for (seed, purpose, a, b): the stream's name. */
double mn__rng_uniform(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b);
/* A standard normal for the same name (Box-Muller on two words of one block). */
double mn__rng_normal(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b);

#endif
