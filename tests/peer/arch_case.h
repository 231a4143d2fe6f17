/* arch_case.h: every architecture and every rule of rotation on tiny random models, against
 * llama_decode. */
#ifndef ARCH_CASE_H
#define ARCH_CASE_H

#include <stddef.h>

#include "mneme/model.h"
#include "peer/peer.h"
#include "tiny_model.h"

/* One model, and what both libraries are asked beyond what its file says. */
typedef struct arch_setup {
    tiny_model_params tiny;
    mn_model_params model;
    peer_params peer;
} arch_setup;

typedef struct arch_case {
    const char *arch, *what;
    void (*change)(arch_setup *s); /* NULL: as tiny_model_default says */
} arch_case;

extern const arch_case arch_cases[];
extern const size_t arch_n_case;

/* How long the text is, and the window where there is one. */
typedef struct arch_length {
    size_t n_token;
    uint32_t window;
} arch_length;

/* Read the text in chunks of 1, 7 and 512 and write it token by token, F32 cache, at a kernel
 * level; print the largest difference of two logits and return it. */
double arch_check(const arch_case *c, arch_length length, const char *cpu);

#endif
