/* mm_avx2.c: products with a bf16 panel for AVX2 with FMA. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/mm_body.h"
