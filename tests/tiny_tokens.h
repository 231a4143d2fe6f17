/* tiny_tokens.h: tokenizers of fewer than 300 tokens that libllama accepts: SentencePiece-like, and
 * byte-level for the qwens. */
#ifndef TINY_TOKENS_H
#define TINY_TOKENS_H

#include <stdint.h>

struct gguf_context;
/* Tokens of the vocabulary for an architecture. */
uint32_t tiny_tokens_count(const char *arch);
/* Set the tokenizer.* keys. */
void tiny_tokens_write(struct gguf_context *gguf, const char *arch);

#endif
