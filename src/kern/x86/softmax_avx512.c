/* softmax_avx512.c: online softmax and column sums, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/softmax_body.h"
