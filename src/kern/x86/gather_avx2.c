/* gather_avx2.c: sums of chosen rows, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/gather_body.h"
