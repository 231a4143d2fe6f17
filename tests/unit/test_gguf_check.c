/* test_gguf_check.c: hostile files made byte by byte, each refused with the sentence that tells
 * why; a sound one cut at every length and with random bits turned never leads outside its bytes.
 */
#include "base/rng.h"
#include "gguf/gguf_check.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct bytes {
    uint8_t data[4096];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_u32(struct bytes *b, uint32_t x)
{
    put(b, &x, sizeof x);
}

static void put_u64(struct bytes *b, uint64_t x)
{
    put(b, &x, sizeof x);
}

static void put_text(struct bytes *b, const char *s)
{
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

static void put_header(struct bytes *b, uint32_t version, uint64_t n_tensor, uint64_t n_key)
{
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, n_tensor);
    put_u64(b, n_key);
}

static void put_key_u32(struct bytes *b, const char *key, uint32_t value)
{
    put_text(b, key);
    put_u32(b, GGUF_TYPE_UINT32);
    put_u32(b, value);
}

static void put_tensor(struct bytes *b, const char *name, int64_t ne0, int64_t ne1, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put_u32(b, 2);
    put_u64(b, (uint64_t)ne0);
    put_u64(b, (uint64_t)ne1);
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_data(struct bytes *b, size_t alignment, size_t n)
{
    while (b->n % alignment) put(b, "", 1);
    for (size_t i = 0; i < n; i++) put(b, "\x3f", 1);
}

static void refuse(const struct bytes *b, const char *word)
{
    mn_diag diag = {""};
    uint8_t *exact = malloc(b->n + !b->n); /* the address sanitizer watches both ends */
    assert_non_null(exact);
    memcpy(exact, b->data, b->n);
    mn_status st = mn__gguf_check(exact, b->n, &diag);
    free(exact);
    assert_int_equal(st, MN_EINPUT);
    if (!strstr(diag.text, word)) fail_msg("'%s' wanted in: %s", word, diag.text);
}

static void accept(const struct bytes *b)
{
    mn_diag diag = {""};
    if (mn__gguf_check(b->data, b->n, &diag) != MN_OK) fail_msg("refused: %s", diag.text);
}

static void test_header(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    refuse(&b, "ends at byte 0");
    put_header(&b, 3, 0, 0);
    accept(&b);
    b.data[0] = 'g';
    refuse(&b, "not a GGUF file");
    const uint32_t versions[] = {0, 1, 4, 0x03000000};
    for (size_t i = 0; i < 4; i++) {
        b.n = 0;
        put_header(&b, versions[i], 0, 0);
        refuse(&b, versions[i] > 4 ? "big-endian" : "version");
    }
    b.n = 0;
    put_header(&b, 2, 0, UINT64_MAX);
    refuse(&b, "18446744073709551615 keys");
    b.n = 0;
    put_header(&b, 3, (uint64_t)1 << 40, 0);
    refuse(&b, "1099511627776 tensors");
}

static void test_keys(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    put_header(&b, 3, 0, 2);
    put_key_u32(&b, "one", 1);
    put_key_u32(&b, "two", 2);
    accept(&b);
    b.n = 0;
    put_header(&b, 3, 0, 2);
    put_key_u32(&b, "one", 1);
    put_key_u32(&b, "one", 2);
    refuse(&b, "key 'one' appears twice");
    b.n = 0;
    put_header(&b, 3, 0, 1);
    put_key_u32(&b, "", 1);
    refuse(&b, "a key of 1 to 65535 bytes wanted");
    b.n = 0;
    put_header(&b, 3, 0, 1);
    put_u64(&b, 3);
    put(&b, "a\0b", 3);
    put_u32(&b, GGUF_TYPE_UINT32);
    put_u32(&b, 0);
    refuse(&b, "zero byte");
    b.n = 0;
    put_header(&b, 3, 0, 1);
    put_u64(&b, UINT64_MAX);
    put_u64(&b, 0);
    refuse(&b, "a key claims 18446744073709551615");
}

static void refuse_value(uint32_t type, uint32_t element, uint64_t n, const char *word)
{
    struct bytes b = {.n = 0};
    put_header(&b, 3, 0, 1);
    put_text(&b, "k");
    put_u32(&b, type);
    if (type == GGUF_TYPE_ARRAY) put_u32(&b, element);
    put_u64(&b, n);
    put_u64(&b, 0);
    refuse(&b, word);
}

static void test_values(void **state)
{
    (void)state;
    refuse_value(GGUF_TYPE_COUNT, 0, 0, "unknown type 13");
    refuse_value(UINT32_MAX, 0, 0, "unknown type 4294967295");
    refuse_value(GGUF_TYPE_STRING, 0, UINT64_MAX, "key 'k' claims");
    refuse_value(GGUF_TYPE_ARRAY, GGUF_TYPE_ARRAY, 1, "unknown type 9");
    refuse_value(GGUF_TYPE_ARRAY, GGUF_TYPE_UINT32, (uint64_t)1 << 62,
                 "key 'k' claims"); /* 4 times it wraps to 0 */
    refuse_value(GGUF_TYPE_ARRAY, GGUF_TYPE_STRING, (uint64_t)1 << 61, "key 'k' claims");
    refuse_value(GGUF_TYPE_ARRAY, GGUF_TYPE_UINT64, 2,
                 "key 'k' claims 2 items of 8 bytes, 8 bytes are left");
}

static void test_alignment(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 1, 4, 24, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes b = {.n = 0};
        put_header(&b, 3, 0, 1);
        put_key_u32(&b, "general.alignment", bad[i]);
        refuse(&b, "general.alignment: a power of two");
    }
    struct bytes b = {.n = 0};
    put_header(&b, 3, 0, 1);
    put_text(&b, "general.alignment");
    put_u32(&b, GGUF_TYPE_UINT64);
    put_u64(&b, 32);
    refuse(&b, "general.alignment: uint32 wanted");
    b.n = 0;
    put_header(&b, 3, 2, 1);
    put_key_u32(&b, "general.alignment", 64);
    put_tensor(&b, "a", 3, 1, GGML_TYPE_F32, 0);
    put_tensor(&b, "b", 3, 1, GGML_TYPE_F32, 64);
    put_data(&b, 64, 64 + 12);
    accept(&b);
    b.n--;
    refuse(&b, "tensor 'b' needs the bytes");
    b.n = 0;
    put_header(&b, 3, 1, 1);
    put_key_u32(&b, "general.alignment", 1u << 31);
    put_tensor(&b, "a", 3, 1, GGML_TYPE_F32, 0);
    put_data(&b, 64, 64);
    refuse(&b, "needs the bytes 2147483648");
}

static void refuse_tensor(const char *name, int64_t ne0, int64_t ne1, uint32_t type,
                          uint64_t offset, const char *word)
{
    struct bytes b = {.n = 0};
    put_header(&b, 3, 1, 0);
    put_tensor(&b, name, ne0, ne1, type, offset);
    put_data(&b, 32, 1024);
    refuse(&b, word);
}

static void test_tensors(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "t", 32, 8, GGML_TYPE_F32, 0);
    put_data(&b, 32, 1024);
    accept(&b);
    refuse_tensor("", 1, 1, GGML_TYPE_F32, 0, "a tensor name of 1 to 63");
    char longer[65];
    memset(longer, 'n', 64);
    longer[64] = '\0';
    refuse_tensor(longer, 1, 1, GGML_TYPE_F32, 0, "a tensor name of 1 to 63");
    refuse_tensor("t", 0, 1, GGML_TYPE_F32, 0, "dimension 0 is 0");
    refuse_tensor("t", 1, -5, GGML_TYPE_F32, 0, "dimension 1 is -5");
    refuse_tensor("t", INT64_MAX, 3, GGML_TYPE_F32, 0, "multiply beyond 64 bits");
    refuse_tensor("t", (int64_t)1 << 32, (int64_t)1 << 32, GGML_TYPE_F32, 0,
                  "multiply beyond 64 bits");
    refuse_tensor("t", (int64_t)1 << 31, (int64_t)1 << 31, GGML_TYPE_F32, 0,
                  "more bytes than any file has");
    refuse_tensor("t", (int64_t)1 << 31, (int64_t)1 << 30, GGML_TYPE_F32, 0,
                  "more bytes than any file has");
    refuse_tensor("t", (int64_t)1 << 31, (int64_t)1 << 28, GGML_TYPE_F32, 0, "the file ends at");
    refuse_tensor("t", 1, 1, GGML_TYPE_COUNT, 0, "unknown type 43");
    refuse_tensor("t", 1, 1, 4, 0, "unknown type 4"); /* a removed one */
    refuse_tensor("t", 1, 1, UINT32_MAX, 0, "unknown type 4294967295");
    refuse_tensor("t", 31, 1, GGML_TYPE_Q4_0, 0,
                  "rows in multiples of 32 wanted for q4_0, 31 found");
    refuse_tensor("t", 32, 8, GGML_TYPE_F32, 32, "offset 0 wanted, 32 found");
    refuse_tensor("t", 32, 8, GGML_TYPE_F32, UINT64_MAX - 31, "offset 0 wanted");
    refuse_tensor("t", 32, 9, GGML_TYPE_F32, 0, "the file ends at");
    b.n = 0;
    put_header(&b, 3, 1, 0);
    put_text(&b, "t");
    put_u32(&b, 5);
    put_data(&b, 32, 256);
    refuse(&b, "1 to 4 dimensions wanted, 5 found");
    b.n = 0;
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "same", 8, 1, GGML_TYPE_F32, 0);
    put_tensor(&b, "same", 8, 1, GGML_TYPE_F32, 32);
    put_data(&b, 32, 64);
    refuse(&b, "tensor 'same' appears twice");
}

/* One of everything that a file can hold. `data_end`: bytes that must be there. */
static void make_sound(struct bytes *b, size_t *data_end)
{
    b->n = 0;
    put_header(b, 3, 3, 5);
    put_key_u32(b, "llama.block_count", 30);
    put_text(b, "general.architecture");
    put_u32(b, GGUF_TYPE_STRING);
    put_text(b, "llama");
    put_text(b, "tokens");
    put_u32(b, GGUF_TYPE_ARRAY);
    put_u32(b, GGUF_TYPE_STRING);
    put_u64(b, 3);
    put_text(b, "a");
    put_text(b, "");
    put_text(b, "ccc");
    put_text(b, "scores");
    put_u32(b, GGUF_TYPE_ARRAY);
    put_u32(b, GGUF_TYPE_INT16);
    put_u64(b, 3);
    put(b, "\1\0\2\0\3", 6);
    put_key_u32(b, "general.alignment", 16);
    put_tensor(b, "wide", 32, 2, GGML_TYPE_Q4_0, 0);
    put_tensor(b, "norm", 3, 1, GGML_TYPE_F32, 48);
    put_tensor(b, "half", 5, 1, GGML_TYPE_F16, 64);
    put_data(b, 16, 64 + 10);
    *data_end = b->n;
    put_data(b, 16, 0);
}

/* Opens a copy of exactly n bytes and looks at all that a user could. */
static mn_status open_and_look(const uint8_t *data, size_t n)
{
    mn__gguf *g;
    mn_diag diag = {""};
    uint32_t sum = 0;
    uint8_t *exact = malloc(n + !n);
    assert_non_null(exact);
    memcpy(exact, data, n);
    mn_status st = mn__gguf_open_memory(&g, exact, n, "copy", &diag);
    if (st == MN_OK) {
        for (size_t i = 0; i < mn__gguf_n_tensor(g); i++) {
            const mn__gguf_tensor *t = mn__gguf_get_tensor(g, i);
            for (size_t j = 0; j < t->n_bytes; j++) sum += ((const uint8_t *)t->data)[j];
        }
        for (size_t i = 0; i < mn__gguf_n_key(g); i++) {
            char text[64];
            mn__gguf_key_text(g, i, text, sizeof text);
            sum += (uint32_t)strlen(text);
        }
        mn__gguf_close(g);
        assert_true(sum > 0);
    } else {
        assert_int_equal(
            st, MN_EINPUT); /* above all not MN_EFAIL: ggml never refuses what we let pass */
        assert_true(strlen(diag.text) > strlen("copy: "));
    }
    free(exact);
    return st;
}

static void test_cut_at_every_length(void **state)
{
    (void)state;
    struct bytes b;
    size_t data_end;
    make_sound(&b, &data_end);
    assert_true(b.n > data_end);
    for (size_t n = 0; n < data_end; n++) assert_int_equal(open_and_look(b.data, n), MN_EINPUT);
    for (size_t n = data_end; n <= b.n; n++) assert_int_equal(open_and_look(b.data, n), MN_OK);
}

static void test_turned_bits(void **state)
{
    (void)state;
    struct bytes b;
    size_t data_end;
    make_sound(&b, &data_end);
    int n_accepted = 0, n_refused = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        struct bytes turned = b;
        for (uint32_t k = 0; k <= i % 3; k++) {
            size_t bit = (size_t)(mn__rng_uniform(11, 0, i, k) * (double)(b.n * 8));
            turned.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        if (open_and_look(turned.data, turned.n) == MN_OK) {
            n_accepted++;
        } else {
            n_refused++;
        }
    }
    assert_true(n_accepted > 300 && n_refused > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),      cmocka_unit_test(test_keys),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_tensors),     cmocka_unit_test(test_cut_at_every_length),
        cmocka_unit_test(test_turned_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
