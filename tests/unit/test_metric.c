/* test_metric.c: the registry of metrics, its page in docs/, limits, the first line of an output.
 */
#include "metric_fixture.h"

static const mn__metric_info *find(const char *name)
{
    for (size_t i = 0; i < mn__metric_count(); i++)
        if (strcmp(mn__metric_at(i)->name, name) == 0) return mn__metric_at(i);
    return NULL;
}

static void test_registry(void **state)
{
    (void)state;
    size_t n = mn__metric_count();
    assert_true(n > 30);
    for (size_t i = 0; i < n; i++) {
        const mn__metric_info *info = mn__metric_at(i);
        assert_ptr_equal(find(info->name), info); /* so no name stands twice */
        assert_true(*info->meaning && strlen(info->meaning) < 100 && *info->source);
    }
    assert_null(find("qa_f2"));
    assert_null(find(""));
    assert_true(find("contains_all")->all_answers);
    assert_false(find("contains")->all_answers);
}

static void test_unknown(void **state)
{
    (void)state;
    mn__metric *m = (mn__metric *)state;
    mn_diag diag = {""};
    assert_int_equal(mn__metric_open(&m, "qa_f2", NULL, &diag), MN_EUSAGE);
    assert_null(m);
    assert_non_null(strstr(diag.text, "did you mean qa_f1"));
    assert_int_equal(mn__metric_open(&m, "zzzzzzzzzzzz", NULL, &diag), MN_EUSAGE);
    assert_non_null(strstr(diag.text, "docs/metrics.md"));
    mn__metric_close(NULL);
    m = mf_open("rouge_l", NULL);
    mn__metric_close(m);
}

/* Every metric but those over words of a dictionary opens with nothing. */
static void test_all_open(void **state)
{
    (void)state;
    size_t n_closed = 0;
    for (size_t i = 0; i < mn__metric_count(); i++) {
        const char *name = mn__metric_at(i)->name;
        mn__metric *m = NULL;
        mn_diag diag = {""};
        mn_status st = mn__metric_open(&m, name, "/nonexistent", &diag);
        if (st != MN_OK) {
            assert_int_equal(st, MN_EINPUT);
            assert_non_null(strstr(diag.text, name));
            n_closed++;
        }
        mn__metric_close(m);
    }
    assert_int_equal(n_closed, 4); /* qa_f1 and rouge_l, each _zh and _ja */
}

/* docs/metrics.md has a row that begins "| `name` |" for each metric, and no other such row. */
static void test_docs(void **state)
{
    (void)state;
    char line[4096], name[64];
    size_t n_row = 0;
    FILE *page = fopen(MN_TEST_DIR "/../docs/metrics.md", "r");
    assert_non_null(page);
    while (fgets(line, sizeof line, page)) {
        if (sscanf(line, "| `%63[^`]` |", name) != 1) continue;
        if (!find(name)) fail_msg("docs/metrics.md: there is no metric %s", name);
        assert_true(mn__metric_at(n_row) == find(name)); /* in the registry's order */
        n_row++;
    }
    fclose(page);
    assert_int_equal(n_row, mn__metric_count());
}

static void test_limits(void **state)
{
    (void)state;
    char *text = malloc(MN__METRIC_TEXT_MAX + 2);
    const char *answer = "x", *both[] = {"x", text};
    mn__gold gold = {.answers = &answer, .n_answer = 1};
    mn__metric *m = mf_open("contains", NULL);
    double score = 7;
    mn_diag diag = {""};
    assert_non_null(text);
    memset(text, ' ', MN__METRIC_TEXT_MAX + 1);
    text[MN__METRIC_TEXT_MAX + 1] = '\0';
    assert_int_equal(mn__metric_score(m, &gold, text, MN__METRIC_TEXT_MAX + 1, &score, &diag),
                     MN_ERANGE);
    assert_non_null(strstr(diag.text, "output of 1048577 bytes"));
    gold = (mn__gold){.answers = both, .n_answer = 2};
    assert_int_equal(mn__metric_score(m, &gold, "x", 1, &score, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "gold answer of 1048577 bytes"));
    gold.n_answer = 0;
    assert_int_equal(mn__metric_score(m, &gold, "x", 1, &score, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "no gold answer"));
    assert_true(score == 7);
    text[MN__METRIC_TEXT_MAX - 1] = 'x';
    gold.n_answer = 1;
    assert_int_equal(mn__metric_score(m, &gold, text, MN__METRIC_TEXT_MAX, &score, &diag), MN_OK);
    assert_true(score == 1);
    mn__metric_close(m);
    free(text);
}

/* The output is bytes and a length: a NUL is a character, what stands behind the end is not read.
 */
static void test_bytes(void **state)
{
    (void)state;
    const char *answer = "x";
    const mn__gold gold = {.answers = &answer, .n_answer = 1};
    mn__metric *m = mf_open("contains", NULL);
    double score;
    assert_int_equal(mn__metric_score(m, &gold, "a\0x", 3, &score, NULL), MN_OK);
    assert_true(score == 1);
    assert_int_equal(mn__metric_score(m, &gold, "a\0x", 2, &score, NULL), MN_OK);
    assert_true(score == 0);
    assert_int_equal(mn__metric_score(m, &gold, NULL, 0, &score, NULL), MN_OK);
    assert_true(score == 0);
    mn__metric_close(m);
}

/* Each metric takes an empty output and one of rubbish: a score in 0..1. */
static void test_rubbish(void **state)
{
    (void)state;
    for (size_t i = 0; i < mn__metric_count(); i++) {
        const char *name = mn__metric_at(i)->name;
        const mn__gold gold = mf_any_gold(name);
        mn__metric *m = NULL;
        double score = -1;
        mn_diag diag = {""};
        if (mn__metric_open(&m, name, NULL, &diag) != MN_OK) continue; /* no dictionary here */
        for (size_t n = 0; n < 256; n += 51) {
            char bytes[256];
            for (size_t k = 0; k < n; k++) bytes[k] = (char)(k * 37 + n);
            if (mn__metric_score(m, &gold, bytes, n, &score, &diag) != MN_OK)
                fail_msg("%s", diag.text);
            assert_true(score >= 0 && score <= 1);
        }
        mn__metric_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_all_open), cmocka_unit_test(test_docs),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_rubbish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
