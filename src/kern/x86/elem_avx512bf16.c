/* elem_avx512bf16.c: rounding to bf16 by the instruction for it. */
#include <immintrin.h>
#include "kern/x86/x86.h"

enum { DENORMAL = 0x20 }; /* class of _mm512_fpclass_ps_mask */

/* The instruction takes denormals for zeros: a vector with one of them goes the long way. */
void mn__f32_to_bf16_avx512bf16(mn_bf16 *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
        const __mmask16 odd =
            _mm512_fpclass_ps_mask(a, DENORMAL) | _mm512_fpclass_ps_mask(b, DENORMAL);
        if (__builtin_expect(odd != 0, 0))
            mn__f32_to_bf16_avx512(out + i, x + i, 32);
        else
            _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
    if (i < n) mn__f32_to_bf16_avx512(out + i, x + i, n - i);
}
