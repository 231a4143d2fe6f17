/* test_report.c: the files that a folder of records becomes: whole or not at all, the same each
 * time, and no text of a record is ever markup. */
#include "eval/report.h"
#include "mneme/eval.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "unit/eval_store_fixture.h"

/* ---- folders and files ---- */

static const char *folder(const char *name)
{
    const char *path = store_path(name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static const char *in(const char *dir, const char *name)
{
    static char path[8][640];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void make_store(const char *path, uint32_t from, uint32_t to)
{
    mn__store *s = store_open(path, MN_STORE_WRITE);
    store_add_range(s, from, to);
    mn__store_close(s);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Libraries of a line each: these tests do not draw. */
static mn_report_params quick_params(int n_thread)
{
    mn_report_params p;
    mn_report_params_default(&p);
    assert_true(p.n_resample == 9999 && !p.chart_js && !p.d3_js);
    p.n_resample = 199;
    p.n_thread = n_thread;
    p.chart_js = store_path("chart.js");
    p.d3_js = store_path("d3.js");
    write_text(p.chart_js, "var Chart;");
    write_text(p.d3_js, "var d3;");
    return p;
}

static mn_report_info report(const char *dir)
{
    mn_report_info info;
    mn_report_params p = quick_params(0);
    mn_diag diag = {""};
    mn_status st = mn_report_write(dir, &p, &info, &diag);
    if (st != MN_OK) print_error("%s\n", diag.text);
    assert_int_equal(st, MN_OK);
    return info;
}

static void refused(const char *dir, const mn_report_params *p, mn_status wanted, const char *says)
{
    mn_diag diag = {""};
    mn_report_info info = {.n_run = 77};
    assert_int_equal(mn_report_write(dir, p, &info, &diag), wanted);
    if (!strstr(diag.text, says)) print_error("%s\n", diag.text);
    assert_non_null(strstr(diag.text, says));
    assert_null(strchr(diag.text, '\n'));
    assert_int_equal(info.n_run, 77);
}

/* The caller frees. */
static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *text = malloc((size_t)n + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)n, f), n);
    text[n] = '\0';
    fclose(f);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what)) n++;
    return n;
}

static json_t *document(const char *dir)
{
    json_t *doc = json_load_file(in(dir, "report.json"), 0, NULL);
    assert_non_null(doc);
    return doc;
}

/* ---- the three files ---- */

static void test_files(void **state)
{
    (void)state;
    const char *dir = folder("files");
    make_store(in(dir, "results.sqlite"), 0, 30);
    mn_report_info info = report(dir);
    assert_true(info.n_file == 1 && info.n_run == 1 && info.n_prompt == 30);
    assert_true(info.n_record == 120 && info.n_failed == 0 && info.n_conflict == 0);
    json_t *doc = document(dir);
    const size_t n_list[] = {4, 4, 12, 6, 3, 0, 4};
    const char *const list[] = {"summary", "families", "rows", "pairs", "tasks", "needles", "kept"};
    for (size_t i = 0; i < 7; i++) {
        size_t n = json_array_size(json_object_get(doc, list[i]));
        if (strcmp(list[i], "needles")) assert_int_equal(n, n_list[i]);
    }
    assert_true(json_array_size(json_object_get(doc, "needles")) > 0); /* facts hold a depth */
    json_t *first = json_array_get(json_object_get(doc, "summary"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "policy")), "full");
    assert_string_equal(json_string_value(json_object_get(first, "model")), "tiny.gguf");
    assert_true(json_is_integer(json_object_get(first, "n")));
    json_decref(doc);
    char *csv = read_file(in(dir, "report.csv"));
    assert_int_equal(count(csv, "\r\n"), 1 + 4 + 4 + 12 + 6);
    assert_int_equal(strncmp(csv, "level,run,model,", 16), 0);
    free(csv);
    char *html = read_file(in(dir, "report.html"));
    assert_non_null(strstr(html, "<title>mneme: tiny.gguf</title>"));
    assert_null(strstr(html, "<!--mneme:"));
    assert_int_equal(count(html, "\"fedcba98765432"), 30); /* each prompt by its hash */
    free(html);
}

/* The same store gives the same bytes, on any number of threads. */
static void test_same(void **state)
{
    (void)state;
    static const char *const name[] = {"report.json", "report.csv", "report.html"};
    const char *dir = folder("same");
    char *before[3];
    make_store(in(dir, "results.sqlite"), 0, 12);
    mn_report_params p = quick_params(1);
    assert_int_equal(mn_report_write(dir, &p, NULL, NULL), MN_OK);
    for (int i = 0; i < 3; i++) before[i] = read_file(in(dir, name[i]));
    p.n_thread = 3;
    assert_int_equal(mn_report_write(dir, &p, NULL, NULL), MN_OK);
    for (int i = 0; i < 3; i++) {
        char *after = read_file(in(dir, name[i]));
        assert_string_equal(after, before[i]);
        free(after);
        free(before[i]);
    }
}

/* Figures of JSON and CSV are the same characters, with commas and quotes in names quoted. */
static void test_table_and_document(void **state)
{
    (void)state;
    const char *dir = folder("table");
    int64_t run;
    mn__store *s = store_open(in(dir, "results.sqlite"), MN_STORE_WRITE);
    mn__store_run r = store_run(1);
    store_sample x;
    assert_int_equal(mn__store_add_run(s, &r, &run, NULL), MN_OK);
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t k = 0; k < 2; k++) {
            store_fill(&x, i, k);
            if (k) x.record.policy = "window:share=layer,pool=\"7\"";
            store_add(s, run, &x);
        }
    mn__store_close(s);
    report(dir);
    char *csv = read_file(in(dir, "report.csv")), wanted[64];
    assert_non_null(strstr(csv, ",\"window:share=layer,pool=\"\"7\"\"\",25%,end,"));
    json_t *doc = document(dir);
    json_t *line = json_array_get(json_object_get(doc, "summary"), 1);
    const char *const key[] = {"kl", "nll", "kv_share", "kl_token"};
    for (size_t i = 0; i < 4; i++) {
        double v = json_real_value(json_object_get(line, key[i]));
        assert_true(v > 0);
        snprintf(wanted, sizeof wanted, ",%.9g,", v);
        assert_non_null(strstr(csv, wanted));
    }
    json_t *ci = json_object_get(line, "kl_ci95");
    snprintf(wanted, sizeof wanted, ",%.9g,%.9g,", json_real_value(json_array_get(ci, 0)),
             json_real_value(json_array_get(ci, 1)));
    assert_non_null(strstr(csv, wanted));
    json_decref(doc);
    free(csv);
}

/* ---- texts of records ---- */

static const char evil[] = "</script><script>alert(1)</script><!-- <b>\xff\xe3\x81 & \"";

static void test_markup(void **state)
{
    (void)state;
    const char *dir = folder("markup");
    int64_t run;
    mn__store *s = store_open(in(dir, "results.sqlite"), MN_STORE_WRITE);
    mn__store_run r = store_run(1);
    store_sample x;
    r.model = "models/<b>&tiny\".gguf";
    r.options = r.machine = evil;
    assert_int_equal(mn__store_add_run(s, &r, &run, NULL), MN_OK);
    store_fill(&x, 3, 0);
    x.prompt.task = x.prompt.source_id = x.prompt.source_file = evil;
    x.prompt.language = x.prompt.family = evil;
    x.prompt.gold = "[\"</script>\", 7, null]";
    x.prompt.facts = "{\"</script>\": \"<script>\", \"depth\": 0.5}";
    x.record.output = x.record.metric = x.record.budget = x.record.policy = evil;
    assert_true(store_add(s, run, &x));
    store_fill(&x, 3, 1);
    x.record.status = evil;
    assert_true(store_add(s, run, &x));
    mn__store_close(s);
    report(dir);
    char *html = read_file(in(dir, "report.html"));
    assert_int_equal(count(html, "</script>"), 5); /* data, records, two libraries, the page */
    assert_int_equal(count(html, "<script"), 5);
    assert_null(strstr(html, "alert(1)</"));
    assert_null(strstr(html, "<b>"));
    assert_non_null(strstr(html, "<title>mneme: &#60;b&#62;&#38;tiny&#34;.gguf</title>"));
    assert_non_null(strstr(html, "\\u003c/script>\\u003cscript>alert(1)\\u003c/script>"));
    /* Both blocks of data are JSON. */
    const char *const id[] = {"id=\"data\">", "id=\"records\">"};
    for (int i = 0; i < 2; i++) {
        char *begin = strstr(html, id[i]) + strlen(id[i]), *end = strstr(begin, "</script>");
        json_t *block = json_loadb(begin, (size_t)(end - begin), 0, NULL);
        assert_non_null(block);
        json_decref(block);
    }
    free(html);
    json_decref(document(dir));
}

static void same_text(json_t *text, const char *wanted)
{
    assert_non_null(text);
    assert_string_equal(json_string_value(text), wanted);
    json_decref(text);
}

static void test_texts(void **state)
{
    (void)state;
    same_text(mn__report_text("", 0), "");
    same_text(mn__report_text("caf\xc3\xa9", 0), "caf\xc3\xa9");
    same_text(mn__report_text("\xff.\xe3\x81", 0), "\xef\xbf\xbd.\xef\xbf\xbd");
    same_text(mn__report_text("abc", 3), "abc");
    same_text(mn__report_text("abcd", 3), "abc \xe2\x80\xa6 (3 of 4 bytes)");
    same_text(mn__report_text("ab\xc3\xa9", 3), "ab \xe2\x80\xa6 (3 of 4 bytes)");
}

/* ---- several files ---- */

static void test_shards(void **state)
{
    (void)state;
    const char *whole = folder("whole"), *parts = folder("parts");
    make_store(in(whole, "results.sqlite"), 0, 30);
    make_store(in(parts, "results.sqlite"), 0, 10);
    make_store(in(parts, "results-2.sqlite"), 5, 20);
    make_store(in(parts, "results-1.sqlite"), 20, 30);
    report(whole);
    mn_report_info info = report(parts);
    assert_true(info.n_file == 3 && info.n_record == 120 && info.n_conflict == 0);
    static const char *const name[] = {"report.json", "report.csv", "report.html"};
    for (int i = 0; i < 3; i++) {
        char *a = read_file(in(whole, name[i])), *b = read_file(in(parts, name[i]));
        assert_string_equal(a, b);
        free(a);
        free(b);
    }
    char command[700];
    snprintf(command, sizeof command, "test -z \"$(ls -A '%s' | grep -v '^res\\|^report\\.')\"",
             parts);
    assert_int_equal(system(command), 0); /* nothing else is left there */
    store_tamper(in(parts, "results-2.sqlite"), "UPDATE record SET output = 'another'");
    info = report(parts);
    assert_int_equal(info.n_conflict, 20);
    assert_non_null(strstr(info.conflict, "another output"));
    char *html = read_file(in(parts, "report.html"));
    assert_int_equal(count(html, ",\"another\"]"),
                     40); /* where results.sqlite had them, it counts */
    free(html);
}

/* ---- what cannot be ---- */

enum { CANNOT_LOOK = 77 };

static void count_bytes(const char *text, size_t n, void *ctx)
{
    (void)text;
    *(size_t *)ctx += n;
}

/* The document alone, from one file or several, wants no place to write and no library. */
static int try_document(const char *dir, size_t n_file)
{
    mn_diag diag = {""};
    mn_report_info info;
    size_t n = 0;
    mn_report_params p;
    mn_report_params_default(&p);
    p.n_resample = 199;
    p.chart_js = p.d3_js = "/nonexistent/library.js";
    mn_status st = mn_report_json(dir, &p, &info, count_bytes, &n, &diag);
    if (st != MN_OK) print_error("%s\n", diag.text);
    return st == MN_OK && info.n_file == n_file && info.n_prompt == 3 && n > 1000 ? 0 : 4;
}

static int try_read_only(const char *dir, const char *several)
{
    mn_diag diag = {""};
    mn_report_params p = quick_params(1);
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 1;
    if (access(dir, X_OK) != 0) return CANNOT_LOOK; /* a private folder above, and we were root */
    if (mn_report_write(dir, &p, NULL, &diag) != MN_EIO) return 2;
    if (!strstr(diag.text, "report.json")) return 3;
    return try_document(dir, 1) + try_document(several, 2);
}

static void test_refused(void **state)
{
    (void)state;
    const char *dir = folder("refused"), *several = folder("several");
    mn_report_params p = quick_params(1), q = p;
    refused(store_path("nowhere"), &p, MN_EINPUT, "No such file");
    refused(dir, &p, MN_EINPUT, "no records there");
    mn__store_close(store_open(in(dir, "results.sqlite"), MN_STORE_WRITE));
    refused(dir, &p, MN_EINPUT, "refused: no record has been written yet");
    make_store(in(dir, "results.sqlite"), 0, 3);
    q.chart_js = "/nonexistent/chart.min.js";
    refused(dir, &q, MN_EINPUT, "apt-get install libjs-chart.js");
    q = p;
    q.d3_js = "/nonexistent/d3.min.js";
    refused(dir, &q, MN_EINPUT, "apt-get install libjs-d3");
    q = p;
    q.n_resample = 7;
    refused(dir, &q, MN_ERANGE, "7 resamples");
    assert_int_equal(access(in(dir, "report.json"), F_OK), -1);
    q = p;
    q.d3_js = in(dir, "evil.js");
    write_text(q.d3_js, "var x = '</script>';");
    refused(dir, &q, MN_EINPUT, "not a script that can stand in a page");
    assert_int_equal(access(in(dir, "report.html"), F_OK), -1);
    write_text(in(dir, "results-9.sqlite"), "no database");
    refused(dir, &p, MN_EINPUT, "results-9.sqlite");
    assert_int_equal(unlink(in(dir, "results-9.sqlite")), 0);
    make_store(in(several, "results.sqlite"), 0, 2);
    make_store(in(several, "more.sqlite"), 1, 3);
    assert_int_equal(chmod(store_folder, 0755) | chmod(dir, 0555) | chmod(several, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(try_read_only(dir, several));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(dir, 0700) | chmod(several, 0700), 0);
    if (WEXITSTATUS(status) == CANNOT_LOOK) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_table_and_document),
        cmocka_unit_test(test_markup),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
