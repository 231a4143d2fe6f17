/* sample.c: samples without replacement from named streams. */
#include "evolve/sample.h"

#include <assert.h>
#include <string.h>

#include "base/rng.h"

/* Where x stands in the rising out [n], or would. */
static size_t place_of(const uint64_t *out, size_t n, uint64_t x)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (out[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void mn__sample_draw(const mn__sample_name *name, uint64_t n, size_t k, uint64_t *out)
{
    assert(k <= n && n <= (uint64_t)1 << 52);
    for (size_t i = 0; i < k; i++) {
        uint64_t last = n - k + i; /* Floyd's: one of 0 ... last; last itself where that is taken */
        double u = mn__rng_uniform(name->seed, name->purpose, name->number, (uint32_t)i);
        uint64_t x = (uint64_t)(u * (double)(last + 1));
        if (x > last) x = last; /* the product may round up */
        size_t at = place_of(out, i, x);
        if (at < i && out[at] == x) {
            x = last;
            at = i;
        }
        memmove(out + at + 1, out + at, (i - at) * sizeof *out);
        out[at] = x;
    }
}

void mn__sample_held_out(uint64_t seed, size_t stage, uint64_t n, size_t k, uint64_t *out)
{
    const mn__sample_name name = {seed, stage, MN__RNG_HELD_OUT};
    mn__sample_draw(&name, n, k, out);
}

void mn__sample_around(const uint64_t *held, size_t n_held, uint64_t *number, size_t k)
{
    for (size_t i = 0; i < k; i++)
        for (size_t h = 0; h < n_held && held[h] <= number[i]; h++) number[i]++;
}
