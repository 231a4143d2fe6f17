/* attn_avx2.c: scores and weighted values for AVX2 with FMA. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/attn_body.h"
