/* test_folder.c: a folder is there with all above it, or a sentence names the one that cannot be.
 */
#include "base/file.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char top[256], path[300];

static const char *below(const char *name)
{
    snprintf(path, sizeof path, "%s%s", top, name);
    return path;
}

static bool is_folder(const char *name)
{
    struct stat s;
    return stat(below(name), &s) == 0 && S_ISDIR(s.st_mode);
}

static int make_top(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "%s", tiny_model_path("folder-XXXXXX"));
    return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
    (void)state;
    unlink(below("/file"));
    rmdir(below("/a/b/c"));
    rmdir(below("/a/b"));
    rmdir(below("/a"));
    return rmdir(top);
}

static void test_parents(void **state)
{
    (void)state;
    mn_diag diag = {""};
    assert_false(is_folder("/a"));
    for (int again = 0; again < 2; again++) { /* what is there is fine */
        assert_int_equal(mn__folder_make(below("/a//b/c/"), &diag), MN_OK);
        assert_true(is_folder("/a/b/c"));
    }
    assert_int_equal(mn__folder_make("/", &diag), MN_OK);
    assert_int_equal(mn__folder_make("/tmp", &diag), MN_OK);
}

static void test_file_in_the_way(void **state)
{
    (void)state;
    mn_diag diag = {""};
    FILE *file = fopen(below("/file"), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(mn__folder_make(below("/file/x/y"), &diag), MN_EIO);
    assert_non_null(strstr(diag.text, "/file/x: Not a directory"));
}

static void put(const char *name)
{
    FILE *file = fopen(below(name), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

/* One at a time; what a killed process was writing goes, but nothing else does. */
static void test_hold(void **state)
{
    static const char *const ours[] = {"state.", "log", NULL};
    static const char *const files[] = {"/h/i/state.x.tmp-12", "/h/i/log.tmp-3", "/h/i/state.x",
                                        "/h/i/other.tmp-12",   "/h/i/log.tmp-",  "/h/i/log.tmp-1a"};
    int fd, second;
    (void)state;
    mn_diag diag = {""};
    assert_int_equal(mn__folder_hold(&fd, below("/h/i"), "works", ours, &diag), MN_OK);
    mn__folder_release(fd);
    for (size_t i = 0; i < 6; i++) put(files[i]);
    assert_int_equal(mn__folder_hold(&fd, below("/h/i"), "works", ours, &diag), MN_OK);
    for (size_t i = 0; i < 6; i++) assert_int_equal(access(below(files[i]), F_OK), i < 2 ? -1 : 0);
    assert_int_equal(mn__folder_hold(&second, below("/h/i"), "works", ours, &diag), MN_EFAIL);
    assert_non_null(strstr(diag.text, "/h/i: another process works there"));
    assert_int_equal(second, -1);
    mn__folder_release(fd);
    assert_int_equal(mn__folder_hold(&fd, below("/h/i"), "works", ours, &diag), MN_OK);
    mn__folder_release(fd);
    mn__folder_release(-1);
    assert_int_equal(mn__folder_hold(&fd, below("/h/i/state.x"), "works", ours, &diag), MN_EIO);
    assert_int_equal(mn__folder_hold(&fd, "", "works", ours, &diag), MN_EUSAGE);
    for (size_t i = 2; i < 6; i++) assert_int_equal(unlink(below(files[i])), 0);
    rmdir(below("/h/i"));
    rmdir(below("/h"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parents),
                                       cmocka_unit_test(test_file_in_the_way),
                                       cmocka_unit_test(test_hold)};
    return cmocka_run_group_tests(tests, make_top, remove_top);
}
