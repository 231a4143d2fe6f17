/* test_text_files.c: what a list of files and folders comes to, and what makes two corpora one. */
#include "train/text_files.h"

#include <errno.h>

#include "eval_fixture.h"

static mn_diag diag;

static const char *in_folder(const char *folder, const char *name, const char *text)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* A folder of its own with three texts and two files that are none. */
static const char *make_folder(char path[4096], const char *name)
{
    snprintf(path, 4096, "%s", tiny_model_path(name));
    if (mkdir(path, 0700)) assert_int_equal(errno, EEXIST);
    in_folder(path, "b.jsonl.zst", "two");
    in_folder(path, "a.txt", "first");
    in_folder(path, "c.txt.xz", "three");
    in_folder(path, "notes.md", "no");
    in_folder(path, ".hidden.txt", "no");
    return path;
}

static void remove_folder(const char *path)
{
    static const char *const names[] = {"b.jsonl.zst", "a.txt", "c.txt.xz", "notes.md",
                                        ".hidden.txt"};
    char file[4200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(path), 0);
}

static uint64_t identity(const char *list)
{
    mn__text_files f;
    if (mn__text_files_list(&f, list, "corpus", &diag) != MN_OK) fail_msg("%s", diag.text);
    const uint64_t id = f.identity;
    mn__text_files_free(&f);
    return id;
}

static void test_list(void **state)
{
    char folder[4096], list[9000];
    mn__text_files f;
    const size_t before = ef_held();
    (void)state;
    make_folder(folder, "texts-one");
    const char *single = ef_write_text("single.any", "words");
    snprintf(list, sizeof list, " %s , %s,", single, folder);
    assert_int_equal(mn__text_files_list(&f, list, "corpus", &diag), MN_OK);
    assert_int_equal(f.n, 4);
    assert_string_equal(f.path[0], single);
    for (size_t i = 1; i < 4; i++) {
        static const char *const want[] = {"/a.txt", "/b.jsonl.zst", "/c.txt.xz"};
        assert_string_equal(strrchr(f.path[i], '/'), want[i - 1]);
    }
    assert_int_equal(f.bytes, 5 + 5 + 3 + 5);
    mn__text_files_free(&f);
    assert_int_equal(ef_held(), before);
    remove_folder(folder);
}

/* Elsewhere the same; a name, a size, a beginning, an end or the order changed: another. */
static void test_identity(void **state)
{
    char one[4096], two[4096], list[9000];
    (void)state;
    make_folder(one, "texts-one");
    make_folder(two, "texts-two");
    const uint64_t id = identity(one);
    assert_true(id == identity(two));
    in_folder(two, "a.txt", "First");
    assert_true(id != identity(two));
    in_folder(two, "a.txt", "first ");
    assert_true(id != identity(two));
    in_folder(two, "a.txt", "first");
    assert_true(id == identity(two));
    snprintf(list, sizeof list, "%s/a.txt,%s/c.txt.xz", one, one);
    const uint64_t forward = identity(list);
    snprintf(list, sizeof list, "%s/c.txt.xz,%s/a.txt", one, one);
    assert_true(forward != identity(list));

    static char big[200000];
    memset(big, 'x', sizeof big);
    const uint64_t whole = identity(ef_write("big.txt", big, sizeof big));
    big[sizeof big - 1] = 'y';
    assert_true(whole != identity(ef_write("big.txt", big, sizeof big)));
    remove_folder(one);
    remove_folder(two);
}

static void refuse(const char *list, mn_status want, const char *part)
{
    mn__text_files f;
    const size_t before = ef_held();
    assert_int_equal(mn__text_files_list(&f, list, "corpus", &diag), want);
    if (!strstr(diag.text, part)) fail_msg("'%s' wanted in: %s", part, diag.text);
    assert_null(f.path);
    assert_int_equal(ef_held(), before);
}

static void test_refused(void **state)
{
    char empty[4096];
    (void)state;
    snprintf(empty, sizeof empty, "%s", tiny_model_path("texts-empty"));
    assert_int_equal(mkdir(empty, 0700), 0);
    refuse("", MN_EUSAGE, "corpus: files or folders of text wanted, none given");
    refuse(" , ,", MN_EUSAGE, "none given");
    refuse("/nonexistent/x", MN_EIO, "corpus: /nonexistent/x: cannot open");
    refuse(empty, MN_EINPUT, "none found");
    refuse("/dev/null", MN_EINPUT, "not a regular file");
    assert_int_equal(rmdir(empty), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
