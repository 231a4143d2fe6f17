/* abc_vocab.h: a SentencePiece vocabulary of 281 tokens, made in memory, for tests that need a
 * tokenizer but no model file. */
#ifndef ABC_VOCAB_H
#define ABC_VOCAB_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "gguf.h"

enum { ABC_UNK, ABC_BOS, ABC_EOS, ABC_BYTE0, ABC_PIECE0 = ABC_BYTE0 + 256 };

/* Longer pieces score higher, so that merging goes on as far as it can. */
static const char *const abc_pieces[] = {"\xE2\x96\x81",
                                         "a",
                                         "b",
                                         "c",
                                         "\xE2\x96\x81"
                                         "a",
                                         "ab",
                                         "\xE2\x96\x81"
                                         "ab",
                                         "abc",
                                         "\xC3\xA9",
                                         "0",
                                         "1",
                                         "\"",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "d",
                                         "e",
                                         "<|im_start|>",
                                         "<|im_end|>"};
enum {
    ABC_N_PIECE = sizeof abc_pieces / sizeof *abc_pieces,
    ABC_SPACE = ABC_PIECE0,
    ABC_A,
    ABC_B,
    ABC_C,
    ABC_SPACE_A,
    ABC_AB,
    ABC_SPACE_AB,
    ABC_ABC,
    ABC_E_ACUTE,
    ABC_D = ABC_PIECE0 + 18,
    ABC_E,
    ABC_IM_START = ABC_PIECE0 + 20,
    ABC_IM_END,
    ABC_N = ABC_PIECE0 + ABC_N_PIECE
};

/* Free with gguf_free. */
static inline struct gguf_context *abc_vocab_meta(void)
{
    static char bytes[256][8];
    static const char *tokens[ABC_N];
    static float scores[ABC_N];
    static int32_t types[ABC_N];
    struct gguf_context *g = gguf_init_empty();
    tokens[ABC_UNK] = "<unk>", types[ABC_UNK] = 2;
    tokens[ABC_BOS] = "<s>", types[ABC_BOS] = 3;
    tokens[ABC_EOS] = "</s>", types[ABC_EOS] = 3;
    for (int i = 0; i < 256; i++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", (unsigned)i);
        tokens[ABC_BYTE0 + i] = bytes[i], types[ABC_BYTE0 + i] = 6;
    }
    for (int i = 0; i < ABC_N_PIECE; i++) {
        tokens[ABC_PIECE0 + i] = abc_pieces[i];
        types[ABC_PIECE0 + i] = strncmp(abc_pieces[i], "<|", 2) == 0 ? 3 : 1;
        scores[ABC_PIECE0 + i] = (float)strlen(abc_pieces[i]) - 10;
    }
    gguf_set_val_str(g, "general.architecture", "anything");
    gguf_set_val_str(g, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", tokens, ABC_N);
    gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores, ABC_N);
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, ABC_N);
    gguf_set_val_u32(g, "tokenizer.ggml.bos_token_id", ABC_BOS);
    gguf_set_val_u32(g, "tokenizer.ggml.eos_token_id", ABC_EOS);
    return g;
}

#endif
