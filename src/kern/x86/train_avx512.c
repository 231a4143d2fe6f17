/* train_avx512.c: what training alone needs, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/train_body.h"
