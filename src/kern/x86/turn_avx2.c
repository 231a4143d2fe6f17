/* turn_avx2.c: rows turned into bf16 pairs, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/turn_body.h"
