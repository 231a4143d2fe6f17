/* elem_avx2.c: kernels over one row, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/elem_body.h"
