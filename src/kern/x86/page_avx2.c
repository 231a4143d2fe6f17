/* page_avx2.c: rows into the pages of the cache and back, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/page_body.h"
