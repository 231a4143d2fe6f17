/* test_fidelity.c: when the candidates of a fidelity act. */
#include "evolve/fidelity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void want(const char *more, bool reads, const char *text)
{
    char out[200];
    mn_diag diag = {""};
    assert_int_equal(mn__fidelity_policy(out, sizeof out, "a.gguf", more, reads, &diag), MN_OK);
    assert_string_equal(out, text);
}

static void test_once(void **state)
{
    (void)state;
    want(NULL, false, "namm:file=a.gguf,chunk=0,every=0");
    want("", false, "namm:file=a.gguf,chunk=0,every=0");
    want("recent=8,chunk=256,pool=3,every=64", false,
         "namm:file=a.gguf,recent=8,pool=3,chunk=0,every=0");
    want("block=256,chunks=4", false, "namm:file=a.gguf,chunks=4,chunk=0,every=0");
}

static void test_while_reading(void **state)
{
    (void)state;
    want(NULL, true, "namm:file=a.gguf,chunk=file,every=file");
    want("recent=8,chunk=256", true, "namm:file=a.gguf,recent=8,chunk=256,every=file");
    want("every=0,chunks=4", true, "namm:file=a.gguf,every=0,chunks=4,chunk=file");
    want("block=256", true, "namm:file=a.gguf,block=256,every=file");
}

static void test_too_long(void **state)
{
    char out[20] = "before";
    mn_diag diag = {""};
    (void)state;
    assert_int_equal(mn__fidelity_policy(out, sizeof out, "a.gguf", "recent=8", true, &diag),
                     MN_EUSAGE);
    assert_non_null(strstr(diag.text, "shorter"));
    assert_string_equal(out, "before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_while_reading),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
