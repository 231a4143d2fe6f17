/** @file generate.h  Writing an answer: sampling, stopping, whole characters out. */
#ifndef MNEME_GENERATE_H
#define MNEME_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/sampler.h"
#include "mneme/session.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A way to choose tokens, with its random stream. One sequence and one thread at a time. */
typedef struct mn_sampler mn_sampler;
/** @param out  owned, mn_sampler_free. The model must outlive it.
 *  @return MN_OK; MN_EUSAGE (a value out of its range), MN_EINPUT (a grammar that cannot
 * be used: the sentence names the line), MN_ENOMEM. */
MN_API mn_status mn_sampler_new(mn_sampler **out, const mn_model *m,
                                const mn_sampler_params *params, mn_diag *diag);
MN_API void mn_sampler_free(mn_sampler *s);
/** Tokens of the prompt, for the penalties. */
MN_API mn_status mn_sampler_prime(mn_sampler *s, const int32_t *token, size_t n, mn_diag *diag);
/** A new answer begins: the grammar starts over, penalties and random stream go on. */
MN_API void mn_sampler_next_answer(mn_sampler *s);
/** Choose from logits [V] and accept the choice. MN_EFAIL: no finite logit, or the grammar allows
 * nothing. Never allocates by itself. */
MN_API mn_status mn_sampler_next(mn_sampler *s, const float *logits, int32_t *token, mn_diag *diag);

typedef enum mn_stop {
    MN_STOP_LENGTH, /**< max_token tokens were written */
    MN_STOP_END,    /**< the model ended its turn */
    MN_STOP_CALLER  /**< on_text returned true */
} mn_stop;

typedef struct mn_generate_params {
    size_t max_token;
    bool ignore_end; /**< go on past the model's own end (benchmarks) */
    /** Whole UTF-8 characters as they come; return true to stop. May be NULL. */
    bool (*on_text)(const char *text, size_t n_bytes, void *ctx);
    void *ctx;
} mn_generate_params;

typedef struct mn_generated {
    size_t n_token; /**< written, the closing one not counted */
    mn_stop stop;
    double seconds; /**< from the first choice to the last step */
} mn_generated;

/** Write an answer into the session, starting from `logits` of the last read token.
 *  The closing token is run through the session too, so that a next turn can follow
 *  (mn_chat_tokenize_next).
 *  @return MN_OK, what the step returned, or MN_EUSAGE (a sampler of another model); `out` is valid
 *  in all cases. */
MN_API mn_status mn_generate(mn_session *s, mn_sampler *sampler, const float *logits,
                             const mn_generate_params *params, mn_generated *out, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
