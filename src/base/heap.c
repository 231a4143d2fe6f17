/* heap.c: tagged, counted, 64-byte aligned blocks. In front of each lies a header of 64 bytes
 * that remembers size and tag, so that a block alone is enough to free it. The ledger counts
 * what was asked for; headers are not counted. */
#include "base/heap.h"
#include "base/heap_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 64, HEADER_MAGIC = 0x6d6e656d };

struct header {
    size_t bytes;
    mn_mem_tag tag;
    uint32_t magic; /* catches pointers that are none of ours */
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header lies before an aligned block");

static void *system_alloc(size_t bytes, void *ctx)
{
    (void)ctx;
    void *p;
    return posix_memalign(&p, HEADER_BYTES, bytes) == 0 ? p : NULL;
}

static void system_release(void *p, void *ctx)
{
    (void)ctx;
    free(p);
}

/* Set before any other call and never after, hence no synchronisation. */
static struct {
    void *(*alloc)(size_t bytes, void *ctx);
    void (*release)(void *p, void *ctx);
    void *ctx;
} allocator = {system_alloc, system_release, NULL};

void mn_mem_set_allocator(void *(*alloc)(size_t bytes, void *ctx),
                          void (*release)(void *p, void *ctx), void *ctx)
{
    assert(!alloc == !release);
    allocator.alloc = alloc ? alloc : system_alloc;
    allocator.release = release ? release : system_release;
    allocator.ctx = alloc ? ctx : NULL;
}

bool mn__mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool mn__add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

void *mn__alloc(mn_mem_tag tag, size_t bytes)
{
    size_t whole;
    if (!mn__add_size(bytes, HEADER_BYTES + MN__RED_ZONE, &whole)) return NULL;
    if (mn__ledger_take(tag, bytes) != MN_OK) return NULL;
    uint8_t *block = allocator.alloc(whole, allocator.ctx);
    if (!block) {
        mn__ledger_give(tag, bytes);
        return NULL;
    }
    assert((uintptr_t)block % HEADER_BYTES == 0);
    struct header *h = (struct header *)block;
    h->bytes = bytes;
    h->tag = tag;
    h->magic = HEADER_MAGIC;
    MN__POISON(block, HEADER_BYTES);
    MN__POISON(block + HEADER_BYTES + bytes, MN__RED_ZONE);
    return block + HEADER_BYTES;
}

void *mn__alloc_zero(mn_mem_tag tag, size_t bytes)
{
    void *p = mn__alloc(tag, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *mn__alloc_array(mn_mem_tag tag, size_t n, size_t size)
{
    size_t bytes;
    return mn__mul_size(n, size, &bytes) ? mn__alloc(tag, bytes) : NULL;
}

void mn__free(void *p)
{
    if (!p) return;
    uint8_t *block = (uint8_t *)p - HEADER_BYTES;
    MN__UNPOISON(block, HEADER_BYTES);
    struct header *h = (struct header *)block;
    assert(h->magic == HEADER_MAGIC);
    h->magic = 0;
    MN__UNPOISON(block + HEADER_BYTES + h->bytes, MN__RED_ZONE);
    mn__ledger_give(h->tag, h->bytes);
    allocator.release(block, allocator.ctx);
}

char *mn__strdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = mn__alloc(MN_MEM_OTHER, bytes);
    if (copy) memcpy(copy, s, bytes);
    return copy;
}

mn_status mn__grow(void *array, size_t n, size_t *cap, size_t size)
{
    void *old; /* by its bytes: a pointer of any type lies there */
    if (n < *cap) return MN_OK;
    size_t more = *cap > 0 ? 2 * *cap : 16;
    void *larger = mn__alloc_array(MN_MEM_OTHER, more, size);
    if (!larger) return MN_ENOMEM;
    memcpy(&old, array, sizeof old);
    if (n > 0) memcpy(larger, old, n * size);
    mn__free(old);
    memcpy(array, &larger, sizeof larger);
    *cap = more;
    return MN_OK;
}
