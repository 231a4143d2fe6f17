/* span.c: a growable array in reserved address space. Pages beyond the length are inaccessible
 * (but of small ones) and not resident: growing never moves what is there, and shrinking lowers the
 * process's resident size. */
#include "base/heap.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/heap_internal.h"

size_t mn__whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), most;
    return mn__add_size(bytes, page - 1, &most) ? most - most % page : SIZE_MAX;
}

/* A small span is accessible as a whole: neighbours then are one mapping to the system, which has
 * room for 65,530, and a session has some hundred spans. What a fault would have told of stray
 * writes, the address sanitizer does. */
static bool is_small(const mn__span *s)
{
    static const size_t most = 128 << 10;
    return s->reserved <= most;
}

mn_status mn__span_init(mn__span *s, mn_mem_tag tag, size_t reserve_bytes)
{
    size_t reserved = mn__whole_pages(reserve_bytes ? reserve_bytes : 1);
    *s = (mn__span){.tag = tag};
    if (reserved == SIZE_MAX) return MN_ENOMEM;
    s->reserved = reserved;
    /* Large ones without access: a stray write past the length faults, and strict overcommit does
     * not charge the reservation. */
    const int access = is_small(s) ? PROT_READ | PROT_WRITE : PROT_NONE;
    void *p = mmap(NULL, reserved, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        s->reserved = 0;
        return MN_ENOMEM;
    }
    s->data = p;
    if (is_small(s)) MN__POISON(s->data, reserved);
    return MN_OK;
}

static mn_status grow(mn__span *s, size_t to)
{
    size_t more = to - s->committed;
    mn_status st = mn__ledger_take(s->tag, more);
    if (st != MN_OK) return st;
    if (!is_small(s) && mprotect(s->data + s->committed, more, PROT_READ | PROT_WRITE) != 0) {
        mn__ledger_give(s->tag, more);
        return MN_ENOMEM;
    }
    if (is_small(s)) MN__UNPOISON(s->data + s->committed, more);
    s->committed = to;
    return MN_OK;
}

static void shrink(mn__span *s, size_t to)
{
    size_t less = s->committed - to;
    int failed = madvise(s->data + to, less, MADV_DONTNEED);
    assert(!failed); /* fails on locked or foreign pages only */
    (void)failed;
    /* Where the system refuses (out of mappings) the range merely stays accessible. */
    if (is_small(s))
        MN__POISON(s->data + to, less);
    else
        (void)mprotect(s->data + to, less, PROT_NONE);
    s->committed = to;
    mn__ledger_give(s->tag, less);
}

mn_status mn__span_resize(mn__span *s, size_t bytes)
{
    size_t to = mn__whole_pages(bytes);
    if (to > s->reserved) return MN_ERANGE;
    if (to > s->committed) return grow(s, to);
    if (to < s->committed) shrink(s, to);
    return MN_OK;
}

void mn__span_fini(mn__span *s)
{
    if (s->data) {
        MN__UNPOISON(s->data, s->reserved);
        munmap(s->data, s->reserved);
        mn__ledger_give(s->tag, s->committed);
    }
    *s = (mn__span){.tag = s->tag};
}
