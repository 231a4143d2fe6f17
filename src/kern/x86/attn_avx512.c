/* attn_avx512.c: scores and weighted values for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/attn_body.h"
