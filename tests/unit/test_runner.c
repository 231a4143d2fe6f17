/* test_runner.c: every case of every prompt once, whatever stands in the store already. */
#include "base/heap.h"
#include "unit/runner_fixture.h"

#define ROW(id, context, answer)                                                                 \
    "{\"context\":\"" context "\",\"input\":\"who?\",\"answers\":[\"" answer "\"],\"_id\":\"" id \
    "\"}\n"
static const char two[] = ROW("a", "hello world, all of it", "the sea") //
    ROW("b", "the wide sea and the old world", "land");
static const char records[] = "SELECT count(*) FROM record";

static mn__runner_result run(runner_fixture *f)
{
    mn_diag diag = {""};
    mn__runner_result r;
    if (run_try(f, &r, &diag) != MN_OK) fail_msg("%s", diag.text);
    return r;
}

static void test_what_is_missing(void **state)
{
    (void)state;
    runner_fixture f;
    run_make(&f, "llama", "qa_f1", two);
    mn__runner_result r = run(&f);
    assert_true(r.n_prompt == 2 && r.n_record == 2 * RUN_CASES && r.n_there == 0);
    assert_true(r.n_seen == 2 && r.n_cut == 0 && r.n_skipped == 0 && !*r.left_out);
    assert_true(f.n_tick == 2 && f.n_note == 0);
    r = run(&f);
    assert_true(r.n_prompt == 0 && r.n_record == 0 && r.n_there == 2 * RUN_CASES && r.n_seen == 2);
    /* One record of one prompt gone: it alone is made, as it was. */
    int64_t before = run_count(&f, "SELECT cast(sum(nll) * 1e9 as int) FROM record");
    store_tamper(f.store, "DELETE FROM record WHERE policy = 'h2o' AND prompt = 2");
    r = run(&f);
    assert_true(r.n_prompt == 1 && r.n_record == 1 && r.n_there == 2 * RUN_CASES - 1);
    assert_int_equal(run_count(&f, "SELECT cast(sum(nll) * 1e9 as int) FROM record"), before);
    /* A case more. */
    mn__case more[RUN_CASES + 1];
    memcpy(more, run_cases, sizeof run_cases);
    more[RUN_CASES] = (mn__case){.policy = "random", .budget = "40%"};
    f.p.cases = more;
    f.p.n_case = RUN_CASES + 1;
    r = run(&f);
    assert_true(r.n_prompt == 2 && r.n_record == 2 && r.n_there == 2 * RUN_CASES);
    assert_int_equal(run_count(&f, records), 2 * RUN_CASES + 2);
    run_drop(&f);
}

/* A vocabulary without a token in front of each text: nothing is left without context. */
static void test_all_context(void **state)
{
    (void)state;
    runner_fixture f;
    run_make(&f, "qwen2", "nll", two);
    mn__runner_result r = run(&f);
    assert_true(r.n_prompt == 2 && r.n_record == 2 * (RUN_CASES - 1) && r.n_there == 0);
    r = run(&f);
    assert_true(r.n_prompt == 0 && r.n_record == 0 && r.n_there == 2 * (RUN_CASES - 1));
    assert_int_equal(run_count(&f, "SELECT count(*) FROM record WHERE policy = 'empty'"), 0);
    run_drop(&f);
}

/* What an answer is scored by has changed: another prompt. */
static void test_other_gold(void **state)
{
    (void)state;
    static const char *const gold[] = {"[\"sea\"]", "[\"sea\",\"land\"]", "[\"sea\",\"all\"]"};
    runner_fixture f;
    run_make(&f, "llama", "qa_f1", two);
    for (int i = 0; i < 3; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"context\":\"hello\",\"input\":\"who?\",\"answers\":%s}\n",
                 gold[i]);
        ef_write_text("runner.jsonl", text);
        mn__runner_result r = run(&f);
        assert_true(r.n_prompt == 1 && r.n_record == RUN_CASES && r.n_there == 0);
    }
    run_drop(&f);
}

static void test_over_the_context(void **state)
{
    (void)state;
    runner_fixture f;
    static char text[12000];
    int n = snprintf(text, sizeof text, "%s", two);
    n += snprintf(text + n, sizeof text - (size_t)n, "{\"answers\":[\"sea\"],\"context\":\"");
    for (int i = 0; i < 1000; i++) n += snprintf(text + n, sizeof text - (size_t)n, "hello %d ", i);
    snprintf(text + n, sizeof text - (size_t)n, "\"}\n");
    run_make(&f, "llama", "qa_f1", text);
    mn__runner_result r = run(&f);
    assert_true(r.n_seen == 3 && r.n_cut == 1 && r.n_skipped == 0 && f.n_note == 0);
    r = run(&f); /* what is there is counted too */
    assert_true(r.n_prompt == 0 && r.n_seen == 3 && r.n_cut == 1);
    /* No room for the rest of it: told, and in the store, once. */
    f.p.run.n_ctx = 67;
    for (int again = 0; again < 2; again++) {
        r = run(&f);
        assert_true(r.n_seen == 2 && r.n_skipped == 1 && f.n_note == 1 && r.n_cut == 0);
        assert_int_equal(r.n_prompt, again ? 0 : 2);
        assert_non_null(strstr(f.note, "row 2 left out: prompt over the context: "));
        assert_string_equal(f.note, r.left_out);
        assert_int_equal(run_count(&f, "SELECT count(*) FROM record WHERE status LIKE 'left out: "
                                       "prompt over the context: %'"),
                         1);
    }
    run_drop(&f);
}

static void test_no_length_fits(void **state)
{
    (void)state;
    static const size_t lengths[] = {900, 250};
    mn_diag diag = {""};
    size_t n;
    mn__runner_result r;
    mn__task_ref *ref;
    runner_fixture f;
    run_make(&f, "llama", "qa_f1", two);
    assert_int_equal(mn__task_find(&ref, &n, "infinitebench_passkey", &diag), MN_OK);
    f.p.max_new = 4;
    f.p.deck = (mn__deck_params){
        .task = ref, .n_task = 1, .length = lengths, .n_length = 1, .source = {.n_made = 2}};
    assert_int_equal(run_try(&f, &r, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "rows of 900 tokens: a context of 256 has room for 252"));
    assert_int_not_equal(access(f.store, F_OK), 0);
    f.p.deck.n_length = 2;
    r = run(&f);
    assert_true(r.n_prompt == 2 && r.n_skipped == 2 && f.n_note == 1);
    mn__free(ref);
    run_drop(&f);
}

/* Mistakes leave nothing; another process may have taken all prompts. */
static uint64_t none_left(void *ctx)
{
    (void)ctx;
    return UINT64_C(1) << 62;
}

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_ends(void **state)
{
    (void)state;
    mn_diag diag = {""};
    mn__runner_result r;
    runner_fixture f;
    run_make(&f, "llama", "qa_g1", two);
    assert_int_equal(run_try(&f, &r, &diag), MN_EUSAGE);
    assert_int_not_equal(access(f.store, F_OK), 0);
    run_drop(&f);
    run_make(&f, "llama", "qa_f1", two);
    f.p.claim = none_left;
    r = run(&f);
    assert_true(r.n_prompt == 0 && r.n_seen == 0);
    f.p.claim = NULL;
    f.p.stop = stop_at_once;
    assert_int_equal(run_try(&f, &r, &diag), MN_ECANCEL);
    assert_non_null(strstr(diag.text, "what was finished is kept"));
    f.p.stop = NULL;
    f.p.n_worker = 2;
    r = run(&f);
    assert_int_equal(r.n_prompt, 2);
    run_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing), cmocka_unit_test(test_all_context),
        cmocka_unit_test(test_other_gold),      cmocka_unit_test(test_over_the_context),
        cmocka_unit_test(test_no_length_fits),  cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
