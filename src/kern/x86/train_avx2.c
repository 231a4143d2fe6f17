/* train_avx2.c: what training alone needs, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/train_body.h"
