/* gather_avx512.c: sums of chosen rows, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/gather_body.h"
