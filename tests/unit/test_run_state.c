/* test_run_state.c: names of stages, and where a run stands as text and back. */
#include "evolve/run_state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/heap.h"

static void expect_tasks(const mn_evolve_stage *stage, size_t i, const char *wanted)
{
    char *tasks = mn__stage_tasks(stage, i);
    assert_string_equal(tasks, wanted);
    mn__free(tasks);
}

static void test_tasks(void **state)
{
    (void)state;
    const mn_evolve_stage stage[] = {{"qa,sum", "a", 1}, {"+sum,code", "a", 1}, {"+code", "b", 1},
                                     {"qa_en", "a", 1},  {"+qa", "a", 1},       {"+", "a", 1},
                                     {",x,,x,", "a", 1}};
    expect_tasks(stage, 0, "qa,sum");
    expect_tasks(stage, 1, "qa,sum,code");
    expect_tasks(stage, 2, "qa,sum,code");
    expect_tasks(stage, 3, "qa_en"); /* without a plus: alone */
    expect_tasks(stage, 4, "qa_en,qa");
    expect_tasks(stage, 5, "qa_en,qa");
    expect_tasks(stage, 6, "x");
}

static void test_there_and_back(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn_evolve_params p;
    mn_evolve_params_default(&p);
    const mn_evolve_stage stage[] = {{"a", "f", 3}, {"+b", "f", 9}};
    p.stage = stage;
    p.n_stage = 2;
    p.options = "{\"share\": 0.1, \"file\": \"x\", \"deep\": {\"a\": [1, null]}}";
    const mn__run_place at = {
        .stage = 1, .stage_generation = 7, .best = {12, 1, 0.1 + 0.2, NAN}, .has_best = true};
    mn__run_place back;
    char *note = mn__run_note(&p, &at);
    assert_int_equal(mn__run_note_read(note, &p, "F", &back, &diag), MN_OK);
    assert_true(back.stage == 1 && back.stage_generation == 7 && back.has_best);
    assert_true(back.best.generation == 12 && back.best.stage == 1);
    assert_true(back.best.loss == 0.1 + 0.2 && isnan(back.best.kept_share)); /* to the bit */
    char *again = mn__run_note(&p, &back);
    assert_string_equal(again, note);
    mn__free(again);
    p.options = "{\"share\": 0.1, \"file\": \"y\", \"deep\": {\"a\": [1, null]}}";
    assert_int_equal(mn__run_note_read(note, &p, "F", &back, &diag), MN_EUSAGE);
    assert_string_equal(diag.text, "F: it was made with other options: file y wanted, x found");
    p.options = "{\"share\": 0.1, \"file\": \"x\", \"deep\": {\"a\": [1, 2]}}";
    assert_int_equal(mn__run_note_read(note, &p, "F", &back, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "deep {\"a\":[1,2]} wanted, {\"a\":[1,null]} found"));
    mn__free(note);
}

/* What a checkpoint of others may say. */
static void test_no_note(void **state)
{
    (void)state;
    static const char *const note[] = {
        "",
        "words",
        "[]",
        "{}",
        "{\"stage\":0,\"stage_generation\":1}",
        "{\"stage\":1,\"stage_generation\":1,\"stages\":[{}]}",
        "{\"stage\":-1,\"stage_generation\":1,\"stages\":[{}]}",
        "{\"stage\":0,\"stage_generation\":-1,\"stages\":[{}]}",
        "{\"stage\":\"0\",\"stage_generation\":1,\"stages\":[{}]}",
    };
    mn_evolve_params p;
    mn_evolve_params_default(&p);
    const mn_evolve_stage stage = {"a", "f", 3};
    p.stage = &stage;
    p.n_stage = 1;
    for (size_t i = 0; i < sizeof note / sizeof *note; i++) {
        mn_diag diag = {""};
        mn__run_place at;
        assert_int_equal(mn__run_note_read(note[i], &p, "F", &at, &diag), MN_EINPUT);
        assert_string_equal(diag.text, "F: a search, but not of a run in stages");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_no_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
