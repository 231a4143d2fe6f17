/* init.c: which variant stands where. The only place that names them; a level inherits what the
 * ones below it have. */
#include "base/cpu.h"
#include "kern/dots.h"
#include "kern/x86/x86.h"

/* What both widths of plain vectors have. */
#define MN__WIDTH_MAP(X) \
    X(rms_norm)          \
    X(rope)              \
    X(silu_mul)          \
    X(gelu_mul)          \
    X(add)               \
    X(f32_to_bf16)       \
    X(bf16_to_f32)       \
    X(quad_form)         \
    X(max_f32)           \
    X(mm_bf16)           \
    X(mm_into_bf16)      \
    X(mm_pack_bf16)      \
    X(mm_pack_cols_bf16) \
    X(mm_turn_bf16)      \
    X(page_put_bf16)     \
    X(page_put_f32)      \
    X(page_put_q8)       \
    X(page_widen_q8)     \
    X(page_get_bf16)     \
    X(page_get_f32)      \
    X(qk_bf16)           \
    X(qk_f32)            \
    X(softmax_bf16)      \
    X(softmax_f32)       \
    X(pv_bf16)           \
    X(pv_f32)            \
    X(probs)             \
    X(colsum)            \
    X(ring_put_bf16)     \
    X(ring_put_f32)      \
    X(stft_ema_bf16)     \
    X(stft_ema_f32)      \
    X(gather_f32)        \
    X(gather_bf16)       \
    X(gather_q8)         \
    X(hash_signs)        \
    X(row_dots_bf16)     \
    X(silu_mul_back)     \
    X(softmax_back)      \
    X(adamw)

/* Presence is not speed: on the Xeon measured dpbf16 does 32 operations a cycle, half of what f32
 * multiply-adds on widened numbers reach, so Intel keeps the latter. Other makers' cores, not
 * measured, are trusted to be faster with the instruction than without. */
void mn__kern_use_pairs(struct mn__kern *k)
{
    k->mm_bf16 = mn__mm_bf16_avx512bf16;
    k->mm_into_bf16 = mn__mm_into_bf16_avx512bf16;
    k->qk_bf16 = mn__qk_bf16_avx512bf16;
    k->pv_bf16 = mn__pv_bf16_avx512bf16;
}

void mn__kern_init_x86(struct mn__kern *k, int level)
{
#define MN__AVX2(name)                              k->name = mn__##name##_avx2;
#define MN__AVX512(name)                            k->name = mn__##name##_avx512;
#define MN__DOTS_AVX2(name, type, bits, zero, kind) k->dot16_##name = mn__dot16_##name##_avx2;
#define MN__DOTS_VNNI(name, type, bits, zero, kind) k->dot16_##name = mn__dot16_##name##_avx512vnni;
    if (level >= MN__CPU_AVX2) {
        MN__WIDTH_MAP(MN__AVX2)
        MN__DOTS_MAP(MN__DOTS_AVX2)
        k->quant_q8 = mn__quant_q8_avx2;
    }
    if (level >= MN__CPU_AVX512) {
        MN__WIDTH_MAP(MN__AVX512)
    }
    if (level >= MN__CPU_AVX512 && mn__cpu_has_vnni()) {
        MN__DOTS_MAP(MN__DOTS_VNNI)
        k->quant_q8 = mn__quant_q8_avx512vnni;
    }
#undef MN__AVX2
#undef MN__AVX512
#undef MN__DOTS_AVX2
#undef MN__DOTS_VNNI
#define MN__PANEL(name, type, bits, zero, kind) k->panel16_##name = mn__panel16_##name##_avx512bf16;
    if (level >= MN__CPU_AVX512BF16) {
        MN__DOTS_MAP(MN__PANEL)
        k->f32_to_bf16 = mn__f32_to_bf16_avx512bf16;
        k->softmax_bf16 = mn__softmax_bf16_avx512bf16;
        k->mm_pack_cols_bf16 = mn__mm_pack_cols_bf16_avx512bf16;
        k->mm_turn_bf16 = mn__mm_turn_bf16_avx512bf16;
        if (!__builtin_cpu_is("intel")) mn__kern_use_pairs(k);
    }
#undef MN__PANEL
    if (level >= MN__CPU_AMX) {
        k->mm_bf16 = mn__mm_bf16_amx;
        k->mm_into_bf16 = mn__mm_into_bf16_amx;
        k->qk_bf16 = mn__qk_bf16_amx;
        k->pv_bf16 = mn__pv_bf16_amx;
    }
}
