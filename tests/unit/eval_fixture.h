/* eval_fixture.h: what tests of src/eval share: files, packed files, and tokenizers whose counts
 * can be done by hand. */
#ifndef MN_TEST_EVAL_FIXTURE_H
#define MN_TEST_EVAL_FIXTURE_H

#include <ctype.h>
#include <lzma.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>

#include "eval/maker.h"
#include "mneme/mem.h"
#include "tiny_model.h"

/* The path of a file of that name with these bytes, in place of an earlier one. */
static inline const char *ef_write(const char *name, const void *bytes, size_t n)
{
    const char *path = tiny_model_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *ef_write_text(const char *name, const char *text)
{
    return ef_write(name, text, strlen(text));
}

/* Packed bytes, the caller's (free). */
static inline uint8_t *ef_xz(const void *bytes, size_t n, size_t *n_out)
{
    size_t cap = lzma_stream_buffer_bound(n);
    uint8_t *out = malloc(cap);
    *n_out = 0;
    assert_non_null(out);
    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, bytes, n, out, n_out, cap),
                     LZMA_OK);
    return out;
}

static inline uint8_t *ef_zstd(const void *bytes, size_t n, size_t *n_out)
{
    size_t cap = ZSTD_compressBound(n);
    uint8_t *out = malloc(cap);
    assert_non_null(out);
    *n_out = ZSTD_compress(out, cap, bytes, n, 3);
    assert_false(ZSTD_isError(*n_out));
    return out;
}

static inline size_t ef_held(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[MN_MEM_OTHER];
}

/* One token a byte. */
static inline mn_status ef_encode_bytes(void *ctx, const char *text, size_t n_byte,
                                        mn_token_buf *out, mn_diag *diag)
{
    (void)ctx;
    (void)diag;
    out->n = n_byte;
    for (size_t i = 0; out->data && n_byte <= out->cap && i < n_byte; i++)
        out->data[i] = (uint8_t)text[i];
    return MN_OK;
}

static inline mn_status ef_decode_bytes(void *ctx, const int32_t *token, size_t n, mn_text_buf *out,
                                        mn_diag *diag)
{
    (void)ctx;
    (void)diag;
    out->n = n;
    for (size_t i = 0; out->data && n <= out->cap && i < n; i++) out->data[i] = (char)token[i];
    return MN_OK;
}

static const mn__tokens ef_bytes = {.encode = ef_encode_bytes, .decode = ef_decode_bytes};

/* One token for each run of letters or digits and for each other byte that is no blank; only for
 * counting. ctx: a size_t that counts the calls, or NULL. */
static inline mn_status ef_encode_words(void *ctx, const char *text, size_t n_byte,
                                        mn_token_buf *out, mn_diag *diag)
{
    (void)diag;
    bool inside = false;
    size_t *n_call = ctx;
    if (n_call) ++*n_call;
    out->n = 0;
    for (size_t i = 0; i < n_byte; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = c >= 0x80 || isalnum(c);
        bool blank = c == ' ' || c == '\n';
        out->n += !blank && !(letter && inside);
        inside = letter;
    }
    return MN_OK;
}

static const mn__tokens ef_words = {.encode = ef_encode_words};

#endif
