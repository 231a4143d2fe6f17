/* vocab_hash.h: is a text cut into the same ids by two files' tokenizers? */
#ifndef MN_TEXT_VOCAB_HASH_H
#define MN_TEXT_VOCAB_HASH_H

#include <stdint.h>

struct gguf_context;

/* Of all tokenizer.ggml.* keys, in whatever order the file has them. Chat templates and names cut
 * no text and do not count. */
uint64_t mn__vocab_hash(const struct gguf_context *meta);

#endif
