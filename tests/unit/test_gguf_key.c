/* test_gguf_key.c: every getter with the right type, a wrong one, a value out of range, and no key
 * at all. */
#include "gguf/gguf_key.h"
#include "gguf/gguf_write.h"
#include "tiny_model.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static mn__gguf *g;
static mn_diag diag;
static const char *path;

static int make_file(void **state)
{
    (void)state;
    mn__gguf_writer *w;
    const uint8_t bytes[] = {1, 2, 255};
    const int32_t negative[] = {4, -7, 5};
    const float floats[] = {0.5f, 1.5f, -2};
    const double far_out[] = {1, 1e300, 2};
    const int8_t bools[] = {1, 0, 1};
    const char *const strs[] = {"first", "", "third"};
    path = tiny_model_path("key.gguf");
    if (mn__gguf_writer_new(&w, &diag) != MN_OK) return -1;
    mn__gguf_set_u32(w, "u32", 4000000000u);
    mn__gguf_set_i32(w, "i32", -3);
    mn__gguf_set_u64(w, "u64", (uint64_t)1 << 32);
    mn__gguf_set_f32(w, "f32", 10000.5f);
    mn__gguf_set_f64(w, "f64", 0.25);
    mn__gguf_set_f32(w, "nan", NAN);
    mn__gguf_set_f64(w, "huge", DBL_MAX);
    mn__gguf_set_f64(w, "f64_nan", NAN);
    mn__gguf_set_bool(w, "bool", true);
    mn__gguf_set_str(w, "str", "llama");
    mn__gguf_set_array(w, "bytes", GGUF_TYPE_UINT8, bytes, 3);
    mn__gguf_set_array(w, "negative", GGUF_TYPE_INT32, negative, 3);
    mn__gguf_set_array(w, "floats", GGUF_TYPE_FLOAT32, floats, 3);
    mn__gguf_set_array(w, "far", GGUF_TYPE_FLOAT64, far_out, 3);
    mn__gguf_set_array(w, "bools", GGUF_TYPE_BOOL, bools, 3);
    mn__gguf_set_array(w, "none", GGUF_TYPE_FLOAT32, floats, 0);
    mn__gguf_set_strs(w, "strs", strs, 3);
    mn_status st = mn__gguf_write(w, path, &diag);
    mn__gguf_writer_free(w);
    return st == MN_OK && mn__gguf_open(&g, path, &diag) == MN_OK ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    mn__gguf_close(g);
    return unlink(path);
}

static void say(const char *words)
{
    if (!strstr(diag.text, words) || !strstr(diag.text, path))
        fail_msg("'%s' wanted in: %s", words, diag.text);
}

static void test_u32(void **state)
{
    (void)state;
    uint32_t x = 77;
    assert_int_equal(mn__gguf_need_u32(g, "u32", &x, &diag), MN_OK);
    assert_true(x == 4000000000u);
    x = 77;
    assert_int_equal(mn__gguf_need_u32(g, "i32", &x, &diag), MN_ERANGE);
    say("i32: 0 to 4294967295 wanted, -3 found");
    assert_int_equal(mn__gguf_need_u32(g, "u64", &x, &diag), MN_ERANGE);
    say("u64: 0 to 4294967295 wanted, 4294967296 found");
    assert_int_equal(mn__gguf_need_u32(g, "str", &x, &diag), MN_EINPUT);
    say("str: an integer wanted, string found");
    assert_int_equal(mn__gguf_need_u32(g, "f32", &x, &diag), MN_EINPUT);
    assert_int_equal(mn__gguf_need_u32(g, "bytes", &x, &diag), MN_EINPUT);
    say("bytes: a single value wanted, array of uint8 found");
    assert_int_equal(mn__gguf_need_u32(g, "absent", &x, &diag), MN_EINPUT);
    say("key absent wanted, none found");
    assert_int_equal(mn__gguf_get_u32(g, "i32", 5, &x, &diag),
                     MN_ERANGE); /* a fallback excuses no bad value */
    assert_int_equal(x, 77);
    assert_int_equal(mn__gguf_get_u32(g, "absent", 5, &x, &diag), MN_OK);
    assert_int_equal(x, 5);
}

static void test_size(void **state)
{
    (void)state;
    uint32_t x = 77;
    assert_int_equal(mn__gguf_need_size(g, "u32", 4000000000u, &x, &diag), MN_OK);
    assert_true(x == 4000000000u);
    assert_int_equal(mn__gguf_need_size(g, "u32", 3999999999u, &x, &diag), MN_ERANGE);
    say("u32: 1 to 3999999999 wanted, 4000000000 found");
}

static void test_f32(void **state)
{
    (void)state;
    float x = 77;
    assert_int_equal(mn__gguf_need_f32(g, "f32", &x, &diag), MN_OK);
    assert_true(x == 10000.5f);
    assert_int_equal(mn__gguf_need_f32(g, "f64", &x, &diag), MN_OK);
    assert_true(x == 0.25f);
    assert_int_equal(mn__gguf_need_f32(g, "nan", &x, &diag), MN_ERANGE);
    say("a finite float32 wanted");
    assert_int_equal(mn__gguf_need_f32(g, "huge", &x, &diag), MN_ERANGE);
    assert_int_equal(mn__gguf_need_f32(g, "u32", &x, &diag), MN_EINPUT);
    say("u32: a float wanted, uint32 found");
    assert_true(x == 0.25f);
    assert_int_equal(mn__gguf_get_f32(g, "absent", 3, &x, &diag), MN_OK);
    assert_true(x == 3);
}

static void test_f64(void **state)
{
    (void)state;
    double x = 77;
    assert_int_equal(mn__gguf_need_f64(g, "huge", &x, &diag), MN_OK);
    assert_true(x == DBL_MAX);
    assert_int_equal(mn__gguf_need_f64(g, "f32", &x, &diag), MN_OK);
    assert_true(x == 10000.5);
    assert_int_equal(mn__gguf_need_f64(g, "nan", &x, &diag), MN_ERANGE);
    say("nan: a finite number wanted, nan found");
    assert_int_equal(mn__gguf_need_f64(g, "u32", &x, &diag), MN_EINPUT);
    say("u32: a float wanted, uint32 found");
    assert_int_equal(mn__gguf_need_f64(g, "absent", &x, &diag), MN_EINPUT);
    say("key absent wanted, none found");
    assert_true(x == 10000.5);
}

static void test_states(void **state)
{
    (void)state;
    uint64_t n = 77;
    double x = 77;
    assert_int_equal(mn__gguf_need_u64(g, "u64", &n, &diag), MN_OK);
    assert_true(n == (uint64_t)1 << 32);
    assert_int_equal(mn__gguf_need_u64(g, "i32", &n, &diag), MN_ERANGE);
    say("i32: 0 or more wanted, -3 found");
    assert_int_equal(mn__gguf_need_u64(g, "f64", &n, &diag), MN_EINPUT);
    assert_int_equal(mn__gguf_need_u64(g, "absent", &n, &diag), MN_EINPUT);
    assert_true(n == (uint64_t)1 << 32);
    assert_int_equal(mn__gguf_need_any_f64(g, "huge", &x, &diag), MN_OK);
    assert_true(x == DBL_MAX);
    assert_int_equal(mn__gguf_need_any_f64(g, "f64_nan", &x, &diag), MN_OK);
    assert_true(isnan(x));
    assert_int_equal(mn__gguf_need_any_f64(g, "f32", &x, &diag), MN_EINPUT);
    say("f32: float64 wanted, float32 found");
    assert_int_equal(mn__gguf_need_any_f64(g, "far", &x, &diag), MN_EINPUT);
    assert_true(isnan(x));
}

static void test_bool_and_str(void **state)
{
    (void)state;
    bool yes = false;
    const char *s = NULL;
    assert_int_equal(mn__gguf_get_bool(g, "bool", false, &yes, &diag), MN_OK);
    assert_true(yes);
    assert_int_equal(mn__gguf_get_bool(g, "u32", false, &yes, &diag), MN_EINPUT);
    say("u32: a bool wanted, uint32 found");
    assert_int_equal(mn__gguf_get_bool(g, "absent", false, &yes, &diag), MN_OK);
    assert_false(yes);
    assert_int_equal(mn__gguf_need_str(g, "str", &s, &diag), MN_OK);
    assert_string_equal(s, "llama");
    assert_int_equal(mn__gguf_need_str(g, "u32", &s, &diag), MN_EINPUT);
    say("u32: string wanted, uint32 found");
    assert_int_equal(mn__gguf_need_str(g, "strs", &s, &diag), MN_EINPUT);
    assert_string_equal(s, "llama");
    assert_int_equal(mn__gguf_get_str(g, "absent", "none", &s, &diag), MN_OK);
    assert_string_equal(s, "none");
    assert_true(mn__gguf_has(g, "str"));
    assert_false(mn__gguf_has(g, "absent"));
}

static void test_a_value_per_layer(void **state)
{
    (void)state;
    uint32_t u[3] = {9, 9, 9}, eight = 8;
    float f[3] = {9, 9, 9};
    bool b[3] = {false, true, false}, yes = true;
    assert_int_equal(mn__gguf_each_u32(g, "bytes", NULL, 3, u, &diag), MN_OK);
    assert_true(u[0] == 1 && u[1] == 2 && u[2] == 255);
    assert_int_equal(mn__gguf_each_u32(g, "negative", NULL, 3, u, &diag), MN_ERANGE);
    assert_true(u[0] == 1); /* untouched, though the first value was good */
    assert_int_equal(mn__gguf_each_u32(g, "bytes", NULL, 2, u, &diag), MN_EINPUT);
    say("bytes: an array of 2 wanted, one of 3 found");
    assert_int_equal(mn__gguf_each_u32(g, "u32", NULL, 3, u, &diag), MN_OK);
    assert_true(u[0] == 4000000000u && u[2] == 4000000000u);
    assert_int_equal(mn__gguf_each_u32(g, "absent", NULL, 3, u, &diag), MN_EINPUT);
    assert_int_equal(mn__gguf_each_u32(g, "absent", &eight, 3, u, &diag), MN_OK);
    assert_true(u[0] == 8 && u[1] == 8 && u[2] == 8);
    assert_int_equal(mn__gguf_each_f32(g, "floats", NULL, 3, f, &diag), MN_OK);
    assert_true(f[0] == 0.5f && f[1] == 1.5f && f[2] == -2);
    assert_int_equal(mn__gguf_each_f32(g, "far", NULL, 3, f, &diag), MN_ERANGE);
    assert_true(f[0] == 0.5f);
    assert_int_equal(mn__gguf_each_bool(g, "bools", NULL, 3, b, &diag), MN_OK);
    assert_true(b[0] && !b[1] && b[2]);
    assert_int_equal(mn__gguf_each_bool(g, "floats", NULL, 3, b, &diag), MN_EINPUT);
    say("floats: a bool wanted, array of float32 found");
    assert_int_equal(mn__gguf_each_bool(g, "absent", &yes, 3, b, &diag), MN_OK);
    assert_true(b[1]);
}

static void test_arrays(void **state)
{
    (void)state;
    mn__gguf_array a = {.n = 99};
    assert_int_equal(mn__gguf_need_array(g, "floats", GGUF_TYPE_FLOAT32, &a, &diag), MN_OK);
    assert_int_equal(a.n, 3);
    assert_true(((const float *)a.data)[1] == 1.5f);
    assert_int_equal(mn__gguf_need_array(g, "strs", GGUF_TYPE_STRING, &a, &diag), MN_OK);
    assert_string_equal(mn__gguf_array_str(g, &a, 0), "first");
    assert_string_equal(mn__gguf_array_str(g, &a, 1), "");
    assert_string_equal(mn__gguf_array_str(g, &a, 2), "third");
    assert_int_equal(mn__gguf_need_array(g, "floats", GGUF_TYPE_STRING, &a, &diag), MN_EINPUT);
    say("floats: array of string wanted, array of float32 found");
    assert_int_equal(mn__gguf_need_array(g, "str", GGUF_TYPE_STRING, &a, &diag), MN_EINPUT);
    say("str: array of string wanted, string found");
    assert_int_equal(mn__gguf_need_array(g, "absent", GGUF_TYPE_STRING, &a, &diag), MN_EINPUT);
    assert_int_equal(mn__gguf_need_array(g, "none", GGUF_TYPE_FLOAT32, &a, &diag), MN_OK);
    assert_int_equal(a.n, 0);
    assert_null(a.data);
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const wanted[][2] = {
        {"u32", "uint32 4000000000"}, {"i32", "int32 -3"},           {"u64", "uint64 4294967296"},
        {"f32", "float32 10000.5"},   {"f64", "float64 0.25"},       {"bool", "bool true"},
        {"str", "string \"llama\""},  {"strs", "array of 3 string"}, {"none", "array of 0 float32"},
    };
    size_t n_seen = 0;
    for (size_t i = 0; i < mn__gguf_n_key(g); i++) {
        char text[64] = "";
        mn__gguf_key_text(g, i, text, sizeof text);
        for (size_t j = 0; j < sizeof wanted / sizeof *wanted; j++) {
            if (strcmp(mn__gguf_key_name(g, i), wanted[j][0]) != 0) continue;
            assert_string_equal(text, wanted[j][1]);
            n_seen++;
        }
    }
    assert_int_equal(n_seen, sizeof wanted / sizeof *wanted);
    char narrow[8];
    mn__gguf_key_text(g, 0, narrow, sizeof narrow);
    assert_string_equal(narrow, "uint32 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u32),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_f64),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_bool_and_str),
        cmocka_unit_test(test_a_value_per_layer),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
