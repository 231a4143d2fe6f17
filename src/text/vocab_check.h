/* vocab_check.h: is this GGUF's tokenizer one that libllama can take without aborting? */
#ifndef MN_TEXT_VOCAB_CHECK_H
#define MN_TEXT_VOCAB_CHECK_H

#include "mneme/status.h"

struct gguf_context;

/* The tokenizer.* keys that libllama reads: present where needed, of the right type and length, ids
 * inside the vocabulary, tokens distinct. MN_EINPUT names the key, what was wanted and what was
 * found; MN_ENOMEM. */
mn_status mn__vocab_check(const struct gguf_context *meta, mn_diag *diag);

#endif
