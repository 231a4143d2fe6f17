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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parents),
                                       cmocka_unit_test(test_file_in_the_way)};
    return cmocka_run_group_tests(tests, make_top, remove_top);
}
