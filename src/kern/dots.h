/* dots.h: a weight packed for decode: groups of 16 rows, so that one wide multiply meets four
 * inputs of 16 rows. Values are the file's own numbers. A group of k inputs (multiple of 32; of 256
 * where scales are per 256) is a row of planes:
 * - q, bits 4, 5, 6: [k/32][4][16][4]; byte [b][j][r][i] holds the low 4 bits of input 32b + 4j + i
 *   (low nibble) and of 32b + 16 + 4j + i (high nibble) of row r
 * - q, bits 8: [k/32][8][16][4]; byte [b][j][r][i] is input 32b + 4j + i of row r, plus 128
 * - high, bits 5: [k/32][16][4]; bit j of byte [b][r][i] belongs to input 32b + 4j + i
 * - high, bits 6: [k/32][2][16][4]; bits 2j, 2j+1 of byte [b][h][r][i]: input 32b + 16h + 4j + i
 * - part, whole numbers that refine d. K: [k/32][16] uint8; S: [k/32][2][16] int8, per 16 inputs
 * - part_m, K: [k/32][16] uint8 that refine m
 * - d, m as f16: [k/32][16]; K and S: [k/256][16]; m is added, in K subtracted, in S absent */
#ifndef MN_KERN_DOTS_H
#define MN_KERN_DOTS_H

#include <stddef.h>
#include <stdint.h>

enum { MN__DOTS_ROWS = 16, MN__DOTS_BLOCK = 32, MN__DOTS_SUPER = 256 };

/* A value from its whole number q: D: q d. DM: q d + m. K: q part d - part_m m. S: q part d. */
typedef enum mn__dots_scale { MN__DOTS_D, MN__DOTS_DM, MN__DOTS_K, MN__DOTS_S } mn__dots_scale;

/* name, ggml's type of the same name in capitals, bits, value subtracted from q, scales */
#define MN__DOTS_MAP(X)               \
    X(q4_0, Q4_0, 4, 8, MN__DOTS_D)   \
    X(q4_1, Q4_1, 4, 0, MN__DOTS_DM)  \
    X(q5_0, Q5_0, 5, 16, MN__DOTS_D)  \
    X(q5_1, Q5_1, 5, 0, MN__DOTS_DM)  \
    X(q8_0, Q8_0, 8, 128, MN__DOTS_D) \
    X(q4_k, Q4_K, 4, 0, MN__DOTS_K)   \
    X(q5_k, Q5_K, 5, 0, MN__DOTS_K)   \
    X(q6_k, Q6_K, 6, 32, MN__DOTS_S)

/* Byte offsets of the planes in a group, and its size (a multiple of 64). */
typedef struct mn__dots_planes {
    size_t q, high, part, part_m, d, m, bytes;
} mn__dots_planes;

static inline mn__dots_planes mn__dots_layout(int bits, mn__dots_scale scale, size_t k)
{
    const size_t n = k / MN__DOTS_BLOCK, n_super = k / MN__DOTS_SUPER;
    const int is_super = scale == MN__DOTS_K || scale == MN__DOTS_S;
    const size_t d_bytes = (is_super ? n_super : n) * 2 * MN__DOTS_ROWS;
    mn__dots_planes p = {0, 0, 0, 0, 0, 0, 0};
    p.high = n * (bits == 8 ? 512 : 256);
    p.part = p.high + n * (bits == 5 ? 64 : bits == 6 ? 128 : 0);
    p.part_m = p.part + n * (scale == MN__DOTS_K ? 16 : scale == MN__DOTS_S ? 32 : 0);
    p.d = p.part_m + n * (scale == MN__DOTS_K ? 16 : 0);
    p.m = p.d + d_bytes;
    p.bytes = (p.m + (scale == MN__DOTS_DM || scale == MN__DOTS_K ? d_bytes : 0) + 63) / 64 * 64;
    return p;
}

#endif
