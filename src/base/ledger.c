/* ledger.c: who holds how many bytes, now and at most, and the limit. Lock-free: any thread may
 * count at any time. */
#include "base/heap.h"
#include "base/heap_internal.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_size_t tag_now[MN_MEM_COUNT], tag_peak[MN_MEM_COUNT];
static atomic_size_t total_now, total_peak;
static atomic_size_t limited_now; /* the total without mapped files, for the limit */
static atomic_size_t limit;

static void raise_peak(atomic_size_t *peak, size_t to)
{
    size_t seen = atomic_load_explicit(peak, memory_order_relaxed);
    while (seen < to && !atomic_compare_exchange_weak(peak, &seen, to)) {
    }
}

static void count_up(mn_mem_tag tag, size_t bytes)
{
    raise_peak(&tag_peak[tag], atomic_fetch_add(&tag_now[tag], bytes) + bytes);
    raise_peak(&total_peak, atomic_fetch_add(&total_now, bytes) + bytes);
}

static void count_down(mn_mem_tag tag, size_t bytes)
{
    atomic_fetch_sub(&tag_now[tag], bytes);
    atomic_fetch_sub(&total_now, bytes);
}

mn_status mn__ledger_take(mn_mem_tag tag, size_t bytes)
{
    size_t held = atomic_load(&limited_now);
    do {
        size_t most = atomic_load_explicit(&limit, memory_order_relaxed);
        if (most && (held > most || bytes > most - held)) return MN_ENOMEM;
    } while (!atomic_compare_exchange_weak(&limited_now, &held, held + bytes));
    count_up(tag, bytes);
    return MN_OK;
}

void mn__ledger_give(mn_mem_tag tag, size_t bytes)
{
    atomic_fetch_sub(&limited_now, bytes);
    count_down(tag, bytes);
}

void mn__ledger_map(size_t bytes)
{
    count_up(MN_MEM_WEIGHTS, bytes);
}

void mn__ledger_unmap(size_t bytes)
{
    count_down(MN_MEM_WEIGHTS, bytes);
}

void mn_mem_get_stats(mn_mem_stats *out)
{
    for (int i = 0; i < MN_MEM_COUNT; i++) {
        out->now[i] = atomic_load(&tag_now[i]);
        out->peak[i] = atomic_load(&tag_peak[i]);
    }
    out->total_now = atomic_load(&total_now);
    out->total_peak = atomic_load(&total_peak);
}

void mn_mem_reset_peak(void)
{
    for (int i = 0; i < MN_MEM_COUNT; i++) atomic_store(&tag_peak[i], atomic_load(&tag_now[i]));
    atomic_store(&total_peak, atomic_load(&total_now));
}

const char *mn_mem_tag_name(mn_mem_tag tag)
{
    switch (tag) {
#define X(name, text) \
    case MN_MEM_##name: return text;
        MN_MEM_MAP(X)
#undef X
    case MN_MEM_COUNT: break;
    }
    return "unknown";
}

void mn_mem_set_limit(size_t bytes)
{
    atomic_store(&limit, bytes);
}

size_t mn_mem_get_limit(void)
{
    return atomic_load(&limit);
}

/* The kernel's own account of this process; read without stdio, whose buffers would be heap
 * outside the ledger. */
static size_t read_proc(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n < 0) n = 0;
    text[n] = '\0';
    return (size_t)n;
}

size_t mn_mem_resident(void)
{
    char text[256];
    char *rest;
    if (!read_proc("/proc/self/statm", text, sizeof text)) return 0;
    strtoull(text, &rest, 10); /* virtual size, then resident size, in pages */
    return (size_t)strtoull(rest, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t mn_mem_resident_peak(void)
{
    char text[4096];
    if (!read_proc("/proc/self/status", text, sizeof text)) return 0;
    const char *line = strstr(text, "VmHWM:");
    if (!line) return 0;
    return (size_t)strtoull(line + strlen("VmHWM:"), NULL, 10) * 1024;
}
