/* test_shard.c: tokens come back from a shard as they went in, in either width; a shard that was
 * cut, changed in any byte, or made by another tokenizer is refused. */
#include "train/shard.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/heap.h"
#include "eval_fixture.h"

static const mn__shard_info small = {.vocab_hash = 77, .n_vocab = 65536, .end = 2};
static const mn__shard_info large = {.vocab_hash = 77, .n_vocab = 65537, .end = 65536};

static int32_t token_of(size_t i, uint32_t n_vocab)
{
    uint32_t x = (uint32_t)i * 2654435761u;
    return (int32_t)((x ^ x >> 15) % n_vocab);
}

/* Three documents of n / 3 tokens and more, put in pieces. */
static const char *make(const char *name, const mn__shard_info *info, size_t n)
{
    const char *path = tiny_model_path(name);
    mn__shard_writer *w;
    mn_diag diag = {""};
    mn__shard_info told;
    assert_int_equal(mn__shard_writer_new(&w, path, info, &diag), MN_OK);
    for (size_t i = 0; i < n; i++) {
        int32_t pair[2] = {token_of(i, info->n_vocab), token_of(i + 1, info->n_vocab)};
        size_t m = i + 1 < n && i % 3 == 0 ? 2 : 1;
        assert_int_equal(mn__shard_put(w, pair, m, &diag), MN_OK);
        i += m - 1;
        if (i == n / 3 || i == n / 3 + 1) mn__shard_end_document(w);
    }
    mn__shard_end_document(w);
    assert_int_equal(mn__shard_commit(w, &told, &diag), MN_OK);
    mn__shard_writer_free(w);
    assert_true(told.n_token == n + told.n_document && told.n_document >= 2);
    return path;
}

static void test_same(void **state)
{
    (void)state;
    const mn__shard_info *info[] = {&small, &large};
    const size_t sizes[] = {5, 32768 - 3, 100000}; /* the second fills a block but for its ends */
    for (size_t k = 0; k < 6; k++) {
        const size_t n = sizes[k / 2], before = ef_held();
        mn__shard s;
        mn_diag diag = {""};
        const char *path = make("s.shard", info[k % 2], n);
        if (mn__shard_open(&s, path, 77, &diag) != MN_OK) fail_msg("%s", diag.text);
        assert_int_equal(s.token_bytes, k % 2 ? 4 : 2);
        int32_t *all = malloc(s.info.n_token * sizeof *all), piece[3];
        assert_non_null(all);
        mn__shard_read(&s, 0, s.info.n_token, all);
        mn__shard_read(&s, s.info.n_token - 3, 3, piece);
        assert_memory_equal(piece, all + s.info.n_token - 3, sizeof piece);
        size_t at = 0, n_end = 0;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(all[at++], token_of(i, info[k % 2]->n_vocab));
            bool ends = i + 1 == n || (n_end + 1 < s.info.n_document &&
                                       (i == n / 3 || i == n / 3 + 1) && all[at] == s.info.end);
            if (ends) assert_int_equal(all[at++], s.info.end);
            n_end += ends;
        }
        assert_int_equal(at, s.info.n_token);
        assert_int_equal(n_end, s.info.n_document);
        free(all);
        mn__shard_close(&s);
        assert_int_equal(ef_held(), before);
    }
}

static mn_status open_bytes(const uint8_t *bytes, size_t n, uint64_t hash, mn_diag *diag)
{
    mn__shard s;
    mn_status st = mn__shard_open(&s, ef_write("broken.shard", bytes, n), hash, diag);
    if (st == MN_OK) mn__shard_close(&s);
    return st;
}

static void test_damaged(void **state)
{
    (void)state;
    mn_diag diag = {""};
    uint8_t bytes[400];
    FILE *file = fopen(make("d.shard", &small, 60), "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_int_equal(n, 128 + 2 * 62);
    assert_int_equal(open_bytes(bytes, n, 77, &diag), MN_OK);
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(open_bytes(bytes, n, 77, &diag), MN_EINPUT);
        bytes[i] ^= 0x10;
    }
    for (size_t i = 0; i < n; i++) assert_int_equal(open_bytes(bytes, i, 77, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "62 tokens of 2 bytes wanted, 123 bytes found"));
    open_bytes(bytes, n - 2, 77, &diag);
    assert_non_null(strstr(diag.text, "it was cut"));
    assert_int_equal(open_bytes(bytes, n, 78, &diag), MN_EINPUT);
    assert_non_null(
        strstr(diag.text, "tokenizer 000000000000004e wanted, one of 000000000000004d"));
    memset(bytes + n, 0, 2);
    assert_int_equal(open_bytes(bytes, n + 2, 77, &diag), MN_EINPUT);
}

static void test_writer(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__shard_writer *w;
    const mn__shard_info none = {.n_vocab = 3, .end = 3}, three = {.n_vocab = 3, .end = 2};
    const int32_t bad[] = {1, 3}, below[] = {-1};
    const size_t before = ef_held();
    const char *path = tiny_model_path("w.shard");
    remove(path);
    assert_int_equal(mn__shard_writer_new(&w, path, &none, &diag), MN_EUSAGE);
    assert_int_equal(mn__shard_writer_new(&w, path, &three, &diag), MN_OK);
    assert_int_equal(mn__shard_commit(w, NULL, &diag), MN_EUSAGE); /* no document */
    assert_int_equal(mn__shard_put(w, bad, 1, &diag), MN_OK);
    assert_int_equal(mn__shard_commit(w, NULL, &diag), MN_EUSAGE); /* an open one */
    assert_int_equal(mn__shard_put(w, bad, 2, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "tokens below 3 wanted, 3 found"));
    assert_int_equal(mn__shard_put(w, below, 1, &diag), MN_ERANGE);
    mn__shard_writer_free(w);
    assert_int_equal(access(path, F_OK), -1); /* nothing stays behind */
    assert_int_equal(ef_held(), before);
}

/* The disk is full behind 4 KiB: the shard that stood there still does. */
static void test_full(void **state)
{
    (void)state;
    const char *path = make("full.shard", &small, 60);
    const int32_t token[1000] = {1};
    struct rlimit old, few;
    mn__shard_writer *w;
    mn__shard s;
    mn_diag diag = {""};
    const size_t before = ef_held();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    few = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    assert_int_equal(mn__shard_writer_new(&w, path, &small, &diag), MN_OK);
    for (size_t i = 0; i < 100; i++) assert_int_equal(mn__shard_put(w, token, 1000, &diag), MN_OK);
    mn__shard_end_document(w);
    const mn_status st = mn__shard_commit(w, NULL, &diag);
    mn__shard_writer_free(w);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(st, MN_EIO);
    assert_non_null(strstr(diag.text, path));
    assert_int_equal(mn__shard_open(&s, path, 77, &diag), MN_OK);
    assert_true(s.info.n_token == 62);
    mn__shard_close(&s);
    assert_int_equal(ef_held(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
