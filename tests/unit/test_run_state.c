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
    const mn__run_place at = {.stage = 1,
                              .stage_generation = 7,
                              .n_item = 9,
                              .rows = 0xfedcba9876543211,
                              .best = {12, 1, 0.1 + 0.2, NAN},
                              .has_best = true};
    mn__run_place back;
    char *note = mn__run_note(&p, &at);
    assert_int_equal(mn__run_note_read(note, &p, "F", &back, &diag), MN_OK);
    assert_true(back.stage == 1 && back.stage_generation == 7 && back.has_best);
    assert_true(back.n_item == 9 && back.rows == 0xfedcba9876543211);
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

static void call(const char *key, char out[64])
{
    if (!strcmp(key, "gold_tokens")) snprintf(out, 64, "--gold-tokens");
}

static void expect_refused(const char *note, mn_evolve_params *p, const char *options,
                           const char *wanted)
{
    mn_diag diag = {""};
    mn__run_place at;
    p->options = options;
    assert_int_equal(mn__run_note_read(note, p, "F", &at, &diag), MN_EUSAGE);
    if (!strstr(diag.text, wanted)) fail_msg("'%s' wanted, found: %s", wanted, diag.text);
}

/* Values as the command has them; hashes come last, as they say least. */
static void test_differences(void **state)
{
    (void)state;
    mn_evolve_params p;
    mn_evolve_params_default(&p);
    const mn_evolve_stage stage = {"a", "f", 3};
    const mn__run_place at = {0};
    p.stage = &stage;
    p.n_stage = 1;
    p.option_name = call;
    p.options = "{\"gold_tokens\":4,\"model\":\"aa\",\"policy\":\"\",\"budgets\":[\"25%\",\"\"],"
                "\"lengths\":[],\"warm\":null,\"z\":0.5}";
    char *note = mn__run_note(&p, &at);
    expect_refused(note, &p, "{\"gold_tokens\":5,\"model\":\"aa\"}",
                   "--gold-tokens 5 wanted, 4 found");
    expect_refused(note, &p, "{\"gold_tokens\":4,\"model\":\"bb\",\"policy\":\"recent=3\"}",
                   "policy recent=3 wanted, none found");
    expect_refused(note, &p, "{\"budgets\":[]}", "budgets none wanted, 25%,none found");
    expect_refused(note, &p, "{\"lengths\":[600,900]}", "lengths 600,900 wanted, none found");
    expect_refused(note, &p, "{\"warm\":true}", "warm yes wanted, none found");
    expect_refused(note, &p, "{\"model\":\"bb\",\"z\":0.25}", "z 0.25 wanted, 0.5 found");
    expect_refused(note, &p, "{\"model\":\"bb\"}", "model bb wanted, aa found");
    expect_refused(note, &p, "{\"a\":1}", "a 1 wanted, none found");
    expect_refused(note, &p, "{}", " none wanted, ");
    mn__free(note);
}

/* A note of a version that did not know all options: those that it lacks may be anything, the
 * others may not. */
static void test_older(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__run_place at = {0};
    mn_evolve_params p;
    mn_evolve_params_default(&p);
    const mn_evolve_stage stage = {"a", "f", 3};
    p.stage = &stage;
    p.n_stage = 1;
    p.options = "{\"loss\":\"kl\"}";
    char *older = mn__run_note(&p, &at);
    assert_int_equal(mn__run_note_read(older, &p, "F", &at, &diag), MN_OK);
    assert_false(at.is_older); /* it has no formats at all */
    p.options = "{\"format\":2,\"loss\":\"kl\",\"chunk\":64}";
    assert_int_equal(mn__run_note_read(older, &p, "F", &at, &diag), MN_OK);
    assert_true(at.is_older);
    expect_refused(older, &p, "{\"format\":2,\"loss\":\"nll\"}", "loss nll wanted, kl found");
    expect_refused(older, &p, "{\"format\":2,\"chunk\":64}", "loss none wanted, kl found");
    expect_refused(older, &p, "{\"format\":2,\"loss\":\"kl\",\"lanes\":4}",
                   "lanes 4 wanted, none found");
    mn__free(older);
    p.options = "{\"format\":2,\"loss\":\"kl\",\"chunk\":64}";
    char *now = mn__run_note(&p, &at);
    expect_refused(now, &p, "{\"format\":2,\"loss\":\"kl\"}", "chunk none wanted, 64 found");
    expect_refused(now, &p, "{\"format\":2,\"loss\":\"kl\",\"chunk\":64,\"x\":1}",
                   "x 1 wanted, none found");
    mn__free(now);
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
        cmocka_unit_test(test_tasks),       cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_older),
        cmocka_unit_test(test_no_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
