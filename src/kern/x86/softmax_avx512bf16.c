/* softmax_avx512bf16.c: the softmax of AVX-512 with the instruction that rounds two vectors to
 * bf16. It drops denormals, which no probability that counts is. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"

#undef MN__ISA
#define MN__ISA(name) mn__##name##_avx512bf16
#define MN__SOFTMAX_TWO
#define MN__SOFTMAX_ONLY_BF16

MN__INLINE void bf16_two(mn_bf16 *p, const float *s, vf c, vf mc, vf sum[2])
{
    vf a = vf_exp2_coarse(vf_fms(vf_load(s), c, mc));
    vf b = vf_exp2_coarse(vf_fms(vf_load(s + VF_N), c, mc));
    sum[0] = vf_add(sum[0], a);
    sum[1] = vf_add(sum[1], b);
    vi_store(p, (vi)_mm512_cvtne2ps_pbh(b, a));
}

#include "kern/x86/softmax_body.h"
