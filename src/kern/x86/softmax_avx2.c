/* softmax_avx2.c: online softmax and column sums, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/softmax_body.h"
