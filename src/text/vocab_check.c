/* vocab_check.c: the conditions that libllama asserts, or indexes by, instead of checking. Each is
 * stated at its function. */
#include "text/vocab_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "gguf.h"

#define MAX_TOKEN \
    ((size_t)1 << 24)     /* far above any vocabulary there is; keeps every count in an int32_t */
#define TOKEN_TYPE_MAX  6 /* undefined normal unknown control user_defined unused byte */
#define TOKEN_TYPE_BYTE 6
#define NAME_MAX_SHOWN  40

static const char *const key_model = "tokenizer.ggml.model";
static const char *const key_tokens = "tokenizer.ggml.tokens";

static const char *array_text(const struct gguf_context *g, int64_t id, char *buf, size_t cap)
{
    const enum gguf_type type = gguf_get_kv_type(g, id);
    if (type != GGUF_TYPE_ARRAY) return gguf_type_name(type);
    snprintf(buf, cap, "array of %zu %s", gguf_get_arr_n(g, id),
             gguf_type_name(gguf_get_arr_type(g, id)));
    return buf;
}

/* An array of `type`, and of `want_n` items when that is not 0. A missing one is an error only when
 * `needed`. */
static mn_status check_array(const struct gguf_context *g, const char *key, enum gguf_type type,
                             size_t want_n, bool needed, mn_diag *diag)
{
    char found[64];
    const int64_t id = gguf_find_key(g, key);
    if (id < 0) {
        if (!needed) return MN_OK;
        return mn__fail(diag, MN_EINPUT, "%s: wanted an array of %s, not in the file", key,
                        gguf_type_name(type));
    }
    if (gguf_get_kv_type(g, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(g, id) != type)
        return mn__fail(diag, MN_EINPUT, "%s: wanted an array of %s, found %s", key,
                        gguf_type_name(type), array_text(g, id, found, sizeof found));
    if (want_n != 0 && gguf_get_arr_n(g, id) != want_n)
        return mn__fail(diag, MN_EINPUT, "%s: wanted %zu entries, one per token, found %zu", key,
                        want_n, gguf_get_arr_n(g, id));
    return MN_OK;
}

static mn_status check_string(const struct gguf_context *g, const char *key, mn_diag *diag)
{
    const int64_t id = gguf_find_key(g, key);
    if (id < 0 || gguf_get_kv_type(g, id) == GGUF_TYPE_STRING) return MN_OK;
    return mn__fail(diag, MN_EINPUT, "%s: wanted a str, found %s", key,
                    gguf_type_name(gguf_get_kv_type(g, id)));
}

/* Types are array indexes and flags in libllama; a byte token makes it abort under WPM. */
static mn_status check_types(const struct gguf_context *g, size_t n_token, bool is_wpm,
                             mn_diag *diag)
{
    const char *key = "tokenizer.ggml.token_type";
    const int64_t id = gguf_find_key(g, key);
    const int32_t *types;
    mn_status st = check_array(g, key, GGUF_TYPE_INT32, n_token, false, diag);
    if (st != MN_OK || id < 0) return st;
    types = gguf_get_arr_data(g, id);
    for (size_t i = 0; i < n_token; i++) {
        if (types[i] < 0 || types[i] > TOKEN_TYPE_MAX)
            return mn__fail(diag, MN_EINPUT, "%s: entry %zu: wanted 0 to %d, found %d", key, i,
                            TOKEN_TYPE_MAX, types[i]);
        if (is_wpm && types[i] == TOKEN_TYPE_BYTE)
            return mn__fail(diag, MN_EINPUT,
                            "%s: entry %zu: a byte token, which a bert vocabulary cannot have", key,
                            i);
    }
    return MN_OK;
}

/* Every special id must name a token; 0xFFFFFFFF is how some writers say "none". */
static mn_status check_ids(const struct gguf_context *g, size_t n_token, mn_diag *diag)
{
    const char *prefix = "tokenizer.ggml.", *suffix = "_token_id";
    for (int64_t id = 0; id < gguf_get_n_kv(g); id++) {
        const char *key = gguf_get_key(g, id);
        const size_t len = strlen(key);
        uint32_t value;
        if (strncmp(key, prefix, strlen(prefix)) != 0 || len < strlen(suffix)) continue;
        if (strcmp(key + len - strlen(suffix), suffix) != 0) continue;
        if (gguf_get_kv_type(g, id) != GGUF_TYPE_UINT32)
            return mn__fail(diag, MN_EINPUT, "%s: wanted a u32, found %s", key,
                            gguf_type_name(gguf_get_kv_type(g, id)));
        value = gguf_get_val_u32(g, id);
        if (value != UINT32_MAX && value >= n_token)
            return mn__fail(diag, MN_EINPUT, "%s: wanted a token below %zu, found %u", key, n_token,
                            value);
    }
    return MN_OK;
}

/* ---- tokens, distinct: a set of indexes with open addressing ---- */

struct token_set {
    const struct gguf_context *g;
    int64_t id;
    uint32_t *slots; /* [mask + 1] token + 1, or 0 */
    size_t mask;
};

/* libllama gives an empty token the name [EMPTY_i], so that is what must be distinct. */
static const char *token_name(const struct token_set *s, size_t i, char *buf, size_t cap)
{
    const char *text = gguf_get_arr_str(s->g, s->id, i);
    if (text[0] != '\0') return text;
    snprintf(buf, cap, "[EMPTY_%zu]", i);
    return buf;
}

/* The slot where `text` stands or may be put. */
static uint32_t *set_find(const struct token_set *s, const char *text)
{
    char buf[32];
    for (size_t at = (size_t)mn__hash64(text, strlen(text), 0) & s->mask;; at = (at + 1) & s->mask)
        if (s->slots[at] == 0 ||
            strcmp(token_name(s, s->slots[at] - 1, buf, sizeof buf), text) == 0)
            return &s->slots[at];
}

static mn_status set_fill(struct token_set *s, size_t n_token, mn_diag *diag)
{
    char buf[32];
    for (size_t i = 0; i < n_token; i++) {
        const char *text = token_name(s, i, buf, sizeof buf);
        uint32_t *slot = set_find(s, text);
        if (*slot != 0)
            return mn__fail(diag, MN_EINPUT,
                            "%s: wanted distinct tokens, found \"%.*s\" at %u and at %zu",
                            key_tokens, NAME_MAX_SHOWN, text, *slot - 1, i);
        *slot = (uint32_t)i + 1;
    }
    return MN_OK;
}

/* SentencePiece falls back to bytes for what it cannot spell: libllama throws when a byte has no
 * token, <0xXX> or itself. */
static mn_status check_bytes(const struct token_set *s, mn_diag *diag)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char hex[8], self[2] = {(char)byte, '\0'};
        snprintf(hex, sizeof hex, "<0x%02X>", byte);
        if (*set_find(s, hex) == 0 && (byte == 0 || *set_find(s, self) == 0))
            return mn__fail(diag, MN_EINPUT, "%s: wanted a token for every byte, found none for %s",
                            key_tokens, hex);
    }
    return MN_OK;
}

static mn_status check_tokens(const struct gguf_context *g, size_t n_token, bool is_spm,
                              mn_diag *diag)
{
    mn_status st;
    size_t n_slot = 1024; /* also room for the byte tokens that are looked up */
    struct token_set set = {.g = g, .id = gguf_find_key(g, key_tokens)};
    while (n_slot < 2 * n_token) n_slot *= 2;
    set.mask = n_slot - 1;
    set.slots = mn__alloc_zero(MN_MEM_OTHER, n_slot * sizeof *set.slots);
    if (set.slots == NULL)
        return mn__fail(diag, MN_ENOMEM, "no memory to check the %zu tokens of the vocabulary",
                        n_token);
    MN_TRY(set_fill(&set, n_token, diag));
    if (is_spm) MN_TRY(check_bytes(&set, diag));
done:
    mn__free(set.slots);
    return st;
}

mn_status mn__vocab_check(const struct gguf_context *meta, mn_diag *diag)
{
    mn_status st;
    const int64_t id = gguf_find_key(meta, key_model);
    const char *model;
    size_t n_token;
    if (id < 0)
        return mn__fail(diag, MN_EINPUT, "%s: not in the file, so it holds no tokenizer",
                        key_model);
    MN_TRY(check_string(meta, key_model, diag));
    MN_TRY(check_string(meta, "tokenizer.ggml.pre", diag));
    MN_TRY(check_string(meta, "tokenizer.chat_template", diag));
    model = gguf_get_val_str(meta, id);
    if (strcmp(model, "llama") != 0 && strcmp(model, "gpt2") != 0 && strcmp(model, "bert") != 0)
        return mn__fail(
            diag, MN_EINPUT,
            "%s: wanted llama (SentencePiece), gpt2 (BPE) or bert (WordPiece), found \"%.*s\"",
            key_model, NAME_MAX_SHOWN, model);
    MN_TRY(check_array(meta, key_tokens, GGUF_TYPE_STRING, 0, true, diag));
    n_token = gguf_get_arr_n(meta, gguf_find_key(meta, key_tokens));
    if (n_token == 0 || n_token > MAX_TOKEN)
        return mn__fail(diag, MN_EINPUT, "%s: wanted 1 to %zu tokens, found %zu", key_tokens,
                        MAX_TOKEN, n_token);
    MN_TRY(check_array(meta, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, n_token, false, diag));
    MN_TRY(check_array(meta, "tokenizer.ggml.merges", GGUF_TYPE_STRING, 0,
                       strcmp(model, "gpt2") == 0, diag));
    MN_TRY(check_types(meta, n_token, strcmp(model, "bert") == 0, diag));
    MN_TRY(check_ids(meta, n_token, diag));
    MN_TRY(check_tokens(meta, n_token, strcmp(model, "llama") == 0, diag));
done:
    return st;
}
