/* stft_avx2.c: rings and spectra, for AVX2. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/x86.h"
#include "kern/x86/stft_body.h"
