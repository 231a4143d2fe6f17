/* number_ref.h: bf16 and 8-bit roundings in plain C, the definition that every faster kernel
 * repeats bit by bit. */
#ifndef MN_KERN_NUMBER_REF_H
#define MN_KERN_NUMBER_REF_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "kern/kern.h"

static inline float mn__bf16_widen(mn_bf16 x)
{
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Nearest, ties to even; a NaN is made quiet, so that dropping its low half cannot turn it into an
 * infinity. */
static inline mn_bf16 mn__bf16_round(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (mn_bf16)(u >> 16 | 0x40u);
    return (mn_bf16)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* Below this a token's largest value counts as zero: its inverse would leave the range of float. */
#define MN__Q8_TINY 1e-30f

static inline float mn__q8_inverse(float max)
{
    return max > MN__Q8_TINY ? 127.0f / max : 0.0f;
}

/* What is no number becomes -128, as in the saturating vector conversion. */
static inline int8_t mn__q8_round(float x, float inverse)
{
    float y = nearbyintf(x * inverse);
    return (int8_t)(y >= -128.0f && y <= 127.0f ? (int)y : -128);
}

#endif
