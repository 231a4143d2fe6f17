/* page_avx512.c: rows into the pages of the cache and back, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/page_body.h"
