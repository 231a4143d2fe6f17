/* pool.c: pages of K and V in slabs of address space. A page is resident and counted from take to
 * the last give, never longer, so that an eviction shows in the ledger and in the process's size.
 *
 *   slab: 64 MiB of address space, aligned to its size, so that a page's address names its slab
 *   [ struct slab | bitmap of free pages | references | page 0 | page 1 | ... ]
 *
 * Taking and giving allocate nothing but a slab now and then; the lowest free page of a slab comes
 * first, which keeps a lane's pages side by side. */
#include "cache/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "base/diag.h"
#include "cache/slot.h"

#define SLAB_BYTES     ((size_t)64 << 20)
#define MAX_PAGE_BYTES ((size_t)8 << 20) /* several pages in a slab */

struct slab {
    struct slab *prev, *next;
    size_t n_free;
    size_t first;      /* no word of the bitmap before this one has a free page */
    uint64_t *free;    /* [pool n_word] a set bit: free */
    atomic_uint *refs; /* [pool n_page] */
    uint8_t *page;
};

struct mn__pool {
    pthread_mutex_t lock; /* lists, bitmaps; the references are atomic */
    size_t page_bytes;
    size_t n_page, n_word; /* of a slab */
    size_t head_bytes;     /* what stands before a slab's pages, counted under OTHER */
    struct slab *open;     /* slabs with free pages */
    struct slab *full;
    size_t n_empty; /* slabs of free pages only */
    atomic_size_t n_live;
};

size_t mn__pool_page_bytes(mn__kv_type type, size_t head_dim)
{
    return mn__whole_pages(2 * MN__PAGE_TOKENS * head_dim * mn__kv_element_bytes(type));
}

/* As many pages as fit behind their own bookkeeping. */
static void lay_out(mn__pool *p)
{
    size_t n = SLAB_BYTES / p->page_bytes + 1;
    do {
        n--;
        p->n_word = (n + 63) / 64;
        p->head_bytes =
            sizeof(struct slab) + p->n_word * sizeof(uint64_t) + n * sizeof(atomic_uint);
        p->head_bytes = mn__whole_pages(p->head_bytes);
    } while (p->head_bytes + n * p->page_bytes > SLAB_BYTES);
    p->n_page = n;
}

mn_status mn__pool_new(mn__pool **out, mn__kv_type type, size_t head_dim, mn_diag *diag)
{
    *out = NULL;
    if (head_dim == 0 || head_dim % 2 || head_dim > MAX_PAGE_BYTES ||
        mn__pool_page_bytes(type, head_dim) > MAX_PAGE_BYTES)
        return mn__fail(diag, MN_ERANGE,
                        "kv cache: head size %zu, wanted an even one whose pages "
                        "fit into %zu bytes",
                        head_dim, MAX_PAGE_BYTES);
    mn__pool *p = mn__alloc_zero(MN_MEM_OTHER, sizeof *p);
    if (!p || pthread_mutex_init(&p->lock, NULL) != 0) {
        mn__free(p);
        return mn__fail(diag, MN_ENOMEM, "kv cache: no memory for a pool of pages");
    }
    p->page_bytes = mn__pool_page_bytes(type, head_dim);
    lay_out(p);
    *out = p;
    return MN_OK;
}

static void link_slab(struct slab **list, struct slab *s)
{
    s->prev = NULL;
    s->next = *list;
    if (*list) (*list)->prev = s;
    *list = s;
}

static void unlink_slab(struct slab **list, struct slab *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        *list = s->next;
    if (s->next) s->next->prev = s->prev;
}

/* Address space at a multiple of its size: reserve twice as much and cut both ends off. */
static void *map_slab(void)
{
    uint8_t *wide = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED) return NULL;
    size_t before = (SLAB_BYTES - (uintptr_t)wide % SLAB_BYTES) % SLAB_BYTES;
    uint8_t *slab = wide + before;
    if (before) munmap(wide, before);
    munmap(slab + SLAB_BYTES, SLAB_BYTES - before);
    /* A huge page would stay resident for the sake of one of ours, and the ledger would lie. */
    (void)madvise(slab, SLAB_BYTES, MADV_NOHUGEPAGE);
    return slab;
}

static mn_status add_slab(mn__pool *p)
{
    mn_status st = mn__ledger_take(MN_MEM_OTHER, p->head_bytes);
    if (st != MN_OK) return st;
    struct slab *s = map_slab();
    if (!s) {
        mn__ledger_give(MN_MEM_OTHER, p->head_bytes);
        return MN_ENOMEM;
    }
    s->free = (uint64_t *)(s + 1);
    s->refs = (atomic_uint *)(s->free + p->n_word);
    s->page = (uint8_t *)s + p->head_bytes;
    s->n_free = p->n_page;
    for (size_t i = 0; i < p->n_page; i++) s->free[i / 64] |= (uint64_t)1 << i % 64;
    link_slab(&p->open, s);
    p->n_empty++;
    return MN_OK;
}

static void drop_slab(mn__pool *p, struct slab *s)
{
    munmap(s, SLAB_BYTES);
    mn__ledger_give(MN_MEM_OTHER, p->head_bytes);
}

void mn__pool_free(mn__pool *p)
{
    if (!p) return;
    assert(atomic_load(&p->n_live) == 0); /* a cache outlived its pool */
    for (struct slab *s = p->open, *next; s; s = next) {
        next = s->next;
        drop_slab(p, s);
    }
    pthread_mutex_destroy(&p->lock);
    mn__free(p);
}

static struct slab *slab_of(const void *page)
{
    return (struct slab *)((uintptr_t)page & ~(uintptr_t)(SLAB_BYTES - 1));
}

static atomic_uint *refs_of(const mn__pool *p, const void *page)
{
    struct slab *s = slab_of(page);
    return &s->refs[(size_t)((const uint8_t *)page - s->page) / p->page_bytes];
}

/* Under the lock. */
static mn_status take_one(mn__pool *p, void **page)
{
    if (!p->open) {
        mn_status st = add_slab(p);
        if (st != MN_OK) return st;
    }
    struct slab *s = p->open;
    while (!s->free[s->first]) s->first++;
    size_t i = s->first * 64 + (size_t)__builtin_ctzll(s->free[s->first]);
    s->free[s->first] &= s->free[s->first] - 1;
    if (s->n_free == p->n_page) p->n_empty--;
    if (--s->n_free == 0) {
        unlink_slab(&p->open, s);
        link_slab(&p->full, s);
    }
    atomic_store_explicit(&s->refs[i], 1, memory_order_relaxed);
    *page = s->page + i * p->page_bytes;
    return MN_OK;
}

/* Under the lock, for a page whose memory is clean. One empty slab is kept for the next take. */
static void put_back(mn__pool *p, void *page)
{
    struct slab *s = slab_of(page);
    size_t i = (size_t)((uint8_t *)page - s->page) / p->page_bytes;
    s->free[i / 64] |= (uint64_t)1 << i % 64;
    if (i / 64 < s->first) s->first = i / 64;
    if (s->n_free++ == 0) {
        unlink_slab(&p->full, s);
        link_slab(&p->open, s);
    }
    if (s->n_free < p->n_page) return;
    if (p->n_empty == 0) {
        p->n_empty = 1;
        return;
    }
    unlink_slab(&p->open, s);
    drop_slab(p, s);
}

mn_status mn__pool_take(mn__pool *p, void **page, size_t n)
{
    size_t bytes;
    if (!mn__mul_size(n, p->page_bytes, &bytes)) return MN_ENOMEM;
    mn_status st = mn__ledger_take(MN_MEM_KV, bytes);
    if (st != MN_OK) return st;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < n && st == MN_OK; i++) {
        st = take_one(p, &page[i]);
        if (st != MN_OK)
            while (i > 0) put_back(p, page[--i]);
    }
    pthread_mutex_unlock(&p->lock);
    if (st == MN_OK)
        atomic_fetch_add(&p->n_live, n);
    else
        mn__ledger_give(MN_MEM_KV, bytes);
    return st;
}

void mn__pool_share(mn__pool *p, void *page)
{
    unsigned before = atomic_fetch_add_explicit(refs_of(p, page), 1, memory_order_relaxed);
    assert(before > 0 && before < UINT32_MAX);
    (void)before;
}

void mn__pool_give(mn__pool *p, void *page)
{
    unsigned before = atomic_fetch_sub_explicit(refs_of(p, page), 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) return;
    /* Outside the lock: no other thread can know this page until it is put back. */
    int failed = madvise(page, p->page_bytes, MADV_DONTNEED);
    if (failed) memset(page, 0, p->page_bytes); /* locked memory stays, but a taken page is zero */
    mn__ledger_give(MN_MEM_KV, p->page_bytes);
    atomic_fetch_sub(&p->n_live, 1);
    pthread_mutex_lock(&p->lock);
    put_back(p, page);
    pthread_mutex_unlock(&p->lock);
}

int mn__pool_is_shared(const mn__pool *p, const void *page)
{
    return atomic_load_explicit(refs_of(p, page), memory_order_acquire) > 1;
}

size_t mn__pool_bytes(const mn__pool *p)
{
    return atomic_load(&p->n_live) * p->page_bytes;
}

size_t mn__pool_overhead_bytes(mn__kv_type type, size_t head_dim, size_t n_page)
{
    mn__pool p = {.page_bytes = mn__pool_page_bytes(type, head_dim)};
    lay_out(&p);
    return sizeof p + (n_page + p.n_page - 1) / p.n_page * p.head_bytes;
}
