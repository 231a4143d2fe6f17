/* test_rows.c: lines to rows: what is read, and the sentence for each thing that can be wrong. */
#include "eval/rows.h"

#include "eval_fixture.h"

static mn__row parse(const char *line)
{
    mn__row row = {0};
    mn_diag diag = {""};
    if (mn__row_parse(&row, line, strlen(line), "f:1", &diag) != MN_OK)
        fail_msg("%s: %s", line, diag.text);
    return row;
}

static void test_answer_row(void **state)
{
    (void)state;
    size_t before = ef_held();
    mn__row r = parse("{\"context\":\"c\\n\\u00e9\",\"input\":\"why?\",\"answers\":[\"a\",\"b c\"],"
                      "\"all_classes\":[\"x\",\"y\",\"z\"],\"language\":\"en\",\"dataset\":\"d\","
                      "\"_id\":\"i7\",\"length\":12,\"depth\":0.25,\"max_tokens\":512,"
                      "\"other\":{\"deep\":[1,2]}}");
    assert_string_equal(r.context, "c\né");
    assert_string_equal(r.input, "why?");
    assert_int_equal(r.n_answer, 2);
    assert_string_equal(r.answers[1], "b c");
    assert_int_equal(r.n_class, 3);
    assert_string_equal(r.classes[2], "z");
    assert_string_equal(r.language, "en");
    assert_string_equal(r.dataset, "d");
    assert_string_equal(r.id, "i7");
    assert_int_equal(r.length, 12);
    assert_int_equal(r.max_tokens, 512);
    assert_true(r.depth == 0.25);
    assert_int_equal(r.n_choice, 0);
    mn__row_free(&r);
    assert_int_equal(ef_held(), before);
}

static void test_other_names(void **state)
{
    (void)state;
    mn__row r = parse("{\"question\":\"q\",\"answer\":\"one\",\"source_id\":107,\"task\":\"t\","
                      "\"options\":[],\"depth\":null,\"length\":null}");
    assert_string_equal(r.input, "q");
    assert_string_equal(r.context, "");
    assert_string_equal(r.language, "");
    assert_int_equal(r.n_answer, 1);
    assert_string_equal(r.answers[0], "one");
    assert_string_equal(r.id, "107");
    assert_string_equal(r.dataset, "t");
    assert_int_equal(r.n_class, 0);
    assert_true(isnan(r.depth));
    mn__row_free(&r);
    r = parse("{\"context\":\"\",\"answers\":[3,-2.5,0.1,1e300,\"s\"]}");
    static const char *const want[] = {"3", "-2.5", "0.1", "1e+300", "s"};
    assert_int_equal(r.n_answer, 5);
    for (size_t i = 0; i < 5; i++) assert_string_equal(r.answers[i], want[i]);
    mn__row_free(&r);
}

static void test_choice_row(void **state)
{
    (void)state;
    mn__row r = parse("{\"context\":\"Q\",\"continuations\":[\" a\",\" b\",\" c\"],\"gold\":2}");
    assert_int_equal(r.n_choice, 3);
    assert_int_equal(r.gold, 2);
    assert_int_equal(r.n_answer, 0);
    for (size_t i = 0; i < 3; i++) assert_string_equal(r.contexts[i], "Q");
    assert_string_equal(r.continuations[1], " b");
    mn__row_free(&r);
    r = parse("{\"contexts\":[\"x\",\"y\"],\"continuations\":[\"1\",\"1\"],\"gold\":0}");
    assert_string_equal(r.contexts[1], "y");
    mn__row_free(&r);
}

static void refuse(const char *line, size_t n, const char *words)
{
    mn__row row = {0};
    mn_diag diag = {""};
    size_t before = ef_held();
    assert_int_equal(mn__row_parse(&row, line, n, "f:3", &diag), MN_EINPUT);
    if (strncmp(diag.text, "f:3: ", 5) != 0 || !strstr(diag.text, words))
        fail_msg("`%s` lacks `%s`", diag.text, words);
    assert_null(row.block);
    assert_int_equal(ef_held(), before);
}

static void test_wrong(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "a JSON object wanted"},
        {"{", "a JSON object wanted"},
        {"{\"context\":\"c\"} x", "end of file expected near 'x'"},
        {"[1]", "a JSON object wanted, an array found"},
        {"{\"context\":\"c\",\"context\":\"d\"}", "duplicate object key"},
        {"{\"context\":\"\\u0000\",\"answers\":[\"a\"]}", "\\u0000"},
        {"{\"context\":\"\xff\",\"answers\":[\"a\"]}", "decode byte 0xff"},
        {"{\"context\":\"\xc0\x80\",\"answers\":[\"a\"]}", "decode byte 0xc0"},
        {"{\"context\":\"\xed\xa0\x80\",\"answers\":[\"a\"]}", "decode byte 0xed"},
        {"{\"answers\":[\"a\"]}", "`context`: a text, or `input`, wanted, neither found"},
        {"{\"context\":\"c\"}", "`answers`: an array of texts wanted, nothing found"},
        {"{\"context\":\"c\",\"answers\":null}", "`answers`: an array of texts wanted, nothing"},
        {"{\"context\":\"c\",\"answers\":[]}", "`answers`: at least one text wanted, an empty"},
        {"{\"context\":\"c\",\"answers\":[null]}", "`answers`: texts in the array wanted, null"},
        {"{\"context\":\"c\",\"answers\":[[]]}", "`answers`: texts in the array wanted, an array"},
        {"{\"context\":\"c\",\"answers\":{}}", "`answers`: an array of texts wanted, an object"},
        {"{\"context\":\"c\",\"answers\":true}", "`answers`: an array of texts wanted, true"},
        {"{\"context\":1,\"answers\":[\"a\"]}", "`context`: a text wanted, an integer found"},
        {"{\"input\":[],\"answers\":[\"a\"]}", "`input`: a text wanted, an array found"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"length\":\"9\"}", "`length`: an integer wanted"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"max_tokens\":1.5}", "`max_tokens`: an integer"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"depth\":\"0\"}",
         "`depth`: a number wanted, a text"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"_id\":[\"x\"]}", "`_id`: a text or an integer"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"all_classes\":[{}]}", "`all_classes`: texts in"},
        {"{\"input\":\"\",\"answers\":[\"a\"],\"dataset\":5}", "`dataset`: a text wanted"},
        {"{\"context\":\"c\",\"continuations\":[\"a\"]}", "`gold`: an integer wanted, nothing"},
        {"{\"context\":\"c\",\"continuations\":[],\"gold\":0}", "`continuations`: at least one"},
        {"{\"context\":\"c\",\"continuations\":[\"a\"],\"gold\":1}", "`gold`: the index of one of"},
        {"{\"context\":\"c\",\"continuations\":[\"a\"],\"gold\":-1}", "`gold`: the index of one"},
        {"{\"context\":\"c\",\"continuations\":[\"a\"],\"gold\":\"0\"}", "`gold`: an integer"},
        {"{\"continuations\":[\"a\"],\"gold\":0}", "`context`: a text, or an array `contexts`"},
        {"{\"contexts\":[\"a\"],\"continuations\":[\"b\",\"c\"],\"gold\":0}",
         "`contexts`: one text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i][0], strlen(cases[i][0]), cases[i][1]);
    refuse("{\"context\":\"c\0\"}", 16, "a NUL byte found");
}

/* ---- files ---- */

#define ROW(x) "{\"input\":\"" x "\",\"answers\":[\"a\"]}"

static void expect_inputs(mn__rows *r, const char *const *want)
{
    mn_diag diag = {""};
    mn__row row;
    bool found = true;
    for (size_t i = 0; found; i++) {
        if (mn__rows_next(r, &row, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
        assert_true(found == (want[i] != NULL));
        if (!found) break;
        assert_string_equal(row.input, want[i]);
        mn__row_free(&row);
    }
}

static void test_lines(void **state)
{
    (void)state;
    static const char *const text[] = {ROW("1") "\n" ROW("2") "\n", ROW("1") "\n" ROW("2"),
                                       "\xef\xbb\xbf" ROW("1") "\r\n\r\n \t\n" ROW("2") " \r\n\n"};
    static const char *const want[] = {"1", "2", NULL};
    size_t before = ef_held();
    for (size_t i = 0; i < 3; i++) {
        for (int packed = 0; packed < 3; packed++) {
            size_t n = strlen(text[i]);
            uint8_t *bytes = packed == 0   ? (uint8_t *)strdup(text[i])
                             : packed == 1 ? ef_xz(text[i], n, &n)
                                           : ef_zstd(text[i], n, &n);
            mn__rows *r;
            mn_diag diag = {""};
            const char *path = ef_write("rows.jsonl", bytes, n);
            assert_int_equal(mn__rows_open(&r, path, NULL, &diag), MN_OK);
            expect_inputs(r, want);
            mn__rows_close(r);
            free(bytes);
        }
    }
    assert_int_equal(ef_held(), before);
}

/* A row with an input of n letters and one with "z"; returns the bytes. text [n + 200]. */
static size_t write_long(char *text, size_t n)
{
    static const char begin[] = "{\"input\":\"", end[] = "\",\"answers\":[\"a\"]}\n" ROW("z");
    memcpy(text, begin, sizeof begin - 1);
    memset(text + sizeof begin - 1, 'y', n);
    memcpy(text + sizeof begin - 1 + n, end, sizeof end);
    return sizeof begin - 1 + n + sizeof end - 1;
}

/* A line of several buffers, whose end lies at every place around a buffer's. */
static void test_long_lines(void **state)
{
    (void)state;
    for (size_t n = (1 << 16) - 40; n < (1 << 16) + 2; n++) {
        char *text = malloc(n + 200);
        size_t at = write_long(text, n);
        mn__rows *r;
        mn__row row;
        bool found;
        mn_diag diag = {""};
        const char *path = ef_write("long.jsonl", text, at);
        assert_int_equal(mn__rows_open(&r, path, NULL, &diag), MN_OK);
        assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_OK);
        assert_true(found && strlen(row.input) == n && row.line == 1);
        mn__row_free(&row);
        assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_OK);
        assert_true(found && strcmp(row.input, "z") == 0 && row.line == 2);
        mn__row_free(&row);
        mn__rows_close(r);
        free(text);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    const char *path = ef_write_text("bad.jsonl", ROW("1") "\n\n{oops\n" ROW("2") "\n{}\n");
    mn__rows *r;
    mn__row row;
    bool found;
    mn_diag diag = {""};
    assert_int_equal(mn__rows_open(&r, path, NULL, &diag), MN_OK);
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_OK);
    mn__row_free(&row);
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_EINPUT);
    assert_false(found);
    assert_non_null(strstr(diag.text, "bad.jsonl:3: a JSON object wanted"));
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_OK); /* it may go on */
    assert_string_equal(row.input, "2");
    assert_int_equal(row.line, 4);
    mn__row_free(&row);
    mn__rows_close(r);

    static const char *const want[] = {"1", "2", NULL};
    mn__rows_params params = {.skip_bad = true};
    assert_int_equal(mn__rows_open(&r, path, &params, &diag), MN_OK);
    expect_inputs(r, want);
    assert_int_equal(mn__rows_n_bad(r), 2);
    assert_non_null(strstr(mn__rows_first_bad(r), "bad.jsonl:3: "));
    mn__rows_close(r);
}

static void test_limits(void **state)
{
    (void)state;
    static const char *const want[] = {"1", "3", NULL};
    const char *path = ef_write_text(
        "limit.jsonl", ROW("1") "\n" ROW("2222222222222222222222222222222222") "\n" ROW("3") "\n");
    mn__rows *r;
    mn__row row;
    bool found;
    mn_diag diag = {""};
    mn__rows_params params = {.max_line = 40};
    assert_int_equal(mn__rows_open(&r, path, &params, &diag), MN_OK);
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_OK);
    mn__row_free(&row);
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "limit.jsonl:2: a line of at most 40 bytes wanted"));
    mn__rows_close(r);
    params.skip_bad = true;
    assert_int_equal(mn__rows_open(&r, path, &params, &diag), MN_OK);
    expect_inputs(r, want);
    assert_int_equal(mn__rows_n_bad(r), 1);
    mn__rows_close(r);
    params.max_bytes = 50; /* nothing to skip: the file itself is refused */
    assert_int_equal(mn__rows_open(&r, path, &params, &diag), MN_OK);
    assert_int_equal(mn__rows_next(r, &row, &found, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "at most 50 bytes wanted"));
    mn__rows_close(r);
}

static void test_truncated(void **state)
{
    (void)state;
    size_t n;
    uint8_t *xz = ef_xz(ROW("1") "\n" ROW("2") "\n", strlen(ROW("1") "\n" ROW("2") "\n"), &n);
    const char *path = ef_write("cut.jsonl.xz", xz, n - 8);
    mn__rows *r;
    mn__row row;
    bool found = true;
    mn_diag diag = {""};
    mn_status st = MN_OK;
    mn__rows_params params = {.skip_bad = true};
    assert_int_equal(mn__rows_open(&r, path, &params, &diag), MN_OK);
    while (st == MN_OK && found) {
        st = mn__rows_next(r, &row, &found, &diag);
        if (st == MN_OK && found) mn__row_free(&row);
    }
    assert_int_equal(st, MN_EINPUT);
    assert_non_null(strstr(diag.text, "the xz archive ends too early"));
    mn__rows_close(r);
    free(xz);
}

static void test_no_memory(void **state)
{
    (void)state;
    char *text = malloc(200000);
    assert_non_null(text);
    size_t n = write_long(text, 60000), before = ef_held();
    const char *path = ef_write("memory.jsonl", text, n);
    mn_status st = MN_ENOMEM;
    int n_refused = 0;
    for (size_t limit = 1; st == MN_ENOMEM; limit += 20000) {
        mn__rows *r = NULL;
        mn__row row = {0};
        bool found;
        mn_diag diag = {""};
        mn_mem_set_limit(limit);
        st = mn__rows_open(&r, path, NULL, &diag);
        if (st == MN_OK) st = mn__rows_next(r, &row, &found, &diag);
        if (st != MN_OK) assert_non_null(strstr(diag.text, "no memory"));
        n_refused += st != MN_OK;
        mn__row_free(&row);
        mn__rows_close(r);
        mn_mem_set_limit(0);
        assert_int_equal(ef_held(), before);
    }
    assert_int_equal(st, MN_OK);
    assert_true(n_refused > 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_row), cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_choice_row), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_bad_lines),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
