/* test_tiny_model.c: what a test writes at a path of its own is gone when its process is, however
 * the test ended. */
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs("x", file) < 0 || fclose(file) != 0) _exit(2);
}

/* The child writes a file and the temporary of one of its children, then ends as `code`; a child of
 * its own that ends first must take nothing with it. */
static void live(int code)
{
    char tmp[300];
    const char *path = tiny_model_path("short-lived");
    snprintf(tmp, sizeof tmp, "%s.tmp-1", path);
    write_file(path);
    write_file(tmp);
    pid_t child = fork();
    if (child == 0) exit(0);
    waitpid(child, NULL, 0);
    if (access(path, F_OK) != 0 || access(tmp, F_OK) != 0) _exit(3);
    if (tiny_model_path("short-lived") != path || tiny_model_path("other") == path) _exit(4);
    exit(code);
}

static void test_removed_at_exit(void **state)
{
    (void)state;
    for (int code = 0; code < 2; code++) {
        char path[256], tmp[300];
        int status;
        const char *dir = getenv("TMPDIR");
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) live(code);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), code);
        snprintf(path, sizeof path, "%s/mneme-%ld-short-lived", dir ? dir : P_tmpdir, (long)child);
        snprintf(tmp, sizeof tmp, "%s.tmp-1", path);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_not_equal(access(tmp, F_OK), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_removed_at_exit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
