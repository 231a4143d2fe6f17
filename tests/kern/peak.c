/* peak.c: loops of multiply-adds that touch registers alone. */
#include <stddef.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "bench.h"

#if defined(__x86_64__) && !defined(MN_REF_ONLY)
#include <immintrin.h>

enum { TURNS = 20000 };

/* dst += a * b for R independent sums, enough to cover the latency. */
#define MN__PEAK(name, isa, type, zero, sums, step)                                           \
    __attribute__((target(isa), noinline)) static double name(void)                           \
    {                                                                                         \
        type sum[sums];                                                                       \
        type a = zero;                                                                        \
        __asm__ volatile("" : "+v"(a));                                                       \
        for (int j = 0; j < sums; j++) sum[j] = a;                                            \
        double t = mn__clock_s();                                                             \
        for (int i = 0; i < TURNS; i++) {                                                     \
            _Pragma("GCC unroll 16") for (int j = 0; j < sums; j++) sum[j] = step(sum[j], a); \
            __asm__ volatile("" : "+v"(a));                                                   \
        }                                                                                     \
        t = mn__clock_s() - t;                                                                \
        for (int j = 0; j < sums; j++) __asm__ volatile("" : : "v"(sum[j]));                  \
        return (double)TURNS * sums / t;                                                      \
    }
#define STEP_AVX2(s, x)   _mm256_fmadd_ps(x, x, s)
#define STEP_AVX512(s, x) _mm512_fmadd_ps(x, x, s)
#define STEP_PAIR(s, x)   _mm512_dpbf16_ps(s, (__m512bh)(x), (__m512bh)(x))
MN__PEAK(run_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), 12, STEP_AVX2)
MN__PEAK(run_avx512, "avx512f", __m512, _mm512_setzero_ps(), 16, STEP_AVX512)
MN__PEAK(run_pair, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), 16, STEP_PAIR)

double peak_fma(int level)
{
    return level >= MN__CPU_AVX512 ? run_avx512() * 32
           : level >= MN__CPU_AVX2 ? run_avx2() * 16
                                   : 0;
}

double peak_pair(void)
{
    return mn__cpu_best() >= MN__CPU_AVX512BF16 ? run_pair() * 64 : 0;
}

__attribute__((target("amx-tile,amx-bf16"))) double peak_tile(void)
{
    if (mn__cpu_best() < MN__CPU_AMX) return 0;
    double t = mn__clock_s();
    for (int i = 0; i < TURNS / 16; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    return TURNS / 16 * 4 * 2.0 * 16 * 16 * 32 / (mn__clock_s() - t);
}
#else
double peak_fma(int level)
{
    (void)level;
    return 0;
}

double peak_pair(void)
{
    return 0;
}

double peak_tile(void)
{
    return 0;
}
#endif
