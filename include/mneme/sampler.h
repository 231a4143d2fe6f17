/** @file sampler.h  How the next token is chosen from the logits. */
#ifndef MNEME_SAMPLER_H
#define MNEME_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Applied in this order: repetition, DRY, top-k, top-p, min-p, temperature, draw; a grammar has
 * the last word. Strings are read while the sampler is made and need not outlive that call. */
typedef struct mn_sampler_params {
    float temperature;     /* [0, 100]; 0: the most likely token, always */
    int32_t top_k;         /* keep the k most likely; 0: all */
    float top_p;           /* [0, 1] keep the fewest tokens that reach this probability; 1: all */
    float min_p;           /* [0, 1] keep tokens of this share of the most likely one's; 0: all */
    float repeat_penalty;  /* [0.01, 100] divides the logits of recent tokens; 1: off */
    int32_t repeat_last_n; /* [0, 1048576] how many tokens back; 0: off */
    float dry_multiplier;  /* [0, 1000] penalty on repeated phrases (DRY); 0: off */
    float dry_base;        /* [1, 100] its growth per token beyond the allowed length */
    int32_t dry_allowed_length;      /* [0, 1048576] phrases up to this length may repeat */
    int32_t dry_last_n;              /* [0, 1048576] how many tokens back; 0: off */
    const char *const *dry_breakers; /* texts that end a phrase; NULL: newline, colon, ", * */
    size_t n_dry_breaker;            /* [0, 256] */
    const char *grammar;             /* GBNF text with a rule `root`, at most 64 KiB; NULL: none */
    uint64_t seed;                   /* same seed, same logits: same tokens */
    uint32_t reserved[8];            /* zero */
} mn_sampler_params;

/** Temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, no penalties, no grammar, seed 0. */
MN_API void mn_sampler_params_default(mn_sampler_params *out);

/** Are these values in their ranges? MN_EUSAGE with a sentence that names the field if not. */
MN_API mn_status mn_sampler_params_check(const mn_sampler_params *params, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
