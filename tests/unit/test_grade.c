/* test_grade.c: what was written, or found likely, as a score. */
#include "eval/grade.h"

#include "eval_fixture.h"

static const char *const answers[] = {"the sea", "land"};

static mn__task task_of(mn__asks asks, const char *metric, unsigned rules)
{
    return (mn__task){.name = "t", .asks = asks, .metric = metric, .rules = rules};
}

static double grade(const mn__task *task, const mn__ask *ask, const mn__outcome *o)
{
    mn_diag diag = {""};
    mn__grader g;
    double score = -1;
    const mn__row row = {.answers = answers, .n_answer = 2, .input = "which?"};
    if (mn__grader_open(&g, task, NULL, &diag) != MN_OK) fail_msg("%s", diag.text);
    if (mn__grade(&g, &row, ask, o, &score, &diag) != MN_OK) fail_msg("%s", diag.text);
    mn__grader_close(&g);
    return score;
}

static void test_answers(void **state)
{
    (void)state;
    const mn__ask ask = {.n_reading = 1};
    char said[] = "\nland\nand more";
    mn__outcome o = {.output = said};
    const mn__task plain = task_of(MN__ASKS_ANSWER, "exact", 0),
                   line = task_of(MN__ASKS_ANSWER, "exact", MN__RULE_FIRST_LINE);
    assert_true(grade(&plain, &ask, &o) == 0);
    assert_true(grade(&line, &ask, &o) == 1); /* any gold answer, of the first line */
    assert_string_equal(said, "\nland\nand more");
    o.output = NULL;
    assert_true(grade(&line, &ask, &o) == 0);
    snprintf(o.why, sizeof o.why, "no room");
    assert_true(isnan(grade(&line, &ask, &o)));
}

/* The least nats a byte wins; each choice may have a reading of its own. */
static void test_choices(void **state)
{
    (void)state;
    const mn__task task = task_of(MN__ASKS_CHOICE, "accuracy_norm", 0);
    double nats[] = {0.5, 0.2, 0.9};
    mn__ask ask = {.n_reading = 1, .gold = 1};
    mn__outcome o = {.choice = nats, .n_choice = 3};
    assert_true(grade(&task, &ask, &o) == 1);
    ask.gold = 2;
    assert_true(grade(&task, &ask, &o) == 0);
    ask = (mn__ask){.n_reading = 3, .gold_reading = 1, .gold = 0};
    assert_true(grade(&task, &ask, &o) == 1);
    ask.gold_reading = 0;
    assert_true(grade(&task, &ask, &o) == 0);
    nats[1] = NAN; /* one of no bytes */
    assert_true(isnan(grade(&task, &ask, &o)));
    o.n_choice = 0;
    assert_true(grade(&task, &ask, &o) == 0);
    o.n_choice = 1; /* nothing beside it: would it have been written? */
    assert_true(grade(&task, &ask, &o) == 0);
    o.greedy = true;
    assert_true(grade(&task, &ask, &o) == 1);
}

static void test_texts(void **state)
{
    (void)state;
    const mn__task task = task_of(MN__ASKS_TEXT, "nll", 0);
    const mn__ask ask = {.n_reading = 1};
    assert_true(isnan(grade(&task, &ask, &(mn__outcome){.greedy = true})));
}

static void test_refused(void **state)
{
    (void)state;
    mn__grader g;
    mn_diag diag = {""};
    mn__task task = task_of(MN__ASKS_ANSWER, "exakt", 0);
    assert_int_equal(mn__grader_open(&g, &task, NULL, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "exact"));
    task.asks = MN__ASKS_CHOICE; /* has no metric to open */
    assert_int_equal(mn__grader_open(&g, &task, NULL, &diag), MN_OK);
    mn__grader_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
