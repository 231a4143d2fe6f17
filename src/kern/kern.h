/* kern.h: numbers only. Every kernel has a plain version in ref/ that is the truth; x86/ holds
 * faster ones, chosen once from the processor's flags and the level asked for. No allocation, no
 * threads, no structs but blocks. */
#ifndef MN_KERN_H
#define MN_KERN_H

#include <stddef.h>
#include <stdint.h>

typedef uint16_t mn_bf16;

/* A page holds 64 slots of K, then 64 slots of V, of one lane. d is even. Blocks of K hold 16
 * tokens. bf16: K [4][d/2][16][2], V [32][d][2]: pairs along the dimension that the product sums
 * over, so that a row of 64 bytes is at once the operand of dpbf16 (16 tokens, or 16 channels) and
 * a row of an AMX tile. f32:  K [4][d][16],      V [64][d] q8:   int8 in the order of bf16; scales
 * per token live beside the page. */
enum { MN__PAGE_TOKENS = 64, MN__BLOCK_TOKENS = 16, MN__MM_ROWS = 32, MN__MM_COLS = 32 };

/* How far a scaled score may exceed the reference of its row before the sums are scaled down to it:
 * e^8 times a row of ones is far from any limit of f32 or bf16. */
#define MN__SOFTMAX_SLACK 8.0f

/* Parts of pages that attention asks for ahead of reading them (qk, pv: then). */
enum { MN__AHEAD = 4 };

#define MN_KERN(name, args, tol) typedef void name##_fn args;
#include "kern/kern.def"
#undef MN_KERN

struct mn__kern {
#define MN_KERN(name, args, tol) name##_fn *name;
#include "kern/kern.def"
#undef MN_KERN
    int level; /* mn__cpu_level that the table was made for */
};

/* Fill the table for a level (mn__cpu_level as int; the caller has checked that the machine grants
 * it). */
void mn__kern_init(struct mn__kern *k, int level);

/* AMX needs its tiles configured on each thread that multiplies; other levels do nothing. begin/end
 * bracket a run of products (an op, not a call); no other code may use tiles between them. */
void mn__tiles_begin(const struct mn__kern *k);
void mn__tiles_end(const struct mn__kern *k);

#endif
