/* elem_avx512.c: kernels over one row, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/elem_body.h"
