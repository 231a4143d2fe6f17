/* test_source.c: rows of a task by number, from a data directory of our own. */
#include "eval/source.h"

#include "base/heap.h"
#include "eval_fixture.h"

#define ROW(dataset, input, more)                                       \
    "{\"dataset\":\"" dataset "\",\"context\":\"c\",\"input\":\"" input \
    "\",\"answers\":[\"a\"]" more "}\n"

#define CHOICE(dataset, context, gold)                 \
    "{\"task\":\"" dataset "\",\"context\":\"" context \
    "\",\"continuations\":[\" a\",\" b\"],\"gold\":" #gold "}\n"

static char root[300];

static void put(const char *name, const char *text, bool xz)
{
    char path[512], *slash;
    size_t n = strlen(text);
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    uint8_t *bytes = xz ? ef_xz(text, n, &n) : NULL;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(xz ? (const void *)bytes : text, 1, n, file), n);
    fclose(file);
    free(bytes);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", tiny_model_path("data-XXXXXX"));
    if (!mkdtemp(root)) return 1;
    put("longctx/longbench/qasper.jsonl",
        ROW("qasper", "0", "") ROW("other", "no", "") ROW("qasper", "1", "") ROW("", "2", ""),
        false);
    put("longctx/longbench/trec.jsonl.xz", ROW("trec", "packed", ""), true);
    put("longctx/longbench/lcc.jsonl", ROW("other", "no", ""), false);
    put("longctx/longbench/lsht.jsonl", ROW("lsht", "0", "") "{bad\n" ROW("lsht", "1", ""), false);
    put("longctx/ruler/synth.jsonl", ROW("ruler_niah_multikey_3", "first file", ""), false);
    put("longctx/ruler/niah_multikey_3_4096_original.jsonl",
        ROW("ruler_niah_multikey_3", "second file", ""), false);
    put("longctx/ruler/qa_1.jsonl", ROW("", "Where?", "") ROW("", "When?", ""), false);
    put("mc/piqa.jsonl", CHOICE("piqa", "0", 1) ROW("piqa", "no choice", ""), false);
    put("longctx/longbench/samsum.jsonl",
        "{bad\n" CHOICE("samsum", "no answer", 0) ROW("samsum", "0", ""), false);
    put("longctx/infinitebench/code_debug.jsonl",
        ROW("", "", ",\"options\":[\"f\",\"g\",\"a\",\"h\"]"), false);
    put("longctx/longeval/lines.jsonl",
        ROW("longeval_lines_200", "x", "") ROW("longeval_topics_5", "y", "")
            ROW("longeval_lines_400", "z", ""),
        false);
    put("corpus/en-books.valid.txt", "It was so. It was not so. So it was.", false);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static mn__task_ref ref_of(const char *name)
{
    mn__task_ref *list, ref;
    size_t n;
    mn_diag diag;
    assert_int_equal(mn__task_find(&list, &n, name, &diag), MN_OK);
    ref = list[0];
    mn__free(list);
    return ref;
}

static mn__source *open_source(const char *name, mn__source_params params)
{
    mn__source *s;
    mn_diag diag = {""};
    params.data = root;
    params.tokens = &ef_words;
    if (mn__source_open(&s, ref_of(name), &params, &diag) != MN_OK) fail_msg("%s", diag.text);
    return s;
}

/* Row i has this input, or, with NULL, is none. */
static void expect_row(mn__source *s, uint64_t i, const char *input)
{
    mn__row row = {0};
    bool found;
    mn_diag diag = {""};
    if (mn__source_get(s, i, &row, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(found, input != NULL);
    if (found) assert_string_equal(row.input, input);
    mn__row_free(&row);
}

static void test_read(void **state)
{
    (void)state;
    size_t before = ef_held();
    mn__source *s = open_source("qasper", (mn__source_params){0});
    static const char *const want[] = {"0", "1", "2", NULL};
    for (uint64_t i = 0; i < 4; i++) expect_row(s, i, want[i]);
    expect_row(s, 1, "1"); /* back, forward, beyond */
    expect_row(s, 2, "2");
    expect_row(s, 0, "0");
    expect_row(s, 2, "2");
    expect_row(s, 99, NULL);
    expect_row(s, 0, "0");
    mn__source_close(s);
    s = open_source("trec", (mn__source_params){0});
    expect_row(s, 0, "packed");
    expect_row(s, 1, NULL);
    mn__source_close(s);
    s = open_source("ruler_niah_multikey_3", (mn__source_params){0});
    expect_row(s, 1, "second file");
    expect_row(s, 2, NULL);
    expect_row(s, 0, "first file");
    mn__source_close(s);
    s = open_source("longeval_lines", (mn__source_params){0});
    expect_row(s, 0, "x");
    expect_row(s, 1, "z");
    expect_row(s, 2, NULL);
    mn__source_close(s);
    assert_int_equal(ef_held(), before);
}

static void test_letters(void **state)
{
    (void)state;
    mn__source *s = open_source("infinitebench_code_debug", (mn__source_params){0});
    mn__row row;
    bool found;
    mn_diag diag;
    assert_int_equal(mn__source_get(s, 0, &row, &found, &diag), MN_OK);
    assert_int_equal(row.n_answer, 2);
    assert_string_equal(row.answers[0], "a");
    assert_string_equal(row.answers[1], "C");
    assert_int_equal(row.n_class, 4);
    mn__row_free(&row);
    mn__source_close(s);
}

/* Rows of another kind than the task asks for are bad lines. */
static void test_kinds(void **state)
{
    (void)state;
    mn__row row;
    bool found;
    mn_diag diag = {""};
    size_t before = ef_held();
    mn__source *s = open_source("piqa", (mn__source_params){0});
    assert_int_equal(mn__source_get(s, 0, &row, &found, &diag), MN_OK);
    assert_int_equal(row.gold, 1);
    mn__row_free(&row);
    assert_int_equal(mn__source_get(s, 1, &row, &found, &diag), MN_EINPUT);
    assert_non_null(
        strstr(diag.text,
               "/mc/piqa.jsonl:2: task piqa wants a row with `continuations` and `gold`, none"));
    assert_false(found);
    mn__source_close(s);
    s = open_source("samsum", (mn__source_params){.rows.skip_bad = true});
    expect_row(s, 0, "0");
    expect_row(s, 1, NULL);
    assert_int_equal(mn__source_n_bad(s), 2);
    assert_non_null(strstr(mn__source_first_bad(s), "samsum.jsonl:1: a JSON object wanted"));
    mn__source_close(s);
    s = open_source("piqa", (mn__source_params){.rows.skip_bad = true});
    expect_row(s, 1, NULL);
    assert_int_equal(mn__source_n_bad(s), 1);
    assert_non_null(strstr(mn__source_first_bad(s), "piqa.jsonl:2: task piqa wants"));
    mn__source_close(s);
    assert_int_equal(ef_held(), before);
}

static void test_bad_lines(void **state)
{
    (void)state;
    mn__row row;
    bool found;
    mn_diag diag = {""};
    mn__source *s = open_source("lsht", (mn__source_params){0});
    assert_int_equal(mn__source_get(s, 1, &row, &found, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "/longctx/longbench/lsht.jsonl:2: a JSON object wanted"));
    mn__source_close(s);
    s = open_source("lsht", (mn__source_params){.rows.skip_bad = true});
    expect_row(s, 1, "1");
    assert_int_equal(mn__source_n_bad(s), 1);
    expect_row(s, 2, NULL);
    assert_int_equal(mn__source_n_bad(s), 1); /* the file is closed, its count is kept */
    assert_non_null(strstr(mn__source_first_bad(s), "lsht.jsonl:2"));
    expect_row(s, 1, "1");
    assert_int_equal(mn__source_n_bad(s), 1); /* read again, counted once */
    mn__source_close(s);
}

static void refuse(mn__task_ref ref, mn__source_params params, mn_status want, const char *words)
{
    mn__source *s;
    mn_diag diag = {""};
    size_t before = ef_held();
    params.tokens = &ef_words;
    assert_int_equal(mn__source_open(&s, ref, &params, &diag), want);
    if (!strstr(diag.text, words)) fail_msg("`%s` lacks `%s`", diag.text, words);
    assert_null(s);
    assert_int_equal(ef_held(), before);
}

static void test_refused(void **state)
{
    (void)state;
    const mn__source_params none = {0}, here = {.data = root};
    mn__source_params made = {.data = root, .length = 100, .n_made = 1};
    refuse(ref_of("qasper"), none, MN_EINPUT,
           "task qasper: a data directory with longctx/longbench/qasper.jsonl in it wanted");
    refuse(ref_of("hotpotqa"), here, MN_EINPUT,
           "/longctx/longbench/hotpotqa.jsonl (or .xz, .zst of it): put the set there (arXiv "
           "2308.14508, ");
    refuse(ref_of("niah"), here, MN_EUSAGE, "task niah: its rows are made, the length");
    refuse(ref_of("qasper"), made, MN_EUSAGE, "task qasper: its rows are read and have their own");
    refuse(ref_of("lm_aozora"), made, MN_EINPUT, "/corpus/ja-aozora.valid.txt (or .xz, .zst");
    refuse(ref_of("babilong_qa1"), made, MN_EINPUT, "/longctx/babilong/synth.jsonl (or");
    made.text = "x";
    refuse(ref_of("litm_kv"), made, MN_EUSAGE, "task litm_kv draws on no text, x given");
    refuse(ref_of("niah"), made, MN_EIO, "x: cannot open");
    made.text = NULL;
    made.n_depth = 5;
    refuse(ref_of("ruler_cwe"), made, MN_EUSAGE, "task ruler_cwe has no needle to put at 5 depths");

    mn__source *s = open_source("lcc", here); /* a file without a row of the task */
    mn__row row;
    bool found;
    mn_diag diag = {""};
    assert_int_equal(mn__source_get(s, 0, &row, &found, &diag), MN_EINPUT);
    assert_non_null(strstr(diag.text, "task lcc: rows of it wanted in"));
    assert_non_null(strstr(diag.text, "/longctx/longbench, none found"));
    mn__source_close(s);
}

/* A file of the user's own that has no row, and one whose lines are all malformed. */
static void test_no_rows(void **state)
{
    (void)state;
    static const char *const text[] = {"\n", "{bad\n[]\n"},
                             *const said[] = {", none found",
                                              ", only malformed lines found: 2, the first is "};
    for (int i = 0; i < 2; i++) {
        char words[400];
        mn__own_task own;
        mn__source *s;
        mn__row row;
        bool found;
        mn_diag diag = {""};
        const char *path = ef_write_text("none.jsonl", text[i]);
        mn__own_task_init(&own, path, "exact", NULL, 0);
        const mn__source_params params = {.own = path, .rows.skip_bad = true};
        assert_int_equal(mn__source_open(&s, (mn__task_ref){.task = &own.task}, &params, &diag),
                         MN_OK);
        assert_int_equal(mn__source_get(s, 0, &row, &found, &diag), MN_EINPUT);
        snprintf(words, sizeof words, "rows of it wanted in %s%s", path, said[i]);
        if (!strstr(diag.text, words)) fail_msg("`%s` lacks `%s`", diag.text, words);
        snprintf(words, sizeof words, "%s:1: a JSON object wanted", path);
        assert_int_equal(strstr(diag.text, words) != NULL, i);
        mn__source_close(s);
    }
}

static void test_made(void **state)
{
    (void)state;
    mn__source_params params = {.length = 200, .n_made = 7, .n_depth = 3, .seed = 4};
    mn__source *s = open_source("niah", params);
    mn__row row[7], again;
    bool found;
    mn_diag diag = {""};
    for (uint64_t i = 0; i < 7; i++) {
        assert_int_equal(mn__source_get(s, i, &row[i], &found, &diag), MN_OK);
        assert_true(found && row[i].depth == (double)(i % 3) / 2);
        assert_true(row[i].length <= 200 && row[i].length > 180);
    }
    expect_row(s, 7, NULL);
    assert_string_equal(row[2].id, "niah-200-4-2-d1.000");
    mn__source_close(s);
    s = open_source("niah", params); /* another order, the same rows */
    assert_int_equal(mn__source_get(s, 5, &again, &found, &diag), MN_OK);
    assert_string_equal(again.context, row[5].context);
    mn__row_free(&again);
    mn__source_close(s);
    const char *path = ef_write_text("hay.txt", "Straw, straw. Straw!");
    params.text = path;
    s = open_source("niah", params);
    assert_int_equal(mn__source_get(s, 0, &again, &found, &diag), MN_OK);
    assert_non_null(strstr(again.context, "Straw, straw. Straw! Straw, straw."));
    mn__row_free(&again);
    mn__source_close(s);
    for (size_t i = 0; i < 7; i++) mn__row_free(&row[i]);

    s = open_source("ruler_qa_1", (mn__source_params){.length = 60, .n_made = 4});
    expect_row(s, 0, "Where?");
    expect_row(s, 3, "When?");
    mn__source_close(s);
}

static void test_own(void **state)
{
    (void)state;
    mn__own_task own;
    mn__source *s;
    mn_diag diag = {""};
    const char *path = ef_write_text("own.jsonl", ROW("any", "mine", "") ROW("", "too", ""));
    const mn__source_params params = {.own = path};
    mn__own_task_init(&own, path, "contains", NULL, 0);
    assert_int_equal(mn__source_open(&s, (mn__task_ref){.task = &own.task}, &params, &diag), MN_OK);
    expect_row(s, 0, "mine");
    expect_row(s, 1, "too");
    expect_row(s, 2, NULL);
    expect_row(s, 0, "mine");
    mn__source_close(s);
    const mn__source_params absent = {.own = tiny_model_path("absent")};
    refuse((mn__task_ref){.task = &own.task}, absent, MN_EIO, "cannot open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),    cmocka_unit_test(test_letters),
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_made),    cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, set_up, remove_all);
}
