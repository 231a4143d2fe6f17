/* stft_avx512.c: rings and spectra, for AVX-512. */
#include "kern/x86/vec_avx512.h"
#include "kern/x86/x86.h"
#include "kern/x86/stft_body.h"
