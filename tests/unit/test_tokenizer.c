/* test_tokenizer.c: the vocabulary (a tiny one written here, hostile ones, four real ones where the
 * data folder is at hand) and the byte gate. MNEME_DATA names the data folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/rng.h"
#include "gguf.h"
#include "text/utf8.h"
#include "text/vocab.h"
#include "abc_vocab.h"
#include "tiny_model.h"

/* ---- the byte gate ---- */

static size_t gate_all(const char *in, size_t n, size_t step, char *out, size_t *n_replaced)
{
    mn__utf8_gate g = {0};
    size_t len = 0;
    for (size_t at = 0; at < n; at += step)
        len += mn__utf8_gate_push(&g, in + at, n - at < step ? n - at : step, out + len);
    len += mn__utf8_gate_flush(&g, out + len);
    *n_replaced = g.n_replaced;
    return len;
}

#define FFFD "\xEF\xBF\xBD"

static void test_gate_known(void **state)
{
    static const struct {
        const char *in, *out;
        size_t n_replaced;
    } cases[] = {
        {"plain", "plain", 0},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99", 0},
        {"\xF4\x8F\xBF\xBF\xED\x9F\xBF", "\xF4\x8F\xBF\xBF\xED\x9F\xBF", 0}, /* U+10FFFF, U+D7FF */
        {"\xC0\xAF", FFFD FFFD, 2},                                          /* overlong */
        {"\xE0\x80\x80", FFFD FFFD FFFD, 3},
        {"\xED\xA0\x80", FFFD FFFD FFFD, 3},          /* surrogate */
        {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD, 4}, /* above U+10FFFF */
        {"\xE1\x80"
         "A",
         FFFD "A", 1}, /* one maximal part */
        {"\xF1\x80\x80\xE1\x80\xC2"
         "b\x80",
         FFFD FFFD FFFD "b" FFFD, 4},
        {"a\xE2\x82", "a" FFFD, 1}, /* cut at the end */
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].in);
        for (size_t step = 1; step <= n; step++) {
            size_t n_replaced;
            const size_t len = gate_all(cases[i].in, n, step, out, &n_replaced);
            assert_int_equal(len, strlen(cases[i].out));
            assert_memory_equal(out, cases[i].out, len);
            assert_int_equal(n_replaced, cases[i].n_replaced);
        }
        assert_int_equal(mn__utf8_count_broken(cases[i].in, n), cases[i].n_replaced);
    }
}

static void test_gate_random(void **state)
{
    char in[64], out[MN__UTF8_BOUND(64) + 16], again[sizeof out];
    size_t n_broken_seen = 0;
    (void)state;
    for (uint64_t round = 0; round < 2000; round++) {
        size_t n_replaced, len, n_more;
        for (uint32_t i = 0; i < sizeof in; i++) { /* mostly lead and continuation bytes */
            const double u = mn__rng_uniform(7, 1, round, i);
            in[i] = (char)(u < 0.2 ? 'a' : 0x80 + (int)((u - 0.2) / 0.8 * 128));
        }
        memset(out, 0x55, sizeof out);
        len = gate_all(in, sizeof in, 1 + round % 9, out, &n_replaced);
        assert_true(len <= MN__UTF8_BOUND(sizeof in));
        assert_int_equal(mn__utf8_count_broken(out, len), 0);
        assert_int_equal(gate_all(out, len, len, again, &n_more),
                         len); /* valid text passes unchanged */
        assert_memory_equal(out, again, len);
        n_broken_seen += n_replaced;
    }
    assert_true(n_broken_seen > 2000);
}

/* ---- the tiny vocabulary ---- */

static mn__vocab *abc_open(void)
{
    struct gguf_context *meta = abc_vocab_meta();
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    if (mn__vocab_open(&v, meta, &diag) != MN_OK) fail_msg("%s", diag.text);
    gguf_free(meta);
    return v;
}

static void expect_tokens(const mn__vocab *v, const char *text, size_t n, unsigned flags,
                          const int32_t *want, size_t n_want)
{
    int32_t data[64];
    mn_diag diag = {""};
    mn_token_buf out = {.data = NULL, .cap = 0};
    assert_int_equal(mn__vocab_tokenize(v, text, n, flags, &out, &diag), MN_OK);
    assert_int_equal(out.n, n_want);
    out = (mn_token_buf){.data = data, .cap = n_want};
    assert_int_equal(mn__vocab_tokenize(v, text, n, flags, &out, &diag), MN_OK);
    assert_int_equal(out.n, n_want);
    assert_memory_equal(data, want, n_want * sizeof *want);
}

#define EXPECT(v, text, flags, ...)                                                          \
    do {                                                                                     \
        const int32_t want_[] = {__VA_ARGS__};                                               \
        expect_tokens(v, text, sizeof text - 1, flags, want_, sizeof want_ / sizeof *want_); \
    } while (0)

static void test_abc_file(void **state)
{
    const char *path = tiny_model_path("vocab.gguf");
    struct gguf_init_params params = {.no_alloc = true, .ctx = NULL};
    struct gguf_context *meta = abc_vocab_meta(), *read;
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    (void)state;
    assert_true(gguf_write_to_file(meta, path, true));
    gguf_free(meta);
    read = gguf_init_from_file(path, params);
    unlink(path);
    assert_non_null(read);
    assert_int_equal(mn__vocab_open(&v, read, &diag), MN_OK);
    gguf_free(read); /* only borrowed */
    assert_int_equal(mn__vocab_n_token(v), ABC_N);
    assert_true(mn__vocab_is_end(v, ABC_EOS) && !mn__vocab_is_end(v, ABC_BOS));
    assert_null(mn__vocab_chat_template(v));
    EXPECT(v, "abc ab", 0, ABC_SPACE_AB, ABC_C, ABC_SPACE_AB); /* the highest score merges first */
    mn__vocab_close(v);
}

static void test_abc_flags(void **state)
{
    mn__vocab *v = abc_open();
    int32_t plain[64];
    mn_diag diag = {""};
    mn_token_buf out = {.data = plain, .cap = 64};
    (void)state;
    EXPECT(v, "a", MN_TOKENIZE_ADD_SPECIAL, ABC_BOS, ABC_SPACE_A);
    EXPECT(v, "", MN_TOKENIZE_ADD_SPECIAL, ABC_BOS);
    EXPECT(v, "<|im_end|>", MN_TOKENIZE_PARSE_SPECIAL, ABC_IM_END);
    assert_int_equal(mn__vocab_tokenize(v, "<|im_end|>", 10, 0, &out, &diag), MN_OK);
    assert_true(out.n > 5); /* spelled, not the control token */
    for (size_t i = 0; i < out.n; i++) assert_int_not_equal(plain[i], ABC_IM_END);
    out = (mn_token_buf){.data = NULL, .cap = 0};
    assert_int_equal(mn__vocab_tokenize(v, NULL, 0, 0, &out, &diag), MN_OK);
    assert_int_equal(out.n, 0);
    mn__vocab_close(v);
}

static void test_abc_short_buffer(void **state)
{
    mn__vocab *v = abc_open();
    int32_t data[4] = {-7, -7, -7, -7};
    mn_diag diag = {""};
    mn_token_buf out = {.data = data, .cap = 2};
    (void)state;
    assert_int_equal(mn__vocab_tokenize(v, "abcdeabcde", 10, 0, &out, &diag), MN_OK);
    assert_true(out.n > 2);
    assert_int_equal(data[2], -7);
    mn__vocab_close(v);
}

static void test_abc_broken_text(void **state)
{
    mn__vocab *v = abc_open();
    int32_t data[64];
    mn_diag diag = {""};
    mn_token_buf out = {.data = data, .cap = 64};
    (void)state;
    assert_int_equal(mn__vocab_tokenize(v, "a\xFF\xE2\x82", 4, 0, &out, &diag), MN_OK);
    assert_int_equal(out.n_replaced, 2);
    EXPECT(v, "a\xFF", 0, ABC_SPACE_A, ABC_BYTE0 + 0xEF, ABC_BYTE0 + 0xBF, ABC_BYTE0 + 0xBD);
    EXPECT(v, "a\0b", 0, ABC_SPACE_A, ABC_BYTE0 + 0, ABC_B);
    assert_int_equal(mn__vocab_tokenize(v, "\xC3\xA9", 2, 0, &out, &diag), MN_OK);
    assert_int_equal(out.n_replaced, 0);
    mn__vocab_close(v);
}

static void test_abc_text_of_tokens(void **state)
{
    mn__vocab *v = abc_open();
    char buf[16];
    mn_diag diag = {""};
    mn_text_buf out = {.data = NULL, .cap = 0};
    (void)state;
    assert_int_equal(mn__vocab_token_text(v, ABC_SPACE_AB, false, &out, &diag), MN_OK);
    assert_int_equal(out.n, 3);
    out = (mn_text_buf){.data = buf, .cap = sizeof buf};
    assert_int_equal(mn__vocab_token_text(v, ABC_SPACE_AB, false, &out, &diag), MN_OK);
    assert_memory_equal(buf, " ab", 3);
    assert_int_equal(mn__vocab_token_text(v, ABC_BYTE0 + 0xC3, false, &out, &diag), MN_OK);
    assert_int_equal(out.n, 1);
    assert_int_equal((unsigned char)buf[0], 0xC3);
    assert_int_equal(mn__vocab_token_text(v, ABC_IM_END, false, &out, &diag), MN_OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(mn__vocab_token_text(v, ABC_IM_END, true, &out, &diag), MN_OK);
    assert_int_equal(out.n, 10);
    assert_int_equal(mn__vocab_token_text(v, ABC_N, false, &out, &diag), MN_ERANGE);
    assert_int_equal(mn__vocab_token_text(v, -1, false, &out, &diag), MN_ERANGE);
    assert_true(mn__vocab_is_end(v, ABC_EOS));
    assert_true(mn__vocab_is_end(v, ABC_IM_END));
    assert_false(mn__vocab_is_end(v, ABC_A));
    assert_false(mn__vocab_is_end(v, -1));
    assert_false(mn__vocab_is_end(v, ABC_N));
    mn__vocab_close(v);
}

/* ---- hostile files: one key is spoilt, the sentence must name it ---- */

typedef void (*spoil_fn)(struct gguf_context *g);

static void no_model(struct gguf_context *g)
{
    gguf_remove_key(g, "tokenizer.ggml.model");
}
static void model_is_number(struct gguf_context *g)
{
    gguf_set_val_u32(g, "tokenizer.ggml.model", 1);
}
static void model_unknown(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.model", "t5");
}
static void pre_is_number(struct gguf_context *g)
{
    gguf_set_val_u32(g, "tokenizer.ggml.pre", 1);
}
static void template_is_number(struct gguf_context *g)
{
    gguf_set_val_u32(g, "tokenizer.chat_template", 1);
}
static void no_tokens(struct gguf_context *g)
{
    gguf_remove_key(g, "tokenizer.ggml.tokens");
}
static void tokens_is_string(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.tokens", "a");
}
static void tokens_empty(struct gguf_context *g)
{
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", NULL, 0);
}
static void bos_outside(struct gguf_context *g)
{
    gguf_set_val_u32(g, "tokenizer.ggml.bos_token_id", ABC_N);
}
static void eos_is_string(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.eos_token_id", "2");
}
static void add_is_string(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.add_bos_token", "yes");
}
static void bpe_no_merges(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.model", "gpt2");
}
static void bert_byte_tokens(struct gguf_context *g)
{
    gguf_set_val_str(g, "tokenizer.ggml.model", "bert");
}
static void scores_short(struct gguf_context *g)
{
    const float one[3] = {0};
    gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, one, 3);
}
static void scores_int(struct gguf_context *g)
{
    static const int32_t ints[ABC_N];
    gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_INT32, ints, ABC_N);
}
static void types_short(struct gguf_context *g)
{
    const int32_t one[3] = {0};
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, one, 3);
}
static void types_outside(struct gguf_context *g)
{
    static const int32_t all[ABC_N] = {[5] = 77};
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, all, ABC_N);
}
static void set_token(struct gguf_context *g, size_t at, const char *text)
{
    const char *list[ABC_N];
    struct gguf_context *from = abc_vocab_meta();
    const int64_t id = gguf_find_key(from, "tokenizer.ggml.tokens");
    for (size_t i = 0; i < ABC_N; i++) list[i] = i == at ? text : gguf_get_arr_str(from, id, i);
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", list, ABC_N);
    gguf_free(from);
}
static void token_twice(struct gguf_context *g)
{
    set_token(g, ABC_A, "b");
}
static void byte_missing(struct gguf_context *g)
{
    set_token(g, ABC_BYTE0 + 0xEF, "zzz");
}
static void pre_unknown(struct gguf_context *g)
{
    const char *merges[] = {"a b"};
    gguf_set_val_str(g, "tokenizer.ggml.model", "gpt2");
    gguf_set_arr_str(g, "tokenizer.ggml.merges", merges, 1);
    gguf_set_val_str(g, "tokenizer.ggml.pre", "nobody-knows");
}
static void bos_wanted_but_none(struct gguf_context *g)
{
    const char *merges[] = {"a b"}, *two[] = {"a", "b"};
    pre_unknown(g);
    gguf_set_val_str(g, "tokenizer.ggml.pre", "gpt-2");
    gguf_set_arr_str(g, "tokenizer.ggml.merges", merges, 1);
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", two, 2); /* the default BOS, 11, is outside */
    gguf_remove_key(g, "tokenizer.ggml.scores");
    gguf_remove_key(g, "tokenizer.ggml.token_type");
    gguf_remove_key(g, "tokenizer.ggml.bos_token_id");
    gguf_remove_key(g, "tokenizer.ggml.eos_token_id");
    gguf_set_val_bool(g, "tokenizer.ggml.add_bos_token", true);
}

static void test_hostile(void **state)
{
    static const struct {
        spoil_fn spoil;
        const char *says;
    } cases[] = {
        {no_model, "tokenizer.ggml.model: not in the file"},
        {model_is_number, "tokenizer.ggml.model: wanted a str, found u32"},
        {model_unknown, "found \"t5\""},
        {pre_is_number, "tokenizer.ggml.pre: wanted a str"},
        {template_is_number, "tokenizer.chat_template: wanted a str"},
        {no_tokens, "tokenizer.ggml.tokens: wanted an array of str, not in the file"},
        {tokens_is_string, "tokenizer.ggml.tokens: wanted an array of str, found str"},
        {tokens_empty, "tokenizer.ggml.tokens: wanted 1 to"},
        {scores_short, "tokenizer.ggml.scores: wanted 281 entries, one per token, found 3"},
        {scores_int, "tokenizer.ggml.scores: wanted an array of f32, found array of 281 i32"},
        {types_short, "tokenizer.ggml.token_type: wanted 281 entries"},
        {types_outside, "entry 5: wanted 0 to 6, found 77"},
        {bos_outside, "tokenizer.ggml.bos_token_id: wanted a token below 281, found 281"},
        {eos_is_string, "tokenizer.ggml.eos_token_id: wanted a u32, found str"},
        {add_is_string, "add_bos_token"},
        {token_twice, "wanted distinct tokens, found \"b\" at"},
        {byte_missing, "found none for <0xEF>"},
        {bpe_no_merges, "tokenizer.ggml.merges: wanted an array of str, not in the file"},
        {bert_byte_tokens, "a byte token, which a bert vocabulary cannot have"},
        {pre_unknown, "unknown pre-tokenizer type: 'nobody-knows'"},
        {bos_wanted_but_none, "no token is BOS"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_context *g = abc_vocab_meta();
        mn__vocab *v = (mn__vocab *)g;
        mn_diag diag = {""};
        cases[i].spoil(g);
        if (mn__vocab_open(&v, g, &diag) != MN_EINPUT || strstr(diag.text, cases[i].says) == NULL)
            fail_msg("wanted \"%s\", found \"%s\"", cases[i].says, diag.text);
        assert_null(v);
        gguf_free(g);
    }
}

/* An empty token is named [EMPTY_i] by libllama: alone it is fine, beside its namesake it is a
 * double. */
static void test_empty_token(void **state)
{
    const char *list[ABC_N];
    struct gguf_context *g = abc_vocab_meta(), *from = abc_vocab_meta();
    const int64_t id = gguf_find_key(from, "tokenizer.ggml.tokens");
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    char name[32];
    (void)state;
    snprintf(name, sizeof name, "[EMPTY_%d]", ABC_A);
    for (size_t i = 0; i < ABC_N; i++) list[i] = i == ABC_A ? "" : gguf_get_arr_str(from, id, i);
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", list, ABC_N);
    assert_int_equal(mn__vocab_open(&v, g, &diag), MN_OK);
    mn__vocab_close(v);
    list[ABC_D] = name;
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", list, ABC_N);
    assert_int_equal(mn__vocab_open(&v, g, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "distinct"));
    gguf_free(g);
    gguf_free(from);
}

/* ---- long words: std::regex overflows the stack at some 10,000 characters ---- */

static void long_word(const char *pre, char c)
{
    enum { N = 100000 };
    static char text[N];
    static int32_t data[N + 16];
    const char *tokens[] = {"a", "=", "\xC4\xA0", "<s>"}, *merges[] = {"x y"};
    struct gguf_context *g = gguf_init_empty();
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    mn_token_buf out = {.data = data, .cap = N + 16};
    gguf_set_val_str(g, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(g, "tokenizer.ggml.pre", pre);
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", tokens, 4);
    gguf_set_arr_str(g, "tokenizer.ggml.merges", merges, 1);
    gguf_set_val_u32(g, "tokenizer.ggml.bos_token_id", 3);
    gguf_set_val_bool(g, "tokenizer.ggml.add_bos_token", true);
    if (mn__vocab_open(&v, g, &diag) != MN_OK) fail_msg("%s", diag.text);
    gguf_free(g);
    memset(text, c, N);
    assert_int_equal(mn__vocab_tokenize(v, text, N, MN_TOKENIZE_ADD_SPECIAL, &out, &diag), MN_OK);
    assert_int_equal(out.n, N + 1);
    assert_int_equal(data[0], 3);
    for (size_t i = 1; i < out.n; i++) assert_int_equal(data[i], c == 'a' ? 0 : c == '=' ? 1 : 2);
    mn__vocab_close(v);
}

static void test_long_words(void **state)
{
    (void)state;
    long_word("tekken", 'a');
    long_word("tekken", ' ');
    long_word("default", '=');
    long_word("gpt-4o", '=');
    long_word("gpt-2", 'a');
    long_word("qwen2", ' ');
}

/* ---- real vocabularies against llama.cpp's vectors ---- */

static char *slurp(FILE *f, size_t *n)
{
    size_t cap = 1 << 20, got;
    char *data = malloc(cap);
    *n = 0;
    while (data != NULL && (got = fread(data + *n, 1, cap - *n - 1, f)) > 0) {
        *n += got;
        if (cap - *n < 2) data = realloc(data, cap *= 2);
    }
    assert_non_null(data);
    data[*n] = '\0';
    return data;
}

static char *slurp_path(const char *folder, const char *name, const char *ending, size_t *n)
{
    char path[600];
    FILE *f;
    char *data;
    snprintf(path, sizeof path, "%s/tokenizer/ggml-vocab-%s.gguf.%s", folder, name, ending);
    f = fopen(path, "rb");
    if (f == NULL) fail_msg("cannot open %s", path);
    data = slurp(f, n);
    fclose(f);
    return data;
}

static mn__vocab *open_packed(const char *folder, const char *name)
{
    char command[700];
    struct gguf_init_params params = {.no_alloc = true, .ctx = NULL};
    struct gguf_context *meta;
    mn__vocab *v = NULL;
    mn_diag diag = {""};
    size_t n;
    char *data;
    FILE *pipe;
    snprintf(command, sizeof command, "xz -dc '%s/tokenizer/ggml-vocab-%s.gguf.xz'", folder, name);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    data = slurp(pipe, &n);
    assert_int_equal(pclose(pipe), 0);
    meta = gguf_init_from_buffer(data, n, params);
    free(data);
    assert_non_null(meta);
    if (mn__vocab_open(&v, meta, &diag) != MN_OK) fail_msg("%s: %s", name, diag.text);
    gguf_free(meta);
    return v;
}

/* One text against its line of ids; returns the tokens compared. */
static size_t vector_check(const mn__vocab *v, const char *text, size_t n, const char *line)
{
    static int32_t data[4096];
    mn_diag diag = {""};
    mn_token_buf out = {.data = data, .cap = 4096};
    size_t i = 0;
    char *end;
    assert_int_equal(mn__vocab_tokenize(v, text, n, 0, &out, &diag), MN_OK);
    for (;; i++) {
        const long id = strtol(line, &end, 10);
        if (end == line || memchr(line, '\n', (size_t)(end - line)) != NULL) break;
        if (i >= out.n || id != data[i])
            fail_msg("\"%.*s\": token %zu: wanted %ld", (int)n, text, i, id);
        line = end;
    }
    if (i != out.n) fail_msg("\"%.*s\": wanted %zu tokens, found %zu", (int)n, text, i, out.n);
    return i;
}

static void vectors(const char *folder, const char *name)
{
    static const char sep[] = "\n__ggml_vocab_test__\n";
    size_t n_in, n_out, n_text = 0, n_token = 0;
    mn__vocab *v = open_packed(folder, name);
    char *in = slurp_path(folder, name, "inp", &n_in),
         *out = slurp_path(folder, name, "out", &n_out);
    const char *line = out;
    for (char *text = in, *end; text != NULL; text = end, n_text++) {
        end = strstr(text, sep);
        if (end == NULL && text == in + n_in) break; /* the file ends with a separator */
        n_token += vector_check(v, text, end != NULL ? (size_t)(end - text) : strlen(text), line);
        line = strchr(line, '\n');
        assert_true(line != NULL || end == NULL);
        line = line != NULL ? line + 1 : NULL;
        if (end != NULL) end += sizeof sep - 1;
    }
    print_message("%s: %zu texts, %zu tokens\n", name, n_text, n_token);
    assert_true(n_text >= 40 && n_token >= 300);
    free(in);
    free(out);
    mn__vocab_close(v);
}

static void test_vectors(void **state)
{
    const char *folder = getenv("MNEME_DATA");
    (void)state;
    if (folder == NULL) {
        print_message("skipped: MNEME_DATA does not name the data folder\n");
        skip();
    }
    vectors(folder, "gpt-2");
    vectors(folder, "phi-3");
    vectors(folder, "bert-bge");
    vectors(folder, "qwen2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_known),
        cmocka_unit_test(test_gate_random),
        cmocka_unit_test(test_abc_file),
        cmocka_unit_test(test_abc_flags),
        cmocka_unit_test(test_abc_short_buffer),
        cmocka_unit_test(test_abc_broken_text),
        cmocka_unit_test(test_abc_text_of_tokens),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_empty_token),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
