/* vocab.h: a model's vocabulary and tokenizer, by libllama. Immutable once open, shared by threads.
 * libllama's own tables (about 100 bytes per token and merge) are not in the ledger: it allocates
 * them itself. */
#ifndef MN_TEXT_VOCAB_H
#define MN_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"
#include "mneme/text.h"

struct gguf_context;
struct llama_vocab;
typedef struct mn__vocab mn__vocab;

/* Read the tokenizer.* keys of `meta` (only borrowed during the call). libllama aborts or throws on
 * some hostile keys, so all it relies on is checked first. MN_EINPUT with a sentence that names the
 * key; MN_ENOMEM. The first call silences libllama's log for the whole process; set another with
 * llama_log_set afterwards. */
mn_status mn__vocab_open(mn__vocab **out, const struct gguf_context *meta, mn_diag *diag);
void mn__vocab_close(mn__vocab *v); /* NULL is fine */

int32_t mn__vocab_n_token(const mn__vocab *v);
bool mn__vocab_is_end(const mn__vocab *v, int32_t token);
int32_t mn__vocab_end(const mn__vocab *v);        /* the one that ends a text (EOS); -1: none */
size_t mn__vocab_token_bytes(const mn__vocab *v); /* no token's text is longer */

/* As mn_tokenize and mn_token_text (mneme/text.h). */
mn_status mn__vocab_tokenize(const mn__vocab *v, const char *text, size_t n_bytes, unsigned flags,
                             mn_token_buf *out, mn_diag *diag);
mn_status mn__vocab_token_text(const mn__vocab *v, int32_t token, bool with_special,
                               mn_text_buf *out, mn_diag *diag);

const char *mn__vocab_chat_template(const mn__vocab *v);       /* NULL: none; owned by v */
const struct llama_vocab *mn__vocab_llama(const mn__vocab *v); /* for the sampler */
/* libllama's first error on this thread since the last take; "" if none. */
const char *mn__vocab_take_log(void);

#endif
