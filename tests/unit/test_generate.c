/* test_generate.c: what an answer looks like from outside: whole characters, whole tokens however
 * long, and where it stops. */
#include "session_fixture.h"

#include "gguf.h"
#include "mneme/generate.h"
#include "mneme/text.h"

enum { LONG_BYTES = 5000, LONG = 259 + 10 }; /* LONG: a word of tiny_tokens.c */

/* A token of 5000 bytes in a word's place. */
static void make_long(struct gguf_context *gguf)
{
    static char word[LONG_BYTES + 1];
    static char kept[512][32];
    const char *token[512];
    int64_t key = gguf_find_key(gguf, "tokenizer.ggml.tokens");
    size_t n = gguf_get_arr_n(gguf, key);
    assert_true(n <= 512 && n > LONG);
    for (size_t i = 0; i < n; i++) {
        snprintf(kept[i], sizeof kept[i], "%s", gguf_get_arr_str(gguf, key, i));
        token[i] = kept[i];
    }
    for (size_t i = 0; i < LONG_BYTES; i++) word[i] = (char)('a' + i % 23);
    token[LONG] = word;
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", token, n);
}

typedef struct heard {
    char text[2 * LONG_BYTES];
    size_t n, n_call, n_enough; /* n_enough: calls after which it is enough; 0: never */
} heard;

static bool hear(const char *text, size_t n, void *ctx)
{
    heard *h = ctx;
    assert_true(n > 0 && h->n + n < sizeof h->text);
    memcpy(h->text + h->n, text, n);
    h->n += n;
    return ++h->n_call == h->n_enough;
}

/* Logits that leave no choice. */
static const float *only(const mn_model *m, int32_t token)
{
    static float logits[512];
    assert_true(fix_vocab(m) <= 512);
    for (size_t i = 0; i < 512; i++) logits[i] = (int32_t)i == token ? 1.0f : -1.0f;
    return logits;
}

typedef struct fixture {
    mn_model *m;
    mn_session *s;
    mn_sampler *sampler;
} fixture;

static fixture open_all(bool has_long)
{
    fixture f = {0};
    tiny_model_params tp;
    mn_diag diag = {""};
    mn_sampler_params sp;
    mn_session_params p = fix_params("full", "");
    tiny_model_default(&tp, "llama");
    if (has_long) tp.edit = make_long;
    f.m = fix_open(&tp);
    f.s = fix_session(f.m, &p);
    mn_sampler_params_default(&sp);
    sp.temperature = 0;
    if (mn_sampler_new(&f.sampler, f.m, &sp, &diag) != MN_OK) fail_msg("%s", diag.text);
    fix_read(f.s, 0, 10, true);
    return f;
}

static void close_all(fixture *f)
{
    mn_sampler_free(f->sampler);
    mn_session_free(f->s);
    mn_model_free(f->m);
}

static mn_generated answer(const fixture *f, int32_t first, size_t n, heard *h)
{
    mn_diag diag = {""};
    mn_generated g;
    mn_generate_params gp = {.max_token = n, .on_text = hear, .ctx = h};
    if (mn_generate(f->s, f->sampler, only(f->m, first), &gp, &g, &diag) != MN_OK)
        fail_msg("%s", diag.text);
    return g;
}

static void test_long_token(void **state)
{
    (void)state;
    static heard h;
    fixture f = open_all(true);
    mn_text_buf piece = {.data = NULL, .cap = 0};
    assert_int_equal(mn_token_text(f.m, LONG, false, &piece, NULL), MN_OK);
    assert_int_equal(piece.n, LONG_BYTES);
    h = (heard){.n = 0};
    mn_generated g = answer(&f, LONG, 1, &h);
    assert_int_equal(g.n_token, 1);
    assert_int_equal(g.stop, MN_STOP_LENGTH);
    assert_int_equal(h.n, LONG_BYTES);
    for (size_t i = 0; i < LONG_BYTES; i++) assert_int_equal(h.text[i], 'a' + i % 23);
    close_all(&f);
}

/* A byte that begins a character waits for the rest, and becomes U+FFFD when none comes. */
static void test_half_character(void **state)
{
    (void)state;
    static heard h;
    fixture f = open_all(false);
    h = (heard){.n = 0};
    answer(&f, 3 + 0xC3, 1, &h);
    assert_int_equal(h.n_call, 1);
    assert_int_equal(h.n, 3);
    assert_memory_equal(h.text, "\xEF\xBF\xBD", 3);
    close_all(&f);
}

static void test_stops(void **state)
{
    (void)state;
    static heard h;
    mn_session_info info;
    fixture f = open_all(false);
    h = (heard){.n_enough = 1};
    mn_generated g = answer(&f, 3 + 'x', 50, &h);
    assert_int_equal(g.stop, MN_STOP_CALLER);
    assert_int_equal(g.n_token, 1);
    mn_session_get_info(f.s, &info);
    assert_int_equal(info.n_seen, 11); /* what was shown was run */
    assert_int_equal(info.last_token, 3 + 'x');
    h = (heard){.n = 0};
    g = answer(&f, 2, 50, &h);
    assert_int_equal(g.stop, MN_STOP_END);
    assert_int_equal(g.n_token, 0);
    assert_int_equal(h.n, 0);
    mn_session_get_info(f.s, &info);
    assert_int_equal(info.last_token, 2);
    close_all(&f);
}

static void test_other_model(void **state)
{
    (void)state;
    fixture f = open_all(false), other = open_all(false);
    mn_diag diag = {""};
    mn_generated g;
    mn_generate_params gp = {.max_token = 1};
    assert_int_equal(mn_generate(f.s, other.sampler, only(f.m, 5), &gp, &g, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "another model"));
    assert_int_equal(g.n_token, 0);
    close_all(&f);
    close_all(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_token),
        cmocka_unit_test(test_half_character),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_other_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
