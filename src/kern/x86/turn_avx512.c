/* turn_avx512.c: rows turned into bf16 pairs, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/turn_body.h"
