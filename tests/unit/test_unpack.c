/* test_unpack.c: plain, xz and zstd files come out as they went in; damaged, truncated and
 * oversized ones are told apart. */
#include "base/unpack.h"

#include "eval_fixture.h"

enum { N = 300000 }; /* several reads of 64 KiB */

static char *make_text(void)
{
    char *text = malloc(N);
    uint32_t x = 1;
    assert_non_null(text);
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = (char)('a' + (x >> 28));
    }
    return text;
}

/* Reads in pieces of `piece`; the bytes that came, or the failure. */
static mn_status read_all(const char *path, uint64_t max, size_t piece, char *out, size_t *n,
                          mn_diag *diag)
{
    mn__unpack *u;
    size_t got = 1;
    *n = 0;
    mn_status st = mn__unpack_open(&u, path, max, diag);
    while (st == MN_OK && got) {
        st = mn__unpack_read(u, out + *n, piece, &got, diag);
        if (st == MN_OK) *n += got;
    }
    mn__unpack_close(u);
    return st;
}

static void expect_same(const char *path, const char *want, size_t n_want)
{
    mn_diag diag = {""};
    static const size_t pieces[] = {1 << 16, 1000, 77777};
    char *out = malloc(N + (1 << 17));
    assert_non_null(out);
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        assert_int_equal(read_all(path, 0, pieces[i], out, &n, &diag), MN_OK);
        assert_int_equal(n, n_want);
        assert_memory_equal(out, want, n);
    }
    free(out);
}

static void expect_failure(const char *path, uint64_t max, const char *words)
{
    mn_diag diag = {""};
    size_t n, before = ef_held();
    char *out = malloc(N + (1 << 17));
    assert_non_null(out);
    assert_int_equal(read_all(path, max, 1 << 16, out, &n, &diag), MN_EINPUT);
    if (!strstr(diag.text, words)) fail_msg("`%s` lacks `%s`", diag.text, words);
    assert_non_null(strstr(diag.text, path));
    assert_int_equal(ef_held(), before);
    free(out);
}

static void test_same(void **state)
{
    (void)state;
    char *text = make_text();
    size_t n_xz, n_zstd;
    uint8_t *xz = ef_xz(text, N, &n_xz), *zstd = ef_zstd(text, N, &n_zstd);
    expect_same(ef_write("plain", text, N), text, N);
    expect_same(ef_write("empty", "", 0), text, 0);
    expect_same(ef_write("short",
                         "\xfd"
                         "7z",
                         3),
                "\xfd"
                "7z",
                3); /* a beginning of a mark */
    expect_same(ef_write("xz", xz, n_xz), text, N);
    expect_same(ef_write("zstd", zstd, n_zstd), text, N);
    free(xz);
    free(zstd);
    free(text);
}

static void test_joined(void **state)
{
    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        size_t n_a, n_b;
        uint8_t *a = zstd ? ef_zstd("ab", 2, &n_a) : ef_xz("ab", 2, &n_a);
        uint8_t *b = zstd ? ef_zstd("cde", 3, &n_b) : ef_xz("cde", 3, &n_b);
        uint8_t *both = malloc(n_a + n_b);
        assert_non_null(both);
        memcpy(both, a, n_a);
        memcpy(both + n_a, b, n_b);
        expect_same(ef_write("joined", both, n_a + n_b), "abcde", 5);
        free(a);
        free(b);
        free(both);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    char *text = make_text();
    size_t n_xz, n_zstd;
    uint8_t *xz = ef_xz(text, N, &n_xz), *zstd = ef_zstd(text, N, &n_zstd);
    const size_t cuts[] = {1, 2, 9, n_zstd / 2, n_zstd - 20};
    for (size_t i = 0; i < 5; i++) {
        expect_failure(ef_write("xz", xz, n_xz - cuts[i]), 0, "the xz archive ends too early");
        expect_failure(ef_write("zstd", zstd, n_zstd - cuts[i]), 0, "zstd archive ends too early");
    }
    free(xz);
    free(zstd);
    free(text);
}

static void test_damaged(void **state)
{
    (void)state;
    char *text = make_text();
    size_t n_xz, n_zstd;
    uint8_t *xz = ef_xz(text, N, &n_xz), *zstd = ef_zstd(text, N, &n_zstd);
    xz[n_xz / 2] ^= 0x55;
    zstd[5] ^= 0xff;
    expect_failure(ef_write("xz", xz, n_xz), 0, "the xz archive is damaged");
    expect_failure(ef_write("zstd", zstd, n_zstd), 0, "the zstd archive cannot be unpacked");
    free(xz);
    free(zstd);
    free(text);
}

/* A few kilobytes that stand for many. */
static void test_bomb(void **state)
{
    (void)state;
    char *zeros = calloc(1, 40 << 20);
    size_t n_xz, n_zstd;
    assert_non_null(zeros);
    uint8_t *xz = ef_xz(zeros, 40 << 20, &n_xz), *zstd = ef_zstd(zeros, 40 << 20, &n_zstd);
    assert_true(n_xz < 1 << 14 && n_zstd < 1 << 14);
    expect_failure(ef_write("xz", xz, n_xz), N, "at most 300000 bytes wanted, more found when");
    expect_failure(ef_write("zstd", zstd, n_zstd), N, "at most 300000 bytes wanted, more found");
    expect_failure(ef_write("plain", zeros, N + 1), N, "at most 300000 bytes wanted, more found");
    free(xz);
    free(zstd);
    free(zeros);
}

static void test_no_file(void **state)
{
    (void)state;
    mn__unpack *u = NULL;
    mn_diag diag = {""};
    assert_int_equal(mn__unpack_open(&u, tiny_model_path("absent"), 0, &diag), MN_EIO);
    assert_null(u);
    assert_non_null(strstr(diag.text, "cannot open"));
    assert_int_equal(mn__unpack_open(&u, P_tmpdir, 0, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "a directory found"));
    assert_int_equal(mn__unpack_open(&u, "/dev/null", 0, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),      cmocka_unit_test(test_joined),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_bomb),      cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
