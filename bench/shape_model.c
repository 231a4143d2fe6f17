/* shape_model.c: mneme-shape writes a model file of the size and quantisation of a real one, with
 * random weights: what speed and memory need, without a download. The text it writes means nothing.
 *
 *   mneme-shape llama-8b OUT.gguf   32 layers, width 4096, 32/8 heads, ffn 14336, Q4_K, 4.5 GB
 *   mneme-shape llama-1b OUT.gguf   16 layers, width 2048, 32/8 heads, ffn 8192, Q4_K, 0.8 GB */
#include <ggml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"

typedef struct shape {
    const char *name;
    uint32_t n_layer, n_embd, n_head, n_kv_head, n_ff, n_vocab, n_ctx;
} shape;
static const shape shapes[] = {{"llama-8b", 32, 4096, 32, 8, 14336, 128256, 8192},
                               {"llama-1b", 16, 2048, 32, 8, 8192, 128256, 8192}};

/* Random Q4_K blocks with scales that keep activations near one: d and dmin f16, 12 bytes of 6-bit
 * scales, 128 bytes of nibbles. */
typedef struct source {
    uint64_t seed;
    size_t row_bytes;
    ggml_fp16_t d, dmin;
} source;

static mn_status fill(void *ctx, int64_t row, int64_t n_row, void *out, mn_diag *diag)
{
    const source *s = ctx;
    uint8_t *p = out;
    (void)diag;
    enum { BLOCK = 144, HEAD = 4 };
    for (size_t at = 0, n = (size_t)n_row * s->row_bytes; at < n; at += BLOCK) {
        uint32_t key[2] = {(uint32_t)s->seed, 7}, word[4];
        uint64_t block = (uint64_t)row * s->row_bytes + at;
        memcpy(p + at, &s->d, sizeof s->d);
        memcpy(p + at + 2, &s->dmin, sizeof s->dmin);
        for (size_t i = HEAD; i < BLOCK; i += sizeof word) {
            uint32_t ctr[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)i, 0};
            size_t left = BLOCK - i < sizeof word ? BLOCK - i : sizeof word;
            mn__philox(key, ctr, word);
            memcpy(p + at + i, word, left);
        }
    }
    return MN_OK;
}

static void matrix(mn__gguf_writer *w, source *s, const char *name, uint32_t n_in, uint32_t n_out,
                   uint64_t seed)
{
    const int64_t ne[4] = {n_in, n_out, 1, 1};
    float step = 1.0f / (32 * 8); /* 6-bit scale about 32, nibble about 8 around its minimum */
    *s = (source){.seed = seed,
                  .row_bytes = ggml_row_size(GGML_TYPE_Q4_K, n_in),
                  .d = ggml_fp32_to_fp16(step / 64),
                  .dmin = ggml_fp32_to_fp16(step / 8)};
    mn__gguf_add_tensor(w, name, GGML_TYPE_Q4_K, ne,
                        &(mn__gguf_source){.fill_bytes = fill, .ctx = s});
}

static void ones(mn__gguf_writer *w, const float *one, const char *name, uint32_t n)
{
    mn__gguf_add_tensor(w, name, GGML_TYPE_F32, (const int64_t[4]){n, 1, 1, 1},
                        &(mn__gguf_source){.floats = one});
}

static void keys(mn__gguf_writer *w, const shape *s)
{
    mn__gguf_set_str(w, "general.architecture", "llama");
    mn__gguf_set_str(w, "general.name", s->name);
    mn__gguf_set_u32(w, "llama.block_count", s->n_layer);
    mn__gguf_set_u32(w, "llama.embedding_length", s->n_embd);
    mn__gguf_set_u32(w, "llama.feed_forward_length", s->n_ff);
    mn__gguf_set_u32(w, "llama.attention.head_count", s->n_head);
    mn__gguf_set_u32(w, "llama.attention.head_count_kv", s->n_kv_head);
    mn__gguf_set_u32(w, "llama.rope.dimension_count", s->n_embd / s->n_head);
    mn__gguf_set_u32(w, "llama.context_length", s->n_ctx);
    mn__gguf_set_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    mn__gguf_set_f32(w, "llama.rope.freq_base", 500000.0f);
}

/* Words w0, w1, ...: the first three are the special ones that a SentencePiece reader wants. */
static bool vocabulary(mn__gguf_writer *w, const shape *s, char **text)
{
    enum { WORD = 12, UNKNOWN = 2, CONTROL = 3, NORMAL = 1, BYTE = 6, SPECIAL = 3, BYTES = 256 };
    const char **words = malloc(s->n_vocab * sizeof *words);
    float *score = calloc(s->n_vocab, sizeof *score);
    int32_t *type = malloc(s->n_vocab * sizeof *type);
    *text = malloc((size_t)s->n_vocab * WORD);
    bool ok = words && score && type && *text;
    for (uint32_t i = 0; ok && i < s->n_vocab; i++) {
        char *word = *text + (size_t)i * WORD;
        if (i >= SPECIAL && i < SPECIAL + BYTES)
            snprintf(word, WORD, "<0x%02X>", i - SPECIAL);
        else
            snprintf(word, WORD, "w%u", i);
        words[i] = word;
        type[i] = i == 0 ? UNKNOWN : i < SPECIAL ? CONTROL : i < SPECIAL + BYTES ? BYTE : NORMAL;
        score[i] = -(float)i;
    }
    if (ok) {
        mn__gguf_set_str(w, "tokenizer.ggml.model", "llama");
        mn__gguf_set_strs(w, "tokenizer.ggml.tokens", words, s->n_vocab);
        mn__gguf_set_array(w, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, score, s->n_vocab);
        mn__gguf_set_array(w, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, type, s->n_vocab);
        mn__gguf_set_u32(w, "tokenizer.ggml.bos_token_id", 1);
        mn__gguf_set_u32(w, "tokenizer.ggml.eos_token_id", 2);
    }
    free(words);
    free(score);
    free(type);
    return ok;
}

static void layer(mn__gguf_writer *w, const shape *s, source *src, const float *one, uint32_t il)
{
    const uint32_t C = s->n_embd, kv = C / s->n_head * s->n_kv_head;
    const struct {
        const char *name;
        uint32_t n_in, n_out;
    } m[] = {{"attn_q", C, C},        {"attn_k", C, kv},        {"attn_v", C, kv},
             {"attn_output", C, C},   {"ffn_gate", C, s->n_ff}, {"ffn_up", C, s->n_ff},
             {"ffn_down", s->n_ff, C}};
    char name[64];
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) {
        snprintf(name, sizeof name, "blk.%u.%s.weight", il, m[i].name);
        matrix(w, &src[i], name, m[i].n_in, m[i].n_out, 100 + il * 16 + i);
    }
    snprintf(name, sizeof name, "blk.%u.attn_norm.weight", il);
    ones(w, one, name, C);
    snprintf(name, sizeof name, "blk.%u.ffn_norm.weight", il);
    ones(w, one, name, C);
}

static mn_status write_model(const shape *s, const char *path, mn_diag *diag)
{
    enum { PER_LAYER = 7 };
    mn_status st;
    mn__gguf_writer *w = NULL;
    char *words = NULL;
    source *src = calloc((size_t)s->n_layer * PER_LAYER + 2, sizeof *src);
    float *one = malloc(s->n_embd * sizeof *one);
    st = src && one ? mn__gguf_writer_new(&w, diag) : MN_ENOMEM;
    for (uint32_t i = 0; st == MN_OK && i < s->n_embd; i++) one[i] = 1.0f;
    if (st == MN_OK) {
        keys(w, s);
        if (!vocabulary(w, s, &words)) st = MN_ENOMEM;
    }
    if (st == MN_OK) {
        matrix(w, &src[0], "token_embd.weight", s->n_embd, s->n_vocab, 1);
        matrix(w, &src[1], "output.weight", s->n_embd, s->n_vocab, 2);
        ones(w, one, "output_norm.weight", s->n_embd);
        for (uint32_t i = 0; i < s->n_layer; i++)
            layer(w, s, src + 2 + (size_t)i * PER_LAYER, one, i);
        st = mn__gguf_write(w, path, diag);
    }
    mn__gguf_writer_free(w);
    free(words);
    free(src);
    free(one);
    return st;
}

int main(int argc, char **argv)
{
    mn_diag diag = {{0}};
    for (size_t i = 0; argc == 3 && i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(argv[1], shapes[i].name)) {
            mn_status st = write_model(&shapes[i], argv[2], &diag);
            if (st != MN_OK)
                fprintf(stderr, "mneme-shape: %s\n", *diag.text ? diag.text : mn_status_text(st));
            return mn_status_exit_code(st);
        }
    fprintf(stderr, "usage: mneme-shape llama-8b|llama-1b OUT.gguf\n");
    return 2;
}
