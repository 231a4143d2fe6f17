/* test_profile.c: files of one number per head: what is read, what is refused and with which
 * sentence, and what lies between two tables. */
#include "policy_fixture.h"

static mn_status read_text(const char *text, mn__profile *out, mn_diag *diag)
{
    const struct pf f = pf_random(3);
    int32_t window[3] = {0, 40, 0}; /* its line is passed over */
    const mn__cache_shape shape = {.n_layer = 3, .n_kv_head = f.n_kv_head, .window = window};
    return mn__profile_read(out, pf_write_file(text), &shape, diag);
}

static void test_one_table(void **state)
{
    (void)state;
    static const float want[] = {0.1f, 0.9f, 0, 1e-3f};
    mn__profile p;
    mn_diag diag = {0};
    assert_int_equal(read_text("# gates\n0.1 0.9\n\n0.5\t1 # two\r\n0 1e-3", &p, &diag), MN_OK);
    assert_int_equal(p.n_lane, 4);
    assert_int_equal(p.n_table, 1);
    assert_null(p.kept);
    assert_memory_equal(p.value, want, sizeof want);
    for (size_t l = 0; l < 4; l++) assert_true(mn__profile_share(&p, l, 0.3) == (double)want[l]);
    mn__profile_free(&p);
}

static void test_tables(void **state)
{
    (void)state;
    mn__profile p;
    mn_diag diag = {0};
    assert_int_equal(read_text("kept 0.2\n0.1 0.2\n1 1\n0.3 0.4\n"
                               "kept 0.6 # most\n0.5 0.6\n1 1\n0.7 0\n"
                               "kept 1\n1 1\n1 1\n1 1\n",
                               &p, &diag),
                     MN_OK);
    static const double want[][5] = {/* kept, four lanes */
                                     {0.05, 0.1, 0.2, 0.3, 0.4},     {0.2, 0.1, 0.2, 0.3, 0.4},
                                     {0.3, 0.2, 0.3, 0.4, 0.3},      {0.6, 0.5, 0.6, 0.7, 0},
                                     {0.9, 0.875, 0.9, 0.925, 0.75}, {1.5, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        for (size_t l = 0; l < 4; l++)
            assert_true(fabs(mn__profile_share(&p, l, want[i][0]) - want[i][1 + l]) < 1e-6);
    mn__profile_free(&p);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"# nothing\n", "0 lines of numbers, the model has 3 layers"},
        {"0.1 0.9\n0.5 1\n", "2 lines of numbers, the model has 3 layers"},
        {"0.1 0.9\n0.5 1\n0 0\n1 1\n", "4 lines"},
        {"0.1 0.9\n0.5\n0 0\n", "layer 1 has 1 numbers, the model has 2 KV heads"},
        {"0.1 0.9 1\n0.5 1\n0 0\n", "layer 0 has 3 numbers"},
        {"0.1 1.5\n0.5 1\n0 0\n", "layer 0, head 1: a number from 0 to 1 wanted, `1.5` found"},
        {"0.1 -0.1\n0.5 1\n0 0\n", "layer 0, head 1"},
        {"0.1 x\n0.5 1\n0 0\n", "`x` found"},
        {"0.1 nan\n0.5 1\n0 0\n", "layer 0, head 1"},
        {"kept\n1 1\n1 1\n1 1\n", "table 0: `kept` and a share"},
        {"kept 0\n1 1\n1 1\n1 1\n", "`0` found"},
        {"kept 1.1\n1 1\n1 1\n1 1\n", "`1.1` found"},
        {"kept 0.7\n1 1\n1 1\n1 1\nkept 0.7\n1 1\n1 1\n1 1\n", "rising from table to table"},
        {"kept 0.5\n1 1\n1 1\n1 1\nkept 0.4\n1 1\n1 1\n1 1\n", "table 1: `kept`"},
        {"kept 0.5\n1 1\n1 1\nkept 0.6\n1 1\n1 1\n1 1\n", "kept 0.5: 2 lines of numbers"},
        {"kept 0.5\n1 1\n1 1\n1 1\nkept 0.6\n1 1\n", "kept 0.6: 1 lines of numbers"},
        {"kept 0.5\n1 1\n1 2\n1 1\n", "kept 0.5: layer 1, head 1"},
        {"1 1\nkept 0.5\n1 1\n1 1\n1 1\n", "1 lines of numbers"},
        {"1 1\n1 1\n1 1\nkept 0.5\n1 1\n1 1\n1 1\n", "before the first `kept`"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mn__profile p = {.n_table = 77};
        mn_diag diag = {0};
        mn_mem_stats before, after;
        mn_mem_get_stats(&before);
        mn_status st = read_text(bad[i][0], &p, &diag);
        if (st != MN_EINPUT || !strstr(diag.text, bad[i][1]))
            fail_msg("`%s`: status %d, `%s`", bad[i][0], st, diag.text);
        mn_mem_get_stats(&after);
        assert_true(after.total_now == before.total_now && !p.value && !p.kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
