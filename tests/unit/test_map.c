/* test_map.c: mapping shows a file's bytes and refuses what is no file of bytes. */
#include "base/file.h"
#include "mneme/mem.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", tiny_model_path("map-XXXXXX"));
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static size_t weights(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.now[MN_MEM_WEIGHTS];
}

static void test_map(void **state)
{
    (void)state;
    mn__map m;
    mn_diag diag;
    size_t before = weights();
    write_file("twelve bytes");
    mn_mem_set_limit(1); /* mapped files are not held against the limit */
    assert_int_equal(mn__map_open(&m, path, &diag), MN_OK);
    mn_mem_set_limit(0);
    assert_int_equal(m.size, 12);
    assert_memory_equal(m.data, "twelve bytes", 12);
    assert_int_equal(weights(), before + 12);
    mn__map_close(&m);
    assert_int_equal(weights(), before);
    assert_null(m.data);
    mn__map_close(&m);
}

static void refuse(const char *name, mn_status wanted, const char *word)
{
    mn__map m;
    mn_diag diag = {""};
    assert_int_equal(mn__map_open(&m, name, &diag), wanted);
    assert_null(m.data);
    assert_non_null(strstr(diag.text, name));
    assert_non_null(strstr(diag.text, word));
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(folder, MN_EINPUT, "directory");
    write_file("");
    refuse(path, MN_EINPUT, "empty");
    unlink(path);
    refuse(path, MN_EIO, "No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(path, MN_EINPUT, "regular"); /* and does not wait for a writer */
    unlink(path);
    refuse("/dev/null", MN_EINPUT, "regular");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
