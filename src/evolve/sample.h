/* sample.h: which prompts a generation is rated on. */
#ifndef MN_EVOLVE_SAMPLE_H
#define MN_EVOLVE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* Purposes of random streams (base/rng.h). */
enum { MN__RNG_HELD_OUT = 0x65766f01, MN__RNG_PROMPT, MN__RNG_PROMPT_AGAIN, MN__RNG_LANE };

typedef struct mn__sample_name { /* of a stream */
    uint64_t seed, number;
    uint32_t purpose;
} mn__sample_name;

/* k different numbers below n (k <= n <= 2^52), each set equally likely, rising, into out [k].
 * Ref: R. Floyd in J. Bentley, "Programming pearls: a sample of brilliance", CACM 30(9), 1987. */
void mn__sample_draw(const mn__sample_name *name, uint64_t n, size_t k, uint64_t *out);

/* Prompts that no candidate of a stage is rated on: k of n, rising, into out [k]. */
void mn__sample_held_out(uint64_t seed, size_t stage, uint64_t n, size_t k, uint64_t *out);

/* Numbers [k] among those that are not in `held` [n_held, rising] become numbers among all. */
void mn__sample_around(const uint64_t *held, size_t n_held, uint64_t *number, size_t k);

#endif
