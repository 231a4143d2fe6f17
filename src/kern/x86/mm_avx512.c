/* mm_avx512.c: products with a bf16 panel for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/mm_body.h"
