/* tiny_tokens.c: the two tokenizers (tiny_tokens.h). Every byte is a token, and a few words are, so
 * that any text can be read. */
#include "tiny_tokens.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gguf.h"

enum { N_BYTE = 256, MAX_TOKEN = 300, TOKEN_BYTES = 24 };
enum {
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN = 2,
    TYPE_CONTROL = 3,
    TYPE_BYTE = 6
}; /* as GGUF counts them */

typedef struct vocab {
    char text[MAX_TOKEN][TOKEN_BYTES];
    const char *token[MAX_TOKEN];
    float score[MAX_TOKEN];
    int32_t type[MAX_TOKEN];
    uint32_t n;
} vocab;

/* Pieces made of earlier ones, in the order in which they merge. U+2581 is SentencePiece's space.
 */
static const char *const spm_piece[] = {"\xe2\x96\x81",
                                        "t",
                                        "h",
                                        "e",
                                        "a",
                                        "n",
                                        "d",
                                        "th",
                                        "the",
                                        "an",
                                        "and",
                                        "\xe2\x96\x81the",
                                        "\xe2\x96\x81"
                                        "a",
                                        "\xe2\x96\x81"
                                        "and"};
static const char *const bpe_merge[] = {"t h",  "th e",         "a n",
                                        "an d", "\xc4\xa0 the", "\xc4\xa0 a"}; /* U+0120: a space */

enum {
    N_SPM = 3 + N_BYTE + sizeof spm_piece / sizeof spm_piece[0],
    N_BPE = N_BYTE + sizeof bpe_merge / sizeof bpe_merge[0] + 2
};

static const char chat_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

static bool is_byte_level(const char *arch)
{
    return strncmp(arch, "qwen", 4) == 0;
}

uint32_t tiny_tokens_count(const char *arch)
{
    return is_byte_level(arch) ? N_BPE : N_SPM;
}

static void add(vocab *v, const char *text, float score, int32_t type)
{
    snprintf(v->text[v->n], TOKEN_BYTES, "%s", text);
    v->token[v->n] = v->text[v->n];
    v->score[v->n] = score;
    v->type[v->n++] = type;
}

static void fill_spm(vocab *v)
{
    add(v, "<unk>", 0, TYPE_UNKNOWN);
    add(v, "<s>", 0, TYPE_CONTROL);
    add(v, "</s>", 0, TYPE_CONTROL);
    for (unsigned byte = 0; byte < N_BYTE; byte++) {
        char text[TOKEN_BYTES];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add(v, text, 0, TYPE_BYTE);
    }
    for (size_t i = 0; i < sizeof spm_piece / sizeof spm_piece[0]; i++)
        add(v, spm_piece[i], -(float)i, TYPE_NORMAL);
}

/* The byte-level alphabet: printable bytes stand for themselves, the others for U+0100 and up in
 * order. */
static void byte_text(unsigned byte, unsigned *n_moved, char out[3])
{
    bool plain = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    unsigned code = plain ? byte : 0x100 + (*n_moved)++;
    if (code < 0x80) {
        out[0] = (char)code;
        out[1] = 0;
    } else {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        out[2] = 0;
    }
}

static void fill_bpe(vocab *v)
{
    unsigned n_moved = 0;
    for (unsigned byte = 0; byte < N_BYTE; byte++) {
        char text[3];
        byte_text(byte, &n_moved, text);
        add(v, text, 0, TYPE_NORMAL);
    }
    for (size_t i = 0; i < sizeof bpe_merge / sizeof bpe_merge[0]; i++) {
        const char *space = strchr(bpe_merge[i], ' ');
        char text[TOKEN_BYTES];
        snprintf(text, sizeof text, "%.*s%s", (int)(space - bpe_merge[i]), bpe_merge[i], space + 1);
        add(v, text, 0, TYPE_NORMAL);
    }
    add(v, "<|im_start|>", 0, TYPE_CONTROL);
    add(v, "<|im_end|>", 0, TYPE_CONTROL);
}

void tiny_tokens_write(struct gguf_context *gguf, const char *arch)
{
    vocab v = {.n = 0};
    bool byte_level = is_byte_level(arch);
    if (byte_level)
        fill_bpe(&v);
    else
        fill_spm(&v);
    gguf_set_val_str(gguf, "tokenizer.ggml.model", byte_level ? "gpt2" : "llama");
    gguf_set_val_str(gguf, "tokenizer.ggml.pre", byte_level ? "qwen2" : "default");
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", v.token, v.n);
    gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, v.type, v.n);
    if (byte_level) {
        const char *merge[sizeof bpe_merge / sizeof bpe_merge[0]];
        memcpy(merge, bpe_merge, sizeof merge);
        gguf_set_arr_str(gguf, "tokenizer.ggml.merges", merge, sizeof merge / sizeof merge[0]);
        gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", N_BPE - 1);
    } else {
        gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, v.score, v.n);
        gguf_set_val_u32(gguf, "tokenizer.ggml.unknown_token_id", 0);
        gguf_set_val_u32(gguf, "tokenizer.ggml.bos_token_id", 1);
        gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", 2);
        gguf_set_val_bool(gguf, "tokenizer.ggml.add_bos_token", true);
    }
    gguf_set_val_str(gguf, "tokenizer.chat_template", chat_template);
}
