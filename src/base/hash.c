/* hash.c: the checksum of saved sessions. */
#include "base/file.h"

#include <xxhash.h>

uint64_t mn__hash64(const void *data, size_t n, uint64_t seed)
{
    return XXH64(data, n, seed);
}
