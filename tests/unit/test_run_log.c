/* test_run_log.c: rows come back, those of generations that are made again go, files that are no
 * log are refused in a sentence. */
#include "evolve/run_log.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tiny_model.h"

static mn__run_log *open_log(const char *path, uint64_t generation)
{
    mn__run_log *l;
    mn_diag diag = {""};
    if (mn__run_log_open(&l, path, generation, &diag) != MN_OK) fail_msg("%s", diag.text);
    return l;
}

static void add(mn__run_log *l, uint64_t g)
{
    mn_diag diag = {""};
    const double loss[] = {1.5, NAN}, kept[] = {0.25, NAN};
    const mn__log_stage stage = {.stage = g / 2,
                                 .tasks = "a,b",
                                 .fidelity = "frozen",
                                 .generation = g,
                                 .n_item = 40,
                                 .held_out = NAN,
                                 .held_out_kept = NAN};
    const mn__log_generation row = {.generation = g,
                                    .stage = g / 2,
                                    .best = 1.0 / 3 + (double)g,
                                    .mean = NAN,
                                    .sigma = 0.5,
                                    .axis_ratio = 1,
                                    .held_out = 7,
                                    .is_saved = true,
                                    .n_prompt = 3,
                                    .n_candidate = 2,
                                    .n_failed = 1,
                                    .evaluations = 2 * g + 2,
                                    .prompts = "[1,2,3]",
                                    .loss = loss,
                                    .kept = kept};
    if (mn__run_log_add(l, &row, g % 2 ? NULL : &stage, &diag) != MN_OK) fail_msg("%s", diag.text);
}

static json_t *read_log(const char *path)
{
    json_t *doc;
    mn_diag diag = {""};
    if (mn__run_log_read(path, &doc, &diag) != MN_OK) fail_msg("%s", diag.text);
    return doc;
}

static void expect_rows(const char *path, size_t n_stage, size_t n_generation)
{
    json_t *doc = read_log(path);
    json_t *rows = json_object_get(doc, "generations");
    assert_int_equal(json_array_size(json_object_get(doc, "stages")), n_stage);
    assert_int_equal(json_array_size(rows), n_generation);
    for (size_t i = 0; i < n_generation; i++) {
        const json_t *row = json_array_get(rows, i);
        assert_int_equal(json_integer_value(json_object_get(row, "generation")), i);
        assert_true(json_real_value(json_object_get(row, "best")) == 1.0 / 3 + (double)i);
        assert_true(json_is_null(json_object_get(row, "mean")));
    }
    json_decref(doc);
}

static void expect_items(const mn__run_log *l, size_t stage, uint64_t n)
{
    uint64_t found = 1;
    mn_diag diag = {""};
    assert_int_equal(mn__run_log_items(l, stage, &found, &diag), MN_OK);
    assert_int_equal(found, n);
}

static void test_rows(void **state)
{
    (void)state;
    const char *path = tiny_model_path("log.sqlite");
    unlink(path);
    mn__run_log *l = open_log(path, 0);
    for (uint64_t g = 0; g < 6; g++) add(l, g);
    expect_rows(path, 3, 6); /* while it is written */
    mn__run_log_close(l);
    expect_rows(path, 3, 6);
    l = open_log(path, 4); /* 4 and 5 are made again, and the stage that began with 4 */
    mn__run_log_close(l);
    expect_rows(path, 2, 4);
    l = open_log(path, 4);
    expect_items(l, 1, 40);
    expect_items(l, 2, 0); /* it has not begun */
    add(l, 4);
    expect_items(l, 2, 40);
    mn__run_log_close(l);
    expect_rows(path, 3, 5);
    char beside[4096];
    snprintf(beside, sizeof beside, "%s-wal", path);
    assert_int_not_equal(access(beside, F_OK), 0);
}

static void test_twice(void **state)
{
    (void)state;
    const char *path = tiny_model_path("twice.sqlite");
    unlink(path);
    mn_diag diag = {""};
    mn__run_log *l = open_log(path, 0);
    add(l, 1);
    const mn__log_generation row = {.generation = 1, .prompts = "[]"};
    assert_int_not_equal(mn__run_log_add(l, &row, NULL, &diag), MN_OK);
    assert_non_null(strstr(diag.text, "twice.sqlite"));
    add(l, 2); /* it goes on */
    mn__run_log_close(l);
}

static void test_no_log(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__run_log *l;
    json_t *doc;
    const char *path = tiny_model_path("text.sqlite");
    FILE *f = fopen(path, "w");
    fputs("words, and many of them: enough for a header of a database, which takes 100 bytes, as "
          "one may read in its documents",
          f);
    fclose(f);
    assert_int_equal(mn__run_log_open(&l, path, 0, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "not a log of a run"));
    assert_int_equal(mn__run_log_read(path, &doc, &diag), MN_EINPUT);
    assert_int_not_equal(mn__run_log_read(tiny_model_path("none.sqlite"), &doc, &diag), MN_OK);
    assert_null(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
