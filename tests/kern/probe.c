/* probe.c: guarded memory, random inputs and checks for the proofs. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/rng.h"
#include "kern/ref/number_ref.h"
#include "probe.h"

enum { GUARD_MAX = 64, SYSTEM_PAGE = 4096, POISON = 0xa5, REPORT_MAX = 3, PURPOSE = 0x6b65726e };

static struct {
    uint8_t *map, *start;
    size_t map_bytes;
} guard[GUARD_MAX];
static size_t n_guard;

double probe_uniform(struct probe *p)
{
    return mn__rng_uniform(p->seed, PURPOSE, p->drawn++, 0);
}

size_t probe_below(struct probe *p, size_t n)
{
    return (size_t)(probe_uniform(p) * (double)n);
}

size_t probe_pick(struct probe *p, const size_t *list, size_t n)
{
    return list[probe_below(p, n)];
}

float probe_plain(struct probe *p)
{
    double u = probe_uniform(p);
    return (float)(4 * u - 2 + 0.3 * sin(1e4 * u));
}

float probe_value(struct probe *p)
{
    float x = probe_plain(p);
    double u = probe_uniform(p);
    if (u < 0.01) return x * 3000.0f;
    if (u < 0.02) return x * 1e-20f;
    if (u < 0.03) return x * 1e-39f;
    return u < 0.04 ? 0.0f : x;
}

void *guard_take(size_t bytes)
{
    size_t body = (bytes + 256 + SYSTEM_PAGE - 1) / SYSTEM_PAGE * SYSTEM_PAGE;
    if (n_guard == GUARD_MAX) {
        fputs("mneme-kern: a proof takes too many buffers\n", stderr);
        exit(1);
    }
    uint8_t *map =
        mmap(NULL, body + SYSTEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + body, SYSTEM_PAGE, PROT_NONE) != 0) {
        perror("mneme-kern: mmap");
        exit(1);
    }
    memset(map, POISON, body);
    guard[n_guard].map = map;
    guard[n_guard].map_bytes = body + SYSTEM_PAGE;
    guard[n_guard].start = map + body - bytes;
    return guard[n_guard++].start;
}

void guard_release(struct probe *p)
{
    for (size_t i = 0; i < n_guard; i++) {
        for (uint8_t *at = guard[i].map; at < guard[i].start; at++)
            if (*at != POISON) {
                probe_fail(p, "byte in front of a buffer", (size_t)(guard[i].start - at), POISON,
                           *at);
                break;
            }
        munmap(guard[i].map, guard[i].map_bytes);
    }
    n_guard = 0;
}

float *guard_f32(struct probe *p, size_t n)
{
    float *x = guard_take(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = probe_value(p);
    return x;
}

mn_bf16 *guard_bf16(struct probe *p, size_t n)
{
    mn_bf16 *x = guard_take(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = mn__bf16_round(probe_value(p));
    return x;
}

void *guard_copy(const void *x, size_t bytes)
{
    void *copy = guard_take(bytes);
    memcpy(copy, x, bytes);
    return copy;
}

void probe_shape(struct probe *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->shape, sizeof p->shape, format, args);
    va_end(args);
}

void probe_fail(struct probe *p, const char *what, size_t i, double wanted, double found)
{
    if (p->n_bad++ < REPORT_MAX && !p->spoil)
        printf("  %s %s, %s: %s [%zu]: wanted %.9g, found %.9g\n", p->kernel, p->level, p->shape,
               what, i, wanted, found);
}

void check_f32(struct probe *p, const char *what, const float *wanted, float *found,
               const float *tol, size_t n)
{
    if (n == 0) return;
    p->n_check++;
    if (p->spoil) {
        size_t i = probe_below(p, n);
        found[i] += copysignf(0.02f * fabsf(found[i]) + (tol ? 2 * tol[i] : 0) + 1e-6f, found[i]);
    }
    for (size_t i = 0; i < n; i++) {
        bool same = tol ? fabs((double)wanted[i] - found[i]) <= tol[i] || wanted[i] == found[i]
                        : wanted[i] == found[i];
        if (!same && !(isnan(wanted[i]) && isnan(found[i]))) {
            probe_fail(p, what, i, wanted[i], found[i]);
            return;
        }
    }
}

void check_same(struct probe *p, const char *what, const void *wanted, void *found, size_t bytes)
{
    if (bytes == 0) return;
    p->n_check++;
    uint8_t *f = found;
    const uint8_t *w = wanted;
    if (p->spoil) f[probe_below(p, bytes)] ^= 1;
    for (size_t i = 0; i < bytes; i++)
        if (f[i] != w[i]) {
            probe_fail(p, what, i, w[i], f[i]);
            return;
        }
}
