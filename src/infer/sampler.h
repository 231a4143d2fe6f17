/* sampler.h: one sequence's choice of tokens, by libllama's samplers on our logits. One thread at a
 * time. */
#ifndef MN_INFER_SAMPLER_H
#define MN_INFER_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "mneme/sampler.h"
#include "mneme/status.h"
#include "text/vocab.h"

typedef struct mn__sampler mn__sampler;

/* `vocab` must outlive the sampler. MN_EUSAGE (a value out of its range), MN_EINPUT (a grammar that
 * cannot be used: the sentence names the line), MN_ENOMEM. DRY with breakers costs some 10 ms per
 * breaker. */
mn_status mn__sampler_new(mn__sampler **out, const mn_sampler_params *params,
                          const mn__vocab *vocab, mn_diag *diag);
void mn__sampler_free(mn__sampler *s); /* NULL is fine */

/* Choose a token from logits [n_logit], natural log, unnormalised; rows beyond the vocabulary's
 * tokens are padding and ignored. NaN and +inf count as -inf. The token is not yet accepted. No
 * allocation of ours. MN_ERANGE (fewer logits than tokens), MN_EFAIL (no finite logit, or the
 * grammar allows none of the tokens left). */
mn_status mn__sampler_pick(mn__sampler *s, const float *logits, size_t n_logit, int32_t *token,
                           mn_diag *diag);

/* Tokens of the prompt: the penalties see them, the grammar does not. MN_ERANGE (a token outside
 * the vocabulary). */
mn_status mn__sampler_prime(mn__sampler *s, const int32_t *tokens, size_t n, mn_diag *diag);
/* A token of the answer. MN_ERANGE, or MN_EINPUT when the grammar does not allow it here (nothing
 * changes then). */
mn_status mn__sampler_accept(mn__sampler *s, int32_t token, mn_diag *diag);

/* The grammar starts over; all else goes on. */
void mn__sampler_next_answer(mn__sampler *s);

#endif
