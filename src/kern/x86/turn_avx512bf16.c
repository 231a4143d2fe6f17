/* turn_avx512bf16.c: rows turned into bf16 pairs, rounded by the instruction for it. It takes
 * denormals for zeros, as the products do that read them. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"

/* even in the low halves, odd in the high ones */
MN__INLINE vi round_pair(vf even, vf odd)
{
    const vi order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                      23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

#define MN__ROUND_PAIR round_pair
#undef MN__ISA
#define MN__ISA(name) mn__##name##_avx512bf16
#include "kern/x86/turn_body.h"
