/* test_atomic.c: the old file or the new one, whole, whatever happens in between. */
#include "base/file.h"
#include "tiny_model.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", tiny_model_path("atomic-XXXXXX"));
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where a temporary was left behind */
}

static void save(const char *text)
{
    mn__atomic a;
    mn_diag diag;
    assert_int_equal(mn__atomic_open(&a, path, &diag), MN_OK);
    assert_true(fputs(text, a.file) >= 0);
    assert_int_equal(mn__atomic_commit(&a, &diag), MN_OK);
    assert_null(a.file);
    mn__atomic_abort(&a);
}

static void expect(const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    found[n] = '\0';
    assert_string_equal(found, text);
}

static int n_files(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void test_replace(void **state)
{
    (void)state;
    save("first");
    expect("first");
    save("second");
    expect("second");
    assert_int_equal(n_files(), 1);
}

static void test_until_commit_the_old_file_stands(void **state)
{
    (void)state;
    mn__atomic a;
    mn_diag diag;
    save("old");
    assert_int_equal(mn__atomic_open(&a, path, &diag), MN_OK);
    fputs("new", a.file);
    fflush(a.file);
    expect("old");
    assert_int_equal(n_files(), 2);
    mn__atomic_abort(&a);
    expect("old");
    assert_int_equal(n_files(), 1);
    mn__atomic_abort(&a);
}

/* A limit on file size stands in for the full disk: writes come up short in the same way. */
static void test_full_disk(void **state)
{
    (void)state;
    mn__atomic a;
    mn_diag diag = {""};
    struct rlimit before, small;
    static char block[65536];
    save("old");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(mn__atomic_open(&a, path, &diag), MN_OK);
    fwrite(block, 1, sizeof block, a.file);
    mn_status st = mn__atomic_commit(&a, &diag);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, MN_EIO);
    assert_non_null(strstr(diag.text, path));
    expect("old");
    assert_int_equal(n_files(), 1);
}

static void test_killed_writer(void **state)
{
    (void)state;
    save("old");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mn__atomic a;
        if (mn__atomic_open(&a, path, NULL) != MN_OK) _exit(1);
        fputs("half of the new", a.file);
        fflush(a.file);
        raise(SIGKILL);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    expect("old");
    assert_int_equal(n_files(), 2); /* the temporary carries the number of the dead */
    char tmp[340];
    snprintf(tmp, sizeof tmp, "%s.tmp-%ld", path, (long)child);
    assert_int_equal(unlink(tmp), 0);
}

static void test_temporary_of_a_namesake(void **state)
{
    (void)state;
    char tmp[340];
    snprintf(tmp, sizeof tmp, "%s.tmp-%ld", path, (long)getpid());
    FILE *file = fopen(tmp, "wb");
    assert_non_null(file);
    fputs("left behind by a process of the same number, and longer", file);
    fclose(file);
    save("short");
    expect("short");
    assert_int_equal(n_files(), 1);
}

static void test_refusals(void **state)
{
    (void)state;
    mn__atomic a;
    mn_diag diag = {""};
    assert_int_equal(mn__atomic_open(&a, folder, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, folder));
    assert_int_equal(mn__atomic_open(&a, "", &diag), MN_EINPUT);
    assert_int_equal(mn__atomic_open(&a, "/nowhere/at/all", &diag), MN_EIO);
    assert_non_null(strstr(diag.text, "/nowhere/at/all"));
    assert_null(a.file);
    mn__atomic_abort(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_until_commit_the_old_file_stands),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_temporary_of_a_namesake),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
