/* vocab_hash.c: a sum over keys, each hashed alone, so that their order does not matter. */
#include "text/vocab_hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "gguf.h"

static uint64_t hash_text(const char *s, uint64_t hash)
{
    return mn__hash64(s, strlen(s) + 1, hash); /* with its end: "a" "b" is not "ab" */
}

static uint64_t hash_array(const struct gguf_context *g, int64_t id, uint64_t hash)
{
    const enum gguf_type type = gguf_get_arr_type(g, id);
    const size_t n = gguf_get_arr_n(g, id);
    const uint32_t head[2] = {(uint32_t)type, (uint32_t)n};
    hash = mn__hash64(head, sizeof head, hash);
    if (type == GGUF_TYPE_STRING) {
        for (size_t i = 0; i < n; i++) hash = hash_text(gguf_get_arr_str(g, id, i), hash);
        return hash;
    }
    const size_t bytes = type == GGUF_TYPE_INT32 || type == GGUF_TYPE_FLOAT32 ? 4 * n : 0;
    return bytes ? mn__hash64(gguf_get_arr_data(g, id), bytes, hash) : hash;
}

/* Of the types that tokenizers use; others never reach libllama. */
static uint64_t hash_key(const struct gguf_context *g, int64_t id)
{
    uint64_t hash = hash_text(gguf_get_key(g, id), 0);
    switch (gguf_get_kv_type(g, id)) {
    case GGUF_TYPE_ARRAY: return hash_array(g, id, hash);
    case GGUF_TYPE_STRING: return hash_text(gguf_get_val_str(g, id), hash);
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32: return mn__hash64(gguf_get_val_data(g, id), 4, hash);
    case GGUF_TYPE_BOOL: return mn__hash64(gguf_get_val_data(g, id), 1, hash);
    default: return hash;
    }
}

uint64_t mn__vocab_hash(const struct gguf_context *meta)
{
    static const char prefix[] = "tokenizer.ggml.";
    uint64_t sum = 0;
    for (int64_t id = 0; id < gguf_get_n_kv(meta); id++)
        if (strncmp(gguf_get_key(meta, id), prefix, sizeof prefix - 1) == 0)
            sum += hash_key(meta, id);
    return sum;
}
