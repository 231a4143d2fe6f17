/* test_maker_rows.c: what each maker of rows writes. */
#include "maker_fixture.h"

static size_t count_of(const char *s, const char *word)
{
    size_t n = 0;
    for (; (s = strstr(s, word)); s += strlen(word)) n++;
    return n;
}

static void test_several_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n_needle, n_answer; /* needles; 0: filling is made of them too */
    } cases[] = {{"ruler_niah_single_1", 1, 1},   {"ruler_niah_single_2", 1, 1},
                 {"ruler_niah_single_3", 1, 1},   {"ruler_niah_multikey_1", 4, 1},
                 {"ruler_niah_multikey_2", 0, 1}, {"ruler_niah_multikey_3", 0, 1},
                 {"ruler_niah_multivalue", 4, 4}, {"ruler_niah_multiquery", 4, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn__recipe r = recipe_of(task_named(cases[i].name), i, 3000);
        mn__row row = make(&r);
        size_t n = count_of(row.context, "One of the special magic ");
        assert_int_equal(row.n_answer, cases[i].n_answer);
        if (cases[i].n_needle)
            assert_int_equal(n, cases[i].n_needle);
        else
            assert_true(n > 50);
        for (size_t k = 0; k < row.n_answer; k++) {
            char needle[100];
            snprintf(needle, sizeof needle, " is: %s.", row.answers[k]);
            assert_int_equal(count_of(row.context, needle), 1);
        }
        mn__row_free(&row);
    }
}

static void test_keys_once(void **state)
{
    (void)state;
    mn__recipe r = recipe_of(task_named("litm_kv"), 0, 4000);
    mn__row row = make(&r);
    char key[MN__UUID_BYTES];
    assert_int_equal(sscanf(row.input, "Key: \"%36[^\"]\"\nCorresponding", key), 1);
    assert_int_equal(count_of(row.context, key), 1);
    const char *at = strstr(row.context, key);
    assert_memory_equal(at + 36, "\": \"", 4);
    assert_memory_equal(at + 40, row.answers[0], 36);
    assert_true(row.context[0] == '{' && row.context[strlen(row.context) - 1] == '}');
    mn__row_free(&row);

    r = recipe_of(task_named("longeval_lines"), 0, 4000);
    row = make(&r);
    const char *line = strstr(row.input, "in line ") + 8;
    char name[64];
    snprintf(name, sizeof name, "line %.*s: REGISTER_CONTENT is <%s>\n", (int)strcspn(line, "?"),
             line, row.answers[0]);
    assert_int_equal(count_of(row.context, name), 1);
    mn__row_free(&row);
}

static void test_digits(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        mn__recipe r = recipe_of(task_named("infinitebench_number_string"), i, 1000);
        mn__row row = make(&r);
        size_t n_same = 0;
        assert_int_equal(strspn(row.answers[0], "0123456789"), 10);
        assert_int_equal(row.answers[0][10], 0);
        for (size_t k = 1; k < 10; k++) n_same += row.answers[0][k] == row.answers[0][k - 1];
        assert_true(n_same >= 5);
        assert_int_equal(count_of(row.context, row.answers[0]), 2);
        mn__row_free(&row);
    }
}

static void test_chain(void **state)
{
    (void)state;
    mn__recipe r = recipe_of(task_named("ruler_vt"), 0, 3000);
    mn__row row = make(&r);
    const char *at = strstr(row.context, "Memorize and track"); /* behind the example */
    char link[64];
    unsigned value;
    assert_int_equal(row.n_answer, 5);
    assert_int_equal(sscanf(row.input, "Find all variables that are assigned the value %u", &value),
                     1);
    snprintf(link, sizeof link, "VAR %s = %u\n", row.answers[0], value);
    for (size_t i = 0; i < 5; i++) {
        assert_true(at && (at = strstr(at, link))); /* in their order */
        if (i < 4)
            snprintf(link, sizeof link, "VAR %s = VAR %s\n", row.answers[i + 1], row.answers[i]);
    }
    assert_int_equal(count_of(row.context, "VAR "), 2 * 9);
    mn__row_free(&row);
}

/* The ten answers stand there `common` times, all other words `other` times, and the example too.
 */
static void expect_common(const mn__recipe *r, size_t common, size_t other)
{
    mn__row row = make(r);
    const char *list = strstr(row.context, "\nBelow is a numbered list");
    size_t n_word = 0, n_other = 0;
    assert_non_null(list);
    list = strchr(list + 1, '\n') + 1;
    assert_memory_equal(list, "1. ", 3);
    for (const char *s = list; *s; n_word++) {
        char word[64];
        const char *begin = strchr(s, ' ') + 1;
        size_t n = strcspn(begin, " "), times = 0;
        bool wanted = false;
        snprintf(word, sizeof word, ". %.*s", (int)n, begin);
        for (const char *at = list; (at = strstr(at, word)); at += n)
            times += at[n + 2] == ' ' || at[n + 2] == '\0';
        for (size_t k = 0; k < 10; k++) wanted |= strcmp(word + 2, row.answers[k]) == 0;
        assert_int_equal(times, wanted ? common : other);
        n_other += !wanted;
        s = begin + n + (begin[n] == ' ');
    }
    assert_true(n_other > 20 * other);
    assert_int_equal(n_word - n_other, 10 * common);
    mn__row_free(&row);
}

static void test_common_words(void **state)
{
    (void)state;
    mn__recipe r = recipe_of(task_named("ruler_cwe"), 0, 1500);
    expect_common(&r, 6, 1);
    r.length = 4096;
    expect_common(&r, 30, 3);

    mn__corpus small; /* with far too few words: they are made of two */
    mn_diag diag;
    const char *path = ef_write_text("small.txt", "Some ordinary words, then nothing more.");
    assert_int_equal(mn__corpus_read(&small, path, &diag), MN_OK);
    r.text = &small;
    expect_common(&r, 30, 3);
    mn__corpus_free(&small);
}

static void test_frequent_words(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        mn__recipe r = recipe_of(task_named("ruler_fwe"), i, 4000);
        mn__row row = make(&r);
        size_t last = count_of(row.context, "...");
        assert_int_equal(row.n_answer, 3);
        for (size_t k = 0; k < 3; k++) {
            size_t n = count_of(row.context, row.answers[k]);
            assert_true(n < last && n > 5);
            last = n;
        }
        mn__row_free(&row);
    }
}

static void test_documents(void **state)
{
    (void)state;
    mn__recipe r = recipe_of(task_named("ruler_qa_1"), 7, 400);
    mn__row row = make(&r);
    assert_string_equal(row.input, stock[7].input);
    assert_int_equal(count_of(row.context, "Ann went to room 7."), 1);
    assert_int_equal(count_of(row.context, "More of 7."), 1);
    assert_memory_equal(row.context, "Document 1:\n", 12);
    assert_true(count_of(row.context, "Document ") > 10);
    mn__row_free(&row);
    mn__made made = {.depth = NAN}; /* more than there is: everything, once */
    mn_diag diag = {""};
    r.n_stock = 60;
    assert_int_equal(r.task->maker->write(&r, 100000, &made, &diag), MN_OK);
    assert_int_equal(count_of(made.context.text, "Document "), 30 * 2 + 30);
    mn__draft_free(&made.context);
    mn__draft_free(&made.input);
    mn__draft_free(&made.answers);
}

static void test_story(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 40; i++) {
        mn__recipe r = recipe_of(task_named("babilong_qa2"), i, 2000);
        mn__row row = make(&r);
        char facts[3][64];
        const char *at = row.context;
        size_t k = 2 * (size_t)(i % (N_STOCK / 2)) + 1; /* stories only, in turn */
        snprintf(facts[0], 64, "Ann went to room %zu.", k);
        snprintf(facts[1], 64, "Bob took ball %zu.", k);
        snprintf(facts[2], 64, "Ann left.");
        for (size_t f = 0; f < 3; f++) {
            assert_int_equal(count_of(row.context, facts[f]), 1);
            assert_non_null(at = strstr(at, facts[f]));
        }
        assert_string_equal(row.input, stock[k].input);
        assert_int_equal(row.n_answer, 2);
        mn__row_free(&row);
    }
}

/* Context and continuation are one stretch of the text. */
static void test_reading_on(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        mn__recipe r = recipe_of(task_named("lm_books"), i, 1000);
        mn__row row = make(&r);
        size_t n = strlen(row.context), m = strlen(row.answers[0]);
        const char *at = strstr(text.text, row.context);
        assert_non_null(at);
        assert_memory_equal(at + n, row.answers[0], m);
        assert_true(row.answers[0][0] == ' ' || row.answers[0][0] == '\n');
        assert_true(row.context[n - 1] == '.' && row.answers[0][m - 1] == '.');
        assert_in_range(m, 900, 1200);
        mn__row_free(&row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_answers), cmocka_unit_test(test_keys_once),
        cmocka_unit_test(test_digits),          cmocka_unit_test(test_chain),
        cmocka_unit_test(test_common_words),    cmocka_unit_test(test_frequent_words),
        cmocka_unit_test(test_documents),       cmocka_unit_test(test_story),
        cmocka_unit_test(test_reading_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
