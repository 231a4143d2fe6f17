/* arch_case.h: every architecture and every rule of rotation on tiny random models, against
 * llama_decode. */
#ifndef ARCH_CASE_H
#define ARCH_CASE_H

#include <stddef.h>
#include <stdint.h>

/* How long the text is, and the window where there is one. */
typedef struct arch_length {
    size_t n_token;
    uint32_t window;
} arch_length;

/* One test: for every case read the text in chunks of 1, 7 and 512 and write it token by token, F32
 * cache, at each of these n_cpu kernel levels that is there; the largest difference of two logits
 * is printed and held to a limit. Skips the test when no level is there. */
void arch_check_all(arch_length length, const char *const cpu[], size_t n_cpu);

#endif
