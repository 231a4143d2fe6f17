/* vocab.c: libllama's vocabulary behind a C face. The tokenizer.* keys are copied into metadata of
 * their own, so that no other key of a file can reach libllama, and loaded without any model. What
 * could make its C++ throw across us is checked before. */
#include "text/vocab.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>
#include "base/diag.h"
#include "base/heap.h"
#include "gguf.h"
#include "llama.h"
#include "text/utf8.h"
#include "text/vocab_check.h"

#define TEXT_MAX \
    ((size_t)1   \
     << 28) /* times three, repaired, times three tokens per space, still fits an int32_t */
#define WORD_MAX_BYTES                                                                           \
    2048 /* std::regex takes some hundred bytes of stack per character of a match; a match spans \
            <= 2 words */

struct mn__vocab {
    struct llama_model *model;
    const struct llama_vocab *vocab;
    int32_t n_token;
    size_t token_bytes;
    bool is_recursive; /* its pre-tokenizer runs on std::regex, whose stack grows with the length of
                          a word */
};

static once_flag log_once = ONCE_FLAG_INIT;
static _Thread_local char log_error[256];

static void log_keep_error(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level != GGML_LOG_LEVEL_ERROR || log_error[0] != '\0') return; /* the first says most */
    snprintf(log_error, sizeof log_error, "%s", text);
    log_error[strcspn(log_error, "\n")] = '\0';
}

static void log_silence(void)
{
    llama_log_set(log_keep_error, NULL);
}

const char *mn__vocab_take_log(void)
{
    static _Thread_local char taken[sizeof log_error];
    memcpy(taken, log_error, sizeof taken);
    log_error[0] = '\0';
    return taken;
}

/* ---- open ---- */

static mn_status copy_strings(struct gguf_context *to, const struct gguf_context *from, int64_t id)
{
    const size_t n = gguf_get_arr_n(from, id);
    const char **list = mn__alloc_array(MN_MEM_OTHER, n, sizeof *list);
    if (list == NULL) return MN_ENOMEM;
    for (size_t i = 0; i < n; i++) list[i] = gguf_get_arr_str(from, id, i);
    gguf_set_arr_str(to, gguf_get_key(from, id), list, n);
    mn__free(list);
    return MN_OK;
}

/* One key of a type that tokenizers use; others are left out, and libllama says so if it misses
 * them. */
static mn_status copy_key(struct gguf_context *to, const struct gguf_context *from, int64_t id)
{
    const char *key = gguf_get_key(from, id);
    switch (gguf_get_kv_type(from, id)) {
    case GGUF_TYPE_UINT32:
        if (gguf_get_val_u32(from, id) != UINT32_MAX)
            gguf_set_val_u32(to, key, gguf_get_val_u32(from, id));
        return MN_OK;
    case GGUF_TYPE_INT32: gguf_set_val_i32(to, key, gguf_get_val_i32(from, id)); return MN_OK;
    case GGUF_TYPE_FLOAT32: gguf_set_val_f32(to, key, gguf_get_val_f32(from, id)); return MN_OK;
    case GGUF_TYPE_BOOL: gguf_set_val_bool(to, key, gguf_get_val_bool(from, id)); return MN_OK;
    case GGUF_TYPE_STRING: gguf_set_val_str(to, key, gguf_get_val_str(from, id)); return MN_OK;
    case GGUF_TYPE_ARRAY: break;
    default: return MN_OK;
    }
    switch (gguf_get_arr_type(from, id)) {
    case GGUF_TYPE_STRING: return copy_strings(to, from, id);
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
        gguf_set_arr_data(to, key, gguf_get_arr_type(from, id), gguf_get_arr_data(from, id),
                          gguf_get_arr_n(from, id));
        return MN_OK;
    default: return MN_OK;
    }
}

static bool is_tokenizer_key(const struct gguf_context *meta, int64_t id)
{
    const char *key = gguf_get_key(meta, id);
    if (strncmp(key, "tokenizer.ggml.", strlen("tokenizer.ggml.")) == 0) return true;
    if (strcmp(key, "tokenizer.chat_template") == 0) return true;
    /* libllama treats the spaces around Phi-3's control tokens by this name */
    return strcmp(key, "general.name") == 0 && gguf_get_kv_type(meta, id) == GGUF_TYPE_STRING;
}

static mn_status vocab_load(mn__vocab *v, const struct gguf_context *meta, mn_diag *diag)
{
    mn_status st = MN_OK;
    struct llama_model_params params = llama_model_default_params();
    struct gguf_context *own = gguf_init_empty();
    params.vocab_only = true;
    gguf_set_val_str(own, "general.architecture", "llama");
    for (int64_t id = 0; id < gguf_get_n_kv(meta); id++)
        if (is_tokenizer_key(meta, id)) MN_TRY(copy_key(own, meta, id));
    mn__vocab_take_log();
    v->model = llama_model_init_from_user(own, NULL, NULL, params);
    if (v->model == NULL)
        MN_TRY(
            mn__fail(diag, MN_EINPUT, "libllama refuses this tokenizer: %s", mn__vocab_take_log()));
    v->vocab = llama_model_get_vocab(v->model);
    v->n_token = llama_vocab_n_tokens(v->vocab);
done:
    if (st == MN_ENOMEM) mn__fail(diag, st, "no memory to copy the tokenizer");
    gguf_free(own);
    return st;
}

/* As written out, which may be longer than the file spells it: libllama names bytes that it does
 * not know. */
static size_t longest_token(const mn__vocab *v)
{
    size_t most = 0;
    for (int32_t i = 0; i < v->n_token; i++) {
        mn_text_buf piece = {0};
        if (mn__vocab_token_text(v, i, true, &piece, NULL) == MN_OK && piece.n > most)
            most = piece.n;
    }
    return most;
}

/* libllama asserts, at the first text, that the tokens it is told to add exist. */
static mn_status check_added(const mn__vocab *v, mn_diag *diag)
{
    const bool is_wpm = llama_vocab_type(v->vocab) == LLAMA_VOCAB_TYPE_WPM;
    if ((is_wpm || llama_vocab_get_add_bos(v->vocab)) && llama_vocab_bos(v->vocab) < 0)
        return mn__fail(diag, MN_EINPUT,
                        "tokenizer.ggml.add_bos_token: texts begin with BOS, but no token is BOS");
    if (llama_vocab_get_add_eos(v->vocab) && llama_vocab_eos(v->vocab) < 0)
        return mn__fail(diag, MN_EINPUT,
                        "tokenizer.ggml.add_eos_token: texts end with EOS, but no token is EOS");
    if (is_wpm && llama_vocab_sep(v->vocab) < 0)
        return mn__fail(
            diag, MN_EINPUT,
            "tokenizer.ggml.seperator_token_id: texts end with SEP, but no token is SEP");
    return MN_OK;
}

/* Those that libllama splits by hand-written code. */
static bool is_recursive(const struct gguf_context *meta)
{
    static const char *const flat[] = {
        "gpt-2",     "smollm",    "llama-bpe", "llama3",           "llama-v3", "falcon3",
        "qwen2",     "megrez",    "qwen35",    "deepseek-r1-qwen", "dbrx",     "phi-2",
        "smaug-bpe", "starcoder", "refact",    "command-r",        "olmo",     "mpt"};
    const int64_t pre = gguf_find_key(meta, "tokenizer.ggml.pre");
    if (strcmp(gguf_get_val_str(meta, gguf_find_key(meta, "tokenizer.ggml.model")), "gpt2") != 0)
        return false;
    if (pre < 0) return true;
    for (size_t i = 0; i < sizeof flat / sizeof *flat; i++)
        if (strcmp(gguf_get_val_str(meta, pre), flat[i]) == 0) return false;
    return true;
}

mn_status mn__vocab_open(mn__vocab **out, const struct gguf_context *meta, mn_diag *diag)
{
    mn_status st;
    mn__vocab *v = NULL;
    *out = NULL;
    call_once(&log_once, log_silence);
    MN_TRY(mn__vocab_check(meta, diag));
    v = mn__alloc_zero(MN_MEM_OTHER, sizeof *v);
    if (v == NULL) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for the tokenizer"));
    MN_TRY(vocab_load(v, meta, diag));
    MN_TRY(check_added(v, diag));
    v->is_recursive = is_recursive(meta);
    v->token_bytes = longest_token(v);
    *out = v;
    v = NULL;
done:
    mn__vocab_close(v);
    return st;
}

void mn__vocab_close(mn__vocab *v)
{
    if (v == NULL) return;
    llama_model_free(v->model);
    mn__free(v);
}

/* ---- what it knows ---- */

int32_t mn__vocab_n_token(const mn__vocab *v)
{
    return v->n_token;
}

size_t mn__vocab_token_bytes(const mn__vocab *v)
{
    return v->token_bytes;
}

bool mn__vocab_is_end(const mn__vocab *v, int32_t token)
{
    return token >= 0 && token < v->n_token && llama_vocab_is_eog(v->vocab, token);
}

int32_t mn__vocab_end(const mn__vocab *v)
{
    const int32_t token = llama_vocab_eos(v->vocab);
    return token >= 0 && token < v->n_token ? token : -1;
}

const char *mn__vocab_chat_template(const mn__vocab *v)
{
    return llama_model_chat_template(v->model, NULL);
}

const struct llama_vocab *mn__vocab_llama(const mn__vocab *v)
{
    return v->vocab;
}

/* ---- text to tokens ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* How much of the text libllama may see at once: all of it, or up to the first word (or run of
 * spaces) that is too long. */
static size_t piece_bytes(const mn__vocab *v, const char *text, size_t n)
{
    size_t run = 0;
    if (!v->is_recursive) return n;
    for (size_t i = 0; i < n; i++) {
        run = i > 0 && is_space(text[i]) == is_space(text[i - 1]) ? run + 1 : 1;
        if (run <= WORD_MAX_BYTES) continue;
        while (i > 1 && ((unsigned char)text[i] & 0xC0) == 0x80) i--; /* not inside a character */
        return i;
    }
    return n;
}

/* Append the tokens of one piece; out->n grows even when the room is used up. */
static mn_status tokenize_piece(const mn__vocab *v, const char *text, size_t n, unsigned flags,
                                mn_token_buf *out)
{
    const size_t room = out->n < out->cap ? out->cap - out->n : 0;
    const int32_t n_room = room < INT32_MAX ? (int32_t)room : INT32_MAX;
    const int32_t got = llama_tokenize(
        v->vocab, text, (int32_t)n, n_room > 0 ? out->data + out->n : NULL, n_room,
        (flags & MN_TOKENIZE_ADD_SPECIAL) != 0, (flags & MN_TOKENIZE_PARSE_SPECIAL) != 0);
    if (got == INT32_MIN) return MN_ERANGE;
    out->n += (size_t)(got < 0 ? -got : got);
    return MN_OK;
}

static void push_token(mn_token_buf *out, int32_t token)
{
    if (out->n < out->cap) out->data[out->n] = token;
    out->n++;
}

/* A text in several pieces: BPE's additions are one token in front and one behind, so they are ours
 * to make. */
static mn_status tokenize_pieces(const mn__vocab *v, const char *text, size_t n, unsigned flags,
                                 mn_token_buf *out)
{
    const bool add = (flags & MN_TOKENIZE_ADD_SPECIAL) != 0;
    size_t piece = piece_bytes(v, text, n);
    mn_status st;
    if (piece == n) return tokenize_piece(v, text, n, flags, out);
    if (add && llama_vocab_get_add_bos(v->vocab)) push_token(out, llama_vocab_bos(v->vocab));
    for (size_t at = 0; at < n; at += piece) {
        piece = piece_bytes(v, text + at, n - at);
        MN_TRY(
            tokenize_piece(v, text + at, piece, flags & ~(unsigned)MN_TOKENIZE_ADD_SPECIAL, out));
    }
    if (add && llama_vocab_get_add_eos(v->vocab)) push_token(out, llama_vocab_eos(v->vocab));
    st = MN_OK;
done:
    return st;
}

/* *fixed: the text with U+FFFD for what is broken, or NULL when nothing is; the caller frees it. */
static mn_status repair(const char *text, size_t *n, char **fixed, mn_token_buf *out)
{
    mn__utf8_gate gate = {0};
    size_t len;
    *fixed = NULL;
    out->n_replaced = mn__utf8_count_broken(text, *n);
    if (out->n_replaced == 0) return MN_OK;
    *fixed = mn__alloc_array(MN_MEM_OTHER, *n + 3, 3); /* MN__UTF8_BOUND */
    if (*fixed == NULL) return MN_ENOMEM;
    len = mn__utf8_gate_push(&gate, text, *n, *fixed);
    *n = len + mn__utf8_gate_flush(&gate, *fixed + len);
    return MN_OK;
}

mn_status mn__vocab_tokenize(const mn__vocab *v, const char *text, size_t n_bytes, unsigned flags,
                             mn_token_buf *out, mn_diag *diag)
{
    mn_status st;
    char *fixed = NULL;
    out->n = 0;
    out->n_replaced = 0;
    if (n_bytes > TEXT_MAX)
        return mn__fail(diag, MN_ERANGE, "text: wanted at most %zu bytes, found %zu", TEXT_MAX,
                        n_bytes);
    if (n_bytes == 0) text = ""; /* NULL is fine then */
    MN_TRY(repair(text, &n_bytes, &fixed, out));
    MN_TRY(tokenize_pieces(v, fixed != NULL ? fixed : text, n_bytes, flags, out));
    for (size_t i = 0; i < out->n && out->n <= out->cap; i++)
        if (out->data[i] < 0 || out->data[i] >= v->n_token) /* WordPiece without an unknown token */
            MN_TRY(mn__fail(
                diag, MN_EINPUT,
                "the vocabulary has no token for a word of this text, and none for unknown ones"));
done:
    if (st == MN_ENOMEM) mn__fail(diag, st, "no memory for %zu bytes of text", n_bytes);
    if (st == MN_ERANGE) mn__fail(diag, st, "text: more than %d tokens", INT32_MAX);
    mn__free(fixed);
    return st;
}

/* ---- tokens to text ---- */

mn_status mn__vocab_token_text(const mn__vocab *v, int32_t token, bool with_special,
                               mn_text_buf *out, mn_diag *diag)
{
    const int32_t room = out->cap < INT32_MAX ? (int32_t)out->cap : INT32_MAX;
    int32_t got;
    if (token < 0 || token >= v->n_token)
        return mn__fail(diag, MN_ERANGE, "token: wanted 0 to %d, found %d", v->n_token - 1, token);
    got = llama_token_to_piece(v->vocab, token, out->data, room, 0, with_special);
    out->n = (size_t)(got < 0 ? -got : got);
    return MN_OK;
}
